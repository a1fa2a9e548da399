//go:build e2e && linux

package hosts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"
)

// Cached gives the folder of something large that is made once, from its
// recipe, and kept beside the root file systems and the etcd binaries. make
// fills a folder; one that was not made to its end is never used.
func (k *Kit) Cached(ctx context.Context, name, recipe string, make func(context.Context, string) error) (string, error) {
	return k.cached(ctx, name, recipe, make)
}

// Programs is the folder with etcd, etcdctl and etcdutl of a version, for use
// on this machine.
func (k *Kit) Programs(ctx context.Context, version string) (string, error) {
	layer, err := k.etcd(ctx, version)
	return filepath.Join(layer, "opt/etcd"), err
}

// furnishPython installs Debian's Python into a root file system.
const furnishPython = `set -eu
cp /etc/resolv.conf "$1/etc/resolv.conf"
chroot "$1" sh -c 'apt-get update -q && apt-get install -q -y --no-install-recommends python3'
`

// python is the layer with Debian's Python, which the nodes have only where
// Ansible is to work on them.
func (k *Kit) python(ctx context.Context) (string, error) {
	base, err := k.base(ctx)
	if err != nil {
		return "", err
	}
	return k.cached(ctx, "python-"+release, base+furnishPython, func(ctx context.Context, dir string) error {
		upper, work, merged := filepath.Join(dir, "upper"), filepath.Join(dir, "work"), filepath.Join(dir, "merged")
		for _, d := range []string{upper, work, merged} {
			if err := os.Mkdir(d, 0o755); err != nil {
				return err
			}
		}
		layers := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", filepath.Join(base, "root"), upper, work)
		if err := unix.Mount("overlay", merged, "overlay", 0, layers); err != nil {
			return fmt.Errorf("mounting the layer of Python: %w", err)
		}
		err := run(ctx, "sh", "-c", furnishPython, "furnish", merged)
		return errors.Join(err, unmountBelow(merged))
	})
}

// AddPython installs Python on every node, until Reset.
func (h *Hosts) AddPython(ctx context.Context) error {
	layer, err := h.kit.python(ctx)
	if err != nil {
		return err
	}
	return h.each(func(n *node) error {
		return run(ctx, "cp", "--archive", "--no-target-directory", filepath.Join(layer, "upper/usr"), n.path("/usr"))
	})
}

// Operate is any command run where the operator is: in their network, with
// their files in the working directory (id_ed25519, known_hosts).
func (h *Hosts) Operate(ctx context.Context, argv ...string) *exec.Cmd {
	c := inSpace(ctx, operatorSpace, argv...)
	c.Dir = operatorDir
	c.Env = append(os.Environ(), "HOME="+operatorDir, "LC_ALL=C.UTF-8", "SSH_AUTH_SOCK=")
	return c
}

// Address is where a node is reached from the operator's network.
func (h *Hosts) Address(name string) string {
	n, err := h.node(name)
	if err != nil {
		return ""
	}
	return n.address
}

// Client is etcd's own client of one node's member.
func (h *Hosts) Client(name string) (*clientv3.Client, error) {
	n, err := h.node(name)
	if err != nil {
		return nil, err
	}
	return h.client(n)
}

// Answers waits until some member answers a read that needs a quorum.
func (h *Hosts) Answers(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan error, len(h.nodes))
	var wg sync.WaitGroup
	for _, n := range h.nodes {
		wg.Go(func() { // ends with ctx, or with its answer
			answered <- until(ctx, func() error {
				c, err := h.client(n)
				if err != nil {
					return err
				}
				defer func() { _ = c.Close() }()
				timed, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				_, err = c.Get(timed, "health")
				return err
			})
		})
	}
	err := <-answered
	cancel()
	wg.Wait()
	return err
}

// CPU is how much processor time all nodes have used since they were switched
// on.
func (h *Hosts) CPU() (time.Duration, error) {
	sum := time.Duration(0)
	for _, n := range h.nodes {
		var micros int64
		for _, group := range n.cgroups() {
			text, err := os.ReadFile(filepath.Join(group, "cpu.stat"))
			if err != nil {
				continue // not a hierarchy of version 2
			}
			if _, err := fmt.Sscanf(string(text), "usage_usec %d", &micros); err != nil {
				return 0, fmt.Errorf("reading the processor time of %s: %w", n.name, err)
			}
		}
		if micros == 0 {
			return 0, fmt.Errorf("the processor time of %s is not known", n.name)
		}
		sum += time.Duration(micros) * time.Microsecond
	}
	return sum, nil
}
