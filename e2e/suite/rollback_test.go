package suite_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/novatui/novatui/e2e/suite"
)

// seen is what a node looks like from outside: what a rollback must leave as it
// was.
type seen struct {
	env  string // digest of the env file, with its mode
	load string // of the unit: loaded or masked, and whether our drop-in holds it
	up   bool   // systemd runs the unit or keeps trying
	log  bool   // the member has a WAL
	dir  uint64 // inode of the data directory; 0: there is none
	data string // digests of what is in it; only of a member that does not run
}

// look describes every node.
func (w *labWorld) look(t *testing.T) map[string]seen {
	t.Helper()
	var status struct {
		Nodes []struct {
			Name string `json:"name"`
			Unit struct {
				Load   string `json:"load"`
				Active string `json:"active"`
			} `json:"unit"`
			Etcd struct {
				Answers bool `json:"answers"`
			} `json:"etcd"`
		} `json:"nodes"`
	}
	if err := json.Unmarshal(w.must(t, "lab", "status", "--dir", w.dir, "-o", "json"), &status); err != nil {
		t.Fatal(err)
	}
	all := map[string]seen{}
	for _, n := range status.Nodes {
		root := filepath.Join(w.dir, n.Name)
		s := seen{load: n.Unit.Load, up: n.Unit.Active == "active" || n.Unit.Active == "activating"}
		if held, _ := filepath.Glob(filepath.Join(root, "etc/systemd/system/*.d/*-novatui-hold.conf")); len(held) > 0 {
			s.load += " held"
		}
		b, err := os.ReadFile(filepath.Join(root, "etc/etcd.env"))
		if err != nil {
			t.Fatal(err)
		}
		s.env = fmt.Sprintf("%x", sha256.Sum256(b))
		data := filepath.Join(root, "var/lib/etcd")
		if info, err := os.Stat(data); err == nil {
			s.dir = info.Sys().(*syscall.Stat_t).Ino
			s.env += info.Mode().String()
		}
		wal, _ := filepath.Glob(filepath.Join(data, "member/wal/*.wal"))
		s.log = len(wal) > 0
		if !n.Etcd.Answers && !s.up {
			s.data = digestOf(t, data)
		}
		all[n.Name] = s
	}
	return all
}

// digestOf is every file below a folder, with its content.
func digestOf(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // a folder that is not there has no files
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		fmt.Fprintf(&b, "%s %x\n", rel, sha256.Sum256(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// inodes lists every file of a node that a run may move but must never delete.
func (w *labWorld) inodes(t *testing.T, node string) []uint64 {
	t.Helper()
	var all []uint64
	for _, place := range []string{"var/lib/etcd*", "etc/etcd.env.novatui-*"} {
		found, err := filepath.Glob(filepath.Join(w.dir, node, place))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			if info, err := os.Stat(path); err == nil {
				all = append(all, info.Sys().(*syscall.Stat_t).Ino)
			}
		}
	}
	return all
}

// compare says what is not as it was.
func compare(t *testing.T, before, after map[string]seen) {
	t.Helper()
	for node, was := range before {
		now := after[node]
		if was.data == "" {
			now.data = ""
		}
		if now != was {
			t.Errorf("%s is not as it was:\n%+v\nwas\n%+v", node, now, was)
		}
	}
}

// listed is a run as novatui runs lists it.
type listed struct {
	ID         string `json:"id"`
	Procedure  string `json:"procedure"`
	UndoneBy   string `json:"undone_by"`
	RolledBack bool   `json:"rolled_back"`
	Resumable  bool   `json:"resumable"`
}

// list is what novatui runs lists, newest first.
func (w *labWorld) list(t *testing.T) []listed {
	t.Helper()
	var list struct {
		Runs []listed `json:"runs"`
	}
	a := w.call(t, nil, "runs", "-o", "json")
	if err := json.Unmarshal(a.Stdout, &list); err != nil {
		t.Fatalf("runs: exit %d: %v\n%s", a.Exit, err, a.Stderr)
	}
	return list.Runs
}

// last is the newest run of a procedure.
func (w *labWorld) last(t *testing.T, procedure string) listed {
	t.Helper()
	runs := w.list(t)
	i := slices.IndexFunc(runs, func(r listed) bool { return r.Procedure == procedure })
	if i < 0 {
		t.Fatalf("no run of %s among %+v", procedure, runs)
	}
	return runs[i]
}

func (w *labWorld) call(t *testing.T, env []string, args ...string) suite.Answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), suite.Limit)
	defer cancel()
	return w.Novatui(ctx, env, args...)
}

// begin plans what is recommended, and lets the run die at a point (empty: it
// ends well). It gives the run and the nodes as they were before it.
func (w *labWorld) begin(t *testing.T, point string) (run string, before map[string]seen) {
	t.Helper()
	d := suite.Diagnose(t, w)
	file := suite.Plan(t, w, d)
	before = w.look(t)
	a := w.call(t, []string{"NOVATUI_KILL_AT=" + point}, "apply", file, "--confirm", w.Cluster())
	if killed := a.Exit != 0; killed != (point != "") || strings.Contains(string(a.Stderr), "panic:") {
		t.Fatalf("apply until %q: exit %d\n%s\n%s", point, a.Exit, a.Stdout, a.Stderr)
	}
	return w.last(t, d.Recommended.Procedure).ID, before
}

// undo rolls a run back and compares the nodes with what they were.
func (w *labWorld) undo(t *testing.T, run string, before map[string]seen, more ...string) {
	t.Helper()
	kept := map[string][]uint64{}
	for _, node := range w.nodes {
		kept[node] = w.inodes(t, node)
	}
	args := append([]string{"rollback", run, "--confirm", w.Cluster(), "-o", "json"}, more...)
	if a := w.call(t, nil, args...); a.Exit != 0 {
		t.Fatalf("rollback: exit %d\n%s\n%s", a.Exit, a.Stdout, a.Stderr)
	}
	w.undone(t, run, before, kept)
}

// undone judges a rollback that ended well.
func (w *labWorld) undone(t *testing.T, run string, before map[string]seen, kept map[string][]uint64) {
	t.Helper()
	expected := maps.Clone(before)
	for node, was := range expected {
		was.up = was.up && was.log // a member whose log was gone is not started
		expected[node] = was
	}
	compare(t, expected, w.look(t))
	for _, node := range w.nodes {
		now := w.inodes(t, node)
		for _, inode := range kept[node] {
			if !slices.Contains(now, inode) {
				t.Errorf("%s: something that lay beside the data or the env file is gone", node)
			}
		}
	}
	by := w.last(t, "rollback").ID
	for _, r := range w.list(t) {
		if r.ID == run && (!r.RolledBack || r.UndoneBy != by || r.Resumable) {
			t.Errorf("the run that was rolled back by %s is listed as %+v", by, r)
		}
	}
	a := w.refuses(t, "resume", run)
	if !strings.Contains(string(a.Stderr), "rolled back by "+by) {
		t.Errorf("resume of a run that was rolled back says %s", a.Stderr)
	}
	if a := w.refuses(t, "rollback", by); !strings.Contains(string(a.Stderr), "is itself a rollback") {
		t.Errorf("rollback of a rollback says %s", a.Stderr)
	}
	w.refuses(t, "rollback", run)
}

// refuses runs a command that must end with status 3 and change nothing that
// can be seen.
func (w *labWorld) refuses(t *testing.T, args ...string) suite.Answer {
	t.Helper()
	before := w.look(t)
	a := w.call(t, nil, args...)
	if a.Exit != refused {
		t.Errorf("novatui %s: exit %d, want %d\n%s\n%s", strings.Join(args, " "), a.Exit, refused, a.Stdout, a.Stderr)
	}
	compare(t, before, w.look(t))
	return a
}

// later are points that only the long test takes.
func later(points ...string) []string {
	if os.Getenv("NOVATUI_TEST_FULL") == "" {
		return nil
	}
	return points
}

var accepted = []string{
	"--override", "rollback-writes=rollback-writes nova-lab",
	"--override", "rollback-serving=rollback-serving nova-lab",
}

// takeBack lets runs die at points, one after the other, and takes each back. The
// cluster is as broken afterwards as before, so the next run begins alike.
func (w *labWorld) takeBack(t *testing.T, points ...string) {
	t.Helper()
	for _, point := range points {
		run, before := w.begin(t, point)
		w.undo(t, run, before)
		if t.Failed() {
			t.Fatalf("after a kill at %s", point)
		}
		t.Logf("taken back after a kill at %s", point)
	}
}

// TestRollbackOfARestore: a full restore that died at any of these points is
// taken back, also by a rollback that is itself killed and resumed: the ruined
// data lie in their place again, byte for byte, and a restore still repairs the
// cluster.
func TestRollbackOfARestore(t *testing.T) {
	t.Parallel()
	w, c := quick(t), named(t, "lose-all")
	keys := c.Break(t, w)
	w.takeBack(t, append([]string{"step-intent:stop/master-2", "step-intent:place/master-2"},
		later("step-done:prepare/master-2", "step-done:stop/master-2", "step-intent:aside/master-2", "step-done:aside/master-2",
			"step-done:place/master-2", "step-intent:env/master-2", "step-done:env/master-2")...)...)
	for _, point := range append([]string{"step-done:wait/master-2"}, later("step-intent:start/master-2", "")...) {
		run, before := w.begin(t, point)
		if a := w.refuses(t, "rollback", run, "--confirm", w.Cluster()); !strings.Contains(string(a.Stderr), "rollback-writes") {
			t.Errorf("the guard is not named: %s", a.Stderr)
		}
		kept := map[string][]uint64{}
		for _, node := range w.nodes {
			kept[node] = w.inodes(t, node)
		}
		args := append([]string{"rollback", run, "--confirm", w.Cluster()}, accepted...)
		if a := w.call(t, []string{"NOVATUI_KILL_AT=step-intent:back/master-2"}, args...); a.Exit != -1 && a.Exit != 137 {
			t.Fatalf("the rollback was not killed: exit %d\n%s\n%s", a.Exit, a.Stdout, a.Stderr)
		}
		if a := w.refuses(t, "resume", run); !strings.Contains(string(a.Stderr), "being rolled back by") {
			t.Errorf("resume of a run that is being rolled back says %s", a.Stderr)
		}
		if a := w.call(t, nil, "resume"); a.Exit != 0 {
			t.Fatalf("resume of the rollback: exit %d\n%s\n%s", a.Exit, a.Stdout, a.Stderr)
		}
		w.undone(t, run, before, kept)
	}
	suite.Apply(t, w, nil, suite.Plan(t, w, suite.Diagnose(t, w)))
	c.Proved(t, w, keys)
}

// TestRollbackOfASalvage: two nodes come back with the empty directories that
// they had.
func TestRollbackOfASalvage(t *testing.T) {
	t.Parallel()
	w, c := quick(t), named(t, "lose-quorum")
	c.Break(t, w)
	w.takeBack(t, "step-done:place/master-2")
}

// TestRollbackOfARejoin: until the membership is removed all is as it was; after
// it there is no way back, and the run goes on.
func TestRollbackOfARejoin(t *testing.T) {
	t.Parallel()
	w, c := quick(t), named(t, "corrupt-db")
	before := c.Break(t, w)
	w.takeBack(t, append([]string{"step-intent:remove/master-2"}, later("step-done:stop/master-2", "step-intent:stop/master-2")...)...)
	run, _ := w.begin(t, "step-done:aside/master-2")
	if a := w.refuses(t, "rollback", run, "--confirm", w.Cluster()); !strings.Contains(string(a.Stderr), "there is no way back") ||
		!strings.Contains(string(a.Stderr), "novatui resume "+run) {
		t.Errorf("rollback after the removal says %s", a.Stderr)
	}
	if a := w.call(t, nil, "resume"); a.Exit != 0 {
		t.Fatalf("resume: exit %d\n%s\n%s", a.Exit, a.Stdout, a.Stderr)
	}
	c.Proved(t, w, before)
	w.refuses(t, "rollback", run, "--confirm", w.Cluster())
}

// TestRollbackOfARestart: a member that the restart made healthy is not stopped
// again, and a run that changed nothing has no way back.
func TestRollbackOfARestart(t *testing.T) {
	t.Parallel()
	w, c := quick(t), named(t, "stop")
	c.Break(t, w)
	w.takeBack(t, "step-intent:restart/master-2")
	run, _ := w.begin(t, "step-done:restart/master-2")
	if a := w.call(t, nil, "resume"); a.Exit != 0 {
		t.Fatalf("resume: exit %d\n%s\n%s", a.Exit, a.Stdout, a.Stderr)
	}
	if a := w.refuses(t, "rollback", run); !strings.Contains(string(a.Stderr), "rollback-healthy") {
		t.Errorf("the guard is not named: %s", a.Stderr)
	}
}
