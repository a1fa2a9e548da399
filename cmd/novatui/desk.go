package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/workflows"
	"github.com/novatui/novatui/workflows/engine"
)

// desk is the session as the wizard works with it: backend.Backend over real
// connections.
type desk struct {
	*session
	questions *questionDesk
	drill     string

	mu    sync.Mutex
	plans map[string]engine.Plan // of the runs begun here, by run
	runs  []*engine.Run
	// over is the token of the lease that the next run may take over.
	over string
}

var (
	_ backend.Backend = (*desk)(nil)
	_ backend.Taker   = (*desk)(nil)
)

func newDesk(s *session, questions *questionDesk, drill string) *desk {
	return &desk{session: s, questions: questions, drill: drill, plans: map[string]engine.Plan{}}
}

// Cluster implements backend.Backend.
func (d *desk) Cluster() backend.ClusterInfo {
	info := backend.ClusterInfo{
		Name: d.cluster.Name, Environment: d.cluster.Environment, Platform: d.cluster.Platform,
		Drill: d.drill, StateDir: d.p.stateDir(),
	}
	for _, n := range d.cluster.Nodes {
		info.Nodes = append(info.Nodes, backend.NodeInfo{Name: n.Name, Address: n.Address})
	}
	if d.drill != "" {
		info.DrillGoal = msg.M("drill." + d.drill + ".goal")
	}
	return info
}

// NextQuestion implements backend.Backend.
func (d *desk) NextQuestion(ctx context.Context) (backend.Question, error) {
	return d.questions.NextQuestion(ctx)
}

// Collect implements backend.Backend.
func (d *desk) Collect(ctx context.Context) (etcdops.Facts, etcdops.Verdict, []backend.Assessed, error) {
	f, v, err := d.Diagnose(ctx)
	if err != nil {
		return f, v, nil, err
	}
	return f, v, workflows.Assess(f, v), nil
}

// Status implements backend.Backend.
func (d *desk) Status(ctx context.Context) (etcdops.Facts, error) {
	prev, _, err := d.lastFacts(ctx)
	if err != nil {
		return prev, err
	}
	return site{d.session}.Status(ctx, prev)
}

// Snapshots implements backend.Backend.
func (d *desk) Snapshots(ctx context.Context) ([]etcdops.SnapshotFile, error) {
	f, _, err := d.lastFacts(ctx)
	if err != nil {
		return nil, err
	}
	var all []etcdops.SnapshotFile
	for _, n := range f.Nodes {
		all = append(all, n.Snapshots...)
	}
	return all, nil
}

// Plan implements backend.Backend. It looks again first, so that what the
// review shows is how things are now.
func (d *desk) Plan(ctx context.Context, r backend.PlanRequest) (engine.Plan, error) {
	if r.Procedure == etcdops.ProcedureRollback {
		return d.planRollback(ctx, r.Run)
	}
	f, v, err := d.Diagnose(ctx)
	if err != nil {
		return engine.Plan{}, err
	}
	request := workflows.Request{Procedure: r.Procedure, Nodes: r.Nodes}
	if r.Snapshot != "" {
		request.Snapshots = []workflows.SnapshotRef{{Node: r.SnapshotNode, Path: r.Snapshot}}
	}
	if r.Procedure == etcdops.ProcedureRestore || r.Procedure == etcdops.ProcedureSalvage {
		request.Nodes = nil // they act on every node
	}
	return workflows.Build(ctx, site{d.session}, f, v, request)
}

// Start implements backend.Backend. The plan is made again from fresh facts, as
// apply does: the operator may have read the review for an hour.
func (d *desk) Start(ctx context.Context, p engine.Plan, a engine.Approval) (backend.Run, error) {
	f, v, err := d.Diagnose(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := workflows.Reapply(ctx, site{d.session}, f, v, p, a.Overrides)
	if err != nil {
		return nil, err
	}
	a.TakeOver = d.takesOver()
	run, err := engine.Start(detached(ctx), d.options(plan, a))
	if err != nil {
		return nil, err
	}
	return d.began(run, plan), nil
}

func (d *desk) began(run *engine.Run, plan engine.Plan) backend.Run {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plans[run.ID()] = plan
	d.runs = append(d.runs, run)
	return backend.FromEngine(run)
}

// settle waits for the runs that are still going when the wizard is left: they
// are stopped at the next boundary, and aborted by a second signal.
func (d *desk) settle() error {
	d.mu.Lock()
	runs := d.runs
	d.mu.Unlock()
	var errs []error
	told := map[string]bool{}
	for _, run := range runs {
		select {
		case <-run.Done():
			continue
		default:
		}
		told[run.ID()] = true
		d.p.seeOff(run, d.plans[run.ID()])
		errs = append(errs, d.p.ended(run.Wait(), false))
	}
	if len(runs) > 0 && d.drill == "" { // of a drill's cluster nothing is left
		d.remind(told)
	}
	return errors.Join(errs...)
}

// remind says how to go on with the runs begun here that stopped part-way:
// with the wizard's screen what it said about them is gone.
func (d *desk) remind(told map[string]bool) {
	for _, r := range d.p.resumable(d.cluster) {
		d.mu.Lock()
		_, here := d.plans[r.ID]
		d.mu.Unlock()
		if here && !told[r.ID] {
			d.p.say("%s %s", d.p.t("cmd.run.outcome."+string(r.Outcome)), d.p.t("cmd.run.how-to-resume", "run", r.ID))
		}
	}
}

// Unfinished implements backend.Backend: those of this machine, and those that
// the nodes know of which are connected by now.
func (d *desk) Unfinished(ctx context.Context) ([]engine.RunInfo, error) {
	here := d.p.resumable(d.cluster)
	nodes := d.connected()
	if len(nodes) == 0 {
		return here, nil
	}
	all := d.lookElsewhere(ctx, nodes, "").merge(here)
	return slices.DeleteFunc(all, func(r engine.RunInfo) bool { return !r.Resumable && r.Holder == nil }), nil
}

// TakeOver implements backend.Taker.
func (d *desk) TakeOver(seen *engine.LockedError) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = seen.Token
}

// takesOver says once whether a lease may be taken over: a stale one only.
func (d *desk) takesOver() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	over := d.over != ""
	d.over = ""
	return over
}

// ResumeRun implements backend.Backend.
func (d *desk) ResumeRun(ctx context.Context, id string) (backend.Run, engine.Plan, error) {
	approval := engine.Approval{TakeOver: d.takesOver()}
	if nodes := d.connected(); len(nodes) > 0 {
		if err := d.adopt(ctx, d.lookElsewhere(ctx, nodes, id), id, approval.TakeOver); err != nil {
			return nil, engine.Plan{}, err
		}
	}
	stored, _, err := engine.LoadRun(d.p.runsDir(), id)
	if err != nil {
		return nil, stored, fmt.Errorf("reading run %s: %w", id, err)
	}
	if err := sameCluster(stored, d.cluster); err != nil {
		return nil, stored, err
	}
	run, plan, err := d.resume(ctx, id, stored, approval)
	if err != nil {
		return nil, plan, err
	}
	return d.began(run, plan), plan, nil
}

// Report implements backend.Backend.
func (d *desk) Report(ctx context.Context, run backend.Run) (backend.Report, error) {
	d.mu.Lock()
	plan, known := d.plans[run.ID()]
	d.mu.Unlock()
	if !known {
		return backend.Report{}, fmt.Errorf("run %s was not begun here", run.ID())
	}
	r, err := d.report(ctx, filepath.Join(d.p.runsDir(), run.ID()), plan)
	return r.Report, err
}

// Save implements backend.Backend.
func (d *desk) Save(_ context.Context, name string, content []byte) (string, error) {
	if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("saving %q: that is not a base name", name)
	}
	dir := d.p.savedDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("saving %s: %w", name, err)
	}
	ext := filepath.Ext(name)
	for n := 1; ; n++ {
		path := filepath.Join(dir, name)
		if n > 1 {
			path = filepath.Join(dir, strings.TrimSuffix(name, ext)+"-"+strconv.Itoa(n)+ext)
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("saving %s: %w", name, err)
		}
		_, err = f.Write(content)
		return path, errors.Join(err, f.Close())
	}
}
