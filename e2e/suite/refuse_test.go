package suite_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/e2e/suite"
)

const refused = 3

// refuses runs a command that must end with exit status 3 and change nothing
// on any node.
func refuses(t *testing.T, w *labWorld, args ...string) suite.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), suite.Limit)
	defer cancel()
	before := w.fingerprint(t)
	a := w.Novatui(ctx, nil, args...)
	if a.Exit != refused {
		t.Errorf("novatui %s: exit %d, want %d\n%s\n%s", strings.Join(args, " "), a.Exit, refused, a.Stdout, a.Stderr)
	}
	if after := w.fingerprint(t); after != before {
		t.Errorf("novatui %s changed the nodes:\n%s\nwas\n%s", strings.Join(args, " "), after, before)
	}
	return a
}

// fingerprint is every file of the nodes that a procedure could change: their
// names, modes and, outside the data that etcd itself writes, contents; and
// the state of the units.
func (w *labWorld) fingerprint(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, node := range w.nodes {
		root := filepath.Join(w.dir, node)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(root, path)
			switch {
			case err != nil:
				return nil // a file that etcd removed while we walked
			case d.IsDir() && (rel == "var/lib/etcd/member" || rel == "var/log" || rel == "run" || rel == "proc"):
				return filepath.SkipDir
			case !d.Type().IsRegular() && !d.IsDir():
				return nil
			}
			sum := ""
			if content, err := os.ReadFile(path); err == nil {
				sum = fmt.Sprintf("%x", sha256.Sum256(content))[:12]
			}
			fmt.Fprintf(&b, "%s %s %s\n", node, rel, sum)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestUnsafeRequestsAreRefused(t *testing.T) {
	t.Parallel()
	w := quick(t)
	archive, _, err := w.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("rejoin of a healthy member", func(t *testing.T) {
		refuses(t, w, "plan", "rejoin", "--node", "master-2")
	})
	t.Run("restart of a healthy member", func(t *testing.T) {
		refuses(t, w, "plan", "restart", "--node", "master-2")
	})
	t.Run("restore while quorum holds", func(t *testing.T) {
		a := refuses(t, w, "plan", "restore", "--snapshot", archive)
		if !strings.Contains(string(a.Stderr), "restore-while-quorum") {
			t.Errorf("the guard is not named: %s", a.Stderr)
		}
		refuses(t, w, "plan", "restore", "--snapshot", archive, "--override", "restore-while-quorum=yes")
	})
	t.Run("data directory /", func(t *testing.T) {
		refusesDataDir(t, w, "/")
	})
	t.Run("data directory with a newline", func(t *testing.T) {
		refusesDataDir(t, w, "\"/var/lib/et\ncd\"")
	})
	t.Run("rejoin with quorum lost", func(t *testing.T) {
		if err := w.Break(context.Background(), "lose-quorum"); err != nil {
			t.Fatal(err)
		}
		for _, m := range suite.Diagnose(t, w).Members {
			refuses(t, w, "plan", "rejoin", "--node", m.Node)
		}
	})
}

// refusesDataDir gives a stopped member an env file with another data
// directory and asks for its rejoin.
func refusesDataDir(t *testing.T, w *labWorld, dir string) {
	t.Helper()
	file := filepath.Join(w.dir, "master-2", "etc", "etcd.env")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Break(context.Background(), "stop", "master-2"); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, line := range strings.Split(string(old), "\n") {
		if strings.HasPrefix(line, "ETCD_DATA_DIR=") {
			line = "ETCD_DATA_DIR=" + dir
		}
		lines = append(lines, line)
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	refuses(t, w, "plan", "rejoin", "--node", "master-2", "--override", "data-cause=data-cause nova-lab")
	if err := os.WriteFile(file, old, 0o600); err != nil {
		t.Fatal(err)
	}
	suite.Apply(t, w, nil, suite.Plan(t, w, suite.Diagnose(t, w)))
}

func TestStalePlanIsRefused(t *testing.T) {
	t.Parallel()
	w := quick(t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := w.Break(ctx, "corrupt-db", "master-2"); err != nil {
		t.Fatal(err)
	}
	file := suite.Plan(t, w, suite.Diagnose(t, w))
	t.Run("without the cluster's name", func(t *testing.T) {
		refuses(t, w, "apply", file)
		refuses(t, w, "apply", file, "--confirm", "nova")
	})
	t.Run("after another member fell", func(t *testing.T) {
		if err := w.Break(ctx, "stop", "master-3"); err != nil {
			t.Fatal(err)
		}
		refuses(t, w, "apply", file, "--confirm", w.Cluster())
	})
	t.Run("after the member was repaired", func(t *testing.T) {
		suite.Apply(t, w, nil, suite.Plan(t, w, suite.Diagnose(t, w))) // master-3
		suite.Apply(t, w, nil, suite.Plan(t, w, suite.Diagnose(t, w))) // master-2
		refuses(t, w, "apply", file, "--confirm", w.Cluster())
	})
}

func TestBadSnapshotsAreRefused(t *testing.T) {
	t.Parallel()
	w := quick(t)
	ctx := context.Background()
	named, _, err := w.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, archive, _ := strings.Cut(named, ":")
	plain := filepath.Join(w.dir, "master-1", "tmp", "whole.db")
	if err := suite.Extract(archive, plain); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), content...)
	flipped[len(flipped)/2] ^= 1
	put := func(node, name string, b []byte) string {
		path := filepath.Join(w.dir, node, "tmp", name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return node + ":" + path
	}
	bad := map[string][]string{
		"bit-flipped":   {put("master-1", "flipped.db", flipped)},
		"truncated":     {put("master-1", "cut.db", content[:len(content)*2/3+1])},
		"cut off hash":  {put("master-1", "nohash.db", content[:len(content)-32])},
		"cut archive":   {put("master-1", "cut.db.tar.gz", cutFile(t, archive))},
		"no snapshot":   {put("master-1", "text.db", []byte("not a database\n"))},
		"with newline":  {"master-1:/tmp/a\nb.db"},
		"three of them": {named, put("master-2", "two.db", flipped), put("master-3", "three.db", content)},
	}
	if err := w.Break(ctx, "lose-all"); err != nil {
		t.Fatal(err)
	}
	for name, files := range bad {
		t.Run(name, func(t *testing.T) {
			args := []string{"plan", "restore", "--out", filepath.Join(t.TempDir(), "plan.json")}
			for _, f := range files {
				args = append(args, "--snapshot", f)
			}
			refuses(t, w, args...)
		})
	}
}

func cutFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b[:len(b)/2]
}
