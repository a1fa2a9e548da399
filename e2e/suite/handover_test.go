package suite_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/e2e/suite"
)

// copyOf is a node's copy of a run's file.
func (w *labWorld) copyOf(t testing.TB, node, run, file string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, node, "var/lib/novatui/*/run", run, file))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %s of run %s: %v, %v", node, file, run, found, err)
	}
	return found[0]
}

// TestHandOver: the first operator's machine dies in the middle of a run and is
// gone with its journal, so is one node's copy, and another node's copy is
// shorter and torn; an operator on another machine is told of the run, who began
// it and what is done, and finishes it.
func TestHandOver(t *testing.T) {
	for _, name := range []string{"corrupt-db", "lose-all"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := quick(t)
			second := first.elsewhere(t)
			second.operator = programs.operator // under the race detector
			c := named(t, name)
			before := c.Break(t, first)
			file := suite.Plan(t, first, suite.Diagnose(t, first))
			points := suite.Boundaries(t, file)
			at := points[len(points)/2]
			if a := first.Novatui(t.Context(), []string{"NOVATUI_KILL_AT=" + at}, "apply", file, "--confirm", "nova-lab"); a.Exit == 0 {
				t.Fatalf("it did not come by %s", at)
			}
			run := onlyRun(t, first)
			lost(t, first, run)

			// The lease is still warm: he may be at it.
			a := second.Novatui(t.Context(), nil, "resume", "-o", "json")
			if a.Exit != 5 || !strings.Contains(string(a.Stderr), run) || len(runFolders(t, second)) > 0 {
				t.Errorf("while the first one may be at it: exit %d\n%s", a.Exit, a.Stderr)
			}
			first.age(t)
			shownElsewhere(t, second, run)
			a = second.Novatui(t.Context(), nil, "resume", "--take-over", "-o", "json")
			if a.Exit != 0 {
				t.Fatalf("killed at %s; resume elsewhere: exit %d\n%.3000s\n%s", at, a.Exit, a.Stdout, a.Stderr)
			}
			c.Proved(t, second, before)
			second.unleased(t)
			want, err := os.ReadFile(filepath.Join(runFolders(t, second)[0], "journal.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			for _, node := range first.nodes {
				if got, err := os.ReadFile(first.copyOf(t, node, run, "journal.jsonl")); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: its copy has %d bytes instead of %d, %v", node, len(got), len(want), err)
				}
			}
			// Nothing is left to be done, here or elsewhere.
			if left := first.elsewhere(t).runs(t); len(left) > 0 {
				t.Errorf("a third machine is told of %+v", left)
			}
		})
	}
}

// lost takes the first machine's folder and one node's copies away, and tears
// another's.
func lost(t testing.TB, w *labWorld, run string) {
	t.Helper()
	torn := w.copyOf(t, w.nodes[1], run, "journal.jsonl")
	b, err := os.ReadFile(torn)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(torn, b[:len(b)*2/3], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(w.state, "novatui"), filepath.Dir(w.copyOf(t, w.nodes[0], run, "plan.json"))} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

func shownElsewhere(t testing.TB, w *labWorld, run string) {
	t.Helper()
	a := w.Novatui(context.Background(), nil, "runs", "-o", "json")
	var seen struct {
		Runs []struct {
			ID        string   `json:"id"`
			Resumable bool     `json:"resumable"`
			Done      int      `json:"steps_done"`
			Left      int      `json:"steps_left"`
			Nodes     []string `json:"nodes"`
		} `json:"runs"`
	}
	if err := json.Unmarshal(a.Stdout, &seen); err != nil || len(seen.Runs) != 1 {
		t.Fatalf("runs: exit %d, %v\n%s\n%s", a.Exit, err, a.Stdout, a.Stderr)
	}
	r := seen.Runs[0]
	if r.ID != run || !r.Resumable || r.Done == 0 || r.Left == 0 || len(r.Nodes) != 1 || r.Nodes[0] != w.nodes[2] {
		t.Errorf("runs shows %+v", r)
	}
}

// TestHandOverOfBadCopies: what no node has in a usable form is refused, said,
// and changes nothing; with the nodes gone the local runs are listed all the
// same.
func TestHandOverOfBadCopies(t *testing.T) {
	t.Parallel()
	w := quick(t)
	c := named(t, "corrupt-db")
	before := c.Break(t, w)
	file := suite.Plan(t, w, suite.Diagnose(t, w))
	points := suite.Boundaries(t, file)
	if a := w.Novatui(t.Context(), []string{"NOVATUI_KILL_AT=" + points[len(points)/2]}, "apply", file, "--confirm", "nova-lab"); a.Exit == 0 {
		t.Fatal("it was not killed")
	}
	run := onlyRun(t, w)
	second := w.elsewhere(t)
	w.age(t)
	good := map[string][]byte{}
	bad := map[string][]byte{
		w.nodes[0]: []byte("\x1b[2J\x00 garbage\n\nmore"),
		w.nodes[1]: bytes.Repeat([]byte("x"), 17<<20), // beyond what is fetched
		w.nodes[2]: []byte(`{"seq":1,"time":"2026-01-01T00:00:00Z","type":"run-started","run":"another","schema":"novatui/event/v1"}` + "\n"),
	}
	for node, text := range bad {
		path := w.copyOf(t, node, run, "journal.jsonl")
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		good[path] = b
	}
	began := time.Now()
	a := second.Novatui(t.Context(), nil, "resume", run, "--take-over")
	if a.Exit != 1 || strings.ContainsAny(string(a.Stderr), "\x1b\x00") || len(runFolders(t, second)) > 0 || time.Since(began) > 30*time.Second {
		t.Errorf("exit %d after %v\n%s", a.Exit, time.Since(began), a.Stderr)
	}
	// One copy is enough.
	for path, b := range good {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		break
	}
	if a := second.Novatui(t.Context(), nil, "resume", run, "--take-over"); a.Exit != 0 {
		t.Fatalf("exit %d\n%.2000s\n%s", a.Exit, a.Stdout, a.Stderr)
	}
	c.Proved(t, second, before)

	// Nodes that are gone.
	a = second.exec(t.Context(), second.operator, nil, "runs", "--nodes", "127.0.0.1:1", "-o", "json")
	if a.Exit != 0 || !strings.Contains(string(a.Stderr), "this machine only") {
		t.Errorf("without nodes: exit %d\n%s\n%s", a.Exit, a.Stdout, a.Stderr)
	}
	if a = second.exec(t.Context(), second.operator, nil, "runs"); a.Exit != 0 || !strings.Contains(string(a.Stdout), run) {
		t.Errorf("without a cluster file: exit %d\n%s\n%s", a.Exit, a.Stdout, a.Stderr)
	}
}
