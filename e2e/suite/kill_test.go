package suite_test

import (
	"os"
	"strings"
	"testing"

	"github.com/novatui/novatui/e2e/suite"
)

// TestKilledAtEveryBoundary: the program is killed with signal 9 between any
// two steps of each procedure, right after the intent of the next one is
// journalled, and resume ends proved healthy. Steps that are alike on all three
// nodes are taken on one of them. NOVATUI_TEST_FULL=1 takes every node, and
// also the moment after each step is done (make test-full).
func TestKilledAtEveryBoundary(t *testing.T) {
	names := []string{"stop", "corrupt-db", "lose-all"}
	if os.Getenv("NOVATUI_TEST_FULL") != "" {
		names = append(names, "lose-quorum")
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := quick(t)
			c, missed := named(t, name), 0
			for first, points := true, []string{""}; len(points) > 0; first = false {
				if !first && name == "lose-quorum" { // which needs members with their first ids
					w = quick(t)
				}
				before := c.Break(t, w)
				file := suite.Plan(t, w, suite.Diagnose(t, w))
				if first {
					points = chosen(suite.Boundaries(t, file))
				}
				killed := suite.KillAndResume(t, w, file, points[0])
				c.Proved(t, w, before)
				switch {
				case t.Failed():
					t.Fatalf("after a kill at %s", points[0])
				case killed:
					t.Logf("survived a kill at %s", points[0])
				default:
					missed++
					t.Logf("did not come by %s", points[0])
				}
				points = points[1:]
			}
			if missed > 2 {
				t.Errorf("%d points were never reached", missed)
			}
		})
	}
}

// chosen leaves out, unless every point is asked for, the moments after a step
// that another step follows (its intent comes next and is taken), and of steps
// that run alike on all nodes all but those of the second node.
func chosen(points []string) []string {
	if os.Getenv("NOVATUI_TEST_FULL") != "" {
		return points
	}
	alike := map[string]int{}
	for _, p := range points {
		kind, _, _ := strings.Cut(p, "/")
		alike[kind]++
	}
	var some []string
	for _, p := range points {
		kind, _, _ := strings.Cut(p, "/")
		if kind != "step-done:prove" && strings.HasPrefix(p, "step-done:") {
			continue
		}
		if alike[kind] == 1 || strings.HasSuffix(p, "/master-2") {
			some = append(some, p)
		}
	}
	return some
}
