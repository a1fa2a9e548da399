package ui

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/novatui/novatui/workflows/engine"
)

// fakeRun plays a plan's events by the clock: one second a step.
type fakeRun struct {
	f      *fake
	plan   engine.Plan
	id     string
	ending string

	mu       sync.Mutex
	began    time.Time
	held     time.Duration // spent in pauses
	heldAt   time.Time
	pausing  bool
	stopping bool
	script   []beat
	events   []engine.Event
	lines    map[string][]engine.OutputLine
	last     map[string]time.Time
	done     chan struct{}
	over     bool
	result   engine.Result
}

// beat is something that happens at a time of the run.
type beat struct {
	at       time.Duration
	event    engine.Event
	line     *engine.OutputLine
	boundary bool
	end      *engine.Result
}

func newFakeRun(f *fake, p engine.Plan, ending string) *fakeRun {
	r := &fakeRun{f: f, plan: p, id: fmt.Sprintf("20261103-140314-%s-%d", p.Procedure, f.runs), ending: ending, began: f.now(),
		lines: map[string][]engine.OutputLine{}, last: map[string]time.Time{}, done: make(chan struct{})}
	at := time.Duration(0)
	add := func(e engine.Event) { r.script = append(r.script, beat{at: at, event: e}) }
	say := func(node string, kind engine.LineKind, text string) {
		r.script = append(r.script, beat{at: at, line: &engine.OutputLine{Node: node, Kind: kind, Text: text}})
	}
	add(engine.Event{Type: engine.RunStarted})
	for i, st := range p.Stages {
		r.script = append(r.script, beat{at: at, boundary: true})
		add(engine.Event{Type: engine.StageStarted, Stage: st.ID, Text: st.Title})
		for s := range st.Steps {
			step := st.Steps[s]
			e := engine.Event{Stage: st.ID, Step: step.ID, Node: step.Node}
			e.Type, e.Probed = engine.StepProbed, engine.NotDone
			add(e)
			at += 300 * time.Millisecond
			e.Type, e.Probed, e.Effect = engine.StepIntent, "", step.Effect
			add(e)
			for _, c := range step.Commands {
				say(c.Node, engine.LineCommand, c.Command.Line())
				at += 400 * time.Millisecond
				say(c.Node, engine.LineOut, "Member e42bdaa6ace5c691 removed from cluster dae05cd826ec589")
				add(engine.Event{Type: engine.Note, Node: c.Node, Text: f.say("Quorum stays 2 of 2.", "Кворум остаётся: 2 из 2.")})
			}
			at += 300 * time.Millisecond
			if ending != "done" && i == 2 {
				say(step.Node, engine.LineErr, "Error: etcdserver: unhealthy cluster")
				r.fail(at, e, step, ending)
				return r
			}
			e.Type = engine.StepDone
			add(e)
		}
		add(engine.Event{Type: engine.StageDone, Stage: st.ID})
	}
	r.script = append(r.script, beat{at: at, event: engine.Event{Type: engine.RunDone, Outcome: engine.OutcomeDone}, end: &engine.Result{Outcome: engine.OutcomeDone, Changed: true}})
	return r
}

func (r *fakeRun) fail(at time.Duration, e engine.Event, step engine.Step, ending string) {
	outcome := engine.OutcomeStopped
	res := &engine.Result{FailedStep: &step, FailedNode: step.Node, Changed: true}
	cause := errors.New("etcdctl member remove: exit status 1: etcdserver: unhealthy cluster")
	if ending == "unknown" {
		outcome = engine.OutcomeUnknown
		res.Unknown = []string{step.ID}
		cause = fmt.Errorf("%w: the connection broke while it ran", engine.ErrUnknown)
	}
	res.Outcome, res.Err = outcome, cause
	e.Type, e.Outcome, e.Error, e.Changed = engine.StepFailed, outcome, cause.Error(), true
	r.script = append(r.script, beat{at: at, event: e},
		beat{at: at, event: engine.Event{Type: engine.RunStopped, Outcome: outcome, Error: cause.Error()}, end: res})
}

// play lets happen what is due. The caller holds the lock.
func (r *fakeRun) play() {
	now := r.f.now()
	for len(r.script) > 0 && !r.over && r.heldAt.IsZero() {
		b := r.script[0]
		due := r.began.Add(r.held + b.at)
		if due.After(now) {
			return
		}
		if b.boundary && r.stopping {
			r.finish(engine.Event{Type: engine.RunStopped, Outcome: engine.OutcomeInterrupted, Time: due},
				engine.Result{Outcome: engine.OutcomeInterrupted, Err: engine.ErrInterrupted, Changed: true})
			return
		}
		if b.boundary && r.pausing {
			r.heldAt = due
			r.emit(engine.Event{Type: engine.Paused, Time: due})
			return
		}
		r.script = r.script[1:]
		switch {
		case b.boundary:
		case b.line != nil:
			l := *b.line
			l.Time, l.Seq = due, uint64(len(r.lines[l.Node]))+1
			r.lines[l.Node] = append(r.lines[l.Node], l)
			r.last[l.Node] = due
		default:
			e := b.event
			e.Time = due
			if b.end != nil {
				r.finish(e, *b.end)
				return
			}
			r.emit(e)
		}
	}
}

func (r *fakeRun) emit(e engine.Event) {
	e.Seq, e.Run = uint64(len(r.events))+1, r.id
	r.events = append(r.events, e)
}

func (r *fakeRun) finish(e engine.Event, res engine.Result) {
	if r.over {
		return
	}
	r.emit(e)
	r.over = true
	res.Run, res.Ended = r.id, e.Time
	r.result = res
	if res.Outcome == engine.OutcomeDone {
		r.f.mu.Lock()
		r.f.cured = true
		r.f.mu.Unlock()
	}
	close(r.done)
}

func (r *fakeRun) ID() string { return r.id }

func (r *fakeRun) Since(cursor uint64, limit int) ([]engine.Event, uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.play()
	return page(r.events, cursor, limit)
}

func (r *fakeRun) Output(node string, cursor uint64, limit int) ([]engine.OutputLine, uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.play()
	return page(r.lines[node], cursor, limit)
}

func page[T any](all []T, cursor uint64, limit int) ([]T, uint64) {
	from := min(int(cursor), len(all))
	to := min(from+limit, len(all))
	return append([]T(nil), all[from:to]...), uint64(to)
}

func (r *fakeRun) LastByte(node string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[node]
}

func (r *fakeRun) Pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pausing = true
}

func (r *fakeRun) Continue() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pausing = false
	if !r.heldAt.IsZero() {
		r.held += r.f.now().Sub(r.heldAt)
		r.heldAt = time.Time{}
		r.emit(engine.Event{Type: engine.Continued, Time: r.f.now()})
	}
}

func (r *fakeRun) Pausing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pausing
}

func (r *fakeRun) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopping = true
	if !r.heldAt.IsZero() {
		r.finish(engine.Event{Type: engine.RunStopped, Outcome: engine.OutcomeInterrupted, Time: r.f.now()},
			engine.Result{Outcome: engine.OutcomeInterrupted, Err: engine.ErrInterrupted, Changed: true})
	}
}

func (r *fakeRun) Abort() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finish(engine.Event{Type: engine.RunStopped, Outcome: engine.OutcomeUnknown, Time: r.f.now()},
		engine.Result{Outcome: engine.OutcomeUnknown, Err: engine.ErrUnknown, Changed: true})
}

func (r *fakeRun) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.play()
	return r.done
}

func (r *fakeRun) Wait() engine.Result {
	<-r.done
	return r.result
}
