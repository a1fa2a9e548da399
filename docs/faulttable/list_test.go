package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	listRow  = regexp.MustCompile(`(?m)^\| (\d+) \|(.*)\|$`)
	testName = regexp.MustCompile("`([a-z0-9/]+)\\.(Test[A-Za-z0-9_]+)`")
)

// TestTheListOfFaultsIsTrue: the 44 faults are all in the list of
// docs/faults.md, each once and in order, and every test that it names exists. A
// row without a test says so.
func TestTheListOfFaultsIsTrue(t *testing.T) {
	const root = "../.."
	page, err := os.ReadFile(filepath.Join(root, "docs/faults.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, ok := strings.Cut(string(page), "## The 44 faults of the list")
	if !ok {
		t.Fatal("docs/faults.md has no list")
	}
	list, _, _ = strings.Cut(list, "\n## ")
	rows := listRow.FindAllStringSubmatch(list, -1)
	if len(rows) != 44 {
		t.Errorf("%d rows", len(rows))
	}
	for i, row := range rows {
		if row[1] != strconv.Itoa(i+1) {
			t.Errorf("row %d has number %s", i+1, row[1])
		}
		cells := strings.Split(row[2], "|")
		if len(cells) != 5 {
			t.Errorf("fault %s: %d cells", row[1], len(cells))
			continue
		}
		names := testName.FindAllStringSubmatch(cells[3], -1)
		if len(names) == 0 && !strings.Contains(cells[4], "**not kept**") {
			t.Errorf("fault %s names no test and does not say that it is not kept", row[1])
		}
		if strings.Count(cells[3], "`") != 2*len(names) {
			t.Errorf("fault %s: not a test: %s", row[1], cells[3])
		}
		for _, n := range names {
			if !declared(t, filepath.Join(root, n[1]), n[2]) {
				t.Errorf("fault %s: there is no %s in %s", row[1], n[2], n[1])
			}
		}
	}
}

// declared reports whether a test is in the test files of a folder, whatever
// their build tags.
func declared(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}
