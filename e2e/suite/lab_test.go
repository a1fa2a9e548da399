package suite_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/embed"
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
	return readKeys(ctx, c)
}

func readKeys(ctx context.Context, c *clientv3.Client) (map[string]string, error) {
	r, err := c.Get(ctx, "\x00", clientv3.WithFromKey())
	if err != nil {
		return nil, err
	}
	keys := make(map[string]string, len(r.Kvs))
	for _, kv := range r.Kvs {
		sum := sha256.Sum256(kv.Value)
		keys[string(kv.Key)] = hex.EncodeToString(sum[:8])
	}
	return keys, nil
}

func (w *labWorld) Snapshot(ctx context.Context) (string, map[string]string, error) {
	found, err := filepath.Glob(filepath.Join(w.dir, w.nodes[0], "tmp", "etcd_snapshot_nova-*.db.tar.gz"))
	if err != nil || len(found) != 1 {
		return "", nil, errors.Join(err, fmt.Errorf("%d archives in tmp", len(found)))
	}
	w.once.Do(func() { w.archived, w.archErr = archivedKeys(ctx, found[0]) })
	return w.nodes[0] + ":" + found[0], w.archived, w.archErr
}

// archivedKeys restores an archive into a scratch etcd and reads its keys: a
// judge that shares nothing with novatui.
func archivedKeys(ctx context.Context, archive string) (map[string]string, error) {
	dir, err := os.MkdirTemp("", "novatui-judge-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder of ours
	db := filepath.Join(dir, "snapshot.db")
	if err := extract(archive, db); err != nil {
		return nil, err
	}
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel = filepath.Join(dir, "data"), "panic"
	peer, err := freeURL()
	if err != nil {
		return nil, err
	}
	client, err := freeURL()
	if err != nil {
		return nil, err
	}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster, cfg.InitialClusterToken = cfg.Name+"="+peer.String(), "judge"
	err = snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath: db, Name: cfg.Name, OutputDataDir: cfg.Dir,
		PeerURLs: []string{peer.String()}, InitialCluster: cfg.InitialCluster, InitialClusterToken: "judge",
	})
	if err != nil {
		return nil, err
	}
	return serveAndRead(ctx, cfg)
}

func freeURL() (url.URL, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return url.URL{}, err
	}
	return url.URL{Scheme: "http", Host: l.Addr().String()}, l.Close()
}

func serveAndRead(ctx context.Context, cfg *embed.Config) (map[string]string, error) {
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, err
	}
	defer server.Close()
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{cfg.AdvertiseClientUrls[0].String()}, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	return readKeys(ctx, c)
}

func extract(archive, db string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			return fmt.Errorf("no .db in %s: %w", archive, err)
		}
		if !strings.HasSuffix(h.Name, ".db") {
			continue
		}
		out, err := os.Create(db)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, r)
		return errors.Join(err, out.Close())
	}
}
