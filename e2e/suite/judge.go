package suite

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/protobuf/proto"
)

// ReadKeys reads every key with a digest of its value through a client, for
// World.Keys.
func ReadKeys(ctx context.Context, c *clientv3.Client) (map[string]string, error) {
	r, err := c.Get(ctx, "\x00", clientv3.WithFromKey())
	if err != nil {
		return nil, err
	}
	keys := make(map[string]string, len(r.Kvs))
	for _, kv := range r.Kvs {
		keys[string(kv.Key)] = digest(kv.Value)
	}
	return keys, nil
}

func digest(value []byte) string {
	sum := sha256.Sum256(value)
	return hex.EncodeToString(sum[:8])
}

// ArchivedKeys reads the keys out of a vendor's archive, for World.Snapshot. It
// walks the database itself and shares nothing with novatui or etcd's restore.
// All of etcd 3.4 to 3.7 lay it so: bucket "key", from the revision (8 bytes,
// "_", 8 bytes, and "t" of a deletion) to a KeyValue.
func ArchivedKeys(archive string) (map[string]string, error) {
	dir, err := os.MkdirTemp("", "novatui-judge-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder of ours
	file := filepath.Join(dir, "snapshot.db")
	if err := Extract(archive, file); err != nil {
		return nil, err
	}
	db, err := bolt.Open(file, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", archive, err)
	}
	defer func() { _ = db.Close() }()
	keys := map[string]string{}
	err = db.View(func(tx *bolt.Tx) error {
		bucket := tx.Bucket([]byte("key"))
		if bucket == nil {
			return errors.New("no bucket of keys")
		}
		return bucket.ForEach(func(revision, value []byte) error { // in the order of revisions
			var kv mvccpb.KeyValue
			if err := proto.Unmarshal(value, &kv); err != nil {
				return fmt.Errorf("reading a key: %w", err)
			}
			if len(revision) > 17 && revision[17] == 't' {
				delete(keys, string(kv.Key))
			} else {
				keys[string(kv.Key)] = digest(kv.Value)
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", archive, err)
	}
	return keys, nil
}

// Extract writes the .db of an archive into a file.
func Extract(archive, db string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("opening %s: %w", archive, err)
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
