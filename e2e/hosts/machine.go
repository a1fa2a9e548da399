//go:build e2e && linux

package hosts

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	stateDir    = "/var/lib/novatui-e2e" // everything of the hosts that run
	cgroupName  = "novatui-e2e"
	etcdUnit    = "etcd.service"
	bootTime    = 60 * time.Second // to boot on a machine under load; 2 s when idle
	poll        = 50 * time.Millisecond
	commandTime = 60 * time.Second
)

// node is one machine.
type node struct {
	name, member string // master-1, etcd1
	index        int
	address      string
	dir          string // holds upper, work, merged and what is mounted
	cmd          *exec.Cmd
	ended        chan struct{} // closed when the machine is off
}

func newNode(index int) *node {
	name := fmt.Sprintf("master-%d", index+1)
	return &node{
		name: name, member: fmt.Sprintf("etcd%d", index+1), index: index,
		address: network + strconv.Itoa(11+index), dir: filepath.Join(stateDir, name),
	}
}

func (n *node) space() string { return spacePrefix + n.name }
func (n *node) port() string  { return "port" + strconv.Itoa(n.index+1) }

// path is a file of the node as this machine sees it: through the same mount
// that is the node's root, so that both see every change at once.
func (n *node) path(p string) string { return filepath.Join(n.dir, "merged", p) }

// hierarchies are the mounts of the cgroup hierarchies in which a node needs a
// group of its own: version 2, and systemd's named one where there is one.
func hierarchies() []string {
	var found []string
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(dir, "cgroup.controllers")); err == nil {
			found = append(found, dir)
		}
	}
	if len(found) > 0 {
		if _, err := os.Stat("/sys/fs/cgroup/systemd/cgroup.procs"); err == nil {
			found = append(found, "/sys/fs/cgroup/systemd")
		}
	}
	return found
}

func (n *node) cgroups() []string {
	var groups []string
	for _, h := range hierarchies() {
		groups = append(groups, filepath.Join(h, cgroupName, n.name))
	}
	return groups
}

// bootScript enters the node's cgroups and boots it, again after each reboot
// (exit status 133). It takes the cgroups up to "--" and then the command.
const bootScript = `while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done
shift
export SYSTEMD_NSPAWN_TMPFS_TMP=0
while :; do "$@"; s=$?; [ $s = 133 ] || exit $s; done`

// boot switches the machine on. It does not wait for anything.
func (n *node) boot() error {
	args := []string{"-c", bootScript, "boot"}
	for _, group := range n.cgroups() {
		if err := os.MkdirAll(group, 0o755); err != nil {
			return err
		}
		args = append(args, group)
	}
	args = append(args, "--", "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit",
		"--console=read-only", "--directory="+n.path(""), "--machine="+n.name, "--hostname="+n.name,
		"--network-namespace-path=/run/netns/"+n.space(), "--link-journal=no", "--resolv-conf=off", "--timezone=off")
	console, err := os.OpenFile(filepath.Join(n.dir, "console"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = console.Close() }()
	cmd := exec.Command("sh", args...)
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	n.cmd, n.ended = cmd, ended
	go func() { // off waits for it
		defer close(ended)
		_ = cmd.Wait() // killed, as a rule
	}()
	return nil
}

// off is a power cut: everything of the machine is killed at once.
func (n *node) off() error {
	var errs []error
	for _, group := range n.cgroups() {
		errs = append(errs, kill(group))
	}
	if n.ended != nil {
		<-n.ended
		n.cmd, n.ended = nil, nil
	}
	return errors.Join(errs...)
}

// kill ends every process of a cgroup of version 2 and of those below it, and
// waits until there is none. A group of another version holds the same
// processes and is only waited for.
func kill(group string) error {
	if _, err := os.Stat(group); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if _, err := os.Stat(filepath.Join(group, "cgroup.kill")); err == nil {
		if err := os.WriteFile(filepath.Join(group, "cgroup.kill"), []byte("1"), 0); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(poll) {
		pids, err := processes(group)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of %s do not end", pids, group)
		}
	}
}

// processes are those of a cgroup and of all below it.
func processes(group string) (pids []string, err error) {
	err = filepath.WalkDir(group, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil //nolint:nilerr // a group that vanished meanwhile holds nobody
		}
		b, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		pids = append(pids, strings.Fields(string(b))...)
		return nil
	})
	return pids, err
}

// errOff: the machine is switched off, or between two boots.
var errOff = errors.New("the machine is off")

// leader is the process that is number 1 on the node.
func (n *node) leader() (int, error) {
	if n.cmd == nil {
		return 0, errOff
	}
	parents := []int{n.cmd.Process.Pid}
	for len(parents) > 0 {
		pid := parents[0]
		parents = parents[1:]
		if first(pid) {
			return pid, nil
		}
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		for _, f := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(f); err == nil {
				parents = append(parents, child)
			}
		}
	}
	return 0, errOff
}

// first reports whether a process is number 1 of an inner namespace.
func first(pid int) bool {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for _, line := range strings.Split(string(b), "\n") {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "NSpid:" {
			return f[len(f)-1] == "1"
		}
	}
	return false
}

// in runs a command on the node, not through sshd, and gives its output.
func (n *node) in(ctx context.Context, argv ...string) (string, error) {
	pid, err := n.leader()
	if err != nil {
		return "", fmt.Errorf("%s: %w", n.name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	c := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(pid), "--all", "--"}, argv...)...)
	c.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "SYSTEMD_PAGER="}
	c.WaitDelay = time.Second
	out, err := c.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %s: %w: %s", n.name, strings.Join(argv, " "), err, tail(out))
	}
	return string(out), nil
}

func tail(b []byte) string { return strings.TrimSpace(string(b[max(0, len(b)-2000):])) }

// sh runs a shell script on the node.
func (n *node) sh(ctx context.Context, script string, args ...string) (string, error) {
	return n.in(ctx, append([]string{"sh", "-euc", script, "sh"}, args...)...)
}

// up waits until sshd greets and systemd is ready for jobs.
func (n *node) up(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	err := until(ctx, func() error { return n.greeted(ctx) })
	if err != nil {
		console, _ := os.ReadFile(filepath.Join(n.dir, "console"))
		return fmt.Errorf("booting %s: %w\n%s", n.name, err, tail(console))
	}
	return nil
}

// greeted asks sshd for its greeting.
func (n *node) greeted(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := dial(ctx, net.JoinHostPort(n.address, "22"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "SSH-2.0-") {
		err = fmt.Errorf("sshd says %q", line)
	}
	return err
}

// until asks again and again, until the answer is no error or ctx ends.
func until(ctx context.Context, ask func() error) error {
	var last error // that is not only the end of ctx
	for {
		err := ask()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), last)
		case <-time.After(poll):
		}
	}
}
