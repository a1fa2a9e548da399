//go:build e2e && linux

package e2e_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/novatui/novatui/e2e/hosts"
	"github.com/novatui/novatui/e2e/suite"
)

// The versions that are built from source; hosts.DebianVersion comes besides.
const (
	etcd36      = "3.6.16"
	etcd36Older = "3.6.14"
	etcd35      = "3.5.35"
)

// TestFaults: the faults of the lab are diagnosed right and repaired on real
// machines too, with each minor version of etcd. All of them with the newest,
// and a rejoin, a salvage and a restore with the others, unless everything is
// asked for.
func TestFaults(t *testing.T) {
	sample := "corrupt-db lose-quorum lose-all"
	for _, version := range []string{hosts.Newest, etcd36, etcd35} {
		t.Run(version, func(t *testing.T) {
			for _, c := range suite.Cases {
				if version == hosts.Newest || full || strings.Contains(" "+sample+" ", " "+c.Name+" ") {
					t.Run(c.Name, func(t *testing.T) {
						suite.Run(t, start(t, hosts.Options{Versions: []string{version}}), c)
					})
				}
			}
		})
	}
}

// TestMixedPatchVersions: members of two patch versions of one minor, as in the
// middle of an upgrade.
func TestMixedPatchVersions(t *testing.T) {
	cases := []string{"lose-all"}
	if full {
		cases = []string{"lose-all", "stop", "corrupt-db", "lose-quorum"}
	}
	for _, name := range cases {
		t.Run(name, func(t *testing.T) {
			suite.Run(t, start(t, hosts.Options{Versions: []string{etcd36Older, etcd36}}), named(t, name))
		})
	}
}

// TestFiveNodes: two of five may be down, and three of five are a majority.
func TestFiveNodes(t *testing.T) {
	cases := []suite.Case{
		{Name: "lose-all", Fault: "lose-all", Procedure: "restore", Restored: true},
	}
	if full {
		cases = append(cases,
			suite.Case{Name: "corrupt-db", Fault: "corrupt-db", Nodes: []int{3}, Procedure: "rejoin", On: []int{3}, Cause: "db-corrupt"},
			suite.Case{Name: "lose-quorum", Fault: "lose-quorum", Procedure: "salvage"})
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) { suite.Run(t, start(t, hosts.Options{Nodes: 5}), c) })
	}
	t.Run("stop two", func(t *testing.T) {
		h := start(t, hosts.Options{Nodes: 5})
		c := suite.Case{Fault: "stop", Nodes: []int{1, 4}}
		suite.Record(t, h, "stop two of five", "restart")
		before := c.Break(t, h)
		for _, i := range c.Nodes { // while quorum holds, one at a time
			d := suite.Diagnose(t, h)
			if on := d.Recommended.Nodes; d.Recommended.Procedure != "restart" || len(on) != 1 || on[0] != h.Nodes()[i] {
				t.Fatalf("recommended %s on %v, want restart on %s", d.Recommended.Procedure, on, h.Nodes()[i])
			}
			suite.Apply(t, h, nil, suite.Plan(t, h, d))
		}
		c.Proved(t, h, before)
	})
}

// TestDebianEtcd: Debian's own etcd is 3.4. It is diagnosed and restarted; the
// procedures that change members or data either work or are refused with
// nothing changed.
func TestDebianEtcd(t *testing.T) {
	o := hosts.Options{Versions: []string{hosts.DebianVersion}}
	t.Run("stop", func(t *testing.T) { suite.Run(t, start(t, o), named(t, "stop")) })
	cases := []string{"corrupt-db", "lose-all"}
	if full {
		cases = append(cases, "lose-quorum")
	}
	for _, name := range cases {
		t.Run(name, func(t *testing.T) {
			h, c := start(t, o), named(t, name)
			suite.Record(t, h, c.Fault, c.Procedure)
			before := c.Break(t, h)
			files := allFiles(t, h)
			d := suite.Diagnose(t, h)
			if d.Recommended.Procedure != c.Procedure {
				t.Fatalf("recommended %s, want %s; causes %+v", d.Recommended.Procedure, c.Procedure, d.Causes)
			}
			switch a := repair(t, h, d); a.Exit {
			case done:
				c.Proved(t, h, before)
			case refused:
				t.Logf("refused: %s", a.Stderr)
				unchanged(t, files, allFiles(t, h))
			default:
				t.Errorf("exit %d\n%s", a.Exit, a.Stderr)
			}
		})
	}
}

// repair plans and applies what is recommended and gives the first answer that
// is not good, or the last.
func repair(t *testing.T, h *hosts.Hosts, d suite.Diagnosis) suite.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), suite.Limit)
	defer cancel()
	file := filepath.Join(t.TempDir(), "plan.json")
	args := []string{"plan", d.Recommended.Procedure, "--out", file}
	switch d.Recommended.Procedure {
	case "restart", "rejoin":
		args = append(args, "--node", strings.Join(d.Recommended.Nodes, ","))
	case "restore":
		path, _, err := h.Snapshot(ctx)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, "--snapshot", path)
	}
	if a := h.Novatui(ctx, nil, args...); a.Exit != done {
		return a
	}
	return h.Novatui(ctx, nil, "apply", file, "--confirm", h.Cluster())
}

// unchanged: no file came or went on any node.
func unchanged(t *testing.T, before, after map[string]map[string]bool) {
	t.Helper()
	for node := range before {
		for path := range after[node] {
			if !before[node][path] {
				t.Errorf("%s: %s is new", node, path)
			}
		}
		for path := range before[node] {
			if !after[node][path] {
				t.Errorf("%s: %s is gone", node, path)
			}
		}
	}
}
