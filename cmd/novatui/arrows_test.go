package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/novatui/novatui"

// arrows are the packages of ours that each package may import: the table of
// docs/architecture.md. Programs (cmd, e2e, docs) may import everything.
// A folder stands for the packages below it too.
var arrows = map[string][]string{
	"ui":                {"ui", "workflows", "workflows/engine", "etcdops", "assets"},
	"workflows":         {"workflows/engine", "etcdops", "etcdops/diagnosis", "remote"},
	"workflows/engine":  {"remote"},
	"etcdops":           {"remote", "assets"},
	"etcdops/diagnosis": {"etcdops", "assets"},
	"remote":            {},
	"remote/ssh":        {"remote"},
	"remote/remotetest": {"remote"},
	"inventory":         {"remote"},
	"assets":            {},
	"assets/msg":        {"assets"},
	"lab":               {"assets"},
	"lab/labtest":       {}, // tests only
}

// leaf may be imported by everybody.
const leaf = "assets/msg"

type goPackage struct {
	ImportPath string
	Imports    []string
}

// TestArrows: no package imports one of ours that the architecture does not
// allow. Test files are free: tests run the real thing.
func TestArrows(t *testing.T) {
	seen := map[string]bool{}
	for _, pkg := range listPackages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(pkg.ImportPath, module), "/")
		owner, allowed, known := rule(name)
		seen[owner] = true
		if !known {
			free := []string{"cmd/", "e2e/", "docs/"} // programs and whole-cluster tests
			if !slices.ContainsFunc(free, func(dir string) bool { return strings.HasPrefix(name+"/", dir) }) {
				t.Errorf("%s is not in the table of docs/architecture.md: decide what it may import", name)
			}
			continue
		}
		for _, imported := range pkg.Imports {
			ours, ok := strings.CutPrefix(imported, module+"/")
			if !ok || ours == leaf {
				continue
			}
			if to, _, _ := rule(ours); !slices.Contains(allowed, ours) && !(to == "ui" && slices.Contains(allowed, to)) {
				t.Errorf("%s imports %s: the architecture allows only %v", name, ours, allowed)
			}
		}
	}
	for owner := range arrows {
		if !seen[owner] {
			t.Errorf("the table names %s, which has no package", owner)
		}
	}
}

// rule finds the table's row for a package: its own, or that of ui for what
// lies below ui.
func rule(name string) (owner string, allowed []string, known bool) {
	if strings.HasPrefix(name, "ui/") {
		name = "ui"
	}
	allowed, known = arrows[name]
	return name, allowed, known
}

// TestGoroutinesHaveOwners: ui and etcdops contain no go statement; see
// docs/architecture.md for where goroutines live.
func TestGoroutinesHaveOwners(t *testing.T) {
	for _, file := range goFiles(t, "ui", "etcdops", "cmd", "workflows", "inventory", "assets") {
		if strings.HasPrefix(file, "workflows/engine/") {
			continue
		}
		for _, line := range goStatements(t, file) {
			t.Errorf("%s:%d: a go statement has no place here", file, line)
		}
	}
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var packages []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) < len(arrows) {
		t.Fatalf("go list found %d packages only", len(packages))
	}
	return packages
}
