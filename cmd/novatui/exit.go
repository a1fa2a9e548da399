package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows"
	"github.com/novatui/novatui/workflows/engine"
)

// The exit statuses of the contract that no outcome of a run stands for (those
// are engine.Outcome.ExitStatus).
const (
	exitDone        = 0
	exitUsage       = 2 // wrong usage, or a bad file
	exitInterrupted = 130
)

// usageError is a command line or a file that cannot be used as it is. Hint
// says what to do instead.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usagef makes a usageError from a hint and a formatted message.
func usagef(hint, format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...), hint: hint}
}

// badFile marks an error of a file that the operator gave.
func badFile(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &usageError{err: err, hint: hint}
}

// hinted is an error with advice; unlike a usageError it does not decide the
// exit status.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

func withHint(err error, hint string) error { return &hinted{err, hint} }

// requestError makes a usage error of a request that no plan can be made of.
func requestError(err error) error {
	if errors.Is(err, workflows.ErrRequest) {
		return usagef("novatui diagnose shows the nodes, what is recommended, and the snapshots", "%w", err)
	}
	return err
}

// exitStatus is the one place where errors become exit statuses. What the
// engine says of a run comes first: its outcomes are ordered so that the
// status never sounds better than the truth.
func exitStatus(ctx context.Context, err error) int {
	if err == nil {
		return exitDone
	}
	var usage *usageError
	outcome := engine.OutcomeOf(err)
	switch {
	case outcome != engine.OutcomeFailed:
	case errors.As(err, &usage):
		return exitUsage
	case interruptedBy(ctx) != "":
		return exitInterrupted
	}
	return outcome.ExitStatus()
}

// printError writes one clear line, and the hint when there is one.
func (p *program) printError(ctx context.Context, err error) {
	if errors.Is(err, errSilent) {
		return
	}
	if s := interruptedBy(ctx); s != "" && errors.Is(err, context.Canceled) {
		p.say("novatui: %s", s)
		return
	}
	p.say("novatui: %s", remote.Clean(err.Error()))
	var usage *usageError
	var other *hinted
	switch {
	case errors.As(err, &usage) && usage.hint != "":
		p.say("%s", indent(usage.hint, "  "))
	case errors.As(err, &other):
		p.say("%s", indent(other.hint, "  "))
	}
}

// errSilent marks an error that has been explained already.
var errSilent = errors.New("explained already")

func indent(s, prefix string) string {
	return prefix + strings.ReplaceAll(s, "\n", "\n"+prefix)
}
