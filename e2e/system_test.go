//go:build e2e && linux

package e2e_test

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/novatui/novatui/e2e/hosts"
	"github.com/novatui/novatui/e2e/suite"
)

// TestStartLimit: after systemd has given up, a start is refused by systemd,
// and novatui's restart gets by it.
func TestStartLimit(t *testing.T) {
	h := start(t, hosts.Options{})
	c := suite.Case{Name: "start-limit", Fault: "start-limit", Nodes: []int{2}, Procedure: "restart"}
	suite.Record(t, h, c.Fault, c.Procedure)
	before := c.Break(t, h)
	node := h.Nodes()[c.Nodes[0]]
	if out, err := h.Exec(t.Context(), node, "systemctl", "start", "etcd"); err == nil {
		t.Fatalf("systemd still starts it: %s", out)
	}
	suite.Apply(t, h, nil, suite.Plan(t, h, suite.Diagnose(t, h)))
	c.Proved(t, h, before)
}

// TestHeldDownAcrossReboot: once the procedure has stopped and held down etcd,
// a reboot does not start it, and resume goes on from there. Where the unit file
// lies in /etc a drop-in holds it, otherwise a mask.
func TestHeldDownAcrossReboot(t *testing.T) {
	t.Run("drop-in", func(t *testing.T) { heldDown(t, hosts.Options{}) })
	if full {
		t.Run("mask", func(t *testing.T) { heldDown(t, hosts.Options{UnitInLib: true}) })
	}
}

func heldDown(t *testing.T, o hosts.Options) {
	h := start(t, o)
	c := named(t, "corrupt-db")
	suite.Record(t, h, "reboot while held down", c.Procedure)
	before := c.Break(t, h)
	node := h.Nodes()[c.Nodes[0]]
	file := suite.Plan(t, h, suite.Diagnose(t, h))
	ctx, cancel := context.WithTimeout(t.Context(), suite.Limit)
	defer cancel()
	a := h.Novatui(ctx, []string{"NOVATUI_KILL_AT=step-done:stop/" + node}, "apply", file, "--confirm", h.Cluster())
	if a.Exit == 0 || a.Exit == 3 {
		t.Fatalf("apply was not killed: exit %d\n%s", a.Exit, a.Stderr)
	}
	if err := h.Reboot(ctx, node); err != nil {
		t.Fatal(err)
	}
	// What a boot starts is started when systemd says so.
	_, _ = h.Exec(ctx, node, "systemctl", "is-system-running", "--wait")
	if state, err := h.State(ctx, node); state != "inactive" {
		t.Errorf("after the reboot etcd is %s, %v", state, err)
	}
	if out, err := h.Exec(ctx, node, "systemctl", "start", "--no-block", "etcd"); err == nil {
		if state, _ := h.State(ctx, node); state != "inactive" {
			t.Errorf("a start by hand makes it %s: %s", state, out)
		}
	}
	if a = h.Novatui(ctx, nil, "resume", "-o", "json"); a.Exit != 0 {
		t.Fatalf("resume: exit %d\n%s", a.Exit, a.Stderr)
	}
	c.Proved(t, h, before)
}

// TestSystems: the procedures on machines that are set up in other ways than
// the simplest. After each the set-up is as it was, the old data are there, and
// nothing is left that the report does not name.
func TestSystems(t *testing.T) {
	for _, system := range []struct {
		name    string
		options hosts.Options
		faults  []string // the first one always, the others with everything
		check   func(t *testing.T, h *hosts.Hosts)
	}{
		{"plain", hosts.Options{}, []string{"lose-all", "corrupt-db"}, nil},
		{"etcd is run by a user, small tmp", hosts.Options{EtcdUser: true, SmallTmp: true}, []string{"lose-all", "corrupt-db", "wipe-data"}, ownedByEtcd},
		{"data on a file system of their own", hosts.Options{DataMount: true}, []string{"corrupt-db", "lose-all", "lose-quorum"}, stillMounted},
		{"separate WAL, sudo, a shell that prints", hosts.Options{SeparateWAL: true, Sudo: true, NoisyShell: true},
			[]string{"lose-all", "corrupt-db", "corrupt-wal", "lose-quorum"}, nil},
		{"stop runs into its limit", hosts.Options{SlowStop: true}, []string{"lose-quorum", "hang"}, nil},
	} {
		t.Run(system.name, func(t *testing.T) {
			for i, fault := range system.faults {
				if i > 0 && !full {
					break
				}
				t.Run(fault, func(t *testing.T) {
					h := start(t, system.options)
					repaired(t, h, named(t, fault))
					if system.check != nil {
						system.check(t, h)
					}
				})
			}
		})
	}
}

// repaired is suite.Run, and looks at what is left behind.
func repaired(t *testing.T, h *hosts.Hosts, c suite.Case) {
	t.Helper()
	suite.Record(t, h, c.Fault, c.Procedure)
	files := allFiles(t, h)
	before := c.Break(t, h)
	old := map[string]string{}
	for _, node := range h.Nodes() {
		state, err := h.State(t.Context(), node)
		if err != nil {
			t.Fatal(err)
		}
		// Where the database is sound, what fails to start writes into it.
		if state != "active" && (c.Fault == "corrupt-db" || c.Fault == "lose-all") {
			old[node] = database(t, h, node, "/var/lib/etcd")
		}
	}
	d := suite.Diagnose(t, h)
	if d.Recommended.Procedure != c.Procedure {
		t.Fatalf("recommended %s, want %s", d.Recommended.Procedure, c.Procedure)
	}
	suite.Apply(t, h, nil, suite.Plan(t, h, d))
	c.Proved(t, h, before)
	nothingLeft(t, h, files)
	for node, sum := range old {
		oldDataThere(t, h, node, sum)
	}
}

func named(t testing.TB, name string) suite.Case {
	t.Helper()
	for _, c := range suite.Cases {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no case %q", name)
	return suite.Case{}
}

// ownedByEtcd: everything in every data directory belongs to the user etcd, and
// the directory is closed to others.
func ownedByEtcd(t *testing.T, h *hosts.Hosts) {
	for _, node := range h.Nodes() {
		out, err := h.Exec(t.Context(), node, "find", "/var/lib/etcd", "(", "!", "-user", "etcd", "-o", "!", "-group", "etcd", ")", "-print")
		if err != nil || out != "" {
			t.Errorf("%s: not etcd's: %s %v", node, out, err)
		}
		info, err := os.Stat(h.Path(node, "/var/lib/etcd"))
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: the data directory has mode %v, %v", node, info.Mode(), err)
		}
		env, err := os.Stat(h.Path(node, "/etc/etcd.env"))
		if err != nil {
			t.Fatal(err)
		}
		if st, ok := env.Sys().(*syscall.Stat_t); !ok || st.Uid != 0 || env.Mode().Perm() != 0o644 {
			t.Errorf("%s: the env file is of user %d and has mode %v", node, st.Uid, env.Mode())
		}
	}
}

// stillMounted: the data directory is the mount point it was.
func stillMounted(t *testing.T, h *hosts.Hosts) {
	for _, node := range h.Nodes() {
		if _, err := h.Exec(t.Context(), node, "mountpoint", "/var/lib/etcd"); err != nil {
			t.Error(err)
		}
		out, err := h.Exec(t.Context(), node, "ls", "-A", "/var/lib/etcd")
		if err != nil || !strings.Contains(out, "lost+found") {
			t.Errorf("%s: %q, %v", node, out, err)
		}
	}
}

// TestDiskFull: a full disk is a cause outside the data; when there is room
// again, nothing has to be repaired.
func TestDiskFull(t *testing.T) {
	h := start(t, hosts.Options{DataMount: true})
	suite.Record(t, h, "disk-full", "fix-cause")
	node := h.Nodes()[1]
	ctx, cancel := context.WithTimeout(t.Context(), suite.Limit)
	defer cancel()
	before, err := h.Keys(ctx, node)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.DiskFull(ctx, node); err != nil {
		t.Fatal(err)
	}
	d := suite.Diagnose(t, h)
	if d.Recommended.Procedure != "fix-cause" {
		t.Errorf("recommended %s; causes %+v", d.Recommended.Procedure, d.Causes)
	}
	if err := h.DiskFreed(node); err != nil {
		t.Fatal(err)
	}
	if err := h.Healthy(ctx); err != nil { // systemd starts it again by itself
		t.Fatal(err)
	}
	suite.Case{Name: "disk-full"}.Proved(t, h, before)
}
