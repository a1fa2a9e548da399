package lab

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// SnapshotInfo describes the snapshot that lies on every node.
type SnapshotInfo struct {
	// Path is the same below each node's root folder.
	Path     string    `json:"path"`
	SHA256   string    `json:"sha256"` // of the .db inside
	Revision int64     `json:"revision"`
	Keys     int64     `json:"keys"`
	TakenAt  time.Time `json:"taken_at"`
}

// seed fills the cluster, takes the snapshot, puts it on every node and writes
// some more, so that the cluster is newer than the snapshot.
func seed(ctx context.Context, nodes []nodeInfo, scratch string, data dataset) (SnapshotInfo, error) {
	var info SnapshotInfo
	c, err := dialEtcd(nodes...)
	if err != nil {
		return info, err
	}
	defer c.Close()
	if err := putAll(ctx, c, data.before); err != nil {
		return info, fmt.Errorf("writing keys: %w", err)
	}
	var ops []clientv3.Op
	for _, p := range data.updates {
		ops = append(ops, clientv3.OpPut(p.key, p.value))
	}
	for _, key := range data.deletes {
		ops = append(ops, clientv3.OpDelete(key))
	}
	if err := eachOp(ctx, c, ops); err != nil {
		return info, fmt.Errorf("writing updates: %w", err)
	}
	got, err := c.Get(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return info, fmt.Errorf("counting keys: %w", err)
	}
	info.Revision, info.Keys, info.TakenAt = got.Header.Revision, got.Count, time.Now()
	name := "etcd_snapshot_nova-v6.0.1_k8s-v1.27.11_" + info.TakenAt.Format("2006-01-02_150405") + ".db"
	db := filepath.Join(scratch, name)
	if info.SHA256, err = saveSnapshot(ctx, nodes[0], db, info.Revision); err != nil {
		return info, err
	}
	defer os.Remove(db)
	info.Path = "/tmp/" + name + ".tar.gz"
	if err := putArchives(nodes, db, info.Path, info.TakenAt); err != nil {
		return info, err
	}
	if err := putAll(ctx, c, data.after); err != nil {
		return info, fmt.Errorf("writing keys after the snapshot: %w", err)
	}
	return info, nil
}

// saveSnapshot streams one member's snapshot, with the hash that etcd appends,
// into a file and returns the file's sha256. The member must have applied the
// given revision, which a linearizable read through it makes sure of.
func saveSnapshot(ctx context.Context, n nodeInfo, path string, revision int64) (string, error) {
	c, err := dialEtcd(n)
	if err != nil {
		return "", err
	}
	defer c.Close()
	got, err := c.Get(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return "", fmt.Errorf("taking the snapshot: %w", err)
	}
	if got.Header.Revision != revision {
		return "", fmt.Errorf("taking the snapshot: revision is %d, not %d: somebody else writes", got.Header.Revision, revision)
	}
	stream, err := c.Snapshot(ctx)
	if err != nil {
		return "", fmt.Errorf("taking the snapshot: %w", err)
	}
	defer stream.Close()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", fmt.Errorf("taking the snapshot: %w", err)
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, h), stream)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return "", fmt.Errorf("taking the snapshot: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// putArchives packs the snapshot as the vendor does, opt/backup/NAME.db in a
// .tar.gz, and lays the same file on every node.
func putArchives(nodes []nodeInfo, db, path string, at time.Time) error {
	first := nodes[0].path(path)
	if err := packSnapshot(db, first, at); err != nil {
		return fmt.Errorf("packing the snapshot: %w", err)
	}
	for _, n := range nodes[1:] {
		if err := copyFile(first, n.path(path)); err != nil {
			return fmt.Errorf("laying the snapshot: %w", err)
		}
	}
	return nil
}

func packSnapshot(db, archive string, at time.Time) (err error) {
	in, err := os.Open(db)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(archive, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
	}()
	zip, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return err
	}
	pack := tar.NewWriter(zip)
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: "opt/backup/" + strings.TrimSuffix(filepath.Base(archive), ".tar.gz"), Size: info.Size(),
		Mode: 0o600, ModTime: at, Uname: "root", Gname: "root",
	}
	if err := pack.WriteHeader(header); err != nil {
		return err
	}
	if _, err := io.Copy(pack, in); err != nil {
		return err
	}
	if err := pack.Close(); err != nil {
		return err
	}
	return zip.Close()
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
	}()
	_, err = io.Copy(out, in)
	return err
}
