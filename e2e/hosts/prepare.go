//go:build e2e && linux

package hosts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrImpossible: this machine cannot run the hosts; the text says why.
var ErrImpossible = errors.New("the end-to-end tests cannot run here")

// lockFile keeps two sets of hosts apart: their names and addresses are fixed.
const lockFile = "/run/lock/novatui-e2e.lock"

// packages by the program that is looked for.
var packages = map[string]string{
	"systemd-nspawn": "systemd-container", "debootstrap": "debootstrap", "ip": "iproute2",
	"ssh": "openssh-client", "nsenter": "util-linux", "mkfs.ext4": "e2fsprogs", "mount": "mount",
}

// Kit is what hosts are made of: the cached root file system and binaries.
type Kit struct {
	cache string
	lock  *os.File

	mu     sync.Mutex
	making map[string]*sync.Mutex // by the folder that is made
	warm   sync.WaitGroup
}

// Prepare checks that the machine can run hosts, installs the packages it
// lacks, takes the machine's one place for hosts and cleans up what an earlier
// run left behind. Close gives the place back. Errors that match ErrImpossible
// are one line for the person who started the tests.
func Prepare(ctx context.Context) (*Kit, error) {
	if err := possible(); err != nil {
		return nil, err
	}
	if err := install(ctx); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(lockFile), 0o755); err != nil {
		return nil, err
	}
	lock, err := take(ctx)
	if err != nil {
		return nil, err
	}
	user, err := os.UserCacheDir()
	if err != nil {
		user = "/var/cache" // root without a home
	}
	k := &Kit{cache: filepath.Join(user, "novatui-e2e"), lock: lock, making: map[string]*sync.Mutex{}}
	if err := os.MkdirAll(k.cache, 0o755); err != nil {
		return nil, errors.Join(err, k.Close())
	}
	if err := sweep(); err != nil {
		return nil, errors.Join(fmt.Errorf("cleaning up after an earlier run: %w", err), k.Close())
	}
	return k, nil
}

// Close takes down whatever hosts are left and gives the machine's place back.
// The end of the context of Warm must be before it.
func (k *Kit) Close() error {
	k.warm.Wait()
	return errors.Join(sweep(), k.lock.Close())
}

// Warm makes what the cache lacks of versions of etcd beside the tests, which
// mostly wait: whoever needs one before it is there makes it, or waits for it.
func (k *Kit) Warm(ctx context.Context, versions ...string) {
	k.warm.Go(func() { // ends with ctx; Close waits for it
		for _, v := range versions {
			// Who needs it meets the error again, and reports it.
			_, _ = k.etcd(ctx, v)
		}
	})
}

// one gives the lock of a folder that is made.
func (k *Kit) one(dir string) *sync.Mutex {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.making[dir] == nil {
		k.making[dir] = &sync.Mutex{}
	}
	return k.making[dir]
}

// take takes the machine's place for hosts. Who has it may still be cleaning
// up, so it waits a little. The place is given back when the last process that
// holds the file has closed it.
func take(ctx context.Context) (*os.File, error) {
	lock, err := os.OpenFile(lockFile, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err = until(ctx, func() error { return unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: other hosts run on this machine (%s)", ErrImpossible, lockFile), lock.Close())
	}
	return lock, nil
}

// possible says why hosts cannot run on this machine.
func possible() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: they boot machines and need root", ErrImpossible)
	}
	if _, err := os.Stat("/etc/debian_version"); err != nil {
		return fmt.Errorf("%w: they need Debian (no /etc/debian_version)", ErrImpossible)
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%w: there is no apt-get", ErrImpossible)
	}
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil || !bytes.Contains(known, []byte("\toverlay\n")) {
		if exec.Command("modprobe", "overlay").Run() != nil {
			return fmt.Errorf("%w: the kernel has no overlayfs", ErrImpossible)
		}
	}
	if len(hierarchies()) == 0 {
		return fmt.Errorf("%w: no cgroup version 2 hierarchy is mounted in /sys/fs/cgroup", ErrImpossible)
	}
	if out, err := exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "true").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: no namespaces: %s", ErrImpossible, bytes.TrimSpace(out))
	}
	return nil
}

// install installs the Debian packages whose programs are not there.
func install(ctx context.Context) error {
	var missing []string
	for program, name := range packages {
		if _, err := exec.LookPath(program); err != nil {
			if _, err := os.Stat(filepath.Join("/usr/sbin", program)); err != nil {
				missing = append(missing, name)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	apt := func(args ...string) error {
		c := exec.CommandContext(ctx, "apt-get", args...)
		c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		return quiet(c)
	}
	names := append([]string{"install", "-q", "-y", "--no-install-recommends"}, missing...)
	if apt(names...) == nil {
		return nil
	}
	// The lists may be old, or absent on a fresh machine.
	if err := errors.Join(apt("update", "-q"), apt(names...)); err != nil {
		return fmt.Errorf("%w: installing %s: %w", ErrImpossible, strings.Join(missing, " "), err)
	}
	return nil
}

// quiet runs a command and gives its output only in the error.
func quiet(c *exec.Cmd) error {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	c.WaitDelay = 5 * time.Second
	if err := c.Run(); err != nil {
		b := out.Bytes()
		return fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, bytes.TrimSpace(b[max(0, len(b)-2000):]))
	}
	return nil
}

// run runs a command of this machine, quietly.
func run(ctx context.Context, argv ...string) error {
	return quiet(exec.CommandContext(ctx, argv[0], argv[1:]...))
}
