package suite_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFaultForeignSnapshot: the snapshot of another cluster lies on a node, with
// a name like any other. It is refused by what is in it, until somebody types
// that it is meant.
func TestFaultForeignSnapshot(t *testing.T) {
	t.Parallel()
	w, other := quick(t), quick(t)
	named, _, err := other.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, archive, _ := strings.Cut(named, ":")
	ours, _, err := w.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(w.dir, "master-1", "tmp", strings.Replace(filepath.Base(archive), "_20", "_19", 1))
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.Break(t.Context(), "lose-all"); err != nil {
		t.Fatal(err)
	}
	plan := []string{"plan", "restore", "--snapshot", "master-1:" + path}
	a := refuses(t, w, plan...)
	if !strings.Contains(string(a.Stderr), "snapshot-ours") {
		t.Errorf("the guard is not named: %s", a.Stderr)
	}
	file := filepath.Join(t.TempDir(), "plan.json")
	typed := append(plan, "--out", file, "--override", "snapshot-ours=snapshot-ours "+w.Cluster())
	if a := w.Novatui(t.Context(), nil, typed...); a.Exit != 0 {
		t.Errorf("typed: exit %d, %s", a.Exit, a.Stderr)
	}
	// The cluster's own passes without a word.
	if a := w.Novatui(t.Context(), nil, "plan", "restore", "--snapshot", ours, "--out", file); a.Exit != 0 {
		t.Errorf("its own: exit %d, %s", a.Exit, a.Stderr)
	}
}
