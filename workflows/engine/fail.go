package engine

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/novatui/novatui/remote"
)

// failureOutcome sorts an error of a step whose place is known.
func (r *Run) failureOutcome(ctx context.Context, err error) Outcome {
	switch {
	case ctx.Err() != nil:
		return OutcomeInterrupted
	case errors.Is(err, ErrRefused):
		return OutcomeRefused
	case errors.Is(err, ErrLocked):
		return OutcomeLocked
	}
	return OutcomeFailed
}

// fail journals that a step failed.
func (r *Run) fail(stage *stageRun, end stepEnd) stepEnd {
	stage.failed.Store(true) // before anybody hears of it
	e := Event{Type: StepFailed, Stage: stage.id, Step: end.step.ID, Node: end.step.Node,
		Outcome: end.outcome, Error: r.safe(end.step, end.err), Changed: end.changed}
	if words := Explain(end.err); words.ID != "raw" {
		e.Text = words
	}
	if _, err := r.emit(e); err != nil {
		end.err = errors.Join(end.err, err)
	}
	return end
}

// safe is an error's text without secrets and escapes, of bounded length.
func (r *Run) safe(step *Step, err error) string {
	if err == nil {
		return ""
	}
	return clip(newRedactor(step.secrets()...).safe(err.Error()))
}

// secrets are the step's commands, for what they must not show.
func (s *Step) secrets() []remote.Command {
	var all []remote.Command
	for _, c := range slices.Concat(s.Commands, s.Checks) {
		if len(c.Command.Secrets) > 0 {
			all = append(all, c.Command)
		}
	}
	return all
}

// maxText bounds what an event says of an error or a command line, in bytes.
const maxText = 16 << 10

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

func firstLine(s string) string {
	line, _, more := strings.Cut(s, "\n")
	if more {
		line += " …"
	}
	return line
}
