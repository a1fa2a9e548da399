package lab

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// staleWrites is how many keys stale-data writes while the copy grows old.
const staleWrites = 400

// scribble writes random bytes over a part of a file, keeping its size. A
// length of 0 means to the end, at most 64 MiB.
func scribble(path string, offset, length int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("damaging a file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("damaging a file: %w", err)
	}
	rest := info.Size() - offset
	if length == 0 {
		length = 64 << 20
	}
	if rest <= 0 {
		return fmt.Errorf("damaging a file: %s has only %d bytes", path, info.Size())
	}
	if _, err := io.CopyN(io.NewOffsetWriter(f, offset), rand.Reader, min(length, rest)); err != nil {
		return fmt.Errorf("damaging a file: %w", err)
	}
	return f.Sync()
}

// walSegments lists the segments of a WAL, oldest first.
func walSegments(dir string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("no WAL segment in %s", dir)
	}
	return paths, nil
}

// corruptWAL flips the payload of the largest record of the newest segment that
// has one, so that its checksum is wrong while its frame is right: a torn tail
// would be repaired silently.
func corruptWAL(dir string) error {
	segments, err := walSegments(dir)
	if err != nil {
		return err
	}
	for i := len(segments) - 1; i >= 0; i-- {
		at, size, err := largestRecord(segments[i])
		if err != nil {
			return err
		}
		if size >= 64 {
			// The record's own fields come first and are a few bytes; its
			// last bytes are data.
			n := min(size/4, 256)
			return scribble(segments[i], at+size-n, n)
		}
	}
	return fmt.Errorf("no WAL record in %s is large enough to damage", dir)
}

// largestRecord walks the frames of a WAL segment (etcd 3.7,
// server/storage/wal/decoder.go): eight bytes little endian, of which the low 56
// bits are the record's length and, when the top bit is set, the next low three
// of the top byte the padding after it; a zero frame ends the segment.
func largestRecord(path string) (at, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, fmt.Errorf("reading a WAL segment: %w", err)
	}
	defer f.Close()
	for pos := int64(0); ; {
		var frame [8]byte
		if _, err := f.ReadAt(frame[:], pos); errors.Is(err, io.EOF) {
			return at, size, nil
		} else if err != nil {
			return 0, 0, fmt.Errorf("reading a WAL segment: %w", err)
		}
		length := int64(binary.LittleEndian.Uint64(frame[:]))
		record, padding := int64(uint64(length)&^(0xff<<56)), int64(0)
		if length < 0 {
			padding = int64(uint64(length)>>56) & 7
		}
		if length == 0 || record <= 0 {
			return at, size, nil
		}
		if record > size {
			at, size = pos+8, record
		}
		pos += 8 + record + padding
	}
}

// emptyFolder removes what is in a folder and keeps the folder, as when a disk
// came back empty.
func emptyFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("emptying %s: %w", dir, err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("emptying %s: %w", dir, err)
		}
	}
	return nil
}

// copyTree copies a folder of plain files.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		return copySparse(path, target)
	})
}

// copySparse copies a file and leaves holes where it holds only zeros: a WAL
// segment is 64 MiB long and mostly empty.
func copySparse(from, to string) (err error) {
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
	if err := out.Truncate(info.Size()); err != nil {
		return err
	}
	buf := make([]byte, 1<<20)
	zero := make([]byte, 1<<20)
	for pos := int64(0); ; {
		n, err := io.ReadFull(in, buf)
		if n > 0 && string(buf[:n]) != string(zero[:n]) {
			if _, err := out.WriteAt(buf[:n], pos); err != nil {
				return err
			}
		}
		pos += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// faultStaleData puts an older copy of a member's data back. The member must
// have acknowledged what the copy lacks, to a leader that still leads: then that
// leader's heartbeat tells it to commit what it does not have, and it panics
// with "tocommit … is out of range" (raft 3.7, log.go).
func faultStaleData(ctx context.Context, s *supervisor, n *node) error {
	if len(s.nodes) < 3 {
		return fmt.Errorf("%w: stale-data needs three nodes", ErrBadNodes)
	}
	if err := s.leadElsewhere(ctx, n); err != nil {
		return err
	}
	if err := stop(ctx, n); err != nil {
		return err
	}
	old := filepath.Join(s.Dir, dirState, "stale-"+n.Name)
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	defer os.RemoveAll(old)
	if err := copyTree(n.dataDir(), old); err != nil {
		return fmt.Errorf("copying the data: %w", err)
	}
	start(n)
	if err := n.etcd().wait(ctx, func(st unitState) bool { return st.Sub == subRunning }); err != nil {
		return fmt.Errorf("%s did not come back: %w", n.Name, err)
	}
	if err := s.advance(ctx, n); err != nil {
		return err
	}
	if err := stop(ctx, n); err != nil {
		return err
	}
	if err := emptyFolder(n.dataDir()); err != nil {
		return err
	}
	if err := copyTree(old, n.dataDir()); err != nil {
		return fmt.Errorf("putting the old data back: %w", err)
	}
	seq := n.journal.last()
	start(n)
	return crashes(ctx, n, seq, "is out of range")
}

// advance writes keys through the cluster and waits until the member has the
// last of them, from a leader that is another one.
func (s *supervisor) advance(ctx context.Context, n *node) error {
	c, err := dialEtcd(s.infos()...)
	if err != nil {
		return err
	}
	defer c.Close()
	var ops []clientv3.Op
	for i := range staleWrites {
		key := fmt.Sprintf("/registry/leases/kube-node-lease/worker-%d", i%40)
		ops = append(ops, clientv3.OpPut(key, time.Now().Format(time.RFC3339Nano)))
	}
	if err := eachOp(ctx, c, ops); err != nil {
		return fmt.Errorf("writing keys: %w", err)
	}
	got, err := c.Get(ctx, "/registry/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return fmt.Errorf("reading the revision: %w", err)
	}
	for {
		h := memberHealth(ctx, n.nodeInfo)
		if h.Healthy && h.Revision >= got.Header.Revision && !h.Leader {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not catch up: %w", n.Name, ctx.Err())
		case <-time.After(poll):
		}
	}
}

// leadElsewhere moves the leadership away from a node.
func (s *supervisor) leadElsewhere(ctx context.Context, n *node) error {
	c, err := dialEtcd(n.nodeInfo)
	if err != nil {
		return err
	}
	defer c.Close()
	st, err := c.Status(ctx, n.clientURL())
	if err != nil {
		return fmt.Errorf("asking %s: %w", n.Name, err)
	}
	if st.Leader != st.Header.MemberId {
		return nil
	}
	list, err := c.MemberList(ctx)
	if err != nil {
		return fmt.Errorf("asking %s: %w", n.Name, err)
	}
	for _, m := range list.Members {
		if m.ID != st.Leader && !m.IsLearner {
			if _, err = c.MoveLeader(ctx, m.ID); err == nil {
				return nil
			}
		}
	}
	return fmt.Errorf("moving the leadership away from %s: %w", n.Name, err)
}
