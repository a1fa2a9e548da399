//go:build e2e && linux

package hosts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ClusterName is what the cluster of every set of hosts is called.
const ClusterName = "nova-e2e"

// Hosts are machines that run. One set at a time.
type Hosts struct {
	kit        *Kit
	options    Options
	root       string   // the nodes' root file system
	programs   []string // the layer of each node's etcd
	debian     string   // unpacked Debian packages
	nodes      []*node
	authority  *authority
	publicKey  string
	knownHosts string
	program    string // novatui
	archived   map[string]string
	archive    string // its path on every node
}

// dataSize is how large a data directory of Options.DataMount is. etcd's WAL
// preallocates 64 MB at a time, and a restore needs room beside the old data.
const dataSize = "900M"

// Start boots the hosts with a healthy cluster of some thousand keys, an
// archive of an earlier state on every node and the operator's files in place.
// program is the novatui that Novatui will run. Hosts that run already are
// taken down first.
func (k *Kit) Start(ctx context.Context, program string, o Options) (*Hosts, error) {
	if err := sweep(); err != nil {
		return nil, err
	}
	h := &Hosts{kit: k, options: o, program: program}
	base, err := k.base(ctx)
	if err != nil {
		return nil, err
	}
	h.root, h.debian = filepath.Join(base, "root"), filepath.Join(base, "debian")
	for i := range o.nodes() {
		layer, err := k.etcd(ctx, o.version(i))
		if err != nil {
			return nil, err
		}
		h.nodes, h.programs = append(h.nodes, newNode(i)), append(h.programs, layer)
	}
	if err := h.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting hosts: %w", err), h.Down())
	}
	return h, nil
}

func (h *Hosts) start(ctx context.Context) (err error) {
	if h.authority, err = newAuthority(); err != nil {
		return err
	}
	key, public, err := sshKey("operator")
	if err != nil {
		return err
	}
	h.publicKey = public
	for _, n := range h.nodes {
		if err := h.lay(n); err != nil {
			return fmt.Errorf("laying %s: %w", n.name, err)
		}
	}
	if err := h.layOperator(key); err != nil {
		return err
	}
	if err := layNetwork(ctx, h.nodes); err != nil {
		return err
	}
	if err := h.fresh(ctx); err != nil {
		return err
	}
	if err := h.seed(ctx); err != nil {
		return fmt.Errorf("seeding: %w", err)
	}
	return h.Healthy(ctx)
}

// Down switches everything off and removes it.
func (h *Hosts) Down() error {
	var errs []error
	for _, n := range h.nodes {
		errs = append(errs, n.off())
	}
	return errors.Join(append(errs, sweep())...)
}

// Reset gives every node the state of after Start, whatever was done to it,
// and returns when the cluster is healthy.
func (h *Hosts) Reset(ctx context.Context) error {
	if err := h.each(func(n *node) error { return errors.Join(n.off(), n.unmount()) }); err != nil {
		return err
	}
	if err := h.restoreNetwork(ctx); err != nil {
		return err
	}
	if err := h.fresh(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(operatorDir + "/state"); err != nil {
		return err
	}
	return h.Healthy(ctx)
}

// fresh mounts every node's file systems from its template and boots it.
func (h *Hosts) fresh(ctx context.Context) error {
	return h.each(func(n *node) error {
		if err := h.mount(ctx, n); err != nil {
			return err
		}
		if err := n.boot(); err != nil {
			return err
		}
		return n.up(ctx)
	})
}

// mount makes a node's root: a fresh copy of its template over its etcd over
// the common root file system.
func (h *Hosts) mount(ctx context.Context, n *node) error {
	upper, work, merged := filepath.Join(n.dir, "upper"), filepath.Join(n.dir, "work"), filepath.Join(n.dir, "merged")
	for _, d := range []string{upper, work} {
		if err := os.RemoveAll(d); err != nil {
			return err
		}
	}
	if err := errors.Join(os.MkdirAll(work, 0o755), os.MkdirAll(merged, 0o755)); err != nil {
		return err
	}
	if err := run(ctx, "cp", "--archive", "--sparse=always", "--reflink=auto", n.template(), upper); err != nil {
		return err
	}
	layers := fmt.Sprintf("lowerdir=%s:%s,upperdir=%s,workdir=%s", h.programs[n.index], h.root, upper, work)
	if err := unix.Mount("overlay", merged, "overlay", 0, layers); err != nil {
		return fmt.Errorf("mounting the root of %s: %w", n.name, err)
	}
	if h.options.SmallTmp {
		if err := unix.Mount("tmpfs", n.path("/tmp"), "tmpfs", 0, "size=1m,mode=1777"); err != nil {
			return fmt.Errorf("mounting the small /tmp of %s: %w", n.name, err)
		}
	}
	if h.options.DataMount {
		return h.mountData(ctx, n)
	}
	return nil
}

// mountData puts the data of the template on a file system of their own.
func (h *Hosts) mountData(ctx context.Context, n *node) error {
	image := filepath.Join(n.dir, "data.img")
	if err := os.RemoveAll(image); err != nil {
		return err
	}
	if err := run(ctx, "truncate", "--size="+dataSize, image); err != nil {
		return err
	}
	if err := run(ctx, "mkfs.ext4", "-q", "-m", "0", image); err != nil {
		return err
	}
	if err := run(ctx, "mount", "-o", "loop", image, n.path(dataDir)); err != nil {
		return err
	}
	// The mount point takes the owner and the mode of the directory.
	return run(ctx, "cp", "--archive", "--sparse=always", "--no-target-directory", n.template()+dataDir, n.path(dataDir))
}

func (n *node) unmount() error { return unmountBelow(filepath.Join(n.dir, "merged")) }

// each runs a function for every node at once and joins their errors.
func (h *Hosts) each(f func(*node) error) error {
	errs := make([]error, len(h.nodes))
	var wg sync.WaitGroup
	for i, n := range h.nodes {
		wg.Go(func() { errs[i] = f(n) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Healthy waits until every member answers a linearizable read with one and
// the same leader. A member of which the leader was lost takes some seconds.
func (h *Hosts) Healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	err := until(ctx, func() error { return h.healthyNow(ctx) })
	if err != nil {
		return fmt.Errorf("the cluster does not get healthy: %w%s", err, h.lastWords())
	}
	return nil
}

func (h *Hosts) healthyNow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	leaders := make([]uint64, len(h.nodes))
	err := h.each(func(n *node) error {
		c, err := h.client(n)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		if _, err := c.Get(ctx, "health"); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
		st, err := c.Status(ctx, n.clientURL())
		if err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
		leaders[n.index] = st.Leader
		return nil
	})
	if err != nil {
		return err
	}
	for _, l := range leaders {
		if l == 0 || l != leaders[0] {
			return fmt.Errorf("leaders %x", leaders)
		}
	}
	return nil
}

// lastWords are the ends of etcd's journals, for an error.
func (h *Hosts) lastWords() string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var b strings.Builder
	for _, n := range h.nodes {
		out, err := n.in(ctx, "journalctl", "-u", etcdUnit, "-n", "8", "--no-pager", "-o", "cat")
		if err != nil {
			out = err.Error()
		}
		fmt.Fprintf(&b, "\n-- %s\n%s", n.name, out)
	}
	return b.String()
}

func (h *Hosts) node(name string) (*node, error) {
	for _, n := range h.nodes {
		if n.name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("there is no node %q", name)
}
