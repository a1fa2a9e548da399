package etcdops

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/novatui/novatui/assets"
)

func allScripts(t testing.TB) []string {
	t.Helper()
	files, err := fs.Glob(assets.Scripts, "remote/*.sh")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var names []string
	for _, f := range files {
		names = append(names, path.Base(f))
	}
	return names
}

func TestScriptsPassShellcheck(t *testing.T) {
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("no shellcheck here")
	}
	for _, name := range allScripts(t) {
		if name == "lib.sh" || name == "env.sh" {
			continue // part of the others
		}
		file := filepath.Join(t.TempDir(), name)
		write(t, file, "#!/bin/sh\n"+scriptText(name))
		// 2317, 2034: not every script uses all of lib.sh. 2015: a && b || c
		// is meant where b cannot fail. 2012: names of files are only counted.
		out, err := exec.Command("shellcheck", "-s", "sh", "-e", "SC2317,SC2034,SC2015,SC2012,SC2010", file).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// TestScriptsDeleteNothing keeps the promise that no tool of ours removes data:
// the only thing that ever goes away is an empty directory (rmdir refuses any
// other), and the copy that was unpacked to look into an archive: a refused
// restore must leave nothing behind (TestDiscardTakesOnlyItsCopy); and a lease
// that is given back (TestLeaseTakesOnlyItsFiles).
func TestScriptsDeleteNothing(t *testing.T) {
	for _, name := range allScripts(t) {
		if name == "discard.sh" || name == "lease.sh" {
			continue
		}
		text := scriptText(name)
		for _, word := range []string{`\brm\b`, `\bunlink\b`, `-delete\b`, `\bshred\b`, `\btruncate\b`, `\bmkfs`, `\bdd\b`, `mv -f`} {
			if m := regexp.MustCompile(word).FindString(text); m != "" {
				t.Errorf("%s uses %q", name, m)
			}
		}
	}
}

func TestScriptsCarryNoHereDocument(t *testing.T) {
	for _, name := range allScripts(t) {
		if strings.Contains(scriptText(name), "<<") {
			t.Errorf("%s holds a here-document, for which some shells write a file: the disk may be full", name)
		}
	}
}

// odd is a folder whose name holds what breaks careless scripts.
const odd = `it's a "node" $x *`

// tree makes files below a fresh folder of an odd name.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), odd)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, p, text)
	}
	return dir
}

// listing is every path below a folder with its content.
func listing(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		switch {
		case d.IsDir():
			all[rel+"/"] = ""
		case d.Type()&fs.ModeSymlink != 0:
			all[rel] = "link"
		default:
			all[rel] = read(t, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
