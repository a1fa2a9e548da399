//go:build e2e && linux

package hosts

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// db is the file of a node's key space; wal the folder of its log.
func (n *node) db() string { return filepath.Join(n.path(dataDir), "member/snap/db") }

func (n *node) wal() string {
	if found, _ := filepath.Glob(n.path(walDir) + "/*.wal"); len(found) > 0 {
		return n.path(walDir)
	}
	return filepath.Join(n.path(dataDir), "member/wal")
}

func corruptDB(n *node, _ context.Context) error { return scribble(n.db(), 0, 8<<10) }

func truncateDB(n *node, _ context.Context) error { return os.Truncate(n.db(), 100<<10) }

// ruin scribbles over a node's key space and its log.
func (n *node) ruin() error {
	if err := scribble(n.db(), 0, 64<<20); err != nil {
		return err
	}
	segments, err := filepath.Glob(filepath.Join(n.wal(), "*.wal"))
	if err != nil || len(segments) == 0 {
		return fmt.Errorf("no WAL segment in %s", n.wal())
	}
	for _, path := range segments {
		if err := scribble(path, 0, 1<<20); err != nil {
			return err
		}
	}
	return nil
}

// scribble writes random bytes over a part of a file, keeping its size.
func scribble(path string, offset, length int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	length = min(length, info.Size()-offset)
	if length <= 0 {
		return fmt.Errorf("%s has only %d bytes", path, info.Size())
	}
	if _, err := io.CopyN(io.NewOffsetWriter(f, offset), rand.Reader, length); err != nil {
		return err
	}
	return f.Sync()
}

// corruptWAL damages the payload of the largest record of the newest segment
// that has one of some size, so that its checksum is wrong while its frame is
// right: a torn tail would be repaired silently.
func corruptWAL(n *node, _ context.Context) error {
	segments, err := filepath.Glob(filepath.Join(n.wal(), "*.wal"))
	if err != nil {
		return err
	}
	for i := len(segments) - 1; i >= 0; i-- {
		at, size, err := largestRecord(segments[i])
		if err != nil {
			return err
		}
		if size >= 64 {
			// The record's own fields come first and are a few bytes.
			length := min(size/4, 256)
			return scribble(segments[i], at+size-length, length)
		}
	}
	return fmt.Errorf("no WAL record in %s is large enough to damage", n.wal())
}

// largestRecord walks the frames of a WAL segment (etcd 3.7,
// server/storage/wal/decoder.go): eight bytes little endian, of which the low 56
// bits are the record's length and, when the top bit is set, the next low three
// of the top byte the padding after it; a zero frame ends the segment.
func largestRecord(path string) (at, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = f.Close() }()
	for pos := int64(0); ; {
		var frame [8]byte
		if _, err := f.ReadAt(frame[:], pos); errors.Is(err, io.EOF) {
			return at, size, nil
		} else if err != nil {
			return 0, 0, err
		}
		word := binary.LittleEndian.Uint64(frame[:])
		record, padding := int64(word&^(0xff<<56)), int64(0)
		if word>>63 == 1 {
			padding = int64(word>>56) & 7
		}
		if record == 0 {
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
		return err
	}
	for _, e := range entries {
		if e.Name() == "lost+found" { // an empty ext4 has it
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
