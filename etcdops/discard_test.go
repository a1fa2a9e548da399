package etcdops

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestDiscardTakesOnlyItsCopy: it removes the copy of a look and nothing else,
// and refuses every folder that is not one of a look.
func TestDiscardTakesOnlyItsCopy(t *testing.T) {
	files := map[string]string{
		"runs/1-look/a.db": "copy", "runs/1-look/a.db.part": "copy", "runs/2/snapshot.db": "kept", "other/a.db": "kept",
	}
	discard := func(dir string, args ...string) error {
		argv := append([]string{"-c", scriptText("discard.sh"), "novatui", filepath.Join(dir, "runs")}, args...)
		return exec.Command("sh", argv...).Run()
	}
	dir := tree(t, files)
	if err := discard(dir, "1-look", "a.db"); err != nil {
		t.Fatal(err)
	}
	left := listing(t, dir)
	if _, there := left["runs/1-look/"]; there || left["runs/2/snapshot.db"] != "kept" || left["other/a.db"] != "kept" {
		t.Errorf("left is %v", left)
	}
	for _, args := range [][]string{{"2", "snapshot.db"}, {"../other-look", "a.db"}, {"x-look", "../2/snapshot.db"}} {
		before := len(listing(t, dir))
		if err := discard(dir, args...); err == nil || len(listing(t, dir)) != before {
			t.Errorf("discard %v: %v, %d entries of %d left", args, err, len(listing(t, dir)), before)
		}
	}
	// A folder of a look that holds something else is left with it.
	dir = tree(t, map[string]string{"runs/1-look/a.db": "copy", "runs/1-look/else": "kept"})
	if err := discard(dir, "1-look", "a.db"); err == nil || listing(t, dir)["runs/1-look/else"] != "kept" {
		t.Errorf("%v, left is %v", err, listing(t, dir))
	}
}
