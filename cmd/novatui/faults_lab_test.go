package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/lab"
	"github.com/novatui/novatui/remote/remotetest"
	"github.com/novatui/novatui/workflows/engine"
)

// faultLab is a lab of three whose nodes are reached through proxies, which
// play the network between the operator and the nodes.
type faultLab struct {
	*lab.Lab
	t     *testing.T
	home  string // of the operator
	file  string // the cluster file with the proxies' ports
	lines map[string]*remotetest.Proxy
}

var nodeLine = regexp.MustCompile(`name: (\S+), address: 127\.0\.0\.1, ssh: \{ port: (\d+) \}`)

// newFaultLab starts a lab and puts its nodes behind proxies.
func newFaultLab(t *testing.T) *faultLab {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a lab")
	}
	l, err := lab.Up(t.Context(), lab.Options{OwnedByCaller: true, Program: labProgram})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	f := &faultLab{Lab: l, t: t, home: t.TempDir(), lines: map[string]*remotetest.Proxy{}}
	hosts := read(t, filepath.Join(filepath.Dir(l.ClusterFile()), "known_hosts"))
	cluster := nodeLine.ReplaceAllStringFunc(read(t, l.ClusterFile()), func(s string) string {
		m := nodeLine.FindStringSubmatch(s)
		p := remotetest.NewProxy(t, "127.0.0.1:"+m[2])
		f.lines[m[1]] = p
		for _, line := range strings.Split(hosts, "\n") {
			if key, ok := strings.CutPrefix(line, "[127.0.0.1]:"+m[2]+" "); ok {
				hosts += fmt.Sprintf("[127.0.0.1]:%d %s\n", p.Port(), key)
			}
		}
		return strings.Replace(s, "port: "+m[2], fmt.Sprintf("port: %d", p.Port()), 1)
	})
	if len(f.lines) != 3 {
		t.Fatalf("the cluster file has another form:\n%s", cluster)
	}
	own := filepath.Join(f.home, "known_hosts")
	cluster = regexp.MustCompile(`known_hosts: \[[^\]]*\]`).ReplaceAllLiteralString(cluster, "known_hosts: [ "+own+" ]")
	f.file = filepath.Join(f.home, "novatui.yaml")
	for path, text := range map[string]string{own: hosts, f.file: cluster} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// mustBreak injects a fault of the lab.
func (f *faultLab) mustBreak(fault string, nodes ...string) {
	f.t.Helper()
	if err := f.Break(f.t.Context(), fault, nodes...); err != nil {
		f.t.Fatal(err)
	}
}

// plan saves a plan of a rejoin.
func (f *faultLab) plan(node string) string {
	f.t.Helper()
	file := filepath.Join(f.home, "plan.json")
	if _, errs, status := run(f.t, f.home, "plan", "rejoin", "--node", node, "--cluster", f.file, "--out", file); status != 0 {
		f.t.Fatalf("plan: exit status %d\n%s", status, errs)
	}
	return file
}

// runDir is the folder of the only run, empty while there is none.
func (f *faultLab) runDir() string {
	found, _ := filepath.Glob(filepath.Join(f.home, "state", "novatui", "runs", "*", "journal.jsonl"))
	if len(found) != 1 {
		return ""
	}
	return filepath.Dir(found[0])
}

// awaits waits until the only run's journal has an event.
func (f *faultLab) awaits(what string, is func(engine.Event) bool) {
	f.t.Helper()
	f.until(what, func() bool {
		dir := f.runDir()
		if dir == "" {
			return false
		}
		for _, line := range strings.Split(read(f.t, filepath.Join(dir, "journal.jsonl")), "\n") {
			var e engine.Event
			if json.Unmarshal([]byte(line), &e) == nil && is(e) {
				return true
			}
		}
		return false
	})
}

// until waits for a condition.
func (f *faultLab) until(what string, ok func() bool) {
	f.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("not within a minute: %s", what)
		}
	}
}
