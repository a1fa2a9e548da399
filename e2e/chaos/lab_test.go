package chaos_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	etcd "go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/novatui/novatui/e2e/chaos"
	"github.com/novatui/novatui/e2e/suite"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/lab"
	"github.com/novatui/novatui/remote/remotetest"
)

// labWorld is a chaos.World over a lab of this machine, with a proxy before
// each node's SSH port.
type labWorld struct {
	dir      string
	file     string // the cluster file that leads through the proxies
	lab      *lab.Lab
	proxies  []*remotetest.Proxy
	archive  string
	archived map[string]string
	state    string
	close    func() // takes it down; more than once does nothing
	rejoined bool   // some member is not the one that the cluster began with
}

// fit reports whether a damage can be done to this lab as it is. An emptied
// member that begins anew is told "already bootstrapped" only while the cluster
// knows its first id; after a rejoin it has another.
func (w *labWorld) fit(d chaos.Damage) bool {
	return !w.rejoined || d.Fault != "wipe-data" && d.Fault != "lose-quorum"
}

// note remembers what a damage will lead to.
func (w *labWorld) note(d chaos.Damage) {
	switch d.Procedure {
	case "rejoin":
		w.rejoined = true
	case "restore", "salvage":
		w.rejoined = false
	}
}

// newLab starts a lab that ends with the test, or before it by close.
func newLab(t testing.TB) *labWorld {
	t.Helper()
	w := &labWorld{dir: filepath.Join(t.TempDir(), "lab"), state: t.TempDir()}
	novatui := func(args ...string) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if out, err := exec.CommandContext(ctx, programs.lab, args...).CombinedOutput(); err != nil {
			t.Fatalf("novatui %v: %v\n%s", args, err, out)
		}
	}
	w.close = sync.OnceFunc(func() {
		for _, p := range w.proxies {
			p.Close()
		}
		novatui("lab", "down", "--dir", w.dir)
	})
	t.Cleanup(w.close)
	novatui("lab", "up", "--dir", w.dir)
	var err error
	if w.lab, err = lab.Open(w.dir); err != nil {
		t.Fatal(err)
	}
	w.dir = w.lab.Dir()
	status, err := w.lab.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.archive = filepath.Join(w.lab.NodeRoot(w.Nodes()[0]), status.Snapshot.Path)
	if w.archived, err = suite.ArchivedKeys(w.archive); err != nil {
		t.Fatal(err)
	}
	if err := w.layProxies(t, status); err != nil {
		t.Fatal(err)
	}
	return w
}

// layProxies puts a proxy before each node's SSH port and writes a cluster file
// and a known_hosts that lead there.
func (w *labWorld) layProxies(t testing.TB, status lab.Status) error {
	file, err := os.ReadFile(w.lab.ClusterFile())
	if err != nil {
		return err
	}
	hosts, err := os.ReadFile(filepath.Join(w.dir, "known_hosts"))
	if err != nil {
		return err
	}
	for _, n := range status.Nodes {
		p := remotetest.NewProxy(t, fmt.Sprintf("127.0.0.1:%d", n.SSHPort))
		w.proxies = append(w.proxies, p)
		real, ours := fmt.Sprint(n.SSHPort), fmt.Sprint(p.Port())
		file = []byte(strings.ReplaceAll(string(file), "port: "+real+" ", "port: "+ours+" "))
		hosts = []byte(strings.ReplaceAll(string(hosts), "]:"+real+" ", "]:"+ours+" "))
	}
	known := filepath.Join(w.state, "known_hosts")
	file = []byte(strings.ReplaceAll(string(file), filepath.Join(w.dir, "known_hosts"), known))
	w.file = filepath.Join(w.state, "novatui.yaml")
	return errors.Join(os.WriteFile(known, hosts, 0o600), os.WriteFile(w.file, file, 0o600))
}

func (w *labWorld) About() (world, version string) { return "lab", etcd.Version }
func (w *labWorld) Cluster() string                { return "nova-lab" }
func (w *labWorld) Nodes() []string                { return w.lab.NodeNames() }

func (w *labWorld) Command(ctx context.Context, state string, env []string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, programs.operator, append([]string{"--cluster", w.file}, args...)...)
	c.Env = append(os.Environ(), append([]string{
		"XDG_STATE_HOME=" + state, "XDG_CONFIG_HOME=" + state, "LC_ALL=C.UTF-8", "SSH_AUTH_SOCK=",
	}, env...)...)
	c.WaitDelay = 5 * time.Second
	return c
}

// Novatui implements suite.World.
func (w *labWorld) Novatui(ctx context.Context, env []string, args ...string) suite.Answer {
	a, err := chaos.Watch(w.Command(ctx, w.state, env, args...), nil)
	if err != nil {
		a.Exit = -1
	}
	return suite.Answer{Exit: a.Exit, Stdout: a.Stdout, Stderr: a.Stderr}
}

func (w *labWorld) Break(ctx context.Context, fault string, nodes ...string) error {
	if fault == "lose-all" {
		nodes = nil
	}
	return w.lab.Break(ctx, fault, nodes...)
}

func (w *labWorld) Path(node, path string) string {
	return filepath.Join(w.lab.NodeRoot(node), path)
}

func (w *labWorld) Client(node string) (*clientv3.Client, error) {
	b, err := os.ReadFile(w.Path(node, "/etc/etcd.env"))
	if err != nil {
		return nil, err
	}
	env, err := etcdops.ParseEnv(b)
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(env["ETCDCTL_CERT"], env["ETCDCTL_KEY"])
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(env["ETCDCTL_CACERT"])
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return clientv3.New(clientv3.Config{
		Endpoints: []string{env["ETCD_ADVERTISE_CLIENT_URLS"]}, DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
		TLS:         &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool},
		DialOptions: quick,
	})
}

// quick makes a client find a member soon after it has come back.
var quick = []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.5, MaxDelay: 500 * time.Millisecond},
	MinConnectTimeout: 2 * time.Second,
})}

func (w *labWorld) Keys(ctx context.Context, node string) (map[string]string, error) {
	c, err := w.Client(node)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	return suite.ReadKeys(ctx, c)
}

func (w *labWorld) Snapshot(context.Context) (string, map[string]string, error) {
	return w.Nodes()[0] + ":" + w.archive, w.archived, nil
}

func (w *labWorld) Running(ctx context.Context, node string) (bool, error) {
	pid, err := w.pid(ctx, node)
	return pid > 0, err
}

func (w *labWorld) pid(ctx context.Context, node string) (int, error) {
	status, err := w.lab.Status(ctx)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(status.Nodes, func(n lab.NodeStatus) bool { return n.Name == node })
	return status.Nodes[i].Unit.PID, nil
}

func (w *labWorld) Clean(context.Context) error {
	var errs []error
	for _, node := range w.Nodes() {
		for _, pattern := range []string{"/var/lib/etcd.novatui-*", "/etc/etcd.env.novatui-*", "/var/lib/novatui"} {
			found, err := filepath.Glob(w.Path(node, pattern))
			errs = append(errs, err)
			for _, path := range found {
				errs = append(errs, os.RemoveAll(path)) // of a lab that ends with the test
			}
		}
	}
	return errors.Join(errs...)
}

func (w *labWorld) Strike(ctx context.Context, f chaos.Fault) error {
	proxy := w.proxies[f.Node]
	wait := func() {
		t := time.NewTimer(f.Lasts)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	switch f.Kind {
	case chaos.Reset:
		proxy.Reset()
	case chaos.Refuse:
		proxy.Cut(true)
		wait()
		proxy.Cut(false)
	case chaos.Hole:
		proxy.BlackHole(true)
		wait()
		proxy.BlackHole(false)
	case chaos.Slow:
		proxy.Slow(100*time.Millisecond, 0.05)
		wait()
		proxy.Slow(0, 0)
	case chaos.EtcdKill:
		pid, err := w.pid(ctx, w.Nodes()[f.Node])
		if err == nil && pid > 0 {
			err = syscall.Kill(pid, syscall.SIGKILL)
		}
		return err
	default:
		return fmt.Errorf("the lab has no %s", f.Kind)
	}
	return nil
}

var _ chaos.World = (*labWorld)(nil)
