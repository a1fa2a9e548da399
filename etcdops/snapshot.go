package etcdops

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// MaxSnapshotBytes bounds what an archive may unpack to: etcd's own limit for
// a database is 8 GiB by recommendation, and 16 leaves room.
const MaxSnapshotBytes = 16 << 30

// SnapshotFacts is everything that is known about a snapshot file on a node.
// The peer URLs of the members inside are not among it: no command of etcd
// prints them.
type SnapshotFacts struct {
	Node string `json:"node"`
	Path string `json:"path"` // as it was given, perhaps an archive
	// Plain is the .db file that was looked at: Path itself, or what was
	// unpacked from it for the look and is gone again.
	Plain     string `json:"plain"`
	SizeBytes int64  `json:"size_bytes"` // of Plain
	SHA256    string `json:"sha256"`     // of Plain, the whole file
	// PathSHA256 and PathBytes are of Path; the same as above unless it is an
	// archive.
	PathSHA256 string `json:"path_sha256"`
	PathBytes  int64  `json:"path_bytes"`
	// Hash says whether etcd's own hash at the end of the file is there and
	// right; computed by us, because snapshot status does not check it.
	Hash SnapshotHash `json:"hash"`
	// EtcdSum is that hash in hexadecimal; empty when it is not right.
	EtcdSum string `json:"etcd_sum,omitempty"`
	// PeerURLs are those of the members that the snapshot knows.
	PeerURLs []string `json:"peer_urls,omitempty"`
	// Info is what the tool reads in it; InfoError why it could not.
	Info      *SnapshotInfo `json:"info,omitempty"`
	InfoError string        `json:"info_error,omitempty"`
	// Name is what the vendor's name says; nil when it is not such a name.
	Name *SnapshotName `json:"name,omitempty"`
}

// Sound reports whether it can be restored from: readable, with keys, and with
// a right hash.
func (s SnapshotFacts) Sound() bool {
	return s.Hash == HashOK && s.Readable()
}

// Readable reports whether the tool could read it, and found a revision and
// keys above zero.
func (s SnapshotFacts) Readable() bool {
	return s.Info != nil && s.Info.Revision > 0 && s.Info.TotalKeys > 0
}

// IsArchive reports whether a path is one of a packed snapshot.
func IsArchive(p string) bool { return strings.HasSuffix(p, ".tar.gz") || strings.HasSuffix(p, ".tgz") }

// PlainPath is where the .db file of a snapshot is, or will be unpacked to:
// the path itself when it is no archive, otherwise below the run folder.
func (h Host) PlainPath(file, tag string) string {
	if !IsArchive(file) {
		return file
	}
	name := strings.TrimSuffix(strings.TrimSuffix(path.Base(file), ".tgz"), ".tar.gz")
	if !strings.HasSuffix(name, ".db") {
		name += ".db"
	}
	return path.Join(h.RunDir(tag), name)
}

// InspectCommands are the commands that InspectSnapshot runs, in order. Those
// with the effect Change change nothing but the run folder.
func (h Host) InspectCommands(file, tag string) ([]remote.Command, error) {
	var cs []remote.Command
	add := func(c remote.Command, err error) error {
		cs = append(cs, c)
		return err
	}
	plain := h.PlainPath(file, tag)
	err := firstErr(validatePath(file), add(h.MakeRunDir(tag)))
	if plain != file {
		err = firstErr(err, add(h.FileSHA256(file)), add(h.Unpack(file, plain, MaxSnapshotBytes, "")))
	}
	err = firstErr(err, add(h.CheckSnapshot(plain)), add(h.SnapshotStatus(plain)))
	return cs, firstErr(err, add(h.Discard(file, tag)))
}

// lookTag ends the tags of run folders that hold a copy to look at only.
const lookTag = "-look"

// Discard takes away what a look at a snapshot wrote into the run folder of
// tag; the snapshot itself is never there. Only tags of looks are accepted.
func (h Host) Discard(file, tag string) (remote.Command, error) {
	c := h.script("discard.sh", remote.Change, fileTimeout, msg.M("command.discard", "path", h.RunDir(tag)),
		h.Path(RunsDir), tag, path.Base(h.PlainPath(file, tag)))
	return c, firstErr(validateTag(tag), validatePath(file))
}

// InspectSnapshot looks at a snapshot file on a node and leaves nothing there:
// of an archive it unpacks a copy into a run folder of its own (named by tag)
// and takes it away again, also when something failed. The error is for a file
// that cannot be looked at at all; a file that is broken is told in the facts.
func (h Host) InspectSnapshot(ctx context.Context, conn remote.Conn, file, tag string) (SnapshotFacts, error) {
	tag += lookTag
	s := SnapshotFacts{Node: h.Facts.Node, Path: file, Plain: h.PlainPath(file, tag)}
	cs, err := h.InspectCommands(file, tag)
	if err != nil {
		return s, fmt.Errorf("inspecting %s: %w", file, err)
	}
	if n, ok := ParseSnapshotName(path.Base(file)); ok {
		s.Name = &n
	}
	for i, c := range cs {
		if last := i == len(cs)-1; err != nil && !last {
			continue // only the copy is still taken away
		}
		ctx, cancel := context.WithTimeout(ctx, c.Timeout)
		res, runErr := conn.Run(ctx, c, remote.Streams{})
		cancel()
		if runErr == nil {
			runErr = s.take(h, tag, c, res)
		}
		if runErr != nil && err == nil {
			err = fmt.Errorf("inspecting %s: %w", file, runErr)
		}
	}
	if s.PathSHA256 == "" {
		s.PathSHA256, s.PathBytes = s.SHA256, s.SizeBytes
	}
	return s, err
}

// SumFile tells size and sha256 of one file on the node; an error when it is
// not there or cannot be read.
func (h Host) SumFile(ctx context.Context, conn remote.Conn, file string) (Sum, error) {
	c, err := h.FileSHA256(file)
	if err != nil {
		return Sum{}, fmt.Errorf("the checksum of %s: %w", file, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	res, err := conn.Run(ctx, c, remote.Streams{})
	if err = firstErr(err, res.Check(h.Facts.Node, c)); err != nil {
		return Sum{}, fmt.Errorf("the checksum of %s: %w", file, err)
	}
	sums, err := ParseSums(res.Stdout)
	if err != nil {
		return Sum{}, err
	}
	sum, ok := sums[file]
	if !ok {
		return Sum{}, fmt.Errorf("the checksum of %s: the file is not there", file)
	}
	return sum, nil
}

// take reads the answer of one of InspectCommands.
func (s *SnapshotFacts) take(h Host, tag string, c remote.Command, res remote.Result) error {
	same := func(d remote.Command, err error) bool { return err == nil && c.Same(d) }
	if same(h.SnapshotStatus(s.Plain)) {
		if err := res.Check(s.Node, c); err != nil {
			s.InfoError = remote.Clean(err.Error())
			return nil
		}
		// A snapshot that cannot be read is an answer, not a failed look.
		if info, err := ParseSnapshotStatus(res.Stdout); err != nil {
			s.InfoError = err.Error()
		} else {
			s.Info = &info
		}
		return nil
	}
	if err := res.Check(s.Node, c); err != nil {
		return err
	}
	switch {
	case same(h.CheckSnapshot(s.Plain)):
		check, err := ParseCheckSnapshot(res.Stdout)
		if err != nil {
			return err
		}
		s.SizeBytes, s.SHA256, s.Hash, s.EtcdSum = check.SizeBytes, check.SHA256, check.Hash, check.EtcdSum
		s.PeerURLs = check.PeerURLs
	case same(h.FileSHA256(s.Path)):
		sums, err := ParseSums(res.Stdout)
		if err != nil {
			return err
		}
		sum, ok := sums[s.Path]
		if !ok {
			return errors.New("the file is not there")
		}
		s.PathSHA256, s.PathBytes = sum.SHA256, sum.SizeBytes
	}
	return nil
}

// SnapshotNameFor gives the vendor's name for a snapshot that is made now.
func SnapshotNameFor(nova, kubernetes string, at time.Time) string {
	return SnapshotName{NovaVersion: nova, KubernetesVersion: kubernetes, TakenAt: at}.String()
}
