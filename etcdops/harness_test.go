package etcdops

import (
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
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/novatui/novatui/lab"
	"github.com/novatui/novatui/lab/labtest"
	"github.com/novatui/novatui/remote"
)

// program plays etcd, etcdctl and etcdutl, and the parts of a lab, when it is
// started by their names: the tests below run the real programs.
var program string

func TestMain(m *testing.M) {
	if code, played := lab.Dispatch(os.Args); played {
		os.Exit(code)
	}
	var remove func() error
	var err error
	if program, remove, err = labtest.Program(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = remove() // a temporary file
	os.Exit(code)
}

// localConn runs commands on this machine: a node whose root is a folder.
type localConn struct {
	node remote.Node
	env  []string
	// noise is printed before anything else, as a login script would.
	noise string
}

func (c *localConn) Node() remote.Node { return c.node }
func (c *localConn) Alive() time.Time  { return time.Now() }
func (c *localConn) Close() error      { return nil }

func (c *localConn) Run(ctx context.Context, cmd remote.Command, s remote.Streams) (remote.Result, error) {
	if err := cmd.Validate(); err != nil {
		return remote.Result{}, fmt.Errorf("%w: %w", remote.ErrNotStarted, err)
	}
	ctx, cancel := context.WithTimeout(ctx, cmd.Timeout)
	defer cancel()
	p := exec.CommandContext(ctx, cmd.Argv[0], cmd.Argv[1:]...)
	p.Env = append(append(os.Environ(), c.env...), cmd.Env...)
	p.WaitDelay = time.Second
	var out, errOut bytes.Buffer
	p.Stdout, p.Stderr, p.Stdin = &out, &errOut, strings.NewReader(cmd.Stdin)
	if s.Stdin != nil {
		p.Stdin = s.Stdin
	}
	if s.Stdout != nil {
		p.Stdout = s.Stdout
		if c.noise != "" {
			_, _ = s.Stdout.Write([]byte(c.noise))
		}
	}
	began := time.Now()
	err := p.Run()
	if ctx.Err() != nil {
		return remote.Result{}, errors.Join(remote.ErrOutcomeUnknown, ctx.Err())
	}
	if err != nil && p.ProcessState == nil {
		return remote.Result{}, fmt.Errorf("%w: %w", remote.ErrNotStarted, err)
	}
	return remote.Result{
		Exit: p.ProcessState.ExitCode(), Stdout: out.Bytes(), Stderr: errOut.Bytes(), Duration: time.Since(began),
	}, nil
}

func (c *localConn) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// cluster is real etcd, each member under the root folder of a node.
type cluster struct {
	t     testing.TB
	cfg   Config
	nodes []remote.Node
	procs map[string]*exec.Cmd
	conns map[string]*localConn
	down  map[string]error
}

func (c *cluster) Conn(_ context.Context, node string) (remote.Conn, error) {
	if err := c.down[node]; err != nil {
		return nil, err
	}
	return c.conns[node], nil
}

// freePorts finds ports that nobody listens on now.
func freePorts(t testing.TB, n int) []int {
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

// newCluster lays out and starts n members with mutual TLS and waits until
// each answers.
func newCluster(t testing.TB, n int) *cluster {
	t.Helper()
	c := &cluster{t: t, procs: map[string]*exec.Cmd{}, conns: map[string]*localConn{}, down: map[string]error{}}
	c.cfg = Config{
		Cluster: "test", Environment: "lab", Platform: "systemd", Unit: "etcd.service",
		EnvFile: "/etc/etcd.env", BinDir: "/opt/etcd", SnapshotDirs: []string{"/tmp"},
	}
	dir := t.TempDir()
	ca := newAuthority(t)
	ports := freePorts(t, 2*n)
	var initial []string
	for i := range n {
		initial = append(initial, fmt.Sprintf("etcd%d=https://127.0.0.1:%d", i+1, ports[2*i+1]))
	}
	for i := range n {
		name := fmt.Sprintf("master-%d", i+1)
		root := filepath.Join(dir, name)
		node := remote.Node{Name: name, Address: "127.0.0.1", Root: root}
		c.nodes = append(c.nodes, node)
		c.conns[name] = &localConn{node: node}
		for _, d := range []string{"etc/ssl/etcd", "opt/etcd", "var/lib", "tmp"} {
			if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		linkTools(t, filepath.Join(root, "opt/etcd"))
		write(t, filepath.Join(root, "etc/machine-id"), fmt.Sprintf("%032x\n", i+1))
		write(t, filepath.Join(root, "etc/hostname"), "nova-"+name+".nova.internal\n")
		ssl := filepath.Join(root, "etc/ssl/etcd")
		write(t, filepath.Join(ssl, "ca.pem"), string(ca.pem))
		ca.issue(t, filepath.Join(ssl, "member"), time.Now().Add(240*time.Hour))
		client := fmt.Sprintf("https://127.0.0.1:%d", ports[2*i])
		peer := fmt.Sprintf("https://127.0.0.1:%d", ports[2*i+1])
		env := [][2]string{
			{"ETCD_NAME", fmt.Sprintf("etcd%d", i+1)}, {"ETCD_DATA_DIR", filepath.Join(root, "var/lib/etcd")},
			{"ETCD_LISTEN_CLIENT_URLS", client}, {"ETCD_ADVERTISE_CLIENT_URLS", client},
			{"ETCD_LISTEN_PEER_URLS", peer}, {"ETCD_INITIAL_ADVERTISE_PEER_URLS", peer},
			{"ETCD_INITIAL_CLUSTER", strings.Join(initial, ",")}, {"ETCD_INITIAL_CLUSTER_STATE", "new"},
			{"ETCD_INITIAL_CLUSTER_TOKEN", "k8s_etcd"}, {"ETCD_HEARTBEAT_INTERVAL", "50"}, {"ETCD_ELECTION_TIMEOUT", "500"},
			{"ETCD_TRUSTED_CA_FILE", ssl + "/ca.pem"}, {"ETCD_CLIENT_CERT_AUTH", "true"},
			{"ETCD_CERT_FILE", ssl + "/member.pem"}, {"ETCD_KEY_FILE", ssl + "/member-key.pem"},
			{"ETCD_PEER_TRUSTED_CA_FILE", ssl + "/ca.pem"}, {"ETCD_PEER_CLIENT_CERT_AUTH", "true"},
			{"ETCD_PEER_CERT_FILE", ssl + "/member.pem"}, {"ETCD_PEER_KEY_FILE", ssl + "/member-key.pem"},
			{"ETCDCTL_ENDPOINTS", client}, {"ETCDCTL_CACERT", ssl + "/ca.pem"},
			{"ETCDCTL_CERT", ssl + "/member.pem"}, {"ETCDCTL_KEY", ssl + "/member-key.pem"},
			{"ETCDCTL_PASSWORD", "never shown"},
		}
		var text strings.Builder
		for _, v := range env {
			fmt.Fprintf(&text, "%s=\"%s\"\n", v[0], v[1])
		}
		write(t, filepath.Join(root, "etc/etcd.env"), text.String())
	}
	for _, node := range c.nodes {
		c.start(node.Name)
	}
	t.Cleanup(func() {
		for name := range c.procs {
			c.kill(name)
		}
	})
	for _, node := range c.nodes {
		c.waitHealthy(node.Name)
	}
	return c
}

func linkTools(t testing.TB, dir string) {
	t.Helper()
	for _, tool := range []string{"etcd", "etcdctl", "etcdutl"} {
		if err := os.Symlink(program, filepath.Join(dir, tool)); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *cluster) node(name string) remote.Node { return c.conns[name].node }

// start starts a member with its env file and nothing else.
func (c *cluster) start(name string) {
	c.t.Helper()
	root := c.node(name).Root
	values, err := ParseEnv([]byte(read(c.t, filepath.Join(root, "etc/etcd.env"))))
	if err != nil {
		c.t.Fatal(err)
	}
	p := exec.Command(filepath.Join(root, "opt/etcd/etcd"))
	for k, v := range values {
		if strings.HasPrefix(k, "ETCD_") {
			p.Env = append(p.Env, k+"="+v)
		}
	}
	log, err := os.OpenFile(filepath.Join(root, "etcd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	p.Stdout, p.Stderr = log, log
	if err := p.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.procs[name] = p
}

func (c *cluster) kill(name string) {
	p := c.procs[name]
	if p == nil {
		return
	}
	_ = p.Process.Signal(syscall.SIGCONT)
	_ = p.Process.Kill()
	_ = p.Wait()
	delete(c.procs, name)
}

func (c *cluster) waitHealthy(name string) {
	c.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		out, err := c.ctl(name, "endpoint", "health")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%s did not become healthy: %v %s\n%s", name, err, out,
				read(c.t, filepath.Join(c.node(name).Root, "etcd.log")))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// ctl runs the node's own etcdctl with its own env file.
func (c *cluster) ctl(name string, args ...string) (string, error) {
	root := c.node(name).Root
	values, err := ParseEnv([]byte(read(c.t, filepath.Join(root, "etc/etcd.env"))))
	if err != nil {
		return "", err
	}
	p := exec.Command(filepath.Join(root, "opt/etcd/etcdctl"), args...)
	for k, v := range values {
		if strings.HasPrefix(k, "ETCDCTL_") && k != "ETCDCTL_PASSWORD" {
			p.Env = append(p.Env, k+"="+v)
		}
	}
	out, err := p.CombinedOutput()
	return string(out), err
}

func (c *cluster) collector() *Collector {
	col := NewCollector(c.cfg, c.nodes, c)
	c.t.Cleanup(func() { _ = col.Close() })
	return col
}

func (c *cluster) collect() Facts {
	c.t.Helper()
	f, err := c.collector().Collect(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return f
}

// run runs a builder's command on its node and demands status 0.
func (c *cluster) run(node string, cmd remote.Command, err error) string {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	res, err := c.conns[node].Run(c.t.Context(), cmd, remote.Streams{})
	if err == nil {
		err = res.Check(node, cmd)
	}
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", cmd.Short(), err, res.Stderr)
	}
	return string(res.Stdout)
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "etcd-ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(240 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// issue writes BASE.pem and BASE-key.pem for 127.0.0.1, good for servers,
// peers and clients.
func (a authority) issue(t testing.TB, base string, until time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "etcd"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, base+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, base+"-key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}
