package workflows

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

const mirrorTag = "20261103-140314"

// stepsOn is a plan of n steps on each node in turn, the last of which destroys.
func stepsOn(t testing.TB, f *folders, n int) engine.Plan {
	t.Helper()
	b := engine.NewPlan("demo", "test", "lab", mirrorTag, time.Now())
	b.Title(msg.Raw("demo"))
	b.Nodes(f.names()...)
	b.Input(map[string]string{})
	b.Basis(map[string]string{})
	b.Identity("x")
	for i := range n {
		node := f.nodes[i%len(f.nodes)]
		id := "step" + string(rune('a'+i))
		file := filepath.Join(node.Root, id)
		effect := remote.Change
		if i == n-1 {
			effect = remote.Destroy
		}
		do := remote.Command{Argv: []string{"touch", file}, Effect: effect, Timeout: time.Minute}
		check := remote.Command{Argv: []string{"ls", file}, Effect: remote.Read, Timeout: time.Minute}
		b.Stage(id, msg.Raw(id), engine.Step{
			ID: id, Node: node.Name, Title: msg.Raw(id), Why: msg.Raw(id), Effect: effect,
			Commands: []engine.NodeCommand{{Node: node.Name, Command: do}}, Checks: []engine.NodeCommand{{Node: node.Name, Command: check}},
			Probe: func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
				res, err := x.Try(ctx, node.Name, check)
				if err != nil || res.Exit == 0 {
					return engine.Done, err
				}
				return engine.NotDone, nil
			},
			Do: func(ctx context.Context, x *engine.Exec) error { _, err := x.Run(ctx, node.Name, do); return err },
			Verify: func(ctx context.Context, x *engine.Exec) error {
				_, err := x.Run(ctx, node.Name, check)
				return err
			},
		})
	}
	p, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (f *folders) run(t testing.TB, p engine.Plan, dir string) (*engine.Run, engine.Result) {
	t.Helper()
	r, err := engine.Start(t.Context(), engine.Options{Plan: p, Conns: f, Dir: dir, Approval: engine.Approval{Confirm: "test"},
		Lease: f.lease(dir), Mirror: Mirrors{Nodes: f.nodes, Tag: mirrorTag}})
	if err != nil {
		t.Fatal(err)
	}
	return r, r.Wait()
}

func (f *folders) copy(i int, run, file string) string {
	return f.path(i, filepath.Join(mirrorTag, "run", run, file))
}

func same(t testing.TB, a, b string) {
	t.Helper()
	x, errX := os.ReadFile(a)
	y, errY := os.ReadFile(b)
	if errX != nil || errY != nil || !bytes.Equal(x, y) {
		t.Errorf("%s (%d bytes, %v) is not %s (%d bytes, %v)", b, len(y), errY, a, len(x), errX)
	}
}

func TestMirrorHasWhatTheRunHas(t *testing.T) {
	f := newFolders(t, 3)
	r, res := f.run(t, stepsOn(t, f, 6), t.TempDir())
	if res.Err != nil {
		t.Fatal(res.Err)
	}
	for i := range f.nodes {
		for _, file := range []string{"plan.json", "journal.jsonl"} {
			same(t, filepath.Join(r.Dir(), file), f.copy(i, r.ID(), file))
		}
	}
	journal, _ := os.ReadFile(filepath.Join(r.Dir(), "journal.jsonl"))
	if bytes.Contains(journal, []byte("mirror")) {
		t.Errorf("a warning of the mirror:\n%s", journal)
	}
}

// TestMirrorDoesNotStallTheRun: one node is a black hole, the next cannot be
// reached at first.
func TestMirrorDoesNotStallTheRun(t *testing.T) {
	f := newFolders(t, 4)
	p := stepsOn(t, &folders{nodes: f.nodes[:2]}, 6)
	f.set(f.hang, "n3", true)
	f.set(f.gone, "n4", true)
	began := time.Now()
	r, err := engine.Start(t.Context(), engine.Options{Plan: withNodes(t, p, f.names()), Conns: f, Dir: t.TempDir(),
		Approval: engine.Approval{Confirm: "test"}, Mirror: Mirrors{Nodes: f.nodes, Tag: mirrorTag}})
	if err != nil {
		t.Fatal(err)
	}
	res := r.Wait()
	if took := time.Since(began); res.Err != nil || took > 8*time.Second {
		t.Errorf("%v after %v", res.Err, took)
	}
	for i := range 2 {
		same(t, filepath.Join(r.Dir(), "journal.jsonl"), f.copy(i, r.ID(), "journal.jsonl"))
	}
	_, events, err := engine.LoadRun(filepath.Dir(r.Dir()), r.ID())
	if err != nil {
		t.Fatal(err)
	}
	warned := map[string]int{}
	for _, e := range events {
		if e.Type == engine.Warning {
			warned[e.Text.ID+" "+e.Node]++
		}
	}
	if warned["engine.mirror-failed n4"] != 1 || warned["engine.mirror-behind n2"] != 0 {
		t.Errorf("warned of %v", warned)
	}
}

// withNodes is a plan in which more nodes take part than it has steps on.
func withNodes(t testing.TB, p engine.Plan, nodes []string) engine.Plan {
	t.Helper()
	p.Nodes = nodes
	var err error
	if p.Hash, err = engine.HashOf(p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestMirrorSaysWhenNobodyElseHasTheJournal before a step that destroys.
func TestMirrorSaysWhenNobodyElseHasTheJournal(t *testing.T) {
	f := newFolders(t, 2)
	p := stepsOn(t, &folders{nodes: f.nodes[:1]}, 1)
	f.set(f.hang, "n2", true)
	r, err := engine.Start(t.Context(), engine.Options{Plan: withNodes(t, p, f.names()), Conns: f, Dir: t.TempDir(),
		Approval: engine.Approval{Confirm: "test"}, Mirror: Mirrors{Nodes: f.nodes, Tag: mirrorTag}})
	if err != nil {
		t.Fatal(err)
	}
	r.Wait()
	journal, _ := os.ReadFile(filepath.Join(r.Dir(), "journal.jsonl"))
	if n := strings.Count(string(journal), "engine.mirror-behind"); n != 1 {
		t.Errorf("it is said %d times", n)
	}
}

// TestMirrorSetsAsideWhatIsNotOurs: a copy that goes on otherwise, garbage.
func TestMirrorSetsAsideWhatIsNotOurs(t *testing.T) {
	f := newFolders(t, 3)
	dir := t.TempDir()
	p := stepsOn(t, f, 3)
	f.set(f.gone, "n2", false)
	r, res := f.run(t, p, dir)
	if res.Err != nil {
		t.Fatal(res.Err)
	}
	// The run is made undone: its journal loses its end, and so does the work.
	journal := filepath.Join(r.Dir(), "journal.jsonl")
	all, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	cut := bytes.Index(all, []byte(`"type":"step-intent"`))
	cut = bytes.LastIndexByte(all[:cut], '\n') + 1
	if err := os.WriteFile(journal, all[:cut], 0o600); err != nil {
		t.Fatal(err)
	}
	garbage := "\x00\xff not a journal\n"
	if err := os.WriteFile(f.copy(1, r.ID(), "journal.jsonl"), []byte(garbage), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.copy(2, r.ID(), "journal.jsonl"), all[:cut/2], 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := engine.Resume(t.Context(), engine.Options{Plan: p, Conns: f, Dir: dir, Approval: engine.Approval{Confirm: "test"},
		Lease: f.lease(dir), Mirror: Mirrors{Nodes: f.nodes, Tag: mirrorTag}}, r.ID())
	if err != nil {
		t.Fatal(err)
	}
	if res := again.Wait(); res.Err != nil {
		t.Fatal(res.Err)
	}
	for i := range f.nodes {
		same(t, journal, f.copy(i, r.ID(), "journal.jsonl"))
	}
	if b, err := os.ReadFile(f.copy(1, r.ID(), "journal.jsonl.other-1")); err != nil || string(b) != garbage {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := os.ReadFile(f.copy(0, r.ID(), "journal.jsonl.other-1")); err != nil || !bytes.Equal(b, all) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := os.Stat(f.copy(2, r.ID(), "journal.jsonl.other-1")); err == nil {
		t.Error("a copy that is only shorter was set aside")
	}
}
