package engine

import (
	"errors"
	"fmt"

	"github.com/novatui/novatui/assets/msg"
)

// conclude adds up how the steps ended and why the run halted.
func (r *Run) conclude(ends []stepEnd, halt error) Result {
	res := r.result
	res.Changed = r.state.Changed
	var causes []error
	outcomes := map[Outcome]bool{}
	for _, end := range ends {
		res.Changed = res.Changed || end.changed
		if end.outcome == "" {
			continue
		}
		outcomes[end.outcome] = true
		causes = append(causes, fmt.Errorf("step %s: %w", end.step.ID, end.err))
		if res.FailedStep == nil {
			res.FailedStep, res.FailedNode = end.step, end.step.Node
		}
		if end.outcome == OutcomeUnknown {
			res.Unknown = append(res.Unknown, end.step.ID)
		}
	}
	if halt != nil {
		causes = append(causes, halt)
	}
	cause := errors.Join(causes...)
	switch {
	case cause == nil:
		res.Outcome = OutcomeDone
		return res
	case outcomes[OutcomeUnknown]:
		res.Outcome = OutcomeUnknown
	case outcomes[OutcomeInterrupted], len(outcomes) == 0 && errors.Is(halt, ErrInterrupted):
		res.Outcome = OutcomeInterrupted
	case res.Changed:
		res.Outcome = OutcomeStopped
	case outcomes[OutcomeRefused]:
		res.Outcome = OutcomeRefused
	case outcomes[OutcomeLocked]:
		res.Outcome = OutcomeLocked
	default:
		res.Outcome = OutcomeFailed
	}
	res.Err = wrapOutcome(res.Outcome, cause)
	return res
}

// wrapOutcome makes an error say its outcome to errors.Is.
func wrapOutcome(o Outcome, cause error) error {
	var sentinel error
	switch o {
	case OutcomeUnknown:
		sentinel = ErrUnknown
	case OutcomeInterrupted:
		sentinel = ErrInterrupted
	case OutcomeStopped:
		sentinel = ErrStopped
	case OutcomeRefused:
		sentinel = ErrRefused
	case OutcomeLocked:
		sentinel = ErrLocked
	case OutcomeDone, OutcomeFailed:
	}
	if sentinel == nil || errors.Is(cause, sentinel) {
		return cause
	}
	return fmt.Errorf("%w: %w", sentinel, cause)
}

// finish journals the end, gives back the lease and closes the files.
func (r *Run) finish(res Result) {
	res.Ended = r.now()
	e := Event{Type: RunStopped, Outcome: res.Outcome, Text: res.Outcome.words()}
	if res.Outcome == OutcomeDone {
		e.Type = RunDone
		if r.dry {
			e.Text = msg.M("engine.outcome-dry")
		}
	}
	if res.FailedStep != nil {
		e.Step, e.Node = res.FailedStep.ID, res.FailedNode
	}
	if res.Err != nil {
		e.Error = clip(r.redactAll(res.Err.Error()))
	}
	if _, err := r.emit(e); err != nil && res.Outcome == OutcomeDone {
		// Every step is done and proved, and the journal does not say so: a
		// resume will find that out.
		res.Outcome, res.Err = OutcomeStopped, fmt.Errorf("%w: %w", ErrStopped, err)
	}
	r.mirror.close()
	if err := r.release(); err != nil {
		_, _ = r.emit(Event{Type: Warning, Text: msg.M("engine.not-released", "error", err.Error()), Error: err.Error()})
	}
	if err := r.closeFiles(); err != nil {
		res.Err = errors.Join(res.Err, err)
	}
	r.result = res
}

// redactAll knows the secrets of every step.
func (r *Run) redactAll(s string) string {
	for i := range r.plan.Stages {
		for j := range r.plan.Stages[i].Steps {
			s = newRedactor(r.plan.Stages[i].Steps[j].secrets()...).text(s)
		}
	}
	return newRedactor().safe(s)
}
