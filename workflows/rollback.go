package workflows

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// Undone is the run that a rollback takes back: what it was asked to do, the
// facts that it began with (which is what the rollback leads back to), and
// which of its steps were begun.
type Undone struct {
	Run     string          `json:"run"`
	Request Request         `json:"request"`
	Title   msg.Msg         `json:"title"`
	Facts   etcdops.Facts   `json:"facts"`
	Verdict etcdops.Verdict `json:"verdict"`
	// Begun are the changing steps whose action was begun, whatever is known of
	// its end: the steps that take them back ask reality first.
	Begun []string `json:"begun"`
	// Done says that the run had ended well.
	Done bool `json:"done,omitempty"`
	// Seq is the number of the last event in its journal.
	Seq uint64 `json:"seq"`
}

// begun reports whether a step of the run was begun.
func (u *Undone) begun(step string) bool { return slices.Contains(u.Begun, step) }

// on lists the nodes, in the facts' order, on which a kind of step was begun.
func (u *Undone) on(kind string) []string {
	return slices.DeleteFunc(nodesOf(u.Facts), func(node string) bool { return !u.begun(kind + "/" + node) })
}

// nodes are those that the run acts on.
func (u *Undone) nodes() []string {
	if len(u.Request.Nodes) > 0 {
		return u.Request.Nodes
	}
	return nodesOf(u.Facts)
}

// CanRollback says, before anything is connected to, why a run cannot be taken
// back at all: a rollback itself, or a run that changed nothing. The errors
// match engine.ErrRefused and carry the sentence for people.
func CanRollback(run string, stored engine.Plan, state engine.State) error {
	refuse := func(m msg.Msg) error { return fmt.Errorf("%w: %w", engine.ErrRefused, msg.Error{Msg: m}) }
	switch {
	case stored.Undoes != "":
		return refuse(msg.M("rollback.of-rollback", "run", run, "undoes", stored.Undoes))
	case len(begunSteps(stored, state)) == 0:
		return refuse(msg.M("rollback.nothing", "run", run))
	}
	return nil
}

// begunSteps are the changing steps of a plan whose action was begun. A step
// that was found done before it was ever begun is somebody else's work.
func begunSteps(p engine.Plan, state engine.State) []string {
	var ids []string
	for _, stage := range p.Stages {
		for _, s := range stage.Steps {
			if s.Effect != remote.Read && state.Step(s.ID).Runs > 0 {
				ids = append(ids, s.ID)
			}
		}
	}
	return ids
}

// Rollback plans to take a run back, from its stored plan, from what its journal
// adds up to, and from the facts as they are now. The guards say how far it can
// go; see CanRollback for what is refused before.
func Rollback(ctx context.Context, site Site, f etcdops.Facts, v etcdops.Verdict, stored engine.Plan, state engine.State) (engine.Plan, error) {
	if err := CanRollback(state.Run, stored, state); err != nil {
		return engine.Plan{}, err
	}
	r, was, err := Unpack(stored)
	if err != nil {
		return engine.Plan{}, err
	}
	r.Overrides = nil
	r.Tag = stored.Tag
	u := &Undone{
		Run: state.Run, Request: r, Title: stored.Title, Facts: was.Facts, Verdict: was.Verdict,
		Begun: begunSteps(stored, state), Done: state.Outcome == engine.OutcomeDone, Seq: state.LastSeq,
	}
	request := Request{Procedure: etcdops.ProcedureRollback, Run: state.Run, Tag: tagAfter(f.CollectedAt, stored.Tag)}
	return buildKnowing(ctx, site, f, v, request, Stored{Undone: u})
}

// tagAfter is a tag of its own for the rollback, later than that of the run,
// whose names stand on the nodes.
func tagAfter(at time.Time, tag string) string {
	own := at.UTC().Format(engine.TagLayout)
	for own <= tag {
		at = at.Add(time.Second)
		own = at.UTC().Format(engine.TagLayout)
	}
	return own
}

// rollback leads back to the facts that a run began with, in the reverse order
// of what it did. What the run restored is set aside like everything else,
// never deleted. Nothing old starts before everything new is proved stopped
// (procedures.md §4, old-majority-dead; faults.md, promise C).
//
// How far it goes: a restart and everything before `member remove` of a rejoin
// can be taken back as if it had not been. After the removal there is no way
// back, because etcd refuses the data of a removed member for ever
// (etcd's documentation, runtime reconfiguration: "a member's data directory
// cannot be reused"). A full restore and a salvage can be taken back as long as
// the old data lie aside, at the cost, once the new cluster was started, of what
// clients wrote into it.
func rollback(w *world, r Request) (engine.Plan, error) {
	u := w.undone
	if u == nil {
		return engine.Plan{}, fmt.Errorf("%w: a rollback is planned for a run: novatui rollback RUN", ErrRequest)
	}
	p := w.newRollback(r)
	p.Guards(w.rollbackGuards()...)
	if moved := slices.Concat(u.on("aside"), u.on("place"), u.on("env"), u.on("start")); len(moved) > 0 {
		held := u.on("stop")
		p.Stage("stop", msg.M("restore.stage.stop"), each(held, func(node string) engine.Step {
			return w.stopAndMask(node, w.guard("rollback-serving", w.rollbackServing), w.guard("rollback-writes", w.rollbackWrites))
		})...)
		p.Stage("stopped", msg.M("restore.stage.stopped"), each(held, w.proveStopped)...)
	}
	p.Stage("restored-aside", msg.M("rollback.stage.restored-aside"), each(u.on("place"), w.setRestoredAside)...)
	var back, units []engine.Step
	for _, node := range nodesOf(u.Facts) {
		if u.begun("aside/"+node) || u.begun("place/"+node) {
			back = append(back, w.moveBack(node)...)
		}
		units = append(units, w.unitAsBefore(node)...)
	}
	p.Stage("back", msg.M("rollback.stage.back"), back...)
	if len(back) > 0 {
		p.Stage("data-back", msg.M("rollback.stage.data-back"), w.proveBack())
	}
	p.Stage("env", msg.M("rollback.stage.env"), each(u.on("env"), w.envBack)...)
	p.Stage("units", msg.M("rollback.stage.units"), units...)
	p.Stage("prove", msg.M("rollback.stage.prove"), w.proveAsBefore())
	return p.finish()
}

// newRollback is newPlan for a rollback: its basis is the facts of now beside
// the run that is taken back, while the steps work from the facts of then.
func (w *world) newRollback(r Request) *draft {
	now, verdict := w.now()
	u := w.undone
	p := newPlan(w, r, msg.M("rollback.title", "run", u.Run, "what", u.Title))
	p.Undoes(u.Run, u.Seq)
	p.Basis(Stored{Facts: now, Verdict: verdict, Undone: u}.stripped())
	p.Identity(w.rollbackIdentity(now))
	p.FactsAt(now.CollectedAt)
	p.Estimate(15 * time.Second)
	switch {
	case len(u.on("place")) > 0:
		p.Kept(msg.M("rollback.kept", "aside", w.asideSuffix()))
	case len(u.on("aside")) > 0:
		p.Kept(msg.M("rollback.kept.back"))
	default:
		p.Kept(msg.M("rollback.kept.untouched"))
	}
	if len(u.on("start")) > 0 {
		p.Lost(msg.M("rollback.lost.writes", "aside", w.asideSuffix()))
	}
	if u.Verdict.State != etcdops.ClusterHealthy {
		p.NoReturn("", msg.M("rollback.ends", "how", u.Verdict.Headline))
	}
	p.WayBack(msg.M("rollback.way-back"))
	return p
}

// rollbackIdentity is what must not change between the plan of a rollback and
// its start: machines, env files and what lies where. Whether members are
// healthy is left out: a new cluster that is just coming up changes that while
// the plan is read, and the guards judge it again anyway.
func (w *world) rollbackIdentity(f etcdops.Facts) string {
	h := sha256.New()
	var members []string
	for _, m := range f.Members {
		members = append(members, m.ID)
	}
	slices.Sort(members)
	fmt.Fprintf(h, "run %s event %d members %q\n", w.undone.Run, w.undone.Seq, members)
	for _, n := range f.Nodes {
		fmt.Fprintf(h, "node %s machine %q reachable %t env %s data %q %t %t asides %q\n", n.Node, n.Host.MachineID, n.Reachable,
			n.Env.SHA256, n.Data.Path, n.Data.HasDB, n.Data.HasWAL, n.Asides)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// laterTag finds something that a later run than the one of tag left beside a
// node's data or env file: what was set aside, or kept. Directories that a
// restore only prepared (….new) changed nothing.
func laterTag(n etcdops.NodeFacts, tag, own string) string {
	for _, path := range slices.Concat(n.Asides, n.Kept) {
		base := path[strings.LastIndex(path, "/")+1:]
		_, rest, ok := strings.Cut(base, "novatui-")
		if !ok || len(rest) < len(engine.TagLayout) || strings.Contains(rest, ".new") {
			continue
		}
		if other := rest[:len(engine.TagLayout)]; other > tag && other != own && validTime(other) {
			return path
		}
	}
	return ""
}

func validTime(tag string) bool {
	_, err := time.Parse(engine.TagLayout, tag)
	return err == nil
}
