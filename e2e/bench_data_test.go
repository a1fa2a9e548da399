//go:build e2e && linux

package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/novatui/novatui/e2e/hosts"
)

// How large the benchmark's database is, and how it is filled. Everything that
// decides what is in it stands in dataRecipe, so that a change makes it anew.
const (
	dataBytes   = 1 << 30
	dataTxn     = 64
	dataWriters = 4
	dataName    = "etcd_snapshot_nova-v6.0.1_k8s-v1.27.11_2026-11-20_020000.db"
	dataRecipe  = "1 GiB, 64 a transaction, 4 writers, objects of 1 to 16 KiB, every fourth again, 1"
	// makeTime bounds the making: half a minute when the machine is idle.
	makeTime = 10 * time.Minute
)

// bigData is the database of the benchmark: an archive as the vendor's backup
// leaves it, and what is in it, read by etcd's own client before.
type bigData struct {
	Archive      string // on this machine
	DB           int64  // bytes of the snapshot inside
	ArchiveBytes int64
	Keys         int
	Digest       string // over all keys and values, in order
}

// bigDatabase gives the database, which is made once and kept in the cache.
func bigDatabase(ctx context.Context) (bigData, error) {
	var d bigData
	ctx, cancel := context.WithTimeout(ctx, makeTime)
	defer cancel()
	programs, err := kit.Programs(ctx, hosts.Newest)
	if err != nil {
		return d, err
	}
	dir, err := kit.Cached(ctx, "database", dataRecipe+hosts.Newest, func(ctx context.Context, dir string) error {
		return makeDatabase(ctx, programs, dir)
	})
	if err != nil {
		return d, err
	}
	b, err := os.ReadFile(filepath.Join(dir, "facts.json"))
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	d.Archive = filepath.Join(dir, dataName+".tar.gz")
	return d, err
}

// makeDatabase fills an etcd of one member on loopback with objects as
// Kubernetes keeps them, and packs its snapshot.
func makeDatabase(ctx context.Context, programs, dir string) (err error) {
	work := filepath.Join(dir, "work")
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	c, stop, err := loopbackEtcd(ctx, programs, work)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := fill(ctx, c); err != nil {
		return fmt.Errorf("filling: %w", err)
	}
	var d bigData
	if d.Keys, d.Digest, err = contents(ctx, c); err != nil {
		return fmt.Errorf("reading back: %w", err)
	}
	db := filepath.Join(work, dataName)
	if d.DB, err = saveTo(ctx, c, db); err != nil {
		return fmt.Errorf("saving a snapshot: %w", err)
	}
	archive := filepath.Join(dir, dataName+".tar.gz")
	if out, err := exec.CommandContext(ctx, "tar", "-czf", archive, "-C", work, dataName).CombinedOutput(); err != nil {
		return fmt.Errorf("packing: %w: %s", err, out)
	}
	info, err := os.Stat(archive)
	if err != nil {
		return err
	}
	d.ArchiveBytes = info.Size()
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "facts.json"), b, 0o600)
}

// loopbackEtcd starts an etcd that need not survive anything.
func loopbackEtcd(ctx context.Context, programs, work string) (*clientv3.Client, func() error, error) {
	if err := os.MkdirAll(work, 0o700); err != nil {
		return nil, nil, err
	}
	var urls []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, err
		}
		urls = append(urls, "http://"+l.Addr().String())
		if err := l.Close(); err != nil {
			return nil, nil, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "etcd"), "--data-dir="+filepath.Join(work, "data"),
		"--listen-client-urls="+urls[0], "--advertise-client-urls="+urls[0], "--listen-peer-urls="+urls[1],
		"--initial-advertise-peer-urls="+urls[1], "--initial-cluster=default="+urls[1],
		"--quota-backend-bytes=8589934592", "--unsafe-no-fsync", "--log-level=error")
	var said bytes.Buffer
	cmd.Stderr, cmd.WaitDelay = &said, 5*time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, nil, err
	}
	stop := func() error {
		cancel()
		_ = cmd.Wait() // killed: nothing of it is needed any more
		return nil
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: urls[:1], DialTimeout: 20 * time.Second, Logger: zap.NewNop()})
	if err == nil {
		timed, cancel := context.WithTimeout(ctx, 20*time.Second)
		_, err = c.Get(timed, "health")
		cancel()
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("etcd on loopback: %w: %s", err, said.Bytes()), stop())
	}
	return c, func() error { return errors.Join(c.Close(), stop()) }, nil
}

// fill writes until the database is large enough. Every fourth object is
// written twice, as status updates are: a database holds history too.
func fill(ctx context.Context, c *clientv3.Client) error {
	for from := 0; ; {
		st, err := c.Status(ctx, c.Endpoints()[0])
		if err != nil {
			return err
		}
		left := dataBytes - st.DbSize
		if left <= 0 {
			return nil
		}
		n := min(8192, max(dataWriters*dataTxn, int(left/8192))) / (dataWriters * dataTxn) * dataWriters * dataTxn
		errs := make([]error, dataWriters)
		var wg sync.WaitGroup
		for i := range dataWriters {
			wg.Go(func() { errs[i] = fillRange(ctx, c, from+i*n/dataWriters, from+(i+1)*n/dataWriters) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		from += n
	}
}

func fillRange(ctx context.Context, c *clientv3.Client, from, to int) error {
	for ; from < to; from += dataTxn {
		var ops, again []clientv3.Op
		for i := from; i < min(from+dataTxn, to); i++ {
			key := objectKey(i)
			ops = append(ops, clientv3.OpPut(key, object(i, 0)))
			if i%4 == 0 {
				again = append(again, clientv3.OpPut(key, object(i, 1)))
			}
		}
		for _, o := range [][]clientv3.Op{ops, again} {
			if _, err := c.Txn(ctx).Then(o...).Commit(); err != nil {
				return err
			}
		}
	}
	return nil
}

var kinds = []string{"pods", "configmaps", "secrets", "events", "replicasets", "endpointslices", "deployments", "leases"}

func objectKey(i int) string {
	return fmt.Sprintf("/registry/%s/team-%02d/service-%05d-%08x", kinds[i%len(kinds)], i%40, i/8, uint32(i)*2654435761)
}

// object is one object: text as in Kubernetes, which repeats itself, with
// digests, identifiers and addresses, which do not. The seed is the number, so
// that it is the same each time.
func object(i, generation int) string {
	r := rand.New(rand.NewPCG(uint64(i), uint64(generation)))
	var b bytes.Buffer
	kind := kinds[i%len(kinds)]
	fmt.Fprintf(&b, `{"kind":%q,"apiVersion":"v1","metadata":{"name":"service-%05d","namespace":"team-%02d","uid":"%016x-%016x","generation":%d,"creationTimestamp":"2026-%02d-%02dT%02d:%02d:%02dZ","labels":{"app.kubernetes.io/name":"service-%05d","app.kubernetes.io/managed-by":"helm","pod-template-hash":"%08x"},"managedFields":[`,
		kind, i/8, i%40, r.Uint64(), r.Uint64(), generation+1, 1+r.IntN(11), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), i/8, r.Uint32())
	for size := 1<<10 + r.IntN(9<<10); b.Len() < size; {
		switch r.IntN(5) {
		case 0:
			fmt.Fprintf(&b, `{"name":"container-%d","image":"registry.example/team-%02d/service@sha256:%016x%016x%016x%016x","imagePullPolicy":"IfNotPresent","terminationMessagePath":"/dev/termination-log","resources":{"limits":{"cpu":"%dm","memory":"%dMi"},"requests":{"cpu":"%dm","memory":"%dMi"}}},`,
				r.IntN(9), i%40, r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64(), r.IntN(4000), r.IntN(8192), r.IntN(1000), r.IntN(2048))
		case 1:
			fmt.Fprintf(&b, `{"manager":"kube-controller-manager","operation":"Update","apiVersion":"apps/v1","time":"2026-11-%02dT%02d:%02d:%02dZ","fieldsType":"FieldsV1","fieldsV1":{"f:status":{"f:conditions":{"k:{\"type\":\"Ready\"}":{".":{},"f:lastProbeTime":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}}},"f:phase":{},"f:podIP":{}}},"subresource":"status"},`,
				1+r.IntN(20), r.IntN(24), r.IntN(60), r.IntN(60))
		case 2:
			fmt.Fprintf(&b, `{"name":"SETTING_%d","value":"https://backend-%d.team-%02d.svc.cluster.local:%d/api/v1/%x"},`, r.IntN(100), r.IntN(500), i%40, 1024+r.IntN(60000), r.Uint64())
		case 3:
			fmt.Fprintf(&b, `{"type":"Ready","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-11-%02dT%02d:%02d:%02dZ","hostIP":"10.%d.%d.%d","podIP":"10.244.%d.%d"},`,
				1+r.IntN(20), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256))
		default:
			// A certificate, a token, something encrypted at rest.
			secret := make([]byte, 100+r.IntN(300))
			for j := range secret {
				secret[j] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[r.IntN(64)]
			}
			fmt.Fprintf(&b, `{"data":%q},`, secret)
		}
	}
	b.WriteString("]}}")
	return b.String()
}

// contents counts the keys and digests them with their values, page by page.
func contents(ctx context.Context, c *clientv3.Client) (int, string, error) {
	sum, n, from, revision := sha256.New(), 0, "\x00", int64(0)
	for {
		r, err := c.Get(ctx, from, clientv3.WithFromKey(), clientv3.WithLimit(1000), clientv3.WithRev(revision))
		if err != nil {
			return 0, "", err
		}
		revision = r.Header.Revision
		for _, kv := range r.Kvs {
			digestOf(sum, kv.Key)
			digestOf(sum, kv.Value)
			from = string(kv.Key) + "\x00"
		}
		if n += len(r.Kvs); !r.More {
			return n, hex.EncodeToString(sum.Sum(nil)), nil
		}
	}
}

func digestOf(sum hash.Hash, b []byte) {
	_, _ = fmt.Fprintf(sum, "%d ", len(b)) // a hash never fails
	_, _ = sum.Write(b)
}

// saveTo writes a snapshot, its hash included, and gives its size.
func saveTo(ctx context.Context, c *clientv3.Client, file string) (n int64, err error) {
	stream, err := c.Snapshot(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = stream.Close() }()
	f, err := os.Create(file)
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	n, err = io.Copy(w, stream)
	err = errors.Join(err, w.Flush(), f.Close())
	if err == nil && n%512 != sha256.Size {
		err = fmt.Errorf("it has %d bytes and so no hash", n)
	}
	return n, err
}

// TestBigDatabase: what the benchmark restores is what it says.
func TestBigDatabase(t *testing.T) {
	if !full {
		t.Skip("it takes half a minute; NOVATUI_E2E_FULL=1 asks for it")
	}
	d, err := bigDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d.DB < dataBytes || d.Keys < 50_000 || d.ArchiveBytes > d.DB/2 || len(d.Digest) != 64 {
		t.Errorf("%+v", d)
	}
}
