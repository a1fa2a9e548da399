//go:build e2e && linux

package e2e_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/e2e/hosts"
	"github.com/novatui/novatui/e2e/suite"
)

// TestUnreachable: a host that does not answer, in one way or another, is named
// as such, in time, and nothing that destroys is recommended. When it answers
// again the cluster is healthy and nothing has to be done.
func TestUnreachable(t *testing.T) {
	for _, way := range []struct {
		name        string
		cut, mend   func(*hosts.Hosts, context.Context, string) error
		unreachable bool // for the operator
		away        bool // for the other members
	}{
		{"cable out", (*hosts.Hosts).CableOut, (*hosts.Hosts).CableIn, true, true},
		{"sshd frozen", (*hosts.Hosts).FreezeSSHD, (*hosts.Hosts).ThawSSHD, true, false},
		{"peers cut", one((*hosts.Hosts).PeersCut), one((*hosts.Hosts).PeersHealed), false, true},
	} {
		t.Run(way.name, func(t *testing.T) {
			h := start(t, hosts.Options{})
			suite.Record(t, h, way.name, "none")
			ctx, cancel := context.WithTimeout(t.Context(), suite.Limit)
			defer cancel()
			node := h.Nodes()[2]
			before, err := h.Keys(ctx, node)
			if err != nil {
				t.Fatal(err)
			}
			if err := way.cut(h, ctx, node); err != nil {
				t.Fatal(err)
			}
			if way.away {
				if err := h.Settled(ctx, node); err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			d := suite.Diagnose(t, h)
			took := time.Since(began)
			t.Logf("%s after %.1f s: recommended %s %v; causes %+v", d.State, took.Seconds(), d.Recommended.Procedure, d.Recommended.Nodes, d.Causes)
			if took > 40*time.Second {
				t.Errorf("diagnose took %.1f s", took.Seconds())
			}
			if slices.Contains([]string{"rejoin", "restore", "salvage"}, d.Recommended.Procedure) {
				t.Errorf("recommended %s", d.Recommended.Procedure)
			}
			if reached := reachable(t, h); way.unreachable && slices.Contains(reached, node) || len(reached) < 2 {
				t.Errorf("reachable: %v", reached)
			}
			if err := way.mend(h, ctx, node); err != nil {
				t.Fatal(err)
			}
			if err := h.Healthy(ctx); err != nil {
				t.Fatal(err)
			}
			suite.Case{Name: way.name}.Proved(t, h, before)
		})
	}
}

func one(f func(*hosts.Hosts, context.Context, ...string) error) func(*hosts.Hosts, context.Context, string) error {
	return func(h *hosts.Hosts, ctx context.Context, name string) error { return f(h, ctx, name) }
}

// reachable are the nodes that diagnose could look at.
func reachable(t *testing.T, h *hosts.Hosts) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), suite.Limit)
	defer cancel()
	var d struct {
		Nodes []struct {
			Name      string
			Reachable bool
		}
	}
	if err := json.Unmarshal(h.Novatui(ctx, nil, "diagnose", "-o", "json").Stdout, &d); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range d.Nodes {
		if n.Reachable {
			names = append(names, n.Name)
		}
	}
	return names
}

// TestWrongClock: a node whose clock is beyond its certificates is not made to
// start anything.
func TestWrongClock(t *testing.T) {
	h := start(t, hosts.Options{})
	suite.Record(t, h, "clock", "rejoin refused")
	ctx, cancel := context.WithTimeout(t.Context(), suite.Limit)
	defer cancel()
	node := h.Nodes()[1]
	if err := h.Break(ctx, "corrupt-db", node); err != nil {
		t.Fatal(err)
	}
	if err := h.ClockShift(ctx, node, "+400d"); err != nil {
		t.Fatal(err)
	}
	files := allFiles(t, h)
	a := h.Novatui(ctx, nil, "plan", "rejoin", "--node", node, "--out", filepath.Join(t.TempDir(), "plan.json"))
	if a.Exit != refused || !strings.Contains(string(a.Stderr), "clock") && !strings.Contains(string(a.Stderr), "certs-valid") {
		t.Errorf("exit %d: %s\n%s", a.Exit, a.Stdout, a.Stderr)
	}
	unchanged(t, files, allFiles(t, h))
}
