// Package suite is the procedures' common test: break a real cluster, let
// novatui diagnose, plan and apply, and judge the result from outside. It runs
// over the lab (make test) and over real hosts (make e2e) through the World
// interface, and it never looks into novatui's own packages for the answer.
package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// World is a cluster that can be broken.
type World interface {
	// Novatui runs the program as an operator would, with --cluster given.
	// env is added to its environment.
	Novatui(ctx context.Context, env []string, args ...string) Answer
	// Break injects a fault and returns when it shows.
	Break(ctx context.Context, fault string, nodes ...string) error
	// Cluster is its name; Nodes are its nodes, in order.
	Cluster() string
	Nodes() []string
	// Keys reads every key with a digest of its value from one node's etcd,
	// without novatui.
	Keys(ctx context.Context, node string) (map[string]string, error)
	// Snapshot is where the vendor's archive lies on every node, and the keys
	// in it, read without novatui.
	Snapshot(ctx context.Context) (path string, keys map[string]string, err error)
}

// Answer is how novatui ended.
type Answer struct {
	Exit   int
	Stdout []byte
	Stderr []byte
}

// Diagnosis is what the suite reads of diagnose -o json.
type Diagnosis struct {
	Schema string `json:"schema"`
	State  string `json:"state"`
	Quorum struct {
		Holds bool `json:"holds"`
	} `json:"quorum"`
	Members []struct {
		Name    string `json:"name"`
		Node    string `json:"node"`
		Healthy bool   `json:"healthy"`
		Hash    string `json:"hash"`
		State   string `json:"state"`
	} `json:"members"`
	Causes []struct {
		ID         string `json:"id"`
		Node       string `json:"node"`
		Confidence string `json:"confidence"`
	} `json:"causes"`
	Recommended struct {
		Procedure string   `json:"procedure"`
		Nodes     []string `json:"nodes"`
	} `json:"recommended"`
}

// Case is one fault and what must come of it.
type Case struct {
	Name  string
	Fault string
	// Nodes by index; nil: the fault's own choice.
	Nodes []int
	// Procedure and On (node indices) must be recommended; On nil: not
	// compared (a procedure on the whole cluster).
	Procedure string
	On        []int
	// Cause must be among the causes, on the first of On where On is set.
	Cause string
	// Restored: exactly the snapshot's keys are there at the end. Otherwise
	// every key of before is.
	Restored bool
}

// Cases are the lab's faults with the answers of procedures.md §2.
var Cases = []Case{
	{Name: "stop", Fault: "stop", Nodes: []int{1}, Procedure: "restart", On: []int{1}, Cause: "stopped-by-supervisor"},
	{Name: "kill-loop", Fault: "kill-loop", Nodes: []int{2}, Procedure: "restart", On: []int{2}},
	{Name: "hang", Fault: "hang", Nodes: []int{0}, Procedure: "restart", On: []int{0}},
	{Name: "corrupt-db", Fault: "corrupt-db", Nodes: []int{1}, Procedure: "rejoin", On: []int{1}, Cause: "db-corrupt"},
	{Name: "corrupt-wal", Fault: "corrupt-wal", Nodes: []int{2}, Procedure: "rejoin", On: []int{2}, Cause: "wal-corrupt"},
	{Name: "wipe-data", Fault: "wipe-data", Nodes: []int{0}, Procedure: "rejoin", On: []int{0}},
	{Name: "stale-data", Fault: "stale-data", Nodes: []int{1}, Procedure: "rejoin", On: []int{1}, Cause: "raft-lost-log"},
	{Name: "stop two", Fault: "stop", Nodes: []int{0, 2}, Procedure: "restart", On: []int{0, 2}},
	{Name: "lose-quorum", Fault: "lose-quorum", Procedure: "salvage"},
	{Name: "lose-all", Fault: "lose-all", Procedure: "restore", Restored: true},
}

// Limit bounds one call of novatui.
const Limit = 3 * time.Minute

// Diagnose runs diagnose -o json.
func Diagnose(t testing.TB, w World) Diagnosis {
	t.Helper()
	a := call(t, w, nil, "diagnose", "-o", "json")
	if a.Exit != 0 {
		t.Fatalf("diagnose: exit %d\n%s", a.Exit, a.Stderr)
	}
	var d Diagnosis
	if err := json.Unmarshal(a.Stdout, &d); err != nil {
		t.Fatalf("diagnose: %v\n%s", err, a.Stdout)
	}
	return d
}

func call(t testing.TB, w World, env []string, args ...string) Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	return w.Novatui(ctx, env, args...)
}

// Run breaks the world as the case says and repairs it.
func Run(t *testing.T, w World, c Case) {
	t.Helper()
	Record(t, w, c.Fault, c.Procedure)
	before := c.Break(t, w)
	d := Diagnose(t, w)
	c.judge(t, w, d)
	file := Plan(t, w, d)
	Apply(t, w, nil, file)
	c.Proved(t, w, before)
}

// Break injects the case's fault and gives the keys of before.
func (c Case) Break(t testing.TB, w World) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	keys, err := w.Keys(ctx, w.Nodes()[0])
	if err != nil {
		t.Fatalf("reading the keys before: %v", err)
	}
	if err := w.Break(ctx, c.Fault, c.names(w)...); err != nil {
		t.Fatalf("breaking: %v", err)
	}
	return keys
}

func (c Case) names(w World) []string {
	var names []string
	for _, i := range c.Nodes {
		names = append(names, w.Nodes()[i])
	}
	return names
}

func (c Case) judge(t *testing.T, w World, d Diagnosis) {
	t.Helper()
	var on []string
	for _, i := range c.On {
		on = append(on, w.Nodes()[i])
	}
	got := slices.Sorted(slices.Values(d.Recommended.Nodes))
	if d.Recommended.Procedure != c.Procedure || c.On != nil && !slices.Equal(got, on) {
		t.Errorf("recommended %s on %v, want %s on %v", d.Recommended.Procedure, got, c.Procedure, on)
	}
	if c.Cause != "" {
		found := false
		for _, cause := range d.Causes {
			found = found || cause.ID == c.Cause && slices.Contains(on, cause.Node)
		}
		if !found {
			t.Errorf("cause %s on %v is not among %+v", c.Cause, on, d.Causes)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// Plan plans what is recommended and gives the plan's file.
func Plan(t testing.TB, w World, d Diagnosis) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plan.json")
	args := []string{"plan", d.Recommended.Procedure, "--out", file}
	switch d.Recommended.Procedure {
	case "restart", "rejoin":
		args = append(args, "--node", strings.Join(d.Recommended.Nodes, ","))
	case "restore":
		path, _, err := w.Snapshot(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, "--snapshot", path)
	}
	if a := call(t, w, nil, args...); a.Exit != 0 {
		t.Fatalf("%s: exit %d\n%s\n%s", strings.Join(args, " "), a.Exit, a.Stdout, a.Stderr)
	}
	return file
}

// Apply applies a plan, which must end well.
func Apply(t testing.TB, w World, env []string, file string) {
	t.Helper()
	if a := call(t, w, env, "apply", file, "--confirm", w.Cluster()); a.Exit != 0 {
		t.Fatalf("apply: exit %d\n%s\n%s", a.Exit, tail(a.Stdout), tail(a.Stderr))
	}
}

// Proved judges the end from outside: healthy, one hash, and the data of
// before (or the snapshot's) on every node.
func (c Case) Proved(t testing.TB, w World, before map[string]string) {
	t.Helper()
	d := Diagnose(t, w)
	hashes := map[string]bool{}
	for _, m := range d.Members {
		hashes[m.Hash] = true
		if !m.Healthy {
			t.Errorf("member %s on %s is %s", m.Name, m.Node, m.State)
		}
	}
	if d.State != "healthy" || len(d.Members) != len(w.Nodes()) || len(hashes) != 1 || hashes[""] {
		t.Errorf("state %s, %d members, hashes %v", d.State, len(d.Members), slices.Collect(maps.Keys(hashes)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), Limit)
	defer cancel()
	want := before
	if c.Restored {
		var err error
		if _, want, err = w.Snapshot(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, node := range w.Nodes() {
		got, err := w.Keys(ctx, node)
		if err != nil {
			t.Fatalf("reading the keys of %s: %v", node, err)
		}
		if diff := difference(want, got, c.Restored); diff != "" {
			t.Errorf("%s: %s", node, diff)
		}
	}
}

// difference compares keys; more keys than before are an error only when the
// set must be exact.
func difference(want, got map[string]string, exact bool) string {
	lost, other, extra := 0, 0, 0
	for k, v := range want {
		switch have, ok := got[k]; {
		case !ok:
			lost++
		case have != v:
			other++
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			extra++
		}
	}
	if lost == 0 && other == 0 && (extra == 0 || !exact) {
		return ""
	}
	return fmt.Sprintf("of %d keys %d are lost and %d have another value; %d are new", len(want), lost, other, extra)
}

func tail(b []byte) string {
	const most = 6000
	if len(b) > most {
		return "…" + string(b[len(b)-most:])
	}
	return string(b)
}
