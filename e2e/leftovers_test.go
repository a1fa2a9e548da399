//go:build e2e && linux

package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/novatui/novatui/e2e/hosts"
	"github.com/novatui/novatui/e2e/suite"
)

// nodeFiles lists the files of a node that a procedure could leave or change:
// their paths, and what is asked of them. What etcd, systemd and the login
// write by themselves is left out.
func nodeFiles(t testing.TB, h *hosts.Hosts, node string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	root := h.Path(node, "/")
	for _, top := range []string{"etc", "home", "opt", "root", "srv", "tmp", "var"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // removed while we walked
			}
			rel := "/" + strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
			for _, own := range []string{"/var/lib/etcd/member", "/var/lib/etcd-wal/", "/var/log", "/var/lib/systemd", "/tmp/systemd-private", "/var/tmp/systemd-private"} {
				if strings.HasPrefix(rel, own) {
					return skip(d)
				}
			}
			found[rel] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func skip(d fs.DirEntry) error {
	if d.IsDir() {
		return filepath.SkipDir
	}
	return nil
}

// allFiles are the files of all nodes.
func allFiles(t testing.TB, h *hosts.Hosts) map[string]map[string]bool {
	t.Helper()
	all := map[string]map[string]bool{}
	for _, node := range h.Nodes() {
		all[node] = nodeFiles(t, h, node)
	}
	return all
}

// nothingLeft: nothing is new on the nodes but what the report of the last run
// names.
func nothingLeft(t testing.TB, h *hosts.Hosts, before map[string]map[string]bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), suite.Limit)
	defer cancel()
	a := h.Novatui(ctx, nil, "report", "-o", "json")
	var report struct {
		Report struct {
			Files []struct{ Node, Path string }
		} `json:"report"`
	}
	if err := json.Unmarshal(a.Stdout, &report); a.Exit != 0 || err != nil {
		t.Fatalf("report: exit %d, %v\n%s", a.Exit, err, a.Stderr)
	}
	for node, files := range allFiles(t, h) {
		var left []string
		for path := range files {
			named := before[node][path]
			for _, f := range report.Report.Files {
				// The folder of a file that is named is named with it.
				named = named || f.Node == node && (path == f.Path || strings.HasPrefix(path, f.Path+"/") || strings.HasPrefix(f.Path, path+"/"))
			}
			if !named {
				left = append(left, path)
			}
		}
		if slices.Sort(left); len(left) > 0 {
			t.Errorf("%s: left, and not named by the report: %s", node, strings.Join(left, " "))
		}
	}
}

// database is a digest of a node's database as it lies in a data directory.
func database(t testing.TB, h *hosts.Hosts, node, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(h.Path(node, dir), "member/snap/db"))
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}

// oldDataThere: the database that a node had is still there, byte for byte,
// beside the data directory or (a mount point) in it.
func oldDataThere(t testing.TB, h *hosts.Hosts, node, old string) {
	t.Helper()
	var seen []string
	for _, pattern := range []string{"/var/lib/etcd.novatui-*", "/var/lib/etcd/novatui-*"} {
		found, err := filepath.Glob(h.Path(node, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range found {
			rel := strings.TrimPrefix(dir, filepath.Clean(h.Path(node, "/")))
			if database(t, h, node, rel) == old {
				return
			}
			seen = append(seen, rel)
		}
	}
	t.Errorf("%s: the old data are not there any more; set aside is %v", node, seen)
}
