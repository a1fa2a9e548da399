package suite

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// Boundaries lists the points between the steps of a plan at which a kill is
// survived or not: after the intent of each step and after each step was done.
func Boundaries(t testing.TB, file string) []string {
	t.Helper()
	var points []string
	for _, stage := range readPlan(t, file).Stages {
		for _, step := range stage.Steps {
			if step.Effect != "read" {
				points = append(points, "step-intent:"+step.ID)
			}
			points = append(points, "step-done:"+step.ID)
		}
	}
	return points
}

// SamePoint is the point among those of a plan that is like one of another plan:
// itself, or of the same step on another node. Which node gives the snapshot is
// decided anew in every cluster.
func SamePoint(points []string, like string) string {
	kind, _, _ := strings.Cut(like, "/")
	same := like
	for _, p := range points {
		if p == like {
			return p
		}
		if k, _, _ := strings.Cut(p, "/"); k == kind {
			same = p
		}
	}
	return same
}

// Stages lists the stages of a plan, in order.
func Stages(t testing.TB, file string) []string {
	t.Helper()
	var stages []string
	for _, stage := range readPlan(t, file).Stages {
		stages = append(stages, stage.ID)
	}
	return stages
}

// savedPlan is what the suite reads of a plan's file.
type savedPlan struct {
	Stages []struct {
		ID    string `json:"id"`
		Steps []struct {
			ID     string `json:"id"`
			Effect string `json:"effect"`
		} `json:"steps"`
	} `json:"stages"`
}

func readPlan(t testing.TB, file string) savedPlan {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var plan savedPlan
	if err := json.Unmarshal(b, &plan); err != nil {
		t.Fatal(err)
	}
	return plan
}

// KillAndResume applies a plan, has the program killed with signal 9 at a
// point, and resumes, which must end well. killed is false when the run ended
// well without coming by: its step found everything done already (an env file
// that an earlier round of the test had written).
func KillAndResume(t testing.TB, w World, file, point string) (killed bool) {
	t.Helper()
	a := call(t, w, []string{"NOVATUI_KILL_AT=" + point}, "apply", file, "--confirm", w.Cluster())
	if a.Exit == 0 {
		return false
	}
	if strings.Contains(string(a.Stderr), "panic:") {
		t.Fatalf("killed at %s: %s", point, tail(a.Stderr))
	}
	a = call(t, w, nil, "resume", "-o", "json")
	if a.Exit != 0 {
		t.Fatalf("killed at %s; resume: exit %d\n%s\n%s", point, a.Exit, tail(a.Stdout), tail(a.Stderr))
	}
	return true
}
