//go:build e2e && linux

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/novatui/novatui/e2e/chaos"
	"github.com/novatui/novatui/e2e/hosts"
)

func init() {
	companion = hosts.Companion
	closing = func() error {
		if kit == nil {
			return nil
		}
		return errors.Join(kit.Close(), release())
	}
}

// The machines of this test: one set at a time.
var (
	kit     *hosts.Kit
	release func() error
)

// startTime bounds a start from cold caches: a Debian and an etcd are made.
const startTime = 8 * time.Minute

// TestHosts is the campaign on real machines. Every fifth has the data on a file
// system of its own, which somebody can fill.
func TestHosts(t *testing.T) {
	build(t)
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	var err error
	if kit, err = hosts.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	if release, err = kit.Guard(); err != nil {
		t.Fatal(errors.Join(err, kit.Close()))
	}
	var w *hostsWorld
	mounted := false
	c := chosen(t)
	c.worlds = 1
	c.run(t, hostKinds, func(t *testing.T, s chaos.Scenario) chaos.World {
		ctx, cancel := context.WithTimeout(t.Context(), startTime)
		defer cancel()
		if w != nil && mounted == ownDisk(s.Seed) {
			err = w.Reset(ctx)
		} else {
			var h *hosts.Hosts
			mounted = ownDisk(s.Seed)
			h, err = kit.Start(ctx, programs.operator, hosts.Options{DataMount: mounted})
			w = &hostsWorld{Hosts: h}
		}
		if err != nil {
			t.Fatal(err)
		}
		return w
	}, func() { w = nil })
}

func ownDisk(seed uint64) bool { return seed%5 == 4 }

func hostKinds(seed uint64) []chaos.Kind {
	if ownDisk(seed) {
		return append([]chaos.Kind{chaos.DiskFull, chaos.DiskFull, chaos.DiskFull, chaos.DiskFull}, chaos.HostKinds...)
	}
	return chaos.HostKinds
}

// hostsWorld is a chaos.World over real machines.
type hostsWorld struct {
	*hosts.Hosts
	machines sync.Mutex // who switches one on or off, or enters it
}

func (w *hostsWorld) Command(ctx context.Context, state string, env []string, args ...string) *exec.Cmd {
	env = append([]string{"XDG_STATE_HOME=" + state, "XDG_CONFIG_HOME=" + state, "XDG_CACHE_HOME=" + state}, env...)
	return w.Hosts.Command(ctx, env, args...)
}

// Clean has nothing to do: every run has fresh machines.
func (w *hostsWorld) Clean(context.Context) error { return nil }

func (w *hostsWorld) Running(ctx context.Context, node string) (bool, error) {
	if !w.machines.TryLock() {
		return false, errors.New("a machine is on its way up or down")
	}
	defer w.machines.Unlock()
	pid, err := w.Exec(ctx, node, "systemctl", "show", "--property=MainPID", "--value", "etcd.service")
	if err == nil && strings.TrimSpace(pid) == "" {
		err = errors.New("systemd does not say")
	}
	return strings.TrimSpace(pid) != "0", err
}

func (w *hostsWorld) Strike(ctx context.Context, f chaos.Fault) error {
	node := w.Nodes()[f.Node]
	wait := func() {
		t := time.NewTimer(f.Lasts)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	var begin, end func() error
	switch f.Kind {
	case chaos.Reboot:
		w.machines.Lock()
		defer w.machines.Unlock()
		return w.Reboot(ctx, node)
	case chaos.PowerCut:
		w.machines.Lock()
		defer w.machines.Unlock()
		begin, end = func() error { return w.PowerCut(node) }, func() error { return w.Boot(ctx, node) }
	case chaos.CableOut:
		begin, end = func() error { return w.CableOut(ctx, node) }, func() error { return w.CableIn(ctx, node) }
	case chaos.PeersCut:
		begin, end = func() error { return w.PeersCut(ctx, node) }, func() error { return w.PeersHealed(ctx, node) }
	case chaos.SSHDFrozen:
		begin, end = w.entering(func() error { return w.FreezeSSHD(ctx, node) }), w.entering(func() error { return w.ThawSSHD(ctx, node) })
	case chaos.EtcdKill:
		return w.entering(func() error {
			_, err := w.Exec(ctx, node, "systemctl", "kill", "--signal=KILL", "etcd.service")
			return err
		})()
	case chaos.DiskFull:
		begin, end = func() error { return fill(w.Path(node, "/var/lib/etcd")) }, func() error { return w.DiskFreed(node) }
	default:
		return fmt.Errorf("the hosts have no %s", f.Kind)
	}
	err := begin()
	wait()
	return errors.Join(err, end())
}

// entering does something on a machine while none is switched on or off.
func (w *hostsWorld) entering(do func() error) func() error {
	return func() error {
		w.machines.Lock()
		defer w.machines.Unlock()
		return do()
	}
}

// fill takes all the room of a file system, as hosts.DiskFull does, and does not
// wait for what comes of it. hosts.DiskFreed undoes it.
func fill(dir string) error {
	var free unix.Statfs_t
	if err := unix.Statfs(dir, &free); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "somebody-elses.log"))
	if err != nil {
		return err
	}
	for chunk, at := int64(free.Bavail)*free.Bsize, int64(0); chunk >= free.Bsize; {
		if err := unix.Fallocate(int(f.Fd()), 0, at, chunk); err == nil {
			at += chunk
		} else if errors.Is(err, syscall.ENOSPC) {
			chunk /= 2
		} else {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

var _ chaos.World = (*hostsWorld)(nil)
