package diagnosis

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdmain"
)

// asEtcd makes the test binary run as etcd itself: what the tests break and
// read is the real program, built from the version in go.mod.
const asEtcd = "NOVATUI_DIAGNOSIS_TEST_AS_ETCD"

func TestMain(m *testing.M) {
	if os.Getenv(asEtcd) != "" {
		if err := os.Unsetenv(asEtcd); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		etcdmain.Main(os.Args)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// realMember is one etcd process of a realCluster and what it wrote.
type realMember struct {
	t                *testing.T
	name, dir        string
	client, peer     int
	scheme           string
	args             []string // beside the standing ones; a later flag wins
	cred             *syscall.Credential
	initial, state   string
	token            string
	tls              tlsFiles
	cmd              *exec.Cmd
	done             chan struct{}
	exit             *os.ProcessState
	mu               sync.Mutex
	lines            []string
	lastPID, started int
	peerLog          []string
}

func (m *realMember) peerURL() string   { return m.scheme + "://127.0.0.1:" + strconv.Itoa(m.peer) }
func (m *realMember) clientURL() string { return "http://127.0.0.1:" + strconv.Itoa(m.client) }

func (m *realMember) flags() []string {
	flags := []string{
		"--name=" + m.name, "--data-dir=" + m.dir,
		"--listen-client-urls=" + m.clientURL(), "--advertise-client-urls=" + m.clientURL(),
		"--listen-peer-urls=" + m.peerURL(), "--initial-advertise-peer-urls=" + m.peerURL(),
		"--initial-cluster=" + m.initial, "--initial-cluster-state=" + m.state,
		"--initial-cluster-token=" + m.token, "--heartbeat-interval=50", "--election-timeout=500",
		"--logger=zap", "--log-outputs=stderr",
	}
	if m.tls.cert != "" {
		flags = append(flags, "--peer-cert-file="+m.tls.cert, "--peer-key-file="+m.tls.key,
			"--peer-trusted-ca-file="+m.tls.ca, "--peer-client-cert-auth")
	}
	return append(flags, m.args...)
}

// start runs the member; its output is kept line by line.
func (m *realMember) start() {
	m.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	m.cmd = exec.Command(exe, m.flags()...)
	m.cmd.Env = append(os.Environ(), asEtcd+"=1")
	m.cmd.Dir = filepath.Dir(m.dir)
	if m.cred != nil {
		m.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: m.cred}
	}
	r, w, err := os.Pipe()
	if err != nil {
		m.t.Fatal(err)
	}
	m.cmd.Stdout, m.cmd.Stderr = w, w
	m.mu.Lock()
	m.started = len(m.lines)
	m.mu.Unlock()
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	_ = w.Close()
	m.lastPID = m.cmd.Process.Pid
	done := make(chan struct{})
	m.done = done
	cmd := m.cmd
	read := make(chan struct{})
	go func() {
		defer close(read)
		s := bufio.NewScanner(r)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			m.mu.Lock()
			m.lines = append(m.lines, s.Text())
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

// output is what the member wrote since its newest start.
func (m *realMember) output() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.lines[m.started:]...)
}

// waitOutput waits until the newest process wrote the text.
func (m *realMember) waitOutput(text string, within time.Duration) {
	m.t.Helper()
	deadline := time.Now().Add(within)
	for time.Now().Before(deadline) {
		for _, l := range m.output() {
			if strings.Contains(l, text) {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	m.t.Fatalf("%s never wrote %q; it wrote:\n%s", m.name, text, strings.Join(m.output(), "\n"))
}

func (m *realMember) waitReady() {
	m.t.Helper()
	m.waitOutput("ready to serve client requests", 20*time.Second)
}

// waitExit waits for the process's own end.
func (m *realMember) waitExit(within time.Duration) {
	m.t.Helper()
	select {
	case <-m.done:
	case <-time.After(within):
		m.t.Fatalf("%s is still running; it wrote:\n%s", m.name, strings.Join(m.output(), "\n"))
	}
}

func (m *realMember) signal(s syscall.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		m.t.Fatal(err)
	}
}

// stop ends the member with a signal and waits.
func (m *realMember) stop(s syscall.Signal) { m.t.Helper(); m.signal(s); m.waitExit(20 * time.Second) }

func (m *realMember) cleanup() {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Signal(syscall.SIGCONT)
	_ = m.cmd.Process.Kill()
	<-m.done
}

func (m *realMember) path(parts ...string) string {
	return filepath.Join(append([]string{m.dir}, parts...)...)
}

type realCluster struct {
	t       *testing.T
	members []*realMember
	rogue   *authority // who signed the members' certificates
}

// newRealCluster makes n members and starts none.
func newRealCluster(t *testing.T, n int, scheme string) *realCluster {
	t.Helper()
	c := &realCluster{t: t}
	base := t.TempDir()
	ports := freePorts(t, 2*n)
	var initial []string
	for i := range n {
		m := &realMember{
			t: t, name: fmt.Sprintf("etcd%d", i+1), scheme: scheme, state: "new", token: "nova-etcd",
			client: ports[2*i], peer: ports[2*i+1],
		}
		m.dir = filepath.Join(base, m.name, "etcd")
		if err := os.MkdirAll(m.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		initial = append(initial, m.name+"="+m.peerURL())
		c.members = append(c.members, m)
		t.Cleanup(m.cleanup)
	}
	for _, m := range c.members {
		m.initial = strings.Join(initial, ",")
	}
	return c
}

func (c *realCluster) startAll() {
	c.t.Helper()
	for _, m := range c.members {
		m.start()
	}
	for _, m := range c.members {
		m.waitReady()
	}
}

// client talks to the given members.
func (c *realCluster) client(members ...*realMember) *clientv3.Client {
	c.t.Helper()
	var endpoints []string
	for _, m := range members {
		endpoints = append(endpoints, m.clientURL())
	}
	cl, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = cl.Close() })
	return cl
}

// put writes keys through a member; a fault may need them on disk.
func (c *realCluster) put(m *realMember, from, to, bytesEach int) {
	c.t.Helper()
	cl := c.client(m)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	value := strings.Repeat("v", bytesEach)
	for i := from; i < to; i++ {
		if _, err := cl.Put(ctx, fmt.Sprintf("/registry/pods/default/p%05d", i), value); err != nil {
			c.t.Fatal(err)
		}
	}
}

func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	var open []net.Listener
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, l)
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	for _, l := range open {
		_ = l.Close()
	}
	return ports
}

type tlsFiles struct{ cert, key, ca string }

// authority signs certificates for the TLS faults.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, dir: t.TempDir(), cert: cert, key: key, n: 1}
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	b := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(path, b, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// issue makes a peer certificate valid within the given times, relative to
// now, and for the given addresses.
func (a *authority) issue(name string, from, until time.Duration, ips ...net.IP) tlsFiles {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.n++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(until), IPAddresses: ips,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tlsFiles{
		cert: a.write(name+".pem", "CERTIFICATE", der),
		key:  a.write(name+"-key.pem", "EC PRIVATE KEY", keyDER),
		ca:   filepath.Join(a.dir, "ca.pem"),
	}
}

// overwrite puts bytes into a file at an offset.
func overwrite(t *testing.T, path string, offset int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.WriteAt(b, offset); err != nil {
		t.Fatal(err)
	}
}

// rubbish is n bytes that no etcd file holds.
func rubbish(n int) []byte { return bytes.Repeat([]byte{0xde, 0xad, 0xbe, 0xef}, n/4) }

// walFiles are the member's WAL files, oldest first.
func (m *realMember) walFiles() []string {
	m.t.Helper()
	files, err := filepath.Glob(m.path("member", "wal", "*.wal"))
	if err != nil || len(files) == 0 {
		m.t.Fatalf("no WAL under %s: %v", m.dir, err)
	}
	return files
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
