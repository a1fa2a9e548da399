package suite_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/novatui/novatui/e2e/suite"
)

// elsewhere is the same cluster as an operator on another machine sees it: with
// another state folder.
func (w *labWorld) elsewhere(t testing.TB) *labWorld {
	t.Helper()
	return &labWorld{dir: w.dir, state: t.TempDir(), operator: w.operator, nodes: w.nodes}
}

// frozen starts an apply that stops itself (SIGSTOP) right after the event at,
// and waits until it has. wake lets it go on and gives its end.
func (w *labWorld) frozen(t testing.TB, at, file string) (wake func() suite.Answer) {
	t.Helper()
	c := exec.Command(w.operator, "--cluster", filepath.Join(w.dir, "novatui.yaml"), "apply", file, "--confirm", w.Cluster())
	c.Env = append(os.Environ(), "XDG_STATE_HOME="+w.state, "XDG_CONFIG_HOME="+w.state, "LC_ALL=C.UTF-8",
		"SSH_AUTH_SOCK=", "NOVATUI_STOP_AT="+at)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() { _ = c.Process.Kill() })
	for limit := time.Now().Add(suite.Limit); ; {
		stat, err := os.ReadFile(filepath.Join("/proc", itoa(c.Process.Pid), "stat"))
		if _, rest, ok := strings.Cut(string(stat), ") "); err == nil && ok && strings.HasPrefix(rest, "T") {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended before %s: %v\n%s\n%s", at, err, stdout.Bytes(), stderr.Bytes())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(limit) {
			t.Fatalf("it did not stop at %s", at)
		}
	}
	return func() suite.Answer {
		if err := c.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended:
		case <-time.After(suite.Limit):
			t.Fatal("it did not end after it was woken up")
		}
		return suite.Answer{Exit: c.ProcessState.ExitCode(), Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}
	}
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

// age makes the lease on every node look as if it had not been renewed for a
// minute.
func (w *labWorld) age(t testing.TB) {
	t.Helper()
	old := time.Now().Add(-time.Minute)
	for _, node := range w.nodes {
		if err := os.Chtimes(w.lease(node), old, old); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *labWorld) lease(node string) string {
	return filepath.Join(w.dir, node, "var/lib/novatui/lease")
}

// unleased: nothing of a lease is left on any node.
func (w *labWorld) unleased(t testing.TB) {
	t.Helper()
	for _, node := range w.nodes {
		if left, _ := filepath.Glob(w.lease(node) + "*"); len(left) > 0 {
			t.Errorf("%s: left is %v", node, left)
		}
	}
}

// runs are the runs that a machine knows, newest first.
type storedRun struct {
	ID        string `json:"id"`
	Outcome   string `json:"outcome"`
	Active    bool   `json:"active"`
	Resumable bool   `json:"resumable"`
	Dir       string `json:"dir"`
}

func (w *labWorld) runs(t testing.TB) []storedRun {
	t.Helper()
	a := w.Novatui(context.Background(), nil, "runs", "-o", "json")
	var out struct{ Runs []storedRun }
	if err := json.Unmarshal(a.Stdout, &out); a.Exit != 0 || err != nil {
		t.Fatalf("runs: exit %d, %v\n%s\n%s", a.Exit, err, a.Stdout, a.Stderr)
	}
	return out.Runs
}

// TestTwoOperators: the second one is refused with status 5 and told who works
// there, and nothing changes; when the first one's machine gives no sign of life
// the second takes over in so many words; and the first one, woken up, changes
// nothing and says that it lost the cluster.
func TestTwoOperators(t *testing.T) {
	t.Parallel()
	first := quick(t)
	second := first.elsewhere(t)
	c := named(t, "corrupt-db")
	before := c.Break(t, first)
	d := suite.Diagnose(t, first)
	file := suite.Plan(t, first, d)
	// Right before what cannot be taken back.
	wake := first.frozen(t, "step-intent:stop/"+first.nodes[1], file)
	run := onlyRun(t, first)

	call := func(args ...string) suite.Answer { return second.Novatui(t.Context(), nil, args...) }
	for _, args := range [][]string{{"apply", file, "--confirm", "nova-lab"}, {"apply", file, "--confirm", "nova-lab", "--take-over"},
		{"unlock", "--confirm", "nova-lab"}} {
		a := call(args...)
		host, _ := os.Hostname()
		if said := string(a.Stderr); a.Exit != 5 || !strings.Contains(said, run) || !strings.Contains(said, host) ||
			!strings.Contains(said, "stop/"+first.nodes[1]) && args[0] == "apply" && !strings.Contains(said, "sign of life") {
			t.Errorf("%v: exit %d\n%s", args, a.Exit, a.Stderr)
		}
	}
	if left := runFolders(t, second); len(left) > 0 {
		t.Errorf("the refusals left %v", left)
	}

	first.age(t)
	file2 := suite.Plan(t, second, suite.Diagnose(t, second))
	if a := call("apply", file2, "--confirm", "nova-lab"); a.Exit != 5 || !strings.Contains(string(a.Stderr), "--take-over") {
		t.Errorf("without --take-over: exit %d\n%s", a.Exit, a.Stderr)
	}
	if a := call("apply", file2, "--confirm", "nova-lab", "--take-over"); a.Exit != 0 || !strings.Contains(string(a.Stdout), run) {
		t.Fatalf("taking over: exit %d\n%.3000s\n%s", a.Exit, a.Stdout, a.Stderr)
	}
	c.Proved(t, second, before)
	second.unleased(t)

	a := wake()
	if said := string(a.Stderr); a.Exit != 5 && a.Exit != 4 || !strings.Contains(said, "lost the cluster") {
		t.Errorf("woken up: exit %d\n%s", a.Exit, a.Stderr)
	}
	c.Proved(t, first, before)
	if changed := changesAfter(t, first, run, "step-intent"); len(changed) > 0 {
		t.Errorf("woken up, it ran %v", changed)
	}
	first.unleased(t)
}

// TestUnlock shows the holder and takes a stale lease away, and a live one only
// by force; its run then changes nothing more.
func TestUnlock(t *testing.T) {
	t.Parallel()
	first := quick(t)
	second := first.elsewhere(t)
	c := named(t, "stop")
	before := c.Break(t, first)
	file := suite.Plan(t, first, suite.Diagnose(t, first))
	unlock := func(args ...string) (a suite.Answer) {
		return second.Novatui(t.Context(), nil, append([]string{"unlock"}, args...)...)
	}
	if a := unlock(); a.Exit != 0 || !strings.Contains(string(a.Stderr), "Nobody holds") {
		t.Errorf("free: exit %d\n%s", a.Exit, a.Stderr)
	}
	first.unleased(t)
	wake := first.frozen(t, "step-intent:restart/"+first.nodes[1], file)
	run := onlyRun(t, first)
	var seen struct {
		Schema  string
		Held    bool
		Removed bool
		Holder  struct {
			Run   string
			Stale bool
			Nodes []string
		}
	}
	a := unlock("-o", "json")
	if err := json.Unmarshal(a.Stdout, &seen); err != nil || a.Exit != 0 || !seen.Held || seen.Holder.Run != run || len(seen.Holder.Nodes) != 3 || seen.Holder.Stale {
		t.Errorf("held: exit %d, %v\n%s", a.Exit, err, a.Stdout)
	}
	if a := unlock("--confirm", "another"); a.Exit != 3 {
		t.Errorf("another name: exit %d\n%s", a.Exit, a.Stderr)
	}
	if a := unlock("--confirm", "nova-lab"); a.Exit != 5 {
		t.Errorf("alive: exit %d\n%s", a.Exit, a.Stderr)
	}
	if a := unlock("--confirm", "nova-lab", "--force"); a.Exit != 0 {
		t.Errorf("by force: exit %d\n%s", a.Exit, a.Stderr)
	}
	first.unleased(t)
	if a := wake(); !strings.Contains(string(a.Stderr), "lost the cluster") {
		t.Errorf("woken up: exit %d\n%s", a.Exit, a.Stderr)
	}
	if d := suite.Diagnose(t, first); d.State == "healthy" {
		t.Error("the run that lost the cluster started the member")
	}
	if a := first.Novatui(t.Context(), nil, "resume"); a.Exit != 0 {
		t.Errorf("resume: exit %d\n%s\n%s", a.Exit, a.Stdout, a.Stderr)
	}
	c.Proved(t, first, before)
	first.unleased(t)
}

// onlyRun is the one run of a machine.
func onlyRun(t testing.TB, w *labWorld) string {
	t.Helper()
	folders := runFolders(t, w)
	if len(folders) != 1 {
		t.Fatalf("%d runs: %v", len(folders), folders)
	}
	return filepath.Base(folders[0])
}

func runFolders(t testing.TB, w *labWorld) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(w.state, "novatui/runs/[^.]*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// changesAfter are the commands beyond reading that ran to an end after the last
// event of a type in a run's journal.
func changesAfter(t testing.TB, w *labWorld, run, after string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join(w.state, "novatui/runs", run, "journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var changes []string
	lines := map[uint64]string{}
	for d := json.NewDecoder(f); ; {
		var e struct {
			Seq, Ref           uint64
			Type, Effect, Line string
			Exit               *int
		}
		err := d.Decode(&e)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) && d.More() {
				t.Fatal(err)
			}
			return changes
		}
		switch {
		case e.Type == after:
			changes, lines = nil, map[uint64]string{}
		case e.Type == "command" && e.Effect != "read":
			lines[e.Seq] = e.Line
		case e.Type == "command-end" && e.Exit != nil && lines[e.Ref] != "":
			changes = append(changes, lines[e.Ref])
		}
	}
}
