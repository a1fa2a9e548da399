package ssh

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

const (
	// firstBackoff and maxBackoff are the pauses between attempts to get a
	// broken connection back.
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 5 * time.Second
	// reconnectTime bounds getting a broken connection back where the caller's
	// context has no deadline: a node that reboots is back within it.
	reconnectTime = 2 * time.Minute
)

// Pool keeps one connection a node. Callers that need a node at the same time
// share one attempt to connect. It may be used from several goroutines.
type Pool struct {
	transport remote.Transport

	mu     sync.Mutex
	nodes  map[string]*pooled
	closed bool
	wg     sync.WaitGroup
}

// pooled is one node of a Pool.
type pooled struct {
	node remote.Node
	conn remote.Conn
	// broke: the last connection was lost and no attempt was made since.
	broke  bool
	flight *flight
}

// flight is an attempt to connect that callers share. It goes on as long as one
// of them waits.
type flight struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiters int
	mu      sync.Mutex
	watch   []func(remote.Phase)
	phase   remote.Phase
	conn    remote.Conn
	err     error
}

// NewPool makes a Pool for the nodes of a cluster. It connects to none yet.
func NewPool(t remote.Transport, nodes []remote.Node) *Pool {
	p := &Pool{transport: t, nodes: map[string]*pooled{}}
	for _, n := range nodes {
		p.nodes[n.Name] = &pooled{node: n}
	}
	return p
}

// Connect gives the live connection to a node, or makes one attempt to connect.
// progress may be nil; a caller who joins an attempt is told its present phase.
func (p *Pool) Connect(ctx context.Context, n remote.Node, progress func(remote.Phase)) (remote.Conn, error) {
	return p.get(ctx, n, progress, false)
}

// Conn gives the live connection to a node. When the last one broke, it tries to
// connect again, with growing pauses, until ctx ends (at most two minutes
// without a deadline); every attempt checks the host key. Only an unreachable
// node is tried again: a changed host key, a refused login or missing rights are
// returned at once. Where there was no connection before, or the last loop of
// attempts failed, one attempt is made.
func (p *Pool) Conn(ctx context.Context, n remote.Node) (remote.Conn, error) {
	return p.get(ctx, n, nil, true)
}

// Fresh opens a connection of its own to a node, beside the one that is kept,
// for whoever lost an answer over that one. Like Conn it tries again, with
// growing pauses, as long as the node is only unreachable, until ctx ends (at
// most two minutes). The caller closes it.
func (p *Pool) Fresh(ctx context.Context, n remote.Node) (remote.Conn, error) {
	return p.try(ctx, n, &flight{}, true)
}

// alive is what a connection says about itself, where it can.
func alive(c remote.Conn) bool {
	e, ok := c.(interface{ Err() error })
	return !ok || e.Err() == nil
}

func (p *Pool) get(ctx context.Context, n remote.Node, progress func(remote.Phase), patient bool) (remote.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Node: n.Name, Kind: remote.ErrUnreachable, Text: msg.M("ssh.given-up", "phase", phaseName(remote.PhaseResolve)), Err: err}
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, &Error{Node: n.Name, Kind: remote.ErrUnreachable, Text: msg.M("ssh.closed"), Err: errClosed}
	}
	e, ok := p.nodes[n.Name]
	if !ok {
		e = &pooled{node: n}
		p.nodes[n.Name] = e
	}
	if e.conn != nil {
		if alive(e.conn) {
			c := e.conn
			p.mu.Unlock()
			if progress != nil {
				progress(remote.PhaseReady)
			}
			return c, nil
		}
		p.drop(e)
	}
	f := e.flight
	if f == nil {
		f = p.launch(ctx, e, patient && e.broke)
	}
	f.join(progress)
	f.waiters++
	p.mu.Unlock()
	return p.await(ctx, n, f)
}

// drop lets go of a broken connection; p.mu is held.
func (p *Pool) drop(e *pooled) {
	broken := e.conn
	e.conn, e.broke = nil, true
	p.spawn(func() { _ = broken.Close() }) // It is broken already.
}

// spawn runs fn on a goroutine that Close waits for.
func (p *Pool) spawn(fn func()) {
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		fn()
	}()
}

// launch starts an attempt, or a loop of them; p.mu is held.
func (p *Pool) launch(ctx context.Context, e *pooled, loop bool) *flight {
	// The attempt belongs to everybody who waits for it, so it must not end
	// with the first one's context.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{done: make(chan struct{}), cancel: cancel}
	e.flight = f
	p.spawn(func() {
		defer cancel()
		conn, err := p.try(ctx, e.node, f, loop)
		p.mu.Lock()
		defer p.mu.Unlock()
		if err == nil && p.closed {
			_ = conn.Close() // Close did not see it.
			conn, err = nil, &Error{Node: e.node.Name, Kind: remote.ErrUnreachable, Text: msg.M("ssh.closed"), Err: errClosed}
		}
		if err == nil {
			e.conn = conn
		}
		e.broke, e.flight = false, nil
		f.conn, f.err = conn, err
		close(f.done)
	})
	return f
}

// try connects once, or again and again while the node is only unreachable.
func (p *Pool) try(ctx context.Context, n remote.Node, f *flight, loop bool) (conn remote.Conn, err error) {
	defer func() {
		if r := recover(); r != nil {
			conn, err = nil, &Error{Node: n.Name, Kind: remote.ErrUnreachable, Text: msg.Raw("panic"),
				Err: fmt.Errorf("panic: %v\n%s", r, debug.Stack())}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, reconnectTime)
	defer cancel()
	for pause := firstBackoff; ; pause = min(2*pause, maxBackoff) {
		conn, err := p.transport.Connect(ctx, n, f.report)
		if err == nil || !loop || !errors.Is(err, remote.ErrUnreachable) || ctx.Err() != nil {
			return conn, err
		}
		if !sleep(ctx, pause) {
			return nil, err
		}
	}
}

// await waits for an attempt; the last one to give up ends it.
func (p *Pool) await(ctx context.Context, n remote.Node, f *flight) (remote.Conn, error) {
	select {
	case <-f.done:
		return f.conn, f.err
	case <-ctx.Done():
	}
	p.mu.Lock()
	f.waiters--
	last := f.waiters == 0
	p.mu.Unlock()
	if last {
		f.cancel()
	}
	// An attempt that is being ended says best what it was waiting for; it
	// ends promptly, because everything in it heeds its context.
	if last {
		<-f.done
		var e *Error
		if f.err == nil {
			return f.conn, nil
		}
		if errors.As(f.err, &e) && e.Kind != nil && !errors.Is(f.err, context.Canceled) {
			return nil, f.err
		}
	}
	kind := remote.ErrUnreachable
	if errors.Is(ctx.Err(), context.Canceled) {
		kind = nil
	}
	return nil, &Error{Node: n.Name, Phase: f.now(), Kind: kind,
		Text: msg.M("ssh.given-up", "phase", phaseName(f.now())), Err: ctx.Err()}
}

func (f *flight) join(progress func(remote.Phase)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if progress == nil {
		return
	}
	f.watch = append(f.watch, progress)
	if f.phase != "" {
		progress(f.phase)
	}
}

func (f *flight) report(ph remote.Phase) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.phase = ph
	for _, w := range f.watch {
		w(ph)
	}
}

func (f *flight) now() remote.Phase {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.phase == "" {
		return remote.PhaseResolve
	}
	return f.phase
}

// Close ends all attempts and connections and waits for them.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	var conns []remote.Conn
	for _, e := range p.nodes {
		if e.flight != nil {
			e.flight.cancel()
		}
		if e.conn != nil {
			conns = append(conns, e.conn)
			e.conn = nil
		}
	}
	p.mu.Unlock()
	errs := remote.Each(conns, func(_ int, c remote.Conn) error { return c.Close() })
	p.wg.Wait()
	return errors.Join(errs...)
}
