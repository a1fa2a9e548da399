package suite_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	etcd "go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/novatui/novatui/e2e/suite"
	"github.com/novatui/novatui/etcdops"
)

// The two programs of these tests, built once: the operator's, under the race
// detector, and a plain one that plays the lab. Both have the points at which a
// test can kill them.
var programs struct{ operator, lab string }

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "novatui-suite-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder of ours
	programs.operator = filepath.Join(dir, "novatui-race")
	programs.lab = filepath.Join(dir, "novatui")
	for _, args := range [][]string{
		{"build", "-tags", "faultpoints", "-o", programs.lab, "github.com/novatui/novatui/cmd/novatui"},
		{"build", "-race", "-tags", "faultpoints", "-o", programs.operator, "github.com/novatui/novatui/cmd/novatui"},
	} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go %s: %v\n%s", strings.Join(args, " "), err, out)
			return 1
		}
	}
	return m.Run()
}

// labWorld is a suite.World over a lab of this machine.
type labWorld struct {
	dir, state string
	operator   string // the program that repairs
	nodes      []string

	once     sync.Once
	archived map[string]string
	archErr  error
}

// newLab starts a lab that ends with the test.
func newLab(t testing.TB) *labWorld {
	t.Helper()
	w := &labWorld{dir: filepath.Join(t.TempDir(), "lab"), state: t.TempDir(), operator: programs.operator}
	t.Cleanup(func() { w.must(t, "lab", "down", "--dir", w.dir) })
	w.must(t, "lab", "up", "--dir", w.dir)
	var status struct {
		Nodes []struct {
			Name string `json:"name"`
		} `json:"nodes"`
	}
	if err := json.Unmarshal(w.must(t, "lab", "status", "--dir", w.dir, "-o", "json"), &status); err != nil {
		t.Fatal(err)
	}
	for _, n := range status.Nodes {
		w.nodes = append(w.nodes, n.Name)
	}
	return w
}

// quick is a lab whose operator runs without the race detector, which TestFaults
// has on: it shows nothing of a refusal, or of a program that is killed.
func quick(t testing.TB) *labWorld {
	t.Helper()
	w := newLab(t)
	w.operator = programs.lab
	return w
}

func (w *labWorld) must(t testing.TB, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a := w.exec(ctx, programs.lab, nil, args...)
	if a.Exit != 0 {
		t.Fatalf("novatui %s: exit %d\n%s", strings.Join(args, " "), a.Exit, a.Stderr)
	}
	return a.Stdout
}

func (w *labWorld) exec(ctx context.Context, program string, env []string, args ...string) suite.Answer {
	c := exec.CommandContext(ctx, program, args...)
	// State, config and language of their own, so that tests do not meet.
	c.Env = append(os.Environ(), append([]string{
		"XDG_STATE_HOME=" + w.state, "XDG_CONFIG_HOME=" + w.state, "LC_ALL=C.UTF-8", "SSH_AUTH_SOCK=",
	}, env...)...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	a := suite.Answer{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Exit: c.ProcessState.ExitCode()}
	if c.ProcessState == nil || err != nil && a.Exit == 0 {
		a.Exit = -1
	}
	return a
}

func (w *labWorld) Cluster() string { return "nova-lab" }
func (w *labWorld) Nodes() []string { return w.nodes }

func (w *labWorld) Novatui(ctx context.Context, env []string, args ...string) suite.Answer {
	return w.exec(ctx, w.operator, env, append([]string{"--cluster", filepath.Join(w.dir, "novatui.yaml")}, args...)...)
}

func (w *labWorld) Break(ctx context.Context, fault string, nodes ...string) error {
	args := []string{"lab", "break", fault, "--dir", w.dir}
	for _, n := range nodes {
		args = append(args, "--node", n)
	}
	if a := w.exec(ctx, programs.lab, nil, args...); a.Exit != 0 {
		return fmt.Errorf("lab break %s: exit %d: %s", fault, a.Exit, a.Stderr)
	}
	return nil
}

// env reads a node's env file.
func (w *labWorld) env(node string) (map[string]string, error) {
	b, err := os.ReadFile(filepath.Join(w.dir, node, "etc", "etcd.env"))
	if err != nil {
		return nil, err
	}
	return etcdops.ParseEnv(b)
}

func (w *labWorld) client(node string) (*clientv3.Client, error) {
	env, err := w.env(node)
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
		Endpoints:   []string{env["ETCD_ADVERTISE_CLIENT_URLS"]},
		DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
		TLS: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool},
	})
}

func (w *labWorld) Keys(ctx context.Context, node string) (map[string]string, error) {
	c, err := w.client(node)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	return suite.ReadKeys(ctx, c)
}

// About names the world and etcd's version for a result.
func (w *labWorld) About() (world, version string) { return "lab", etcd.Version }

func (w *labWorld) Snapshot(context.Context) (string, map[string]string, error) {
	found, err := filepath.Glob(filepath.Join(w.dir, w.nodes[0], "tmp", "etcd_snapshot_nova-*.db.tar.gz"))
	if err != nil || len(found) != 1 {
		return "", nil, errors.Join(err, fmt.Errorf("%d archives in tmp", len(found)))
	}
	w.once.Do(func() { w.archived, w.archErr = suite.ArchivedKeys(found[0]) })
	return w.nodes[0] + ":" + found[0], w.archived, w.archErr
}
