package suite_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/novatui/novatui/e2e/chaos"
	"github.com/novatui/novatui/e2e/suite"
)

// TestKilledInTheMiddle: the program is killed with signal 9 in the middle of a
// step, a random time (seeded) after its first command was begun, and resume
// ends proved healthy. An undisturbed run tells which steps there are and how
// long they take. Some steps of each procedure are drawn; NOVATUI_TEST_FULL=1
// takes every one.
func TestKilledInTheMiddle(t *testing.T) {
	for _, name := range []string{"stop", "stop two", "corrupt-db", "lose-quorum", "lose-all"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			most := 2
			if os.Getenv("NOVATUI_TEST_FULL") != "" {
				most = 1000
			}
			w := quick(t)
			c, inside := named(t, name), 0
			before := c.Break(t, w)
			lengths, a, err := chaos.Lengths(w.command(t, "apply", suite.Plan(t, w, suite.Diagnose(t, w)), "--confirm", w.Cluster(), "-o", "json"))
			if err != nil || a.Exit != 0 {
				t.Fatalf("undisturbed: exit %d, %v\n%s", a.Exit, err, a.Stderr)
			}
			c.Proved(t, w, before)
			moments := chaos.Moments(lengths, 5, most)
			for _, m := range moments {
				if c.Fault == "lose-quorum" { // which needs members with their first ids
					w = quick(t)
				}
				if killInside(t, w, c, m) {
					inside++
				}
			}
			t.Logf("%d of %d kills hit the middle of their step", inside, len(moments))
			if inside < len(moments)/3 {
				t.Errorf("only %d of %d kills hit the middle of their step", inside, len(moments))
			}
		})
	}
}

// killInside breaks, repairs, kills in the middle of a step and resumes. It
// reports whether the step had not ended.
func killInside(t *testing.T, w *labWorld, c suite.Case, m chaos.Moment) (inside bool) {
	t.Helper()
	before := c.Break(t, w)
	file := suite.Plan(t, w, suite.Diagnose(t, w))
	m, err := m.In(file)
	if err != nil {
		t.Fatal(err)
	}
	came, inside, a, err := chaos.KillInside(w.command(t, "apply", file, "--confirm", w.Cluster(), "-o", "json"), m.Step, m.Wait)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v: came by %v, inside %v, exit %d", m, came, inside, a.Exit)
	if a.Exit != 0 {
		ctx, cancel := context.WithTimeout(t.Context(), suite.Limit)
		defer cancel()
		if r := w.Novatui(ctx, nil, "resume", "-o", "json"); r.Exit != 0 {
			t.Fatalf("killed at %v; resume: exit %d\n%s\n%s", m, r.Exit, r.Stdout, r.Stderr)
		}
	}
	c.Proved(t, w, before)
	if t.Failed() {
		t.Fatalf("after a kill at %v", m)
	}
	return inside
}

// command is novatui as Novatui runs it, to be started by others.
func (w *labWorld) command(t *testing.T, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(t.Context(), suite.Limit)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, w.operator, append([]string{"--cluster", filepath.Join(w.dir, "novatui.yaml")}, args...)...)
	c.Env = append(os.Environ(), "XDG_STATE_HOME="+w.state, "XDG_CONFIG_HOME="+w.state, "LC_ALL=C.UTF-8", "SSH_AUTH_SOCK=")
	return c
}
