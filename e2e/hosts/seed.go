//go:build e2e && linux

package hosts

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/novatui/novatui/e2e/suite"
)

// How much is written, by transactions of etcd's limit of 128 operations.
const (
	seedKeys  = 2560
	laterKeys = 128
	txnOps    = 128
)

// client makes a client of one node's member, which connects from the
// operator's namespace.
func (h *Hosts) client(n *node) (*clientv3.Client, error) {
	config, err := h.authority.client()
	if err != nil {
		return nil, err
	}
	return clientv3.New(clientv3.Config{
		Endpoints: []string{n.clientURL()}, TLS: config, DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				return dial(ctx, net.JoinHostPort(n.address, "2379"))
			}),
			// A node that was away is found soon after it is back.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.5, MaxDelay: time.Second},
				MinConnectTimeout: 2 * time.Second,
			}),
		},
	})
}

// seed fills the cluster, lays an archive of that state on every node, writes
// some more, and keeps the data of all members in their templates.
func (h *Hosts) seed(ctx context.Context) error {
	if err := h.Healthy(ctx); err != nil {
		return err
	}
	c, err := h.client(h.nodes[0])
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := write(ctx, c, 0, seedKeys); err != nil {
		return err
	}
	if err := h.archiveSnapshot(ctx, c); err != nil {
		return fmt.Errorf("archiving a snapshot: %w", err)
	}
	if err := write(ctx, c, seedKeys-laterKeys, 2*laterKeys); err != nil { // half of them changes a key
		return err
	}
	return h.keep(ctx)
}

// write puts n keys of the kinds that Kubernetes has, beginning with number
// from; the values are random and do not compress, as a cluster's secrets.
func write(ctx context.Context, c *clientv3.Client, from, n int) error {
	kinds := []string{"pods", "configmaps", "secrets", "events", "leases"}
	var ops []clientv3.Op
	for i := from; i < from+n; i++ {
		value := make([]byte, 100+mrand.IntN(900))
		_, _ = rand.Read(value) // never fails (crypto/rand since Go 1.24)
		key := fmt.Sprintf("/registry/%s/namespace-%d/object-%05d", kinds[i%len(kinds)], i%12, i)
		ops = append(ops, clientv3.OpPut(key, base64.StdEncoding.EncodeToString(value)))
		if len(ops) == txnOps || i == from+n-1 {
			if _, err := c.Txn(ctx).Then(ops...).Commit(); err != nil {
				return fmt.Errorf("writing keys: %w", err)
			}
			ops = ops[:0]
		}
	}
	return nil
}

// archiveSnapshot takes a snapshot and packs it as the vendor does, the same
// file on every node.
func (h *Hosts) archiveSnapshot(ctx context.Context, c *clientv3.Client) error {
	stream, err := c.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	content, err := io.ReadAll(stream)
	if err != nil {
		return err
	}
	now := time.Now()
	name := "etcd_snapshot_nova-v6.0.1_k8s-v1.27.11_" + now.Format("2006-01-02_150405") + ".db"
	h.archive = backupDir + "/" + name + ".tar.gz"
	var packed strings.Builder
	zip := gzip.NewWriter(&packed)
	pack := tar.NewWriter(zip)
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: "opt/backup/" + name, Size: int64(len(content)), Mode: 0o600, ModTime: now,
		Uname: "root", Gname: "root",
	}
	err = pack.WriteHeader(header)
	if err == nil {
		_, err = pack.Write(content)
	}
	if err = errors.Join(err, pack.Close(), zip.Close()); err != nil {
		return err
	}
	for _, n := range h.nodes {
		for _, path := range []string{n.path(h.archive), n.template() + h.archive} {
			if err := os.WriteFile(path, []byte(packed.String()), 0o600); err != nil {
				return err
			}
		}
	}
	h.archived, err = suite.ArchivedKeys(filepath.Join(h.nodes[0].template(), h.archive))
	return err
}

// keep copies the data of all members into their templates, while etcd is
// down, and starts it again.
func (h *Hosts) keep(ctx context.Context) error {
	err := h.each(func(n *node) error {
		_, err := n.in(ctx, "systemctl", "stop", etcdUnit)
		return err
	})
	if err != nil {
		return err
	}
	return h.each(func(n *node) error {
		dirs := []string{dataDir}
		if h.options.SeparateWAL {
			dirs = append(dirs, walDir)
		}
		for _, d := range dirs {
			to := n.template() + d
			err := errors.Join(os.RemoveAll(to), run(ctx, "cp", "--archive", "--sparse=always", n.path(d), to))
			if err != nil {
				return err
			}
		}
		_, err := n.in(ctx, "systemctl", "start", "--no-block", etcdUnit)
		return err
	})
}
