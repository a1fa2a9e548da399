//go:build faultpoints

package main

import (
	"os"
	"syscall"

	"github.com/novatui/novatui/workflows/engine"
)

// onEvent kills the program with signal 9 right after the event that the
// variable NOVATUI_KILL_AT names (TYPE:STEP, "step-done:stop/master-2") has
// become durable, as a power cut between two steps would; NOVATUI_STOP_AT
// freezes it there (SIGSTOP) until somebody wakes it up. Only programs built for
// tests with the tag faultpoints have it.
var onEvent = func(e engine.Event) {
	here := string(e.Type) + ":" + e.Step
	if at := os.Getenv("NOVATUI_KILL_AT"); at != "" && at == here {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way; nothing more may happen
	}
	if at := os.Getenv("NOVATUI_STOP_AT"); at != "" && at == here {
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	}
}
