package engine

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/novatui/novatui/assets/msg"
)

// Result is how a run ended.
type Result struct {
	Run     string
	Outcome Outcome
	// Err is nil when Outcome is OutcomeDone. Otherwise it wraps ErrStopped,
	// ErrUnknown, ErrInterrupted or ErrRefused as the outcome says, and the
	// cause.
	Err            error
	Started, Ended time.Time
	// FailedStep and FailedNode are of the first step that failed, if one did.
	FailedStep *Step
	FailedNode string
	// Unknown are the IDs of the steps of which nobody knows whether they took
	// effect.
	Unknown []string
	// Changed says that the run, in this or an earlier part, may have changed
	// something.
	Changed bool
}

// ExitStatus is the exit status of the program for an outcome.
func (o Outcome) ExitStatus() int {
	switch o {
	case OutcomeDone:
		return 0
	case OutcomeRefused:
		return 3
	case OutcomeStopped:
		return 4
	case OutcomeLocked:
		return 5
	case OutcomeUnknown:
		return 6
	case OutcomeInterrupted:
		return 130
	case OutcomeFailed:
	}
	return 1
}

// OutcomeOf is the outcome that an error of Start, Resume or Result.Err stands
// for; OutcomeDone for nil.
func OutcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return OutcomeDone
	case errors.Is(err, ErrUnknown):
		return OutcomeUnknown
	case errors.Is(err, ErrInterrupted):
		return OutcomeInterrupted
	case errors.Is(err, ErrStopped):
		return OutcomeStopped
	case errors.Is(err, ErrLocked):
		return OutcomeLocked
	case errors.Is(err, ErrRefused), errors.Is(err, ErrPlanStale), errors.Is(err, ErrNotConfirmed):
		return OutcomeRefused
	}
	return OutcomeFailed
}

// RefusedError says which guards blocked. It matches ErrRefused.
type RefusedError struct {
	Findings []Finding // only those that block
	Step     string    // of a step's guards; empty for the plan's
}

// Error names the guards.
func (e *RefusedError) Error() string {
	s := ErrRefused.Error()
	for i, f := range e.Findings {
		if i == 0 {
			s += ": "
		} else {
			s += ", "
		}
		s += f.ID
		if f.Fact != "" {
			s += " (" + f.Fact + ")"
		}
	}
	return s
}

// Unwrap is ErrRefused.
func (e *RefusedError) Unwrap() error { return ErrRefused }

// WaitError says that a condition did not become true in time. It wraps the
// context's error and the last one of the condition.
type WaitError struct {
	What msg.Msg
	For  time.Duration
	Err  error
}

// Error names the condition by its message ID.
func (e *WaitError) Error() string {
	return fmt.Sprintf("waited %v for %s: %v", e.For.Round(time.Second), e.What.ID, e.Err)
}

// Unwrap is what ended the waiting.
func (e *WaitError) Unwrap() error { return e.Err }

// Explain puts an error of this package into words for people. An error that
// it does not know comes out as it is.
func Explain(err error) msg.Msg {
	var locked *LockedError
	var refused *RefusedError
	var wait *WaitError
	var worded msg.Error
	switch {
	case err == nil:
		return msg.Msg{}
	case errors.As(err, &worded):
		return worded.Msg
	case errors.As(err, &locked):
		return locked.words()
	case errors.Is(err, ErrLocked):
		return msg.M("engine.locked-unknown")
	case errors.Is(err, ErrPlanStale):
		return msg.M("engine.plan-stale")
	case errors.Is(err, ErrNotConfirmed):
		return msg.M("engine.not-confirmed")
	case errors.Is(err, ErrStateDir):
		return msg.M("engine.state-dir", "error", err.Error())
	case errors.Is(err, ErrRunDone):
		return msg.M("engine.run-done")
	case errors.Is(err, ErrJournal):
		return msg.M("engine.journal", "error", err.Error())
	case errors.As(err, &refused) && len(refused.Findings) > 0 && !refused.Findings[0].Reason.Zero():
		return refused.Findings[0].Reason
	case errors.As(err, &wait):
		return msg.M("engine.wait-timeout", "what", wait.What, "seconds", int(wait.For.Round(time.Second).Seconds()))
	}
	return msg.Raw(err.Error())
}

// words is the sentence that goes with the end of a run.
func (o Outcome) words() msg.Msg {
	switch o {
	case OutcomeDone:
		return msg.M("engine.outcome-done")
	case OutcomeRefused:
		return msg.M("engine.outcome-refused")
	case OutcomeStopped:
		return msg.M("engine.outcome-stopped")
	case OutcomeLocked:
		return msg.M("engine.locked-unknown")
	case OutcomeUnknown:
		return msg.M("engine.outcome-unknown")
	case OutcomeInterrupted:
		return msg.M("engine.outcome-interrupted")
	case OutcomeFailed:
	}
	return msg.M("engine.outcome-failed")
}

// PanicError is a panic in a function of a plan, made an error.
type PanicError struct {
	In    string // "do of step stop/master-2"
	Value any
	Stack []byte
}

// Error names the place and the value, not the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic in %s: %v", e.In, e.Value) }

// protect calls fn and turns a panic into a PanicError. A fn that ends its
// goroutine (runtime.Goexit) cannot be held; whoever owns the goroutine sees
// that it ended without a result.
func protect[T any](in string, fn func() (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{In: in, Value: p, Stack: debug.Stack()}
		}
	}()
	return fn()
}
