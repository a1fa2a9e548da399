package etcdops

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/novatui/novatui/inventory"
	"github.com/novatui/novatui/lab"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/remote/ssh"
)

// sshConns gives connections over real SSH.
type sshConns struct {
	conns map[string]remote.Conn
}

func (s sshConns) Conn(_ context.Context, node string) (remote.Conn, error) {
	return s.conns[node], nil
}

// labCluster starts the training lab and connects to its nodes as the program
// does.
func labCluster(t testing.TB, o lab.Options) (*Collector, sshConns, *lab.Lab) {
	t.Helper()
	if testing.Short() {
		t.Skip("a lab takes some seconds")
	}
	o.OwnedByCaller = true
	o.Program = program
	o.Dir = t.TempDir()
	l, err := lab.Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := l.Down(ctx); err != nil {
			t.Error(err)
		}
	})
	file, _, err := inventory.Load(l.ClusterFile())
	if err != nil {
		t.Fatal(err)
	}
	transport := ssh.New(ssh.Options{SSHBinary: "none"})
	conns := sshConns{map[string]remote.Conn{}}
	for _, n := range file.Nodes {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		conn, err := transport.Connect(ctx, n, nil)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		conns.conns[n.Name] = conn
	}
	cfg := Config{
		Cluster: file.Name, Environment: file.Environment, Platform: file.Platform,
		Unit: file.Etcd.Unit, EnvFile: file.Etcd.EnvFile, BinDir: file.Etcd.BinDir,
		SnapshotDirs: file.SnapshotDirs, Readyz: file.Readyz,
	}
	c := NewCollector(cfg, file.Nodes, conns)
	t.Cleanup(func() { _ = c.Close() })
	return c, conns, l
}

func (s sshConns) run(t testing.TB, h Host, c remote.Command, err error) remote.Result {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.conns[h.Facts.Node].Run(t.Context(), c, remote.Streams{})
	if err != nil {
		t.Fatalf("%s: %v", c.Short(), err)
	}
	return res
}

func (s sshConns) must(t testing.TB, h Host, c remote.Command, err error) string {
	t.Helper()
	res := s.run(t, h, c, err)
	if err := res.Check(h.Facts.Node, c); err != nil {
		t.Fatalf("%v\n%s", err, res.Stderr)
	}
	return string(res.Stdout)
}

func TestUnitCommandsOverSSH(t *testing.T) {
	for _, inEtc := range []bool{false, true} {
		// A unit file in /etc/systemd/system, as the vendor has it, cannot be
		// masked: the drop-in must do it.
		c, conns, _ := labCluster(t, lab.Options{UnitInEtc: inEtc})
		f, err := c.Collect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("collected over SSH in %d ms", f.Took)
		n := f.Nodes[1]
		if !n.Unit.Running() || n.Unit.MainPID == 0 || n.Unit.SinceSeconds < 0 || n.Unit.Masked() || len(n.Journal) == 0 ||
			n.Journal[0].Text == "" || n.Journal[0].Time.IsZero() || n.Host.BootID == "" || !n.Endpoint.Healthy || n.Endpoint.Hash == "" {
			t.Errorf("unit %+v, %d lines, host %+v, endpoint %+v", n.Unit, len(n.Journal), n.Host, n.Endpoint)
		}
		h := hosts(t, f)[n.Node]
		proof, err := h.ProveStopped()
		res := conns.run(t, h, proof, err)
		if res.Exit != ExitDiffers || !strings.Contains(string(res.Stdout), "active") || !strings.Contains(string(res.Stdout), "held by process") {
			t.Errorf("a running etcd: status %d, %s%s", res.Exit, res.Stdout, res.Stderr)
		}
		conns.must(t, h, h.StopUnit(), nil)
		conns.must(t, h, proof, nil)
		for _, want := range []string{"held", "already"} {
			out := ScriptResult([]byte(conns.must(t, h, h.HoldDown(), nil)))
			if out != want && (want != "held" || inEtc || out != "masked") {
				t.Errorf("hold: %q, want %q", out, want)
			}
		}
		// It cannot be started now, whatever systemctl answers. The lab's
		// systemctl does not look at the condition that the drop-in sets; that
		// systemd does was seen on Debian 12 (systemd 252).
		if !inEtc {
			_ = conns.run(t, h, h.StartNoBlock(), nil)
			time.Sleep(500 * time.Millisecond) // time to start, if it would
		}
		if f, err = c.Status(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		if u := f.Nodes[1].Unit; u.Running() || !u.Masked() {
			t.Errorf("held down: %+v", u)
		}
		conns.must(t, h, proof, nil)
		for range 2 {
			conns.must(t, h, h.Release(), nil)
		}
		conns.must(t, h, h.ResetFailed(), nil)
		conns.must(t, h, h.StartNoBlock(), nil)
		eventually(t, "healthy again", func() error {
			f, err = c.Status(t.Context(), f)
			if n := f.Nodes[1]; err == nil && (!n.Endpoint.Healthy || !n.Unit.Running()) {
				return fmt.Errorf("%+v %+v", n.Unit, n.Endpoint)
			}
			return err
		})
		if u := f.Nodes[1].Unit; !u.Running() || u.Masked() {
			t.Errorf("released: %+v", u)
		}
		since := conns.must(t, h, h.JournalSince(time.Now().Add(-time.Hour)), nil)
		if lines := ParseJournal([]byte(since)); len(lines) < 10 {
			t.Errorf("%d lines of the journal", len(lines))
		}
		t.Logf("status over SSH in %d ms", f.Took)
	}
}

// TestCollectorSharedByGoroutines: steps on several nodes ask at once, some for
// everything and others, all the while, for the state of etcd alone. It is the
// race detector that judges.
func TestCollectorSharedByGoroutines(t *testing.T) {
	c, _, _ := labCluster(t, lab.Options{Keys: 10})
	prev, err := c.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asks := []func() (Facts, error){
		func() (Facts, error) { return c.Collect(t.Context()) },
		func() (Facts, error) { return c.CollectNodes(t.Context(), prev, []string{prev.Nodes[0].Node}) },
		func() (Facts, error) { return c.Status(t.Context(), prev) },
		func() (Facts, error) { return c.Status(t.Context(), prev) },
	}
	var collecting atomic.Int32
	collecting.Store(2)
	for i, err := range remote.Each(asks, func(i int, ask func() (Facts, error)) error {
		if i < 2 {
			defer collecting.Add(-1)
		}
		for round := 0; i < 2 && round < 5 || i >= 2 && collecting.Load() > 0; round++ {
			f, err := ask()
			if err != nil {
				return err
			}
			for _, n := range f.Nodes {
				if !n.Endpoint.Answers {
					return fmt.Errorf("%s does not answer: %s %s", n.Node, n.Error, n.Endpoint.Error)
				}
			}
		}
		return nil
	}) {
		if err != nil {
			t.Errorf("question %d: %v", i, err)
		}
	}
}
