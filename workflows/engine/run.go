package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/novatui/novatui/assets/msg"
)

// Options are what a run needs.
type Options struct {
	// Plan comes from Builder.Build: a plan read from a file has no functions.
	Plan  Plan
	Conns Conns
	// Dir is the folder of all runs (novatui/runs in the XDG state folder).
	Dir      string
	Approval Approval
	// DryRun probes and asks the guards, and changes nothing: Do and Verify
	// are not called, nothing is locked and nothing is stored.
	DryRun bool
	// Version of the program, for the journal.
	Version string
	// OnEvent is called with each event after it is durable and before the run
	// goes on. It must not call Wait.
	OnEvent func(Event)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Lease keeps others off the cluster; nil is LocalLease in Dir.
	Lease Lease
	// Mirror copies plan and journal to the nodes; nil does not.
	Mirror Mirror
	// Jobs runs commands with Detach in sessions of their own on the nodes; nil
	// runs them as any other, and they end with their connection.
	Jobs Jobs
	// Asker is asked whether to try again where a node refuses root's rights in
	// the middle of a run. nil, or a no, ends the step there.
	Asker Asker

	openJournal func(path string) (file, error) // of tests
}

// Run is a procedure on its way. It goes on by itself until it ends; Wait
// waits for that.
type Run struct {
	id, dir string
	plan    Plan
	conns   Conns
	dry     bool
	onEvent func(Event)
	now     func() time.Time
	version string

	approval Approval
	state    State // of the parts that ran before
	feed     *Feed
	panes    map[string]*pane
	values   values
	facts    facts
	held     Held
	mirror   *mirror
	jobs     Jobs
	asker    Asker
	book     jobBook
	control  control

	emitting sync.Mutex // order of events: journal, feed, OnEvent
	seq      uint64
	journal  *journal // nil in a dry run
	ioErr    error    // the first error of the journal, or a panic of OnEvent

	done   chan struct{}
	result Result
}

// Start begins a run. What refuses it comes back here, with nothing changed
// and nothing held: ErrInvalidPlan, ErrPlanStale (the hash is not the plan's),
// ErrNotConfirmed, ErrStateDir, ErrLocked, ErrRefused (a *RefusedError), or
// the error of collecting fresh facts. The end of ctx aborts the run.
func Start(ctx context.Context, o Options) (*Run, error) {
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	if err := r.confirmed(); err != nil {
		return nil, err
	}
	if r.id, err = newRunID(o.Plan); err != nil {
		return nil, err
	}
	if !r.dry {
		r.dir = filepath.Join(o.Dir, r.id)
	}
	if err := r.acquire(ctx, o); err != nil {
		return nil, err
	}
	if !r.plan.FactsAt.After(r.now()) { // otherwise a clock was set
		r.facts.whole, r.facts.collected = r.plan.FactsAt, r.plan.FactsAt
	}
	var findings []Finding
	if err = r.checkUndone(o.Dir, false); err == nil {
		findings, err = r.admitPlan(ctx)
	}
	if err == nil && !r.dry {
		err = r.create(o.openJournal)
	}
	if err == nil {
		_, err = r.emit(r.opening(RunStarted))
	}
	if err != nil {
		return nil, r.discard(err)
	}
	r.noteLease()
	r.emitFindings("", nil, findings)
	r.launch(ctx, o.Mirror)
	return r, nil
}

// Resume continues a run that stopped, was stopped, or died. Options.Plan was
// built again from the stored plan's Input and Basis; when its hash is not the
// stored one, the error is ErrPlanStale. Steps that are done stay done, every
// other is probed before anything else. Approvals given before still hold.
// Other errors: those of Start, ErrJournal, ErrRunDone.
func Resume(ctx context.Context, o Options, runID string) (*Run, error) {
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	if !isFileName(runID) {
		return nil, fmt.Errorf("run %q: no such run: %w", runID, os.ErrNotExist)
	}
	r.id = runID
	if _, err := os.Stat(filepath.Join(o.Dir, runID)); err != nil {
		return nil, fmt.Errorf("run %s: %w", runID, err)
	}
	if !r.dry {
		r.dir = filepath.Join(o.Dir, r.id)
	}
	if err := r.acquire(ctx, o); err != nil {
		return nil, err
	}
	if err := r.restore(ctx, o); err != nil {
		return nil, errors.Join(err, r.release())
	}
	r.launch(ctx, o.Mirror)
	return r, nil
}

// restore brings a run back from its folder and opens its journal again. The
// caller holds the lease, so nobody else writes there.
func (r *Run) restore(ctx context.Context, o Options) error {
	stored, journal, err := loadRun(o.Dir, r.id)
	if err != nil {
		return err
	}
	if err := CheckFresh(stored, r.plan); err != nil {
		return err
	}
	if err := r.checkUndone(o.Dir, true); err != nil {
		return err
	}
	r.state = Replay(journal.events)
	r.seq = r.state.LastSeq
	if r.state.Outcome == OutcomeDone {
		return fmt.Errorf("%w: %s", ErrRunDone, r.id)
	}
	given := r.approval
	r.state.approve(&given)
	r.approval = r.state.Approval
	if err := r.confirmed(); err != nil {
		return err
	}
	r.values.all = maps.Clone(r.state.Values)
	r.book.used = maps.Clone(r.state.JobsOver)
	var findings []Finding
	if !r.state.Begun {
		// Nothing was begun, so the plan's own guards still decide.
		if findings, err = r.admitPlan(ctx); err != nil {
			return err
		}
	}
	if !r.dry {
		if r.journal, err = openJournal(r.dir, journal.size, o.openJournal); err != nil {
			return err
		}
	}
	r.feed.history(journal.events)
	if _, err := r.emit(r.opening(RunResumed)); err != nil {
		return errors.Join(err, r.closeFiles())
	}
	r.noteLease()
	if journal.torn {
		_, _ = r.emit(Event{Type: Warning, Text: msg.M("engine.torn-line")})
	}
	r.emitFindings("", nil, findings)
	return nil
}

func newRun(o Options) (*Run, error) {
	p := o.Plan
	if blocked := p.Blocked(); len(p.Stages) == 0 && len(blocked) > 0 {
		return nil, &RefusedError{Findings: blocked}
	}
	if err := p.validate(false); err != nil {
		return nil, err
	}
	hash, err := HashOf(p)
	if err != nil {
		return nil, err
	}
	if hash != p.Hash {
		return nil, fmt.Errorf("%w: the plan was altered after it was built", ErrPlanStale)
	}
	r := &Run{
		plan: p, conns: o.Conns, jobs: o.Jobs, asker: o.Asker, dry: o.DryRun, onEvent: o.OnEvent, now: o.Now, version: o.Version,
		approval: Approval{Confirm: o.Approval.Confirm, Overrides: maps.Clone(o.Approval.Overrides), TakeOver: o.Approval.TakeOver},
		state:    Replay(nil), feed: newFeed(p.nodes()), panes: map[string]*pane{},
		values: values{all: map[string]string{}}, control: newControl(), done: make(chan struct{}),
	}
	if r.now == nil {
		r.now = time.Now
	}
	return r, nil
}

// newRunID is <tag>-<procedure>-<4 hex>.
func newRunID(p Plan) (string, error) {
	var b [2]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("naming the run: %w", err)
	}
	return p.Tag + "-" + p.Procedure + "-" + hex.EncodeToString(b[:]), nil
}

// confirmed checks that the cluster's name was typed, if the plan destroys.
func (r *Run) confirmed() error {
	if r.dry || !r.plan.Destroys() || r.approval.Confirm == r.plan.Cluster {
		return nil
	}
	return fmt.Errorf("%w: the plan destroys; the name of the cluster must be given exactly", ErrNotConfirmed)
}

// acquire checks the folder of the runs and takes the lease.
func (r *Run) acquire(ctx context.Context, o Options) error {
	if r.dry {
		return nil
	}
	if err := prepareDir(o.Dir); err != nil {
		return err
	}
	lease := o.Lease
	if lease == nil {
		lease = LocalLease{Dir: o.Dir}
	}
	held, err := lease.Acquire(ctx, newHolder(r.plan.Cluster, r.id, r.now()))
	if err != nil {
		return err
	}
	r.held = held
	return nil
}

// noteLease journals from whom the lease was taken over, and on which nodes it
// could not be taken.
func (r *Run) noteLease() {
	if held, ok := r.held.(fencedHeld); ok {
		for _, m := range held.notes() {
			_, _ = r.emit(Event{Type: Warning, Text: m})
		}
	}
}

func (r *Run) release() error {
	if r.held == nil {
		return nil
	}
	err := r.held.Release()
	r.held = nil
	return err
}

// admitPlan asks the plan's guards on fresh facts.
func (r *Run) admitPlan(ctx context.Context) ([]Finding, error) {
	if err := r.refresh(ctx, FreshFor, nil); err != nil {
		return nil, fmt.Errorf("collecting fresh facts: %w", err)
	}
	findings, err := r.ask(r.plan.Checks)
	if err != nil {
		return nil, err
	}
	return findings, refusal("", findings)
}

// create makes the folder of the run with the plan in it. The plan is there
// before the journal, so a folder without a journal never ran.
func (r *Run) create(open func(string) (file, error)) error {
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		return fmt.Errorf("%w: %w", ErrStateDir, err)
	}
	b, err := EncodePlan(r.plan)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(r.dir, planFile), b); err != nil {
		return fmt.Errorf("%w: %w", ErrStateDir, err)
	}
	if err := syncDir(filepath.Dir(r.dir)); err != nil {
		return fmt.Errorf("%w: %w", ErrStateDir, err)
	}
	if r.journal, err = openJournal(r.dir, 0, open); err != nil {
		return fmt.Errorf("%w: %w", ErrStateDir, err)
	}
	return nil
}

// discard takes back what Start had made before it was refused: the folder
// that this very call created, and the lease.
func (r *Run) discard(cause error) error {
	errs := []error{cause, r.closeFiles()}
	if !r.dry {
		for _, name := range []string{journalFile, reserveFile, planFile} {
			if err := os.Remove(filepath.Join(r.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		if err := os.Remove(r.dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, r.release())...)
}

func (r *Run) closeFiles() error {
	var errs []error
	if r.journal != nil {
		errs = append(errs, r.journal.close())
		r.journal = nil
	}
	for _, p := range r.panes {
		errs = append(errs, p.close())
	}
	return errors.Join(errs...)
}

func (r *Run) opening(t EventType) Event {
	approval := r.approval
	return Event{Type: t, Schema: EventSchema, Hash: r.plan.Hash, Version: r.version,
		Approval: &approval, DryRun: r.dry, Text: r.plan.Title}
}

// launch starts the run's goroutine, which ends with Done.
func (r *Run) launch(ctx context.Context, mirror Mirror) {
	for _, node := range r.plan.nodes() {
		p := &pane{node: node, feed: r.feed, now: r.now}
		if r.dir != "" {
			p.path = transcriptPath(r.dir, node)
		}
		r.panes[node] = p
	}
	r.startMirror(mirror)
	r.result.Run, r.result.Started = r.id, r.now()
	ctx, cancel := context.WithCancelCause(ctx)
	r.control.abort = cancel
	go func() {
		defer close(r.done)
		defer cancel(nil)
		r.main(ctx)
	}()
}

// ID names the run.
func (r *Run) ID() string { return r.id }

// Dir is the folder of the run; empty in a dry run.
func (r *Run) Dir() string { return r.dir }

// Feed is what can be seen of the run.
func (r *Run) Feed() *Feed { return r.feed }

// Since is Feed().Since.
func (r *Run) Since(seq uint64, max int) ([]Event, uint64) { return r.feed.Since(seq, max) }

// Output is Feed().Output.
func (r *Run) Output(node string, seq uint64, max int) ([]OutputLine, uint64) {
	return r.feed.Output(node, seq, max)
}

// Done is closed when the run has ended and its lease is released.
func (r *Run) Done() <-chan struct{} { return r.done }

// Wait waits for the end.
func (r *Run) Wait() Result {
	<-r.done
	return r.result
}

// Values are the slots that are set, for reports.
func (r *Run) Values() map[string]string { return r.values.copy() }
