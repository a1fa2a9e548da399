//go:build e2e && linux

package e2e_test

import (
	"context"
	"testing"

	"github.com/novatui/novatui/e2e/chaos"
	"github.com/novatui/novatui/e2e/hosts"
	"github.com/novatui/novatui/e2e/suite"
)

// TestKilledInTheMiddle: on machines too, novatui dies with signal 9 in the
// middle of a step, a random time (seeded) after its first command was begun,
// and resume ends proved healthy. Every step of a rejoin and of a full restore
// with NOVATUI_E2E_FULL=1, otherwise some of them.
func TestKilledInTheMiddle(t *testing.T) {
	for _, fault := range []string{"corrupt-db", "lose-all"} {
		t.Run(fault, func(t *testing.T) {
			c := named(t, fault)
			h := start(t, hosts.Options{})
			before := c.Break(t, h)
			ctx, cancel := context.WithTimeout(t.Context(), suite.Limit)
			defer cancel()
			lengths, a, err := chaos.Lengths(h.Command(ctx, nil, "apply", suite.Plan(t, h, suite.Diagnose(t, h)), "--confirm", h.Cluster(), "-o", "json"))
			if err != nil || a.Exit != done {
				t.Fatalf("undisturbed: exit %d, %v\n%s", a.Exit, err, a.Stderr)
			}
			c.Proved(t, h, before)
			most := 2
			if full {
				most = 1000
			}
			for _, m := range chaos.Moments(lengths, 7, most) {
				t.Run(m.Step, func(t *testing.T) { killedInside(t, c, m) })
			}
		})
	}
}

func killedInside(t *testing.T, c suite.Case, m chaos.Moment) {
	h := start(t, hosts.Options{})
	suite.Record(t, h, "kill -9 in the middle of "+m.Step, c.Procedure)
	before := c.Break(t, h)
	file := suite.Plan(t, h, suite.Diagnose(t, h))
	m, err := m.In(file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), suite.Limit)
	defer cancel()
	came, inside, a, err := chaos.KillInside(h.Command(ctx, nil, "apply", file, "--confirm", h.Cluster(), "-o", "json"), m.Step, m.Wait)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v: came by %v, inside %v, exit %d", m, came, inside, a.Exit)
	if a.Exit != done {
		if r := h.Novatui(ctx, nil, "resume", "-o", "json"); r.Exit != done {
			t.Fatalf("resume: exit %d\n%s\n%s", r.Exit, r.Stdout, r.Stderr)
		}
	}
	c.Proved(t, h, before)
}
