//go:build e2e && linux

package samples

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// wait is how long a fault may take to show.
const wait = 45 * time.Second

// line is one line that a member wrote.
type line struct {
	at   time.Time
	pid  int
	text string
}

// member is one etcd of a lab.
type member struct {
	*lab
	index     int
	name, ip  string
	dir       string // the data directory as this machine sees it
	bin       string // folder of its etcd
	scheme    string
	pki       pair
	flags     map[string]string // --name=value; an empty name removes none
	env       []string
	wrap      []string // a command that runs etcd, which follows it
	cred      *syscall.Credential
	clock     time.Duration
	group     string // a cgroup to run in
	box       *box   // when it runs under systemd
	cmd       *exec.Cmd
	done      chan struct{}
	exit      *os.ProcessState
	mu        sync.Mutex
	lines     []line
	started   int // in lines
	newestPID int
}

func (m *member) clientURL() string { return m.scheme + "://" + m.ip + ":2379" }
func (m *member) peerURL() string   { return m.scheme + "://" + m.ip + ":2380" }
func (m *member) space() string     { return memberSpace(m.index) }

// secure makes the member use a certificate for peers and clients.
func (m *member) secure(p pair) {
	m.pki = p
	for _, kind := range []string{"", "peer-"} {
		m.flags[kind+"cert-file"], m.flags[kind+"key-file"], m.flags[kind+"trusted-ca-file"] = p.cert, p.key, p.ca
		m.flags[kind+"client-cert-auth"] = "true"
	}
}

func (m *member) path(parts ...string) string {
	return filepath.Join(append([]string{m.dir}, parts...)...)
}

func (m *member) db() string { return m.path("member", "snap", "db") }

// argv is the member's command line.
func (m *member) argv() []string {
	argv := append(append([]string(nil), m.wrap...), filepath.Join(m.bin, "etcd"))
	for name, value := range m.flags {
		argv = append(argv, "--"+name+"="+value)
	}
	sort.Strings(argv[len(m.wrap)+1:])
	return argv
}

// start runs the member and does not wait for anything.
func (m *member) start() {
	m.t.Helper()
	if m.box != nil {
		m.box.start()
		return
	}
	argv := m.argv()
	m.cmd = exec.Command(argv[0], argv[1:]...)
	m.cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, m.env...)
	m.cmd.Dir = "/"
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: m.cred}
	r, w, err := os.Pipe()
	must(m.t, err)
	m.cmd.Stdout, m.cmd.Stderr = w, w
	m.mu.Lock()
	m.started = len(m.lines)
	m.mu.Unlock()
	must(m.t, inSpace(m.space(), func() error {
		if m.clock != 0 {
			return startShifted(m.cmd, m.clock)
		}
		return m.cmd.Start()
	}))
	_ = w.Close()
	pid := m.cmd.Process.Pid
	m.newestPID = pid
	if m.group != "" {
		must(m.t, os.WriteFile(filepath.Join(m.group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0))
	}
	m.watch(m.cmd, r, pid)
}

// watch keeps what the process says until it ends.
func (m *member) watch(cmd *exec.Cmd, r *os.File, pid int) {
	done, read := make(chan struct{}), make(chan struct{})
	m.done = done
	go func() {
		defer close(read)
		s := bufio.NewScanner(r)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			m.mu.Lock()
			m.lines = append(m.lines, line{time.Now().Add(m.clock), pid, s.Text()})
			m.mu.Unlock()
		}
	}()
	go func() {
		defer close(done)
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			m.t.Errorf("%s: %v", m.name, err)
		}
		<-read
		_ = r.Close()
		m.mu.Lock()
		m.exit = cmd.ProcessState
		m.mu.Unlock()
	}()
}

// output is what the newest run wrote, under systemd all that is in the journal.
func (m *member) output() []line {
	m.t.Helper()
	if m.box != nil {
		return m.box.journal()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]line(nil), m.lines[m.started:]...)
}

// all is what every run wrote.
func (m *member) all() []line {
	if m.box != nil {
		return m.box.journal()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]line(nil), m.lines...)
}

// mark is the place of the next line, for since.
func (m *member) mark() int { return len(m.all()) }

func (m *member) since(mark int) []line { return m.all()[mark:] }

func text(lines []line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.text + "\n")
	}
	return b.String()
}

// says waits until the newest run has written one of the texts.
func (m *member) says(texts ...string) {
	m.t.Helper()
	for deadline := time.Now().Add(wait); ; time.Sleep(50 * time.Millisecond) {
		out := text(m.output())
		for _, s := range texts {
			if strings.Contains(out, s) {
				return
			}
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%s never wrote %q; it wrote:\n%s", m.name, texts, out)
		}
	}
}

// ready waits until the member has joined and serves.
func (m *member) ready() {
	m.t.Helper()
	for deadline := time.Now().Add(wait); ; time.Sleep(50 * time.Millisecond) {
		if m.ping() == nil {
			return
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%s does not serve; it wrote:\n%s", m.name, text(m.output()))
		}
	}
}

func (m *member) ping() error {
	c, err := m.client()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err = c.Get(ctx, "ping")
	return err
}

// ended waits for the process's own end.
func (m *member) ended() {
	m.t.Helper()
	if m.box != nil {
		m.box.ended()
		return
	}
	select {
	case <-m.done:
	case <-time.After(wait):
		m.t.Fatalf("%s is still running; it wrote:\n%s", m.name, text(m.output()))
	}
}

func (m *member) signal(s syscall.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		m.t.Fatal(err)
	}
}

// stop ends the member in order and waits.
func (m *member) stop() {
	m.t.Helper()
	if m.box != nil {
		m.box.stop()
		return
	}
	m.signal(syscall.SIGTERM)
	m.ended()
}

// crash ends the member with SIGKILL and waits.
func (m *member) crash() {
	m.t.Helper()
	m.signal(syscall.SIGKILL)
	m.ended()
}

func (m *member) kill() {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Signal(syscall.SIGCONT)
	_ = m.cmd.Process.Kill()
	<-m.done
}
