//go:build e2e && linux

package hosts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// PowerCut switches nodes off as a power failure does: nothing is told.
func (h *Hosts) PowerCut(names ...string) error {
	return h.on(names, (*node).off)
}

// Boot switches nodes on and waits for their sshd.
func (h *Hosts) Boot(ctx context.Context, names ...string) error {
	return h.on(names, func(n *node) error {
		return errors.Join(n.boot(), n.up(ctx))
	})
}

// askTime is how long asking a machine to reboot may take.
const askTime = 5 * time.Second

// Reboot has nodes reboot themselves and waits until sshd of the next boot
// greets. Nothing enters a node that is on its way down: systemd stops all its
// processes for a moment before it kills them; nsenter, which sees its child
// stopped, stops itself as well, for good, and then nobody reaps the child and
// the machine never ends.
func (h *Hosts) Reboot(ctx context.Context, names ...string) error {
	return h.on(names, func(n *node) error {
		before, err := n.leader()
		if err != nil {
			return err
		}
		// The command may be killed, or stopped, by what it asked for.
		asking, cancel := context.WithTimeout(ctx, askTime)
		_, asked := n.in(asking, "systemctl", "reboot")
		cancel()
		waiting, cancel := context.WithTimeout(ctx, bootTime)
		defer cancel()
		err = until(waiting, func() error {
			now, err := n.leader()
			if err == nil && now == before {
				err = errors.New("it has not rebooted yet")
			}
			return err
		})
		if err != nil {
			return errors.Join(fmt.Errorf("rebooting %s: %w", n.name, err), asked)
		}
		return n.up(ctx)
	})
}

// on runs a function for the named nodes at once.
func (h *Hosts) on(names []string, f func(*node) error) error {
	chosen := map[string]bool{}
	for _, name := range names {
		if _, err := h.node(name); err != nil {
			return err
		}
		chosen[name] = true
	}
	return h.each(func(n *node) error {
		if !chosen[n.name] {
			return nil
		}
		return f(n)
	})
}

// CableOut pulls a node's network cable; CableIn plugs it in again.
func (h *Hosts) CableOut(ctx context.Context, name string) error { return h.link(ctx, name, "down") }

// CableIn undoes CableOut.
func (h *Hosts) CableIn(ctx context.Context, name string) error { return h.link(ctx, name, "up") }

func (h *Hosts) link(ctx context.Context, name, state string) error {
	n, err := h.node(name)
	if err != nil {
		return err
	}
	return run(ctx, "ip", "-n", operatorSpace, "link", "set", n.port(), state)
}

// PeersCut cuts nodes off from all other nodes, but not from the operator: what
// they send to a peer goes to a card that nobody has, and so no connection
// between them lives or comes about. (Isolated ports of a bridge would only be
// cut off from one another.)
func (h *Hosts) PeersCut(ctx context.Context, names ...string) error {
	for _, name := range names {
		n, err := h.node(name)
		if err != nil {
			return err
		}
		for _, peer := range h.nodes {
			if peer == n {
				continue
			}
			err := run(ctx, "ip", "-n", n.space(), "neigh", "replace", peer.address, "lladdr", "02:00:00:00:00:01", "dev", "eth0", "nud", "permanent")
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// PeersHealed undoes PeersCut.
func (h *Hosts) PeersHealed(ctx context.Context, names ...string) error {
	for _, name := range names {
		n, err := h.node(name)
		if err != nil {
			return err
		}
		if err := run(ctx, "ip", "-n", n.space(), "neigh", "flush", "dev", "eth0", "nud", "permanent"); err != nil {
			return err
		}
	}
	return nil
}

// restoreNetwork undoes every CableOut and PeersCut.
func (h *Hosts) restoreNetwork(ctx context.Context) error {
	for _, n := range h.nodes {
		if err := errors.Join(h.CableIn(ctx, n.name), h.PeersHealed(ctx, n.name)); err != nil {
			return err
		}
	}
	return nil
}

// fillerName is the file that fills a disk.
const fillerName = "somebody-elses.log"

// DiskFull fills the file system of a node's data directory (DataMount) until
// etcd has died of it. DiskFreed undoes it.
func (h *Hosts) DiskFull(ctx context.Context, name string) error {
	n, err := h.node(name)
	if err != nil {
		return err
	}
	if !h.options.DataMount {
		return errors.New("DiskFull needs Options.DataMount: it would fill this machine")
	}
	var free unix.Statfs_t
	if err := unix.Statfs(n.path(dataDir), &free); err != nil {
		return fmt.Errorf("asking for free space: %w", err)
	}
	f, err := os.Create(filepath.Join(n.path(dataDir), fillerName))
	if err != nil {
		return err
	}
	// Less by less, until not even one block is to be had.
	for chunk, at := int64(free.Bavail)*free.Bsize, int64(0); chunk >= free.Bsize; {
		if err := unix.Fallocate(int(f.Fd()), 0, at, chunk); err == nil {
			at += chunk
		} else if errors.Is(err, syscall.ENOSPC) {
			chunk /= 2
		} else {
			return errors.Join(err, f.Close())
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	mark, err := n.mark(ctx)
	if err != nil {
		return err
	}
	// etcd has room preallocated: it dies when its database has to grow. The
	// others have room, and so the quorum takes the writes.
	if err := h.grow(ctx, h.nodes[(n.index+1)%len(h.nodes)]); err != nil {
		return err
	}
	return n.dies(ctx, mark, "no space left")
}

// grow writes so much that every database has to grow, through one member.
func (h *Hosts) grow(ctx context.Context, through *node) error {
	c, err := h.client(through)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	value := strings.Repeat("x", 1<<20)
	for i := range 48 {
		key := fmt.Sprintf("/registry/configmaps/big/%d", i)
		err := until(ctx, func() error { // an election may be on: the member that died may have led
			_, err := c.Put(ctx, key, value)
			return err
		})
		if err != nil {
			return fmt.Errorf("writing a large key: %w", err)
		}
	}
	return nil
}

// DiskFreed takes away what filled a disk.
func (h *Hosts) DiskFreed(name string) error {
	n, err := h.node(name)
	if err != nil {
		return err
	}
	return os.Remove(filepath.Join(n.path(dataDir), fillerName))
}

// ClockShift shifts the clock of one node's etcd and of its date command by
// libfaketime ("+2d", "-90s"): the machines share a kernel and so a clock, and
// a time namespace does not shift the time of day. Everything else on the node
// keeps the right time. etcd has to read the time through the C library: Go
// programs do not, so this shows what novatui's own look at the node's clock
// finds, and not what etcd does.
func (h *Hosts) ClockShift(ctx context.Context, name, by string) error {
	n, err := h.node(name)
	if err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(h.debian, "usr/lib/*/faketime/libfaketime.so.1"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("libfaketime is not among the packages: %w", err)
	}
	if err := run(ctx, "cp", found[0], n.path("/usr/local/lib/libfaketime.so.1")); err != nil {
		return err
	}
	script := "#!/bin/sh\nexport LD_PRELOAD=/usr/local/lib/libfaketime.so.1 FAKETIME='" + by + "'\nexec /usr/bin/date \"$@\"\n"
	return os.WriteFile(n.path("/usr/local/bin/date"), []byte(script), 0o755)
}

// FreezeSSHD suspends a node's sshd: the port is open, and nothing greets.
func (h *Hosts) FreezeSSHD(ctx context.Context, name string) error {
	return h.signalSSHD(ctx, name, "STOP")
}

// ThawSSHD undoes FreezeSSHD.
func (h *Hosts) ThawSSHD(ctx context.Context, name string) error {
	return h.signalSSHD(ctx, name, "CONT")
}

func (h *Hosts) signalSSHD(ctx context.Context, name, signal string) error {
	n, err := h.node(name)
	if err != nil {
		return err
	}
	_, err = n.in(ctx, "systemctl", "kill", "--signal="+signal, "ssh.service")
	return err
}

// Exec runs a command on a node, as root and not through SSH, and gives its
// output.
func (h *Hosts) Exec(ctx context.Context, name string, argv ...string) (string, error) {
	n, err := h.node(name)
	if err != nil {
		return "", err
	}
	return n.in(ctx, argv...)
}

// Path is a file of a node as this machine sees it.
func (h *Hosts) Path(name, path string) string {
	n, err := h.node(name)
	if err != nil {
		return ""
	}
	return n.path(path)
}

// State is what systemd says of a node's etcd: "active", "failed", ….
func (h *Hosts) State(ctx context.Context, name string) (string, error) {
	n, err := h.node(name)
	if err != nil {
		return "", err
	}
	out, err := n.in(ctx, "systemctl", "show", "--property=ActiveState", "--value", etcdUnit)
	return strings.TrimSpace(out), err
}
