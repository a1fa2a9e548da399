package ui

import (
	"testing"
	"time"

	"github.com/novatui/novatui/workflows/engine"
)

// TakeOver implements backend.Taker: after it the fake starts what it refused.
func (f *fake) TakeOver(*engine.LockedError) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.startErr = nil
}

// TestTakeOverNeedsTheName: somebody else's stale lease is shown with its owner,
// and taken over only after the cluster's name was typed; a live one never.
func TestTakeOverNeedsTheName(t *testing.T) {
	held := &engine.LockedError{Token: "ab", Age: time.Minute, Doing: "stop stop/master-2", Stale: true,
		Holder: engine.Holder{Run: "20261103-140314-rejoin-ab12", Owner: "ann", Host: "laptop"}}
	d := drive(t, "en", "one-down", 80, 24, func(f *fake) { f.startErr = held })
	d.toExecute()
	d.shows("Somebody else holds", "ann on laptop", "Type the cluster's name")
	d.pass(time.Second)
	d.press("enter")
	if d.m.s.Running {
		t.Fatal("taken over without the name")
	}
	d.write(d.f.Cluster().Name)
	d.press("enter")
	d.pass(time.Second)
	if !d.m.s.Running {
		t.Error("after the name was typed nothing runs")
	}
	alive := *held
	alive.Stale = false
	d = drive(t, "en", "one-down", 80, 24, func(f *fake) { f.startErr = &alive })
	d.toExecute()
	d.shows("Not started", "ann on laptop")
}
