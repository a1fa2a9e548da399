package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

const (
	// mirrorBatch is how long events are gathered before they are sent, and
	// mirrorPiece how many bytes are sent at once.
	mirrorBatch = 300 * time.Millisecond
	mirrorPiece = 256 << 10
	// mirrorPatience bounds one exchange with a node, connecting included.
	mirrorPatience = 10 * time.Second
	// A node that failed is tried again after pauses that grow up to this.
	mirrorPause = 30 * time.Second
	// mirrorBefore is how long a step that destroys waits for a copy of the
	// journal on another node, mirrorFlush the end of the run for all.
	mirrorBefore = 2 * time.Second
	mirrorFlush  = 3 * time.Second
)

// Mirror makes the commands that copy a run's own files to a node, so that
// somebody on another machine can go on with it. Answer reads what they write:
// the size of the copy (-1: there is none) and, of Look, its sha256.
type Mirror interface {
	Look(node, run, file string) (remote.Command, error)
	// Append puts standard input behind the first offset bytes, and nothing
	// anywhere when the copy has another size.
	Append(node, run, file string, offset int64) (remote.Command, error)
	// Aside renames a copy that is another than ours.
	Aside(node, run, file string) (remote.Command, error)
	Answer(out []byte) (size int64, sum string, err error)
}

// mirror copies plan and journal to every node while the run goes on. It has a
// goroutine a node, which close waits for; nothing of it ever holds up the run
// for longer than mirrorBefore and mirrorFlush.
type mirror struct {
	run    *Run
	keeper Mirror
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	changed chan struct{} // closed and made anew whenever anything below changes
	size    int64         // of the journal
	urgent  int64         // up to here nothing is gathered any more
	closing bool
	nodes   []*copyOn
}

// copyOn is the copy on one node.
type copyOn struct {
	node    string
	plan    bool  // the plan is there
	known   bool  // at is what the node has
	at      int64 // of the journal
	failing bool
	warned  bool
}

// startMirror begins to copy a run to the nodes of its plan.
func (r *Run) startMirror(keeper Mirror) {
	if keeper == nil || r.dry || r.journal == nil {
		return
	}
	m := &mirror{run: r, keeper: keeper, changed: make(chan struct{}), size: r.journal.size}
	for _, node := range r.plan.nodes() {
		m.nodes = append(m.nodes, &copyOn{node: node})
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel, r.mirror = cancel, m
	for _, n := range m.nodes {
		m.wg.Go(func() { m.keep(ctx, n) })
	}
}

// tell wakes up everybody who waits; m.mu is held.
func (m *mirror) tell() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// grew says that the journal has grown. It does not wait.
func (m *mirror) grew(size int64) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.size = size
	m.tell()
}

// keep copies to one node until the mirror is closed.
func (m *mirror) keep(ctx context.Context, n *copyOn) {
	var pause time.Duration
	for m.wait(ctx, n, pause) {
		_, err := protect("copying to "+n.node, func() (struct{}, error) { return struct{}{}, m.send(ctx, n) })
		m.mu.Lock()
		n.failing = err != nil
		closing, warned := m.closing, n.warned
		m.tell()
		m.mu.Unlock()
		switch {
		case err == nil:
			pause = 0
			continue
		case closing || ctx.Err() != nil:
			return
		case !warned:
			m.mu.Lock()
			n.warned = true
			m.mu.Unlock()
			_, _ = m.run.emit(Event{Type: Warning, Node: n.node, Text: msg.M("engine.mirror-failed", "node", n.node),
				Error: clip(remote.Clean(err.Error()))})
		}
		pause = min(max(2*pause, time.Second), mirrorPause)
	}
}

// wait waits until there is something to send, for at least pause after a
// failure; false when nothing will come any more.
func (m *mirror) wait(ctx context.Context, n *copyOn, pause time.Duration) bool {
	gather := pause
	if gather == 0 {
		gather = mirrorBatch
	}
	late := time.NewTimer(gather)
	defer late.Stop()
	waited := false
	for {
		m.mu.Lock()
		behind := !n.plan || n.at < m.size
		now := m.closing || pause == 0 && (!n.plan || n.at < m.urgent) // the plan goes at once
		changed, closing := m.changed, m.closing
		m.mu.Unlock()
		switch {
		case ctx.Err() != nil, closing && !behind:
			return false
		case behind && (now || waited):
			return true
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-late.C:
			waited = true
		}
	}
}

// send copies what the node does not have yet.
func (m *mirror) send(ctx context.Context, n *copyOn) error {
	ctx, cancel := context.WithTimeout(ctx, mirrorPatience)
	defer cancel()
	m.mu.Lock()
	size, plan, known, at := m.size, n.plan, n.known, n.at
	m.mu.Unlock()
	err := func() error {
		if !plan {
			if err := m.sendPlan(ctx, n.node); err != nil {
				return fmt.Errorf("the plan: %w", err)
			}
		}
		if !known {
			var err error
			if at, err = m.common(ctx, n.node, journalFile, size); err != nil {
				return fmt.Errorf("the journal: %w", err)
			}
		}
		for at < size {
			piece, err := m.piece(journalFile, at, min(size-at, mirrorPiece))
			if err == nil {
				err = m.append(ctx, n.node, journalFile, at, piece)
			}
			if err != nil {
				return fmt.Errorf("the journal: %w", err)
			}
			at += int64(len(piece))
		}
		return nil
	}()
	m.mu.Lock()
	defer m.mu.Unlock()
	n.known = err == nil
	if err == nil {
		n.plan, n.at = true, at
	}
	return err
}

func (m *mirror) sendPlan(ctx context.Context, node string) error {
	st, err := os.Stat(filepath.Join(m.run.dir, planFile))
	if err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	at, err := m.common(ctx, node, planFile, st.Size())
	if err != nil || at == st.Size() {
		return err
	}
	rest, err := m.piece(planFile, at, st.Size()-at)
	if err != nil {
		return err
	}
	return m.append(ctx, node, planFile, at, rest)
}

// common is how many bytes of a file the node has already. A copy that does not
// begin like ours is set aside there.
func (m *mirror) common(ctx context.Context, node, file string, size int64) (int64, error) {
	c, err := m.keeper.Look(node, m.run.id, file)
	if err != nil {
		return 0, err
	}
	there, sum, err := m.exchange(ctx, node, c, nil)
	if err != nil || there <= 0 {
		return 0, err
	}
	if there <= size {
		ours, err := m.piece(file, 0, there)
		if err != nil {
			return 0, err
		}
		if digest := sha256.Sum256(ours); hex.EncodeToString(digest[:]) == sum {
			return there, nil
		}
	}
	if c, err = m.keeper.Aside(node, m.run.id, file); err != nil {
		return 0, err
	}
	_, _, err = m.exchange(ctx, node, c, nil)
	return 0, err
}

func (m *mirror) append(ctx context.Context, node, file string, at int64, data []byte) error {
	c, err := m.keeper.Append(node, m.run.id, file, at)
	if err != nil {
		return err
	}
	there, _, err := m.exchange(ctx, node, c, data)
	if err == nil && there != at+int64(len(data)) {
		err = fmt.Errorf("the copy has %d bytes instead of %d", there, at+int64(len(data)))
	}
	return err
}

// piece reads a part of one of the run's files.
func (m *mirror) piece(file string, from, n int64) ([]byte, error) {
	f, err := os.Open(filepath.Join(m.run.dir, file))
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(f, from, n), b); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return b, nil
}

// exchange runs one command of the mirror. It is fenced: a run that lost its
// lease must not write over the copy of the one that goes on.
func (m *mirror) exchange(ctx context.Context, node string, c remote.Command, in []byte) (int64, string, error) {
	if m.run.conns == nil {
		return 0, "", errors.New("this run has no connections")
	}
	conn, err := m.run.conns.Conn(ctx, node)
	if err != nil {
		return 0, "", fmt.Errorf("connecting: %w", err)
	}
	var s remote.Streams
	if in != nil {
		s.Stdin = bytes.NewReader(in)
	}
	timed, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	res, err := m.run.sendFenced(timed, conn, node, c, s)
	if err != nil {
		return 0, "", err
	}
	size, sum, errAnswer := m.keeper.Answer(res.Stdout)
	if errAnswer != nil {
		if err := res.Check(node, c); err != nil {
			return 0, "", err
		}
	}
	return size, sum, errAnswer
}

// elsewhere waits until a node other than the given one has everything so far,
// for at most mirrorBefore. It is true where there is no other.
func (m *mirror) elsewhere(ctx context.Context, node string) bool {
	if m == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, mirrorBefore)
	defer cancel()
	m.mu.Lock()
	want := m.size
	m.urgent = want
	m.tell()
	m.mu.Unlock()
	for {
		m.mu.Lock()
		others, there := 0, false
		for _, n := range m.nodes {
			if n.node != node {
				others++
				there = there || n.plan && n.known && n.at >= want
			}
		}
		changed := m.changed
		m.mu.Unlock()
		if there || others == 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// close sends what is left, for at most mirrorFlush, and waits for the
// goroutines. Nodes that failed before are not waited for.
func (m *mirror) close() {
	if m == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), mirrorFlush)
	defer cancel()
	m.mu.Lock()
	m.closing = true
	m.tell()
	m.mu.Unlock()
	for {
		m.mu.Lock()
		open := 0
		for _, n := range m.nodes {
			if !n.failing && (!n.plan || n.at < m.size) {
				open++
			}
		}
		changed := m.changed
		m.mu.Unlock()
		if open == 0 || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
	m.cancel()
	m.wg.Wait()
}
