//go:build faultpoints

package main

import (
	"os"
	"syscall"

	"github.com/novatui/novatui/workflows/engine"
)

// onEvent kills the program with signal 9 right after the event that the
// variable NOVATUI_KILL_AT names (TYPE:STEP, "step-done:stop/master-2") has
// become durable, as a power cut between two steps would. Only programs built
// for tests with the tag faultpoints have it.
var onEvent = func(e engine.Event) {
	if at := os.Getenv("NOVATUI_KILL_AT"); at != "" && at == string(e.Type)+":"+e.Step {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way; nothing more may happen
	}
}
