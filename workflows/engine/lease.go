package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/novatui/novatui/assets/msg"
)

// Holder is who holds a cluster.
type Holder struct {
	Cluster string    `json:"cluster"`
	Run     string    `json:"run"`
	Owner   string    `json:"owner"` // the user's name
	Host    string    `json:"host"`  // the operator's machine
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
}

// LockedError says who holds the cluster; Holder is zero when that could not
// be read. It matches ErrLocked.
type LockedError struct {
	Holder Holder
	// The rest is known of a lease on the nodes. Age is how long ago it was
	// renewed, Doing what the holder was at then, Nodes where it was seen.
	Token string
	Age   time.Duration
	Doing string
	Nodes []string
	// Stale: it was not renewed for so long that it may be taken over.
	Stale bool
	// Ours: it was taken with this very folder of runs.
	Ours bool
	// Lost: the cluster was ours, and was taken over meanwhile.
	Lost bool
}

// Error names the holder.
func (e *LockedError) Error() string {
	text := ErrLocked.Error()
	if e.Lost {
		text += ", this one lost it"
	}
	h := e.Holder
	if h.Run == "" {
		return text
	}
	text = fmt.Sprintf("%s: %s@%s, run %s, process %d, since %s", text, h.Owner, h.Host, h.Run, h.PID, h.Since.Format(time.RFC3339))
	if e.Token != "" {
		text += fmt.Sprintf(", renewed %v ago, at %q", e.Age, e.Doing)
	}
	return text
}

// words puts the holder into words for people.
func (e *LockedError) words() msg.Msg {
	h := e.Holder
	args := []any{"owner", h.Owner, "host", h.Host, "run", h.Run, "since", h.Since.Local().Format(time.DateTime + " MST"),
		"seconds", int(e.Age.Seconds()), "doing", e.Doing}
	switch {
	case e.Lost && h.Run != "":
		return msg.M("engine.lease-lost", args...)
	case e.Lost:
		return msg.M("engine.lease-lost-unknown")
	case h.Run == "":
		return msg.M("engine.locked-unknown")
	case e.Stale:
		return msg.M("engine.locked-stale", args...)
	case e.Token != "":
		return msg.M("engine.locked-lease", args...)
	}
	return msg.M("engine.locked", args...)
}

// Unwrap is ErrLocked.
func (e *LockedError) Unwrap() error { return ErrLocked }

// Lease lets one run have a cluster. Options.Lease takes one; LocalLease,
// which guards against a second run on this machine, is used when there is
// none.
type Lease interface {
	// Acquire takes the cluster or returns an error that wraps ErrLocked (a
	// *LockedError where the holder is known).
	Acquire(ctx context.Context, h Holder) (Held, error)
}

// Held is a lease that was acquired.
type Held interface {
	// Check reports whether the lease is still ours. The run asks before each
	// step that changes anything.
	Check(ctx context.Context) error
	// Release gives it back; the run calls it once, at its end.
	Release() error
}

// LocalLease is a lock file per cluster, held by flock(2), so that a crash
// releases it.
type LocalLease struct {
	Dir string // the folder of the runs
}

func (l LocalLease) path(cluster string) string {
	name := url.PathEscape(cluster)
	if len(name) > 100 {
		sum := sha256.Sum256([]byte(cluster))
		name = hex.EncodeToString(sum[:])
	}
	return filepath.Join(l.Dir, ".locks", name+".lock")
}

// lockPatience is how long Acquire tries: somebody who only looks who holds a
// lock (Holder) has it for an instant.
const lockPatience = 200 * time.Millisecond

// Acquire implements Lease.
func (l LocalLease) Acquire(ctx context.Context, h Holder) (Held, error) {
	path := l.path(h.Cluster)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStateDir, err)
	}
	lock := flock.New(path, flock.SetPermissions(0o600))
	patience, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	ok, err := lock.TryLockContext(patience, lockPatience/10)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("%w: locking %s: %w", ErrStateDir, path, err)
	}
	if !ok {
		return nil, &LockedError{Holder: readHolder(path)}
	}
	held := &localHeld{lock: lock, path: path}
	b, err := json.Marshal(h)
	if err == nil {
		err = os.WriteFile(path, append(b, '\n'), 0o600)
	}
	if err == nil {
		held.stat, err = lock.Stat()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrStateDir, err), lock.Unlock())
	}
	return held, nil
}

// Holder reports who holds the cluster on this machine; ok is false when
// nobody does.
func (l LocalLease) Holder(cluster string) (h Holder, ok bool) {
	path := l.path(cluster)
	if _, err := os.Stat(path); err != nil {
		return Holder{}, false
	}
	lock := flock.New(path)
	free, err := lock.TryRLock()
	if err == nil && free {
		_ = lock.Unlock()
		return Holder{}, false
	}
	return readHolder(path), true
}

// readHolder reads who wrote a lock file; the zero Holder when that cannot be
// read, which is so for an instant after the lock was taken.
func readHolder(path string) Holder {
	f, err := os.Open(path)
	if err != nil {
		return Holder{}
	}
	defer func() { _ = f.Close() }()
	var h Holder
	if json.NewDecoder(io.LimitReader(f, 64<<10)).Decode(&h) != nil {
		return Holder{}
	}
	return h
}

type localHeld struct {
	lock *flock.Flock
	path string
	stat os.FileInfo
}

// Check finds out whether the file that is locked still is the one that a
// second run would lock.
func (h *localHeld) Check(context.Context) error {
	now, err := os.Stat(h.path)
	if err != nil {
		return fmt.Errorf("%w: the lock file is gone: %w", ErrLocked, err)
	}
	if !os.SameFile(now, h.stat) {
		return fmt.Errorf("%w: the lock file %s was replaced", ErrLocked, h.path)
	}
	return nil
}

// Release empties the file, which stays, and unlocks it. Removing it would
// let two others lock two different files.
func (h *localHeld) Release() error {
	return errors.Join(os.Truncate(h.path, 0), h.lock.Unlock())
}

func newHolder(cluster, run string, now time.Time) Holder {
	h := Holder{Cluster: cluster, Run: run, PID: os.Getpid(), Since: now.UTC()}
	if u, err := user.Current(); err == nil {
		h.Owner = u.Username
	}
	h.Host, _ = os.Hostname()
	return h
}
