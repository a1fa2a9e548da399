package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// Jobs runs commands with remote.Command.Detach in sessions of their own on the
// nodes, so that they outlive the connection and this program. Each is known on
// its node by a key: whoever sends it again under that key, from wherever, joins
// it instead of starting it again.
type Jobs interface {
	// Wrap gives the command that starts c on a node, unless the key was
	// started there before, and then writes what c writes, stdout and stderr
	// from the given bytes on, and ends with its status.
	Wrap(node string, c remote.Command, key string, outFrom, errFrom int64) (remote.Command, error)
	// Mark begins the line that a wrapped command writes first, on both
	// outputs; what comes before is not c's. The line ends in "joined" when c
	// had been started before.
	Mark() string
	// Fate is nil when the end of a wrapped command, by its exit status and
	// the last bytes of its stderr, is that of c. Otherwise the error says what
	// became of c: remote.ErrOutcomeUnknown, with remote.ErrJobGone when c was
	// cut off and nothing of it runs any more, or remote.ErrNotStarted.
	Fate(exit int, tail []byte) error
}

const (
	// The pauses between two attempts to get a lost connection back.
	firstPause = 200 * time.Millisecond
	maxPause   = 5 * time.Second
	// maxRefused is how often a node may refuse the login that it took before.
	// More would look like an attack to it.
	maxRefused = 4
	// jobTail is how much of the end of stderr Jobs.Fate sees, and maxBefore
	// how much may come before its mark, in bytes.
	jobTail   = 512
	maxBefore = 64 << 10
)

// job is a command that runs detached, on its way through the engine.
type job struct {
	jobs Jobs
	key  string
	over bool // its end was seen, so that its key is used up
}

// jobBook knows which keys are used up. A command whose end was not seen keeps
// its key: the next who sends it joins what was started.
type jobBook struct {
	mu   sync.Mutex
	used map[string]bool
}

func (b *jobBook) close(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used == nil {
		b.used = map[string]bool{}
	}
	b.used[key] = true
}

// next is the first key of a command that is not used up: NAME, NAME-2, ….
func (b *jobBook) next(name string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := name
	for n := 2; b.used[key]; n++ {
		key = name + "-" + strconv.Itoa(n)
	}
	return key
}

// job is how a command that the step declared runs detached; nil when it does
// not.
func (x *Exec) job(node string, c remote.Command) *job {
	r := x.run
	if !c.Detach || r.jobs == nil || r.dry {
		return nil
	}
	i := slices.IndexFunc(slices.Concat(x.step.Commands, x.step.Checks), func(d NodeCommand) bool {
		return d.Node == node && d.Command.Same(c)
	})
	return &job{jobs: r.jobs, key: r.book.next(jobName(r.id, x.step.ID, i))}
}

var notInKeys = regexp.MustCompile(`[^0-9A-Za-z._-]`)

// jobName names a command of a step of a run, as a part of a file name: the same
// in every process that resumes the run.
func jobName(run, step string, index int) string {
	plain := notInKeys.ReplaceAllString(strings.Replace(step, "/", "_", 1), "-")
	if plain != strings.Replace(step, "/", "_", 1) || strings.Contains(step, "_") || len(plain) > 60 {
		// Two steps must never share a name.
		sum := sha256.Sum256([]byte(step))
		plain = plain[:min(len(plain), 50)] + "-" + hex.EncodeToString(sum[:4])
	}
	return run + "." + plain + "." + strconv.Itoa(index)
}

// follow sends a command that runs detached, and stays with it until its end:
// when the connection is lost, it connects again and reads on from the byte
// where it stopped. It gives up at the command's deadline, or with ctx; the
// command itself goes on then.
func (x *Exec) follow(ctx context.Context, conn remote.Conn, node string, c remote.Command, s remote.Streams, j *job) (remote.Result, error) {
	first, err := j.jobs.Wrap(node, c, j.key, 0, 0)
	if err != nil {
		return remote.Result{}, fmt.Errorf("%w: %w", remote.ErrNotStarted, err)
	}
	ctx, cancel := context.WithTimeout(ctx, first.Timeout)
	defer cancel()
	began := time.Now()
	f := &follower{x: x, node: node, mark: []byte(j.jobs.Mark()), out: cursor{w: s.Stdout}, errs: cursor{w: s.Stderr}}
	for wire, pause := first, firstPause; ; {
		res, seen, err := f.once(ctx, conn, wire)
		res.Duration = time.Since(began)
		switch {
		case err == nil && seen:
			j.over = true
			err = j.jobs.Fate(res.Exit, f.errs.tail)
			j.over = !errors.Is(err, remote.ErrNotStarted)
			return res, err
		case !f.begun && (err == nil || surelyNotRun(err)):
			return res, err // it did not come to run, and never will
		}
		f.begun = true // or may have
		if err == nil {
			err = fmt.Errorf("%w: exit status %d before the command was reached", remote.ErrNotStarted, res.Exit)
		}
		if !broken(err) || ctx.Err() != nil {
			return res, f.left(err)
		}
		if f.out.n+f.errs.n > f.before {
			f.before, pause = f.out.n+f.errs.n, firstPause
		}
		if conn, err = f.again(ctx, &pause, err); err != nil {
			return res, f.left(err)
		}
		if wire, err = j.jobs.Wrap(node, c, j.key, f.out.n, f.errs.n); err != nil {
			return res, f.left(err)
		}
	}
}

// follower is what is known of a job that is followed.
type follower struct {
	x         *Exec
	node      string
	mark      []byte
	out, errs cursor
	begun     bool  // it may have been started
	told      bool  // that it was started before
	before    int64 // bytes that had come when the connection broke last
}

// once follows over one connection. seen says that the job itself was reached.
func (f *follower) once(ctx context.Context, conn remote.Conn, c remote.Command) (res remote.Result, seen bool, err error) {
	out, errs := f.stream(&f.out), f.stream(&f.errs)
	res, err = f.x.wire(ctx, conn, f.node, c, remote.Streams{Stdout: out, Stderr: errs})
	joined := out.close()
	errs.close()
	if joined && !f.begun && !f.told {
		f.told = true
		f.x.jobNote(f.node, msg.M("engine.job-joined"))
	}
	return res, out.marked && errs.marked, err
}

// again gets a connection, with growing pauses, until ctx ends. A node that is
// another now is not asked again, and one that refuses us only a few times: a
// link that breaks during the login looks like that as well.
func (f *follower) again(ctx context.Context, pause *time.Duration, why error) (remote.Conn, error) {
	f.x.jobNote(f.node, msg.M("engine.link-lost", "node", f.node))
	for refused := 0; ; {
		timer := time.NewTimer(*pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, errors.Join(ctx.Err(), why)
		}
		*pause = min(2**pause, maxPause)
		conn, err := f.x.reconnect(ctx, f.node)
		if err == nil {
			f.x.jobNote(f.node, msg.M("engine.link-back", "node", f.node))
			return conn, nil
		}
		why = err
		if errors.Is(err, remote.ErrAuth) || errors.Is(err, remote.ErrPrivilege) {
			refused++
		}
		final := errors.Is(err, remote.ErrHostKeyUnknown) || errors.Is(err, remote.ErrHostKeyChanged) || errors.Is(err, remote.ErrDeclined)
		if final || refused == maxRefused {
			return nil, err
		}
	}
}

// left is the error of a job that nobody follows any more.
func (f *follower) left(err error) error {
	m := msg.M("engine.job-left", "node", f.node)
	f.x.jobNote(f.node, m)
	return fmt.Errorf("%w: %w: %w", remote.ErrOutcomeUnknown, msg.Error{Msg: m}, err)
}

// reconnect gives a fresh connection to a node.
func (x *Exec) reconnect(ctx context.Context, node string) (remote.Conn, error) {
	if again, ok := x.run.conns.(Reconnector); ok {
		return again.Reconnect(ctx, node)
	}
	return x.run.conns.Conn(ctx, node)
}

// jobNote says something about a job in its node's pane.
func (x *Exec) jobNote(node string, m msg.Msg) {
	_, _ = x.run.emit(Event{Type: Note, Stage: x.stage, Step: x.step.ID, Node: node, Text: m})
	if p := x.run.panes[node]; p != nil {
		p.note(m)
	}
}

// cursor is how far one output of a job was read, over all connections.
type cursor struct {
	w    io.Writer
	n    int64 // bytes of the job that came
	tail []byte
}

// jobStream is one output over one connection: what comes before the mark is
// kept apart, what comes after it is the job's and counted.
type jobStream struct {
	mark []byte
	pass bool // show what comes before the mark: this is the first connection

	mu     sync.Mutex
	to     *cursor // nil: closed
	head   []byte
	marked bool
	joined bool
}

func (f *follower) stream(c *cursor) *jobStream {
	return &jobStream{mark: f.mark, pass: !f.begun, to: c}
}

// Write never fails, as the pane behind it does not.
func (s *jobStream) Write(b []byte) (int, error) {
	n := len(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.to == nil {
		return n, nil // a straggler of a connection that was given up
	}
	if !s.marked {
		if s.head = append(s.head, b...); len(s.head) > maxBefore {
			s.head = s.head[len(s.head)-maxBefore:]
		}
		at := bytes.Index(s.head, s.mark)
		if at < 0 {
			return n, nil
		}
		line, rest, whole := bytes.Cut(s.head[at:], []byte("\n"))
		if !whole {
			return n, nil
		}
		s.marked, s.joined = true, bytes.HasSuffix(line, []byte("joined"))
		if s.pass && at > 0 {
			_, _ = s.to.w.Write(s.head[:at]) // a pane takes everything
		}
		b = rest
	}
	if len(b) == 0 {
		return n, nil
	}
	s.to.n += int64(len(b))
	s.to.tail = append(s.to.tail, b[max(0, len(b)-jobTail):]...)
	s.to.tail = s.to.tail[max(0, len(s.to.tail)-jobTail):]
	_, err := s.to.w.Write(b)
	return n, err
}

// close takes no more. What came where the mark never did says why. It reports
// whether the job was one that had been started before.
func (s *jobStream) close() (joined bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pass && !s.marked && len(s.head) > 0 {
		_, _ = s.to.w.Write(s.head) // a pane takes everything
	}
	s.to = nil
	return s.joined
}
