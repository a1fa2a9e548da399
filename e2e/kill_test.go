//go:build e2e && linux

package e2e_test

import (
	"testing"

	"github.com/novatui/novatui/e2e/hosts"
	"github.com/novatui/novatui/e2e/suite"
)

// TestKilledAtEveryBoundary: on machines too, novatui dies with signal 9 between
// any two steps of a rejoin and of a full restore, and resume ends proved healthy.
// Only with NOVATUI_E2E_FULL=1.
func TestKilledAtEveryBoundary(t *testing.T) {
	if !full {
		t.Skip("takes twelve minutes: NOVATUI_E2E_FULL=1")
	}
	for _, fault := range []string{"corrupt-db", "lose-all"} {
		t.Run(fault, func(t *testing.T) {
			c := named(t, fault)
			h := start(t, hosts.Options{})
			c.Break(t, h)
			missed := 0
			for _, point := range suite.Boundaries(t, suite.Plan(t, h, suite.Diagnose(t, h))) {
				t.Run(point, func(t *testing.T) {
					h := start(t, hosts.Options{})
					suite.Record(t, h, "kill -9 at "+point, c.Procedure)
					before := c.Break(t, h)
					plan := suite.Plan(t, h, suite.Diagnose(t, h))
					at := suite.SamePoint(suite.Boundaries(t, plan), point)
					if suite.KillAndResume(t, h, plan, at) {
						t.Logf("survived a kill at %s", at)
					} else {
						missed++
						t.Logf("did not come by %s", at)
					}
					c.Proved(t, h, before)
				})
			}
			if missed > 2 {
				t.Errorf("%d points were never reached", missed)
			}
		})
	}
}
