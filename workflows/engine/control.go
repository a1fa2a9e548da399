package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// control is how the operator steers a run.
type control struct {
	abort context.CancelCauseFunc

	stopOnce *sync.Once
	stopped  chan struct{} // closed by Stop

	mu     *sync.Mutex
	paused chan struct{} // not nil while a pause is wanted; closed by Continue
}

func newControl() control {
	return control{stopOnce: &sync.Once{}, stopped: make(chan struct{}), mu: &sync.Mutex{}}
}

// Pause holds the run before its next stage, until Continue.
func (r *Run) Pause() {
	r.control.mu.Lock()
	defer r.control.mu.Unlock()
	if r.control.paused == nil {
		r.control.paused = make(chan struct{})
	}
}

// Continue ends a pause, or takes back the wish for one.
func (r *Run) Continue() {
	r.control.mu.Lock()
	defer r.control.mu.Unlock()
	if r.control.paused != nil {
		close(r.control.paused)
		r.control.paused = nil
	}
}

// Pausing reports whether a pause is wanted; the event Paused says that it has
// begun.
func (r *Run) Pausing() bool {
	r.control.mu.Lock()
	defer r.control.mu.Unlock()
	return r.control.paused != nil
}

// Stop ends the run at the next boundary between steps: what runs ends well,
// nothing new begins. It can be resumed.
func (r *Run) Stop() { r.control.stopOnce.Do(func() { close(r.control.stopped) }) }

// Abort ends the run now: commands in flight are cut off, and the result says
// what is not known because of that.
func (r *Run) Abort() { r.control.abort(ErrInterrupted) }

func (r *Run) stopping() bool {
	select {
	case <-r.control.stopped:
		return true
	default:
		return false
	}
}

// boundary is the place between two stages: here a pause is kept. The error
// says why the run must not go on.
func (r *Run) boundary(ctx context.Context) error {
	for {
		if err := r.halted(ctx); err != nil {
			return err
		}
		r.control.mu.Lock()
		paused := r.control.paused
		r.control.mu.Unlock()
		if paused == nil {
			return nil
		}
		_, _ = r.emit(Event{Type: Paused})
		select {
		case <-paused:
			_, _ = r.emit(Event{Type: Continued})
		case <-r.control.stopped:
		case <-ctx.Done():
		}
	}
}

// halted says why nothing new may begin, nil if it may.
func (r *Run) halted(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return interrupted(ctx)
	case r.stopping():
		return ErrInterrupted
	}
	return r.failure()
}

// interrupted is the error of a run whose context ended.
func interrupted(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, ErrInterrupted) {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrInterrupted, cause)
}

// facts keeps the collecting of facts and the guards apart.
type facts struct {
	mu        sync.Mutex
	whole     time.Time // when the last collecting of everything began
	collected time.Time // when the last collecting began
	nodes     []string  // whose machines that one looked at; nil: all
}

// shareFor is how old facts may be that the steps of a stage share. The nodes of
// a stage come to their steps within moments of each other; a step whose probe
// took longer looks for itself.
const shareFor = 5 * time.Second

// refresh is refreshSince this moment.
func (r *Run) refresh(ctx context.Context, maxAge time.Duration, nodes []string) error {
	return r.refreshSince(ctx, maxAge, r.now(), nodes)
}

// refreshSince collects fresh facts unless they are at most maxAge old; 0 asks
// for facts whose collecting began after since and within shareFor, of the given
// nodes' machines (nil: of all). Callers that wait for each other share one
// collecting where that fulfils what each asked for.
func (r *Run) refreshSince(ctx context.Context, maxAge time.Duration, since time.Time, nodes []string) error {
	if r.plan.Refresh == nil {
		return nil
	}
	asked := r.now()
	if young := asked.Add(-shareFor); since.Before(young) {
		since = young
	}
	f := &r.facts
	f.mu.Lock()
	defer f.mu.Unlock()
	covered := f.nodes == nil || nodes != nil && slices.Equal(f.nodes, nodes)
	switch {
	case maxAge > 0 && !f.whole.Before(asked.Add(-maxAge)), maxAge == 0 && covered && f.collected.After(since):
		return nil
	}
	began := r.now()
	if maxAge > 0 || f.whole.Before(began.Add(-FreshFor)) {
		nodes = nil // what is known of the others is too old as well
	}
	_, err := protect("refresh", func() (struct{}, error) { return struct{}{}, r.plan.Refresh(ctx, nodes) })
	if err != nil {
		return err
	}
	f.collected, f.nodes = began, nodes
	if nodes == nil {
		f.whole = began
	}
	return nil
}

// ask evaluates guards on the facts as they are, and takes in what was typed.
func (r *Run) ask(guards []Guard) ([]Finding, error) {
	r.facts.mu.Lock()
	defer r.facts.mu.Unlock()
	findings, err := evaluate(guards)
	for i := range findings {
		f := &findings[i]
		if f.Result == Block && f.Override != "" && r.approval.Overrides[f.ID] == f.Override {
			f.Overridden = true
		}
	}
	return findings, err
}

// refusal is a *RefusedError when a finding forbids to go on.
func refusal(step string, findings []Finding) error {
	var stops []Finding
	for _, f := range findings {
		if f.Stops() {
			stops = append(stops, f)
		}
	}
	if len(stops) == 0 {
		return nil
	}
	return &RefusedError{Findings: stops, Step: step}
}

func (r *Run) emitFindings(stage string, step *Step, findings []Finding) {
	for i := range findings {
		e := Event{Type: GuardChecked, Stage: stage, Finding: &findings[i], Text: findings[i].Reason}
		if step != nil {
			e.Step, e.Node = step.ID, step.Node
		}
		_, _ = r.emit(e)
	}
}
