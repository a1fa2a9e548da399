//go:build e2e && linux

package samples

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/novatui/novatui/e2e/hosts"
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

// lab is a cluster in the making.
type lab struct {
	t       *testing.T
	version string
	inBox   bool // member 2 runs under systemd
	dir     string
	prefix  string
	ca      *authority
	admin   pair
	members []*member
}

// hostNames are what the machines of a sample are called; which set is drawn
// by the sample's name.
var hostNames = [][]string{
	{"etcd-1", "etcd-2", "etcd-3", "etcd-4"}, {"master-1", "master-2", "master-3", "master-4"},
	{"cp-a", "cp-b", "cp-c", "cp-d"}, {"kube-m1", "kube-m2", "kube-m3", "kube-m4"},
	{"infra0", "infra1", "infra2", "infra3"}, {"n1", "n2", "n3", "n4"},
}

// newLab lays the network and the members' settings; it starts nothing. tls
// makes peers and clients speak it.
func newLab(t *testing.T, version string, n int, tls, inBox bool) *lab {
	t.Helper()
	h := fnv.New32a()
	_, _ = h.Write([]byte(t.Name()))
	sum := h.Sum32()
	l := &lab{t: t, version: version, inBox: inBox, prefix: fmt.Sprintf("10.%d.%d.", 20+sum%60, sum/60%250)}
	bin := binaries(t, version)
	var err error
	l.dir, err = os.MkdirTemp("/var/lib", "nvs-") // a booted Debian mounts its own /tmp
	must(t, err)
	must(t, os.Chmod(l.dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(l.dir) })
	layNetwork(t, l.prefix, n)
	scheme := "http"
	if tls {
		scheme = "https"
		l.ca = newAuthority(t, filepath.Join(l.dir, "pki"), "ca", -1000*time.Hour, 80000*time.Hour)
		l.admin = l.ca.issue("admin", wish{})
	}
	names := hostNames[sum%uint32(len(hostNames))]
	for i := range n {
		m := &member{lab: l, index: i, name: names[i], ip: l.prefix + strconv.Itoa(11+i), bin: bin, scheme: scheme}
		m.dir = filepath.Join(l.dir, m.name, "etcd")
		must(t, os.MkdirAll(m.dir, 0o700))
		m.flags = map[string]string{
			"name": m.name, "data-dir": m.dir, "initial-cluster-state": "new", "initial-cluster-token": "k8s-etcd",
			"listen-client-urls": m.clientURL(), "advertise-client-urls": m.clientURL(),
			"listen-peer-urls": m.peerURL(), "initial-advertise-peer-urls": m.peerURL(),
		}
		if tls {
			m.secure(l.ca.issue(m.name, wish{addresses: []string{m.ip, "127.0.0.1"}}))
		}
		l.members = append(l.members, m)
		t.Cleanup(m.kill)
	}
	for _, m := range l.members {
		m.flags["initial-cluster"] = l.initial(l.members...)
	}
	if inBox {
		l.members[1].box = newBox(l, l.members[1])
	}
	return l
}

var binaryDirs sync.Map

func binaries(t *testing.T, version string) string {
	t.Helper()
	if d, ok := binaryDirs.Load(version); ok {
		return d.(string)
	}
	d, err := hosts.Binaries(t.Context(), version)
	must(t, err)
	binaryDirs.Store(version, d)
	return d
}

func (l *lab) initial(members ...*member) string {
	var all []string
	for _, m := range members {
		all = append(all, m.name+"="+m.peerURL())
	}
	return strings.Join(all, ",")
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

func (l *lab) startAll() {
	l.t.Helper()
	for _, m := range l.members {
		m.start()
	}
	for _, m := range l.members {
		m.ready()
	}
}

// client talks to one member from the hub.
func (m *member) client() (*clientv3.Client, error) {
	config := clientv3.Config{
		Endpoints: []string{m.clientURL()}, DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return dial(ctx, net.JoinHostPort(m.ip, "2379"))
		})},
	}
	if m.scheme == "https" {
		tls, err := clientTLS(m.admin)
		if err != nil {
			return nil, err
		}
		config.TLS = tls
	}
	return clientv3.New(config)
}

// put writes n keys of so many bytes through a member.
func (m *member) put(n, size int) {
	m.t.Helper()
	must(m.t, m.tryPut(n, size))
}

func (m *member) tryPut(n, size int) error {
	c, err := m.client()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 2*wait)
	defer cancel()
	value := strings.Repeat("v", size)
	for i := range n {
		if _, err := c.Put(ctx, fmt.Sprintf("/registry/pods/default/p%05d", i), value); err != nil {
			return err
		}
	}
	return nil
}

// leader is the member that leads.
func (l *lab) leader() *member {
	l.t.Helper()
	for deadline := time.Now().Add(wait); ; time.Sleep(100 * time.Millisecond) {
		for _, m := range l.members {
			c, err := m.client()
			must(l.t, err)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			s, err := c.Status(ctx, m.clientURL())
			cancel()
			_ = c.Close()
			if err == nil && s.Leader == s.Header.MemberId {
				return m
			}
		}
		if time.Now().After(deadline) {
			l.t.Fatal("no member leads")
		}
	}
}

// lead makes member i the leader.
func (l *lab) lead(i int) {
	l.t.Helper()
	from := l.leader()
	if from.index == i {
		return
	}
	c, err := from.client()
	must(l.t, err)
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	_, err = c.MoveLeader(ctx, l.members[i].id(from))
	must(l.t, err)
}

// id is the member's id as another knows it.
func (m *member) id(asked *member) uint64 {
	m.t.Helper()
	c, err := asked.client()
	must(m.t, err)
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	list, err := c.MemberList(ctx)
	must(m.t, err)
	for _, x := range list.Members {
		if len(x.PeerURLs) == 1 && x.PeerURLs[0] == m.peerURL() {
			return x.ID
		}
	}
	m.t.Fatalf("%s is not a member", m.name)
	return 0
}

// remove removes the member through another.
func (m *member) remove(asked *member) string {
	m.t.Helper()
	var out string
	for deadline := time.Now().Add(wait); ; time.Sleep(time.Second) { // refused for 5 s after a start
		out = asked.ctl("member", "remove", fmt.Sprintf("%x", m.id(asked)))
		if strings.Contains(out, "removed from cluster") {
			return out
		}
		if time.Now().After(deadline) {
			m.t.Fatal(out)
		}
	}
}

// ctl runs the version's own etcdctl against the member and gives what was
// typed and what it answered.
func (m *member) ctl(args ...string) string {
	m.t.Helper()
	return m.lab.ctl([]*member{m}, args...)
}

func (l *lab) ctl(members []*member, args ...string) string {
	l.t.Helper()
	var endpoints []string
	for _, m := range members {
		endpoints = append(endpoints, m.clientURL())
	}
	flags := []string{"--endpoints=" + strings.Join(endpoints, ",")}
	if l.ca != nil {
		flags = append(flags, "--cacert="+l.admin.ca, "--cert="+l.admin.cert, "--key="+l.admin.key)
	}
	return l.program(members[0].bin, "etcdctl", append(flags, args...)...)
}

// program runs etcdctl or etcdutl of a folder in the hub.
func (l *lab) program(bin, name string, args ...string) string {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	var out strings.Builder
	c.Stdout, c.Stderr = &out, &out
	c.Env = []string{"PATH=/usr/bin:/bin", "HOME=/root"}
	must(l.t, inSpace(hub, c.Start))
	_ = c.Wait() // how it ended is in what it said
	return "$ " + name + " " + strings.Join(args, " ") + "\n" + strings.TrimRight(out.String(), "\n")
}

// old reports whether the lab's etcd is the one before JSON logs.
func (l *lab) old() bool { return l.version == hosts.DebianVersion }

// minor is the second number of the version.
func (l *lab) minor() int {
	n, _ := strconv.Atoi(strings.Split(l.version, ".")[1])
	return n
}

// others are all members but one.
func (l *lab) others(but *member) []*member {
	var out []*member
	for _, m := range l.members {
		if m != but {
			out = append(out, m)
		}
	}
	return out
}
