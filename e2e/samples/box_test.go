//go:build e2e && linux

package samples

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/novatui/novatui/e2e/hosts"
)

// box is a Debian with systemd in which a member runs as etcd.service.
type box struct {
	m      *member
	dir    string // holds upper, work and merged
	groups []string
	cmd    *exec.Cmd
	ended1 chan struct{}
	user   string // that etcd runs as
	unit   string // more lines of the unit's [Service]
}

const boxScript = `while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done
shift
exec "$@"`

// newBox mounts the root of the member's machine and does not boot it.
func newBox(l *lab, m *member) *box {
	t := l.t
	root, err := hosts.Root(t.Context())
	must(t, err)
	b := &box{m: m, dir: filepath.Join(l.dir, "box"), user: "root"}
	for _, d := range []string{"upper", "work", "merged"} {
		must(t, os.MkdirAll(filepath.Join(b.dir, d), 0o755))
	}
	must(t, syscall.Mount("overlay", b.path(""), "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s",
		root, filepath.Join(b.dir, "upper"), filepath.Join(b.dir, "work"))))
	for _, h := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"} {
		if _, err := os.Stat(filepath.Join(h, "cgroup.procs")); err == nil {
			b.groups = append(b.groups, filepath.Join(h, "nvs-box"))
		}
	}
	t.Cleanup(func() {
		b.off()
		must(t, syscall.Unmount(b.path(""), syscall.MNT_DETACH))
		for _, g := range b.groups {
			removeGroups(g)
		}
	})
	write := func(path, text string, mode os.FileMode) {
		must(t, os.MkdirAll(filepath.Dir(b.path(path)), 0o755))
		must(t, os.WriteFile(b.path(path), []byte(text), mode))
	}
	write("/etc/hostname", m.name+"\n", 0o644)
	write("/etc/hosts", "127.0.0.1 localhost\n"+m.ip+" "+m.name+"\n", 0o644)
	write("/etc/machine-id", "00000000000000000000000000e2e5a1\n", 0o444)
	must(t, os.Symlink("/dev/null", b.path("/etc/systemd/system/ssh.service")))
	m.dir = b.path("/var/lib/etcd")
	must(t, os.MkdirAll(m.dir, 0o700))
	m.flags["data-dir"] = "/var/lib/etcd"
	return b
}

// removeGroups removes a cgroup and those in it, which the kernel allows some
// moments after the last process ended.
func removeGroups(dir string) {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var all []string
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append(all, path)
			}
			return nil
		})
		for i := len(all) - 1; i >= 0; i-- {
			_ = os.Remove(all[i]) // tried again
		}
		if _, err := os.Stat(dir); err != nil {
			return
		}
	}
}

// path is a file of the box as this machine sees it.
func (b *box) path(p string) string { return filepath.Join(b.dir, "merged", p) }

// lay writes the unit, the variables, the binaries and the certificates.
func (b *box) lay() {
	t := b.m.t
	must(t, os.MkdirAll(b.path("/opt/etcd"), 0o755))
	for _, p := range []string{"etcd", "etcdctl"} {
		tool(t, "cp", filepath.Join(b.m.bin, p), b.path("/opt/etcd/"+p))
	}
	if b.m.ca != nil {
		must(t, os.MkdirAll(b.path(b.m.lab.dir), 0o755))
		must(t, os.RemoveAll(b.path(filepath.Join(b.m.lab.dir, "pki")))) // a file may be gone since
		tool(t, "cp", "-rT", filepath.Join(b.m.lab.dir, "pki"), b.path(filepath.Join(b.m.lab.dir, "pki")))
	}
	var env []string
	for name, value := range b.m.flags {
		env = append(env, "ETCD_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))+"="+value)
	}
	env = append(env, b.m.env...)
	sort.Strings(env)
	must(t, os.WriteFile(b.path("/etc/etcd.env"), []byte(strings.Join(env, "\n")+"\n"), 0o644))
	unit := fmt.Sprintf(`[Unit]
Description=etcd
After=network.target

[Service]
Type=notify
User=%s
EnvironmentFile=/etc/etcd.env
ExecStart=/opt/etcd/etcd
NotifyAccess=all
Restart=always
RestartSec=3s
%s
[Install]
WantedBy=multi-user.target
`, b.user, b.unit)
	must(t, os.WriteFile(b.path("/etc/systemd/system/etcd.service"), []byte(unit), 0o644))
}

// boot switches the box on and waits until systemd takes jobs.
func (b *box) boot() {
	t := b.m.t
	args := []string{"-c", boxScript, "boot"}
	for _, g := range b.groups {
		must(t, os.MkdirAll(g, 0o755))
		args = append(args, g)
	}
	args = append(args, "--", "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit",
		"--console=read-only", "--directory="+b.path(""), "--machine="+b.m.name, "--hostname="+b.m.name,
		"--network-namespace-path=/run/netns/"+b.m.space(), "--link-journal=no", "--resolv-conf=off", "--timezone=off")
	console, err := os.OpenFile(filepath.Join(b.dir, "console"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer func() { _ = console.Close() }()
	cmd := exec.Command("sh", args...)
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	must(t, cmd.Start())
	ended := make(chan struct{})
	b.cmd, b.ended1 = cmd, ended
	go func() { defer close(ended); _ = cmd.Wait() }() // killed, as a rule
	for deadline := time.Now().Add(wait); ; time.Sleep(100 * time.Millisecond) {
		out, _ := b.try("systemctl", "is-system-running")
		if s := strings.TrimSpace(out); s == "running" || s == "degraded" {
			return
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(console.Name())
			t.Fatalf("the box does not boot: %s\n%s", out, log)
		}
	}
}

// off is a power cut.
func (b *box) off() {
	if b.cmd == nil {
		return
	}
	for _, g := range b.groups {
		if _, err := os.Stat(filepath.Join(g, "cgroup.kill")); err == nil {
			must(b.m.t, os.WriteFile(filepath.Join(g, "cgroup.kill"), []byte("1"), 0))
		}
	}
	<-b.ended1
	b.cmd = nil
}

// leader is the process that is number 1 in the box.
func (b *box) leader() int {
	if b.cmd == nil {
		return 0
	}
	queue := []int{b.cmd.Process.Pid}
	for len(queue) > 0 {
		pid := queue[0]
		queue = queue[1:]
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		for _, l := range strings.Split(string(status), "\n") {
			if f := strings.Fields(l); len(f) > 2 && f[0] == "NSpid:" && f[len(f)-1] == "1" {
				return pid
			}
		}
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		for _, f := range strings.Fields(string(children)) {
			if child, err := strconv.Atoi(f); err == nil {
				queue = append(queue, child)
			}
		}
	}
	return 0
}

// try runs a command in the box.
func (b *box) try(argv ...string) (string, error) {
	pid := b.leader()
	if pid == 0 {
		return "", fmt.Errorf("the box is off")
	}
	c := exec.Command("nsenter", append([]string{"--target", strconv.Itoa(pid), "--all", "--"}, argv...)...)
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "SYSTEMD_PAGER="}
	out, err := c.CombinedOutput()
	return string(out), err
}

// run runs a command in the box that must succeed.
func (b *box) run(argv ...string) string {
	b.m.t.Helper()
	out, err := b.try(argv...)
	if err != nil {
		b.m.t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
	return out
}

func (b *box) start() {
	b.lay()
	if b.cmd == nil {
		b.boot()
	}
	b.run("systemctl", "daemon-reload")
	b.run("systemctl", "start", "--no-block", "etcd")
}

func (b *box) stop() { b.run("systemctl", "stop", "etcd") }

// ended waits until etcd ran and is gone.
func (b *box) ended() {
	for deadline := time.Now().Add(wait); ; time.Sleep(100 * time.Millisecond) {
		switch s := b.state(); {
		case strings.Contains(s, "auto-restart"), strings.Contains(s, "failed"):
			return
		case time.Now().After(deadline):
			b.m.t.Fatalf("etcd is %s; the journal:\n%s", s, text(b.journal()))
		}
	}
}

// state is the unit's, as systemctl status words it.
func (b *box) state() string {
	out := b.run("systemctl", "show", "-p", "ActiveState,SubState", "etcd")
	f := map[string]string{}
	for _, l := range strings.Fields(out) {
		k, v, _ := strings.Cut(l, "=")
		f[k] = v
	}
	return f["ActiveState"] + " (" + f["SubState"] + ")"
}

// journal is the unit's, in the format that people paste.
func (b *box) journal() []line {
	var out []line
	got, _ := b.try("journalctl", "-u", "etcd", "--no-pager", "-o", "short")
	for _, l := range strings.Split(strings.TrimRight(got, "\n"), "\n") {
		out = append(out, line{text: l})
	}
	return out
}
