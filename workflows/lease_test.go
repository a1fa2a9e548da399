package workflows

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// folders is a cluster whose nodes are folders of this machine: commands run as
// real processes.
type folders struct {
	nodes []remote.Node

	mu    sync.Mutex
	hang  map[string]bool // nodes that answer nothing until ctx ends
	gone  map[string]bool // nodes that cannot be connected to
	lines []string        // that were sent, "node: what"
}

func newFolders(t testing.TB, n int) *folders {
	t.Helper()
	f := &folders{hang: map[string]bool{}, gone: map[string]bool{}}
	for i := range n {
		name := fmt.Sprintf("n%d", i+1)
		f.nodes = append(f.nodes, remote.Node{Name: name, Root: filepath.Join(t.TempDir(), name)})
		if err := os.MkdirAll(f.nodes[i].Root, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func (f *folders) names() []string {
	var names []string
	for _, n := range f.nodes {
		names = append(names, n.Name)
	}
	return names
}

func (f *folders) path(i int, name string) string {
	return filepath.Join(f.nodes[i].Root, "var/lib/novatui", name)
}

func (f *folders) set(which map[string]bool, node string, on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	which[node] = on
}

func (f *folders) Conn(_ context.Context, node string) (remote.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone[node] {
		return nil, remote.ErrUnreachable
	}
	return &folderConn{f, node}, nil
}

type folderConn struct {
	f    *folders
	node string
}

func (c *folderConn) Node() remote.Node { return remote.Node{Name: c.node} }
func (c *folderConn) Alive() time.Time  { return time.Now() }
func (c *folderConn) Close() error      { return nil }
func (c *folderConn) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, remote.ErrUnreachable
}

func (c *folderConn) Run(ctx context.Context, cmd remote.Command, s remote.Streams) (remote.Result, error) {
	c.f.mu.Lock()
	hang := c.f.hang[c.node]
	if len(cmd.Argv) > 4 {
		c.f.lines = append(c.f.lines, c.node+": "+cmd.Argv[4])
	}
	c.f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return remote.Result{}, fmt.Errorf("%w: %w", remote.ErrOutcomeUnknown, ctx.Err())
	}
	var out, errs bytes.Buffer
	p := exec.CommandContext(ctx, cmd.Argv[0], cmd.Argv[1:]...)
	p.Env = append(os.Environ(), cmd.Env...)
	p.Stdin, p.Stdout, p.Stderr = strings.NewReader(cmd.Stdin), &out, &errs
	if s.Stdin != nil {
		p.Stdin = s.Stdin
	}
	if s.Stdout != nil {
		p.Stdout = s.Stdout
	}
	if s.Stderr != nil {
		p.Stderr = s.Stderr
	}
	err := p.Run()
	if p.ProcessState == nil || ctx.Err() != nil {
		return remote.Result{}, fmt.Errorf("%w: %w", remote.ErrOutcomeUnknown, errors.Join(err, ctx.Err()))
	}
	return remote.Result{Exit: p.ProcessState.ExitCode(), Stdout: out.Bytes(), Stderr: errs.Bytes()}, nil
}

// lease is the lease of an operator with a folder of his own.
func (f *folders) lease(dir string) engine.NodeLease {
	return engine.NodeLease{Local: engine.LocalLease{Dir: dir}, Keeper: Leases{Conns: f, Nodes: f.nodes}, Nodes: f.names(),
		Every: 50 * time.Millisecond}
}

func holder(run string) engine.Holder {
	host, _ := os.Hostname()
	return engine.Holder{Cluster: "test", Run: run, Owner: "ann", Host: host, PID: 1, Since: time.Now()}
}

func (f *folders) free(t testing.TB) {
	t.Helper()
	for i, n := range f.nodes {
		if _, err := os.Lstat(f.path(i, "")); err == nil {
			all, _ := os.ReadDir(f.path(i, ""))
			t.Errorf("%s: left is %v", n.Name, all)
		}
	}
}

func TestLeaseIsGivenBackOnConflictAndAtTheEnd(t *testing.T) {
	f := newFolders(t, 3)
	mine, theirs := f.lease(t.TempDir()), f.lease(t.TempDir())
	held, err := mine.Acquire(t.Context(), holder("one"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = theirs.Acquire(t.Context(), holder("two"))
	var locked *engine.LockedError
	if !errors.As(err, &locked) || locked.Holder.Run != "one" || locked.Holder.Owner != "ann" || locked.Stale || len(locked.Nodes) != 3 {
		t.Fatalf("%v, %+v", err, locked)
	}
	for _, lang := range msg.Languages {
		if said := msg.New(lang).S(engine.Explain(err)); !strings.Contains(said, "one") || !strings.Contains(said, "ann") {
			t.Errorf("%s: %s", lang, said)
		}
	}
	theirs.TakeOver = true // it is alive all the same
	if _, err := theirs.Acquire(t.Context(), holder("two")); !errors.Is(err, engine.ErrLocked) {
		t.Errorf("over a live one: %v", err)
	}
	if err := held.Check(t.Context()); err != nil {
		t.Errorf("the refusals hurt the holder: %v", err)
	}
	if err := held.Release(); err != nil {
		t.Error(err)
	}
	f.free(t)
	again, err := theirs.Acquire(t.Context(), holder("two"))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Release(); err != nil {
		t.Error(err)
	}
	f.free(t)
}

func TestLeaseNeedsAMajority(t *testing.T) {
	f := newFolders(t, 3)
	f.set(f.gone, "n1", true)
	l := f.lease(t.TempDir())
	held, err := l.Acquire(t.Context(), holder("one"))
	if err != nil {
		t.Fatal(err)
	}
	// A node that comes back is taken with the next renewal.
	f.set(f.gone, "n1", false)
	until(t, func() bool {
		seen, _ := l.Holder(t.Context())
		return seen != nil && len(seen.Nodes) == 3
	})
	if err := held.Release(); err != nil {
		t.Error(err)
	}
	f.free(t)
	f.set(f.gone, "n1", true)
	f.set(f.gone, "n2", true)
	_, err = l.Acquire(t.Context(), holder("one"))
	if !errors.Is(err, engine.ErrRefused) || !strings.Contains(msg.New("en").S(engine.Explain(err)), "n1, n2") {
		t.Errorf("one of three: %v", err)
	}
	f.free(t)
}

// until waits for a condition.
func until(t testing.TB, ok func() bool) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("it did not come true")
		}
	}
}

// TestLeaseOfTheDeadIsTakenOver: that of this folder of runs at once, that of
// somebody else when it is stale and he says so; who lost it is told by whom.
func TestLeaseOfTheDeadIsTakenOver(t *testing.T) {
	f := newFolders(t, 3)
	dir := t.TempDir()
	dead := f.lease(dir)
	dead.Every = time.Hour // it sleeps
	first, err := dead.Acquire(t.Context(), holder("one"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Release() })
	// The same folder of runs, whose lock a dead process does not hold.
	after := f.lease(t.TempDir())
	after.Every = time.Hour
	seat, err := os.ReadFile(filepath.Join(dir, ".locks/seat"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(after.Local.Dir, ".locks"), 0o700),
		os.WriteFile(filepath.Join(after.Local.Dir, ".locks/seat"), seat, 0o600)); err != nil {
		t.Fatal(err)
	}
	held, err := after.Acquire(t.Context(), holder("one"))
	if err != nil {
		t.Fatalf("after the death of its own process: %v", err)
	}
	t.Cleanup(func() { _ = held.Release() })
	for i := range f.nodes {
		old := time.Now().Add(-time.Minute)
		if err := os.Chtimes(f.path(i, "lease"), old, old); err != nil {
			t.Fatal(err)
		}
	}
	l := f.lease(t.TempDir())
	_, err = l.Acquire(t.Context(), holder("two"))
	var locked *engine.LockedError
	if !errors.As(err, &locked) || !locked.Stale || locked.Age < time.Minute {
		t.Fatalf("%v %+v", err, locked)
	}
	l.TakeOver = true
	second, err := l.Acquire(t.Context(), holder("two"))
	if err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return held.Check(t.Context()) != nil })
	if err := held.Check(t.Context()); !errors.As(err, &locked) || !locked.Lost || locked.Holder.Run != "two" {
		t.Errorf("who lost it is told %v", err)
	}
	if err := second.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := second.Release(); err != nil {
		t.Error(err)
	}
	f.free(t)
}

// TestLeaseCheckDoesNotWaitForANodeThatHangs.
func TestLeaseCheckDoesNotWaitForANodeThatHangs(t *testing.T) {
	f := newFolders(t, 3)
	l := f.lease(t.TempDir())
	l.Every = time.Hour
	held, err := l.Acquire(t.Context(), holder("one"))
	if err != nil {
		t.Fatal(err)
	}
	f.set(f.hang, "n2", true)
	time.Sleep(1100 * time.Millisecond) // what was confirmed is asked again after a second
	began := time.Now()
	if err := held.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	f.set(f.hang, "n2", false)
	if err := held.Release(); err != nil {
		t.Error(err)
	}
}

func TestLeaseRecordMayBeAnything(t *testing.T) {
	f := newFolders(t, 3)
	for i, record := range []string{"\x1b[2J not JSON", `{"run":"` + strings.Repeat("x", 9000) + `"}`,
		`{"run":"r\u001b[31m\n2","owner":["no"],"since":"never"}`} {
		if err := os.MkdirAll(f.path(i, ""), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Symlink("lease.ab", f.path(i, "lease")), os.WriteFile(f.path(i, "lease.ab"), []byte(record), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	l := f.lease(t.TempDir())
	_, err := l.Acquire(t.Context(), holder("one"))
	if !errors.Is(err, engine.ErrLocked) || strings.ContainsAny(err.Error(), "\x1b") {
		t.Errorf("%q", err)
	}
	seen, silent := l.Holder(t.Context())
	if seen == nil || len(silent) > 0 || !slices.Equal(seen.Nodes, f.names()) {
		t.Fatalf("%+v %v", seen, silent)
	}
	if err := l.Break(t.Context(), seen); err != nil {
		t.Error(err)
	}
	f.free(t)
}
