package ui

import (
	"errors"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/etcdops"
)

// TestPauseStopAbort drives the run's controls.
func TestPauseStopAbort(t *testing.T) {
	d := drive(t, "en", "one-down", 80, 24, nil)
	d.toExecute()
	d.shows("RUNNING", "1/7")
	d.press("space")
	d.shows("Will pause after this stage")
	d.pass(5 * time.Second)
	d.shows("Paused before: Stop the broken member")
	d.pass(time.Minute)
	d.shows("Paused before")
	d.press("space")
	d.pass(time.Second)
	d.hides("Paused")
	d.press("s", "enter") // the safe choice is to let it go on
	d.pass(10 * time.Millisecond)
	if d.f.started.stopping {
		t.Fatal("enter alone stopped the run")
	}
	d.press("s", "down", "enter")
	d.pass(5 * time.Second)
	d.shows("as you asked", "Nothing more will happen", "read-only", "novatui resume")

	d = drive(t, "en", "one-down", 80, 24, nil)
	d.toExecute().press("x", "enter")
	d.press("x", "3", "enter")
	d.shows("Really abort?")
	d.press("enter")
	d.pass(10 * time.Millisecond)
	if d.f.started.over {
		t.Fatal("aborted without the second yes")
	}
	d.press("x", "3", "enter", "2", "enter")
	d.pass(time.Second)
	d.shows("Nothing more will happen")
}

// TestQuitAsks while a run goes on, and leaves only at a boundary.
func TestQuitAsks(t *testing.T) {
	d := drive(t, "en", "one-down", 80, 24, nil)
	d.toExecute()
	d.update(tea.QuitMsg{})
	d.press("ctrl+c", "esc", "q", "enter")
	if d.quit {
		t.Fatal("left a running run")
	}
	d.press("esc", "q", "2", "enter")
	if d.quit {
		t.Fatal("did not wait for the boundary")
	}
	d.pass(5 * time.Second)
	if !d.quit || !d.f.started.over {
		t.Fatalf("did not leave at the boundary: quit %v", d.quit)
	}

	d = drive(t, "en", "one-down", 80, 24, nil)
	d.toDiagnose().press("q", "esc")
	if d.quit {
		t.Fatal("left although esc was pressed")
	}
	d.press("q", "enter")
	if !d.quit {
		t.Fatal("did not leave")
	}
}

// TestFailedStep: what failed, where, what is known, and the ways on.
func TestFailedStep(t *testing.T) {
	d := drive(t, "en", "one-down", 80, 24, func(f *fake) { f.ending = "failed" })
	d.toExecute().pass(15 * time.Second)
	d.shows("stage 3 of 7", "Replace its membership failed on master-1", "Nothing more will happen", "2 of 7 steps", "Look again", "Go on with the run", "unhealthy cluster", "read-only")
	d.press("down", "enter")
	d.pass(15 * time.Second)
	d.shows("Proved healthy")

	d = drive(t, "en", "one-down", 80, 24, func(f *fake) { f.ending = "unknown" })
	d.toExecute().pass(15 * time.Second)
	d.shows("it is not known whether Replace its membership took effect", "Unknown: Replace its membership (master-1)")
	d.press("enter")
	d.shows("DIAGNOSE")
}

// TestUnfinishedRunIsOffered on the first screen.
func TestUnfinishedRunIsOffered(t *testing.T) {
	d := drive(t, "en", "one-down", 80, 24, unfinished)
	d.pass(2 * time.Second)
	d.shows("A run of this cluster is not finished", "8 min ago")
	d.press("enter", "enter")
	if d.f.runs != 0 {
		t.Fatal("resumed without a yes")
	}
	d.press("y")
	d.pass(15 * time.Second)
	d.shows("Proved healthy")

	d = drive(t, "en", "one-down", 80, 24, unfinished)
	d.pass(time.Second)
	d.press("down", "enter")
	d.shows("DIAGNOSE")
}

// TestRollbackIsOffered beside resume, on the first screen and after a stop: its
// plan is reviewed and typed for like any other.
func TestRollbackIsOffered(t *testing.T) {
	d := drive(t, "en", "one-down", 80, 24, unfinished)
	d.pass(time.Second)
	d.press("down", "down")
	d.shows("Take that run back")
	d.press("enter")
	d.pass(time.Second)
	d.shows("REVIEW", "Roll back run 20261103-135500-rejoin-1", "It ends where the run began")
	if r := d.f.planned[len(d.f.planned)-1]; r.Procedure != etcdops.ProcedureRollback || r.Run != "20261103-135500-rejoin-1" || d.f.runs != 0 {
		t.Fatalf("planned %+v, %d runs", r, d.f.runs)
	}
	d.press("enter")
	d.write("nova-prod")
	d.press("enter")
	d.pass(time.Second)
	if d.f.runs != 1 || d.f.approvals[0].Confirm != "nova-prod" {
		t.Fatalf("%d runs, %+v", d.f.runs, d.f.approvals)
	}
	d.shows("RUNNING")

	d = drive(t, "en", "one-down", 80, 24, func(f *fake) { f.ending = "failed" })
	d.toExecute().pass(15 * time.Second)
	d.press("down", "down")
	d.shows("Take the run back")
	d.press("enter")
	d.pass(time.Second)
	d.shows("REVIEW", "Roll back run")
}

// TestLooksAgainByItself: every ten seconds, also after a look that failed,
// and never twice at once; what is old says how old it is.
func TestLooksAgainByItself(t *testing.T) {
	d := drive(t, "en", "one-down", 80, 24, nil)
	d.toDiagnose().shows("One of three members is down")
	looks := d.f.looks
	d.f.collectErr = errors.New("all connections are gone")
	d.pass(25 * time.Second)
	if n := d.f.looks - looks; n != 2 {
		t.Errorf("looked %d times in 25 s", n)
	}
	d.shows("As of 2", "all connections are gone", "One of three members is down")
	d.f.collectErr = nil
	d.f.cured = true
	d.press("a")
	d.shows("All three members are healthy")
	d.hides("As of")
}

// TestStaleJudgementIsForgotten: after a run the old diagnosis is gone until
// the cluster was looked at again.
func TestStaleJudgementIsForgotten(t *testing.T) {
	d := drive(t, "en", "one-down", 80, 24, nil)
	d.toExecute().pass(15 * time.Second)
	d.f.hold = "screens.FactsCollected"
	d.press("a")
	d.shows("DIAGNOSE", "Looking at 3 nodes")
	d.hides("is down", "Rejoin")
}

// TestUnreachableNode can be retried, and gone on without.
func TestUnreachableNode(t *testing.T) {
	d := drive(t, "en", "unreachable", 80, 24, nil)
	d.pass(time.Second)
	d.shows("2 of 3 nodes are connected", "master-3 (172.31.100.106) does not answer", "i/o timeout")
	delete(d.f.connectErr, "master-3")
	d.press("a")
	d.shows("DIAGNOSE")

	d = drive(t, "en", "unreachable", 80, 24, nil)
	d.press("enter")
	d.pass(time.Second)
	d.shows("DIAGNOSE", "? unreachable")
}
