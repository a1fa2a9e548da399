package chaos

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/novatui/novatui/e2e/suite"
)

func TestScenariosComeFromTheirSeed(t *testing.T) {
	kinds, procedures := map[Kind]int{}, map[string]int{}
	for seed := range uint64(3000) {
		s := New(seed, LabKinds)
		if again := New(seed, LabKinds); !reflect.DeepEqual(s, again) {
			t.Fatalf("%v\nand %v", s, again)
		}
		procedures[s.Damage.Procedure]++
		for _, f := range s.Faults {
			kinds[f.Kind]++
			if !s.bearable(f) {
				t.Errorf("%v: %s", s, f.Kind)
			}
			if s.Damage.Fault == "lose-quorum" && f.Kind == EtcdKill && !slices.Contains(s.Damage.Nodes, f.Node) {
				t.Errorf("%v kills the survivor", s)
			}
		}
	}
	for _, k := range LabKinds {
		if kinds[k] < 100 {
			t.Errorf("%s came %d times", k, kinds[k])
		}
	}
	if len(procedures) != 4 {
		t.Errorf("procedures %v", procedures)
	}
}

func TestTwoClusters(t *testing.T) {
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	seen := func(cluster uint64, from, to int) look { return look{"master-1", cluster, at(from), at(to)} }
	for name, c := range map[string]struct {
		looks  []look
		writes []write
		broken bool
	}{
		"one":                          {looks: []look{seen(1, 1, 2), seen(1, 3, 4)}},
		"one after the other":          {looks: []look{seen(1, 1, 2), seen(1, 3, 4), seen(2, 5, 6), seen(2, 7, 8)}},
		"the old one serves again":     {looks: []look{seen(1, 1, 2), seen(2, 5, 6), seen(1, 7, 8)}, broken: true},
		"three, the first again":       {looks: []look{seen(1, 1, 2), seen(2, 3, 4), seen(3, 5, 6), seen(1, 7, 8)}, broken: true},
		"a slow answer is no evidence": {looks: []look{seen(1, 1, 2), seen(1, 3, 9), seen(2, 4, 5)}},
		"the old one takes a write": {
			looks:  []look{seen(1, 1, 2), seen(2, 5, 6)},
			writes: []write{{acked: true, cluster: 1, sent: at(7), seen: at(8)}}, broken: true,
		},
		"a write that was not acknowledged": {
			looks:  []look{seen(1, 1, 2), seen(2, 5, 6)},
			writes: []write{{cluster: 1, sent: at(7), seen: at(8)}},
		},
	} {
		if got := twoClusters(c.looks, c.writes); (got != "") != c.broken {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestWrongKeys(t *testing.T) {
	sum := func(v string) string { return digest([]byte(v)) }
	base := map[string]string{"a": sum("1"), "b": sum("2"), "old": sum("0")}
	writes := []write{
		{key: "old", value: "x", acked: true, cluster: 1},
		{key: "old", value: "y", acked: true, cluster: 2},
		{key: "old", value: "z"},
		{key: "new", value: "n", acked: true, cluster: 2},
		{key: "gone", value: "g", acked: true, cluster: 1},
	}
	kept := map[string]string{"a": sum("1"), "b": sum("2"), "old": sum("y"), "new": sum("n"), "gone": sum("g")}
	with := func(changes ...string) map[string]string {
		m := map[string]string{}
		for k, v := range kept {
			m[k] = v
		}
		for i := 0; i < len(changes); i += 2 {
			if m[changes[i]] = changes[i+1]; changes[i+1] == "" {
				delete(m, changes[i])
			}
		}
		return m
	}
	for name, c := range map[string]struct {
		exact  bool
		have   map[string]string
		broken string
	}{
		"all there":                      {have: kept},
		"a key of before is lost":        {have: with("a", ""), broken: "lost"},
		"a key of before is another":     {have: with("a", sum("2")), broken: "not what"},
		"an acknowledged key is lost":    {have: with("new", ""), broken: "lost"},
		"the write before the last":      {have: with("old", sum("x")), broken: "not what"},
		"one that was not acknowledged":  {have: with("old", sum("z"))},
		"what nobody wrote may be there": {have: with("theirs", sum("t"))},
		"restored: not what nobody wrote": {
			exact: true, have: with("gone", "", "theirs", sum("t")), broken: "from nowhere",
		},
		"restored: the old cluster's are lost": {exact: true, have: with("gone", "")},
		"restored: the old cluster's are back": {exact: true, have: kept, broken: "not what"},
	} {
		got := strings.Join(wanted{base: base, exact: c.exact}.wrongKeys("master-1", c.have, writes, 2), "; ")
		if (got != "") != (c.broken != "") || !strings.Contains(got, c.broken) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// folders is a World of folders.
type folders struct {
	World
	dir     string
	running map[string]bool
}

func (f folders) Nodes() []string               { return []string{"master-1", "master-2", "master-3"} }
func (f folders) Path(node, path string) string { return filepath.Join(f.dir, node, path) }
func (f folders) Running(_ context.Context, node string) (bool, error) {
	return f.running[node], nil
}

func (f folders) put(t *testing.T, path, content string) {
	t.Helper()
	path = filepath.Join(f.dir, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestLostRelics(t *testing.T) {
	w := folders{dir: t.TempDir()}
	w.put(t, "master-2/var/lib/etcd/member/snap/db", "broken")
	w.put(t, "master-2/var/lib/etcd/member/wal/0.wal", "log")
	all, err := relics(w, Damage{Fault: "corrupt-db", Nodes: []int{1}})
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	old, aside := w.Path("master-2", dataDir), w.Path("master-2", dataDir+asideEnd+"20260101")
	if err := os.Rename(old, aside); err != nil {
		t.Fatal(err)
	}
	w.put(t, "master-2/var/lib/etcd/member/snap/db", "new")
	if got := lost(w, all); len(got) > 0 {
		t.Errorf("renamed: %v", got)
	}
	w.put(t, "master-2/var/lib/etcd.novatui-20260101/member/snap/db", "mended")
	if got := lost(w, all); len(got) != 1 {
		t.Errorf("written into: %v", got)
	}
	if err := os.RemoveAll(aside); err != nil {
		t.Fatal(err)
	}
	if got := lost(w, all); len(got) != 2 {
		t.Errorf("deleted: %v", got)
	}
}

func TestClaims(t *testing.T) {
	plan := `{"procedure":"rejoin","tag":"T","stages":[{"steps":[{"id":"stop/master-2","effect":"change"},
		{"id":"aside/master-2","effect":"destroy"},{"id":"env/master-2","effect":"change"},{"id":"start/master-2","effect":"change"}]}]}`
	for name, c := range map[string]struct {
		journal string
		aside   bool
		running bool
		torn    bool
		broken  int
	}{
		"nothing begun":                {journal: `{"type":"run-started"}`, running: true},
		"set aside, and never begun":   {journal: `{"type":"run-started"}`, aside: true, broken: 1},
		"the same with a torn journal": {journal: `{"type":"run-started"}`, aside: true, torn: true},
		"unknown proves nothing":       {journal: `{"type":"step-intent","step":"aside/master-2"}`, aside: true},
		"stopped, and it runs":         {journal: `{"type":"step-done","step":"stop/master-2"}`, running: true, broken: 1},
		"stopped, and begun to start": {
			journal: `{"type":"step-done","step":"stop/master-2"}` + "\n" + `{"type":"step-intent","step":"start/master-2"}`, running: true,
		},
		"done, and nothing is aside": {journal: `{"type":"step-done","step":"aside/master-2"}`, broken: 1},
		"done, and it is aside":      {journal: `{"type":"step-done","step":"aside/master-2"}`, aside: true},
		"written, and it is not":     {journal: `{"type":"step-done","step":"env/master-2"}`, broken: 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := folders{dir: t.TempDir(), running: map[string]bool{"master-2": c.running}}
			w.put(t, "master-2/var/lib/etcd/member/snap/db", "data")
			w.put(t, "state/"+runsBelow+"/r/plan.json", plan)
			w.put(t, "state/"+runsBelow+"/r/"+journalName, c.journal+"\n{\"type\":\"half")
			if c.aside {
				w.put(t, "master-2/var/lib/etcd.novatui-T/member/snap/db", "data")
			}
			runs, err := journals(filepath.Join(w.dir, "state"))
			if err != nil || len(runs) != 1 {
				t.Fatal(runs, err)
			}
			if got := claimsHold(t.Context(), w, runs[0], map[string]*clientv3.Client{}, c.torn); len(got) != c.broken {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestWayBack(t *testing.T) {
	w := folders{dir: t.TempDir()}
	w.put(t, "state/"+runsBelow+"/r/plan.json", `{"procedure":"rejoin","tag":"T","stages":[{"steps":[{"id":"remove/master-2","effect":"destroy"}]}]}`)
	w.put(t, "state/"+runsBelow+"/r/"+journalName, `{"type":"step-done","step":"snapshot/master-1"}`+"\n"+`{"type":"step-intent","step":"remove/master-2","time":"2030-01-01T00:00:00Z"}`+"\n")
	runs, err := journals(filepath.Join(w.dir, "state"))
	if err != nil || len(runs) != 1 {
		t.Fatal(runs, err)
	}
	if got := wayBack(w, runs[0]); len(got) != 3 { // no copy step, no file, one holder
		t.Errorf("%q", got)
	}
	w.put(t, "master-1/var/lib/novatui/T/snapshot.db", strings.Repeat("no snapshot", 100))
	if got := wayBack(w, runs[0]); len(got) != 3 { // the checksum instead of the file
		t.Errorf("%q", got)
	}
}

func TestKillInside(t *testing.T) {
	script := `echo '{"type":"step-intent","step":"a"}'; echo '{"type":"command","step":"a"}'; exec sleep 60`
	came, inside, a, err := KillInside(exec.CommandContext(t.Context(), "sh", "-c", script), "a", 20*time.Millisecond)
	if err != nil || !came || !inside || a.Exit != exitKilled {
		t.Errorf("came %v, inside %v, %d, %v", came, inside, a.Exit, err)
	}
	script = `echo '{"type":"step-intent","step":"a"}'; echo '{"type":"step-done","step":"a"}'`
	came, inside, a, err = KillInside(exec.CommandContext(t.Context(), "sh", "-c", script), "a", time.Minute)
	if err != nil || !came || inside || a.Exit != 0 {
		t.Errorf("came %v, inside %v, %d, %v", came, inside, a.Exit, err)
	}
}

var _ suite.World = folders{}
