package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// stopSignals are the signals that ask the program to end. SIGHUP is among
// them: a closed laptop must end a run at a boundary, not in the middle.
var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}

// withSignals is a context that the first stop signal cancels, with a cause
// that names the signal. A run in progress is not bound to it: see follow.go.
//
// SIGPIPE is received and dropped, so that writing to a closed pager is a
// write error instead of the end of the program in the middle of a recovery.
// (Ignoring it would be inherited by the shells of a lab.)
func withSignals(parent context.Context) (context.Context, func()) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return signal.NotifyContext(parent, stopSignals...)
}

// interruptedBy says which signal ended ctx ("interrupt signal received");
// empty when none did.
func interruptedBy(ctx context.Context) string {
	if cause := context.Cause(ctx); cause != nil && cause != ctx.Err() { //nolint:errorlint // the very same value is meant
		return cause.Error()
	}
	return ""
}
