package ssh

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// errClosed is why a connection ended that we closed ourselves.
var errClosed = errors.New("connection closed")

// Conn is an open connection to a node. It owns every goroutine that it
// starts; Close waits for them.
type Conn struct {
	opts  Options
	node  remote.Node
	host  host
	links []link
	// client and traffic are those of the last link, the node itself.
	client  *xssh.Client
	traffic *counted
	// mark is printed before each command and tells its output from what
	// login scripts print; see line.go.
	mark marker
	uid  int
	sudo bool

	// ended is cancelled, with the reason, when the connection is over.
	ended    context.Context //nolint:containedctx // the life of the connection, not of a call
	end      context.CancelCauseFunc
	sessions chan struct{}
	tunnels  chan struct{}

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup
}

func newConn(o Options, n remote.Node, h host, links []link) *Conn {
	last := links[len(links)-1]
	c := &Conn{
		opts: o, node: n, host: h, links: links, client: last.client, traffic: last.raw, mark: newMarker(),
		sessions: make(chan struct{}, o.MaxSessions), tunnels: make(chan struct{}, o.MaxTunnels),
	}
	c.ended, c.end = context.WithCancelCause(context.Background())
	for i := range links {
		c.spawn(func() { c.links[i].ended(c.links[i].client.Wait()) })
	}
	c.spawn(c.wait)
	c.spawn(c.keepAlive)
	return c
}

// spawn runs fn on a goroutine that Close waits for. A panic ends the
// connection instead of the program. It reports false, and runs nothing, when
// the connection is closed already.
func (c *Conn) spawn(fn func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		defer c.survive()
		fn()
	}()
	return true
}

// survive turns a panic into the end of the connection.
func (c *Conn) survive() {
	if p := recover(); p != nil {
		c.fail(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
	}
}

// fail ends the connection for a reason; the first one counts.
func (c *Conn) fail(reason error) {
	c.end(reason)
	_ = c.links[0].raw.Close() // Everything else runs inside this one.
}

// Node is the node as it was given to Connect.
func (c *Conn) Node() remote.Node { return c.node }

// UID is the user id that commands without sudo run with.
func (c *Conn) UID() int { return c.uid }

// Alive is when the last byte arrived.
func (c *Conn) Alive() time.Time { return c.traffic.lastRead() }

// Err is nil while the connection lives, and afterwards why it ended.
func (c *Conn) Err() error { return context.Cause(c.ended) }

// Close ends the connection and everything that runs on it, and waits until
// none of its goroutines is left.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end(errClosed)
	closeLinks(c.links)
	c.wg.Wait()
	return nil
}

// notStarted is the error of a command that surely did not run.
func (c *Conn) notStarted(text msg.Msg, err error) error {
	return &Error{Node: c.node.Name, Phase: remote.PhaseReady, Kind: remote.ErrNotStarted, Text: text, Err: err}
}

// open opens a channel. The library's call blocks until the node answers or the
// connection ends, so it runs on a goroutine of its own; a channel that is
// opened after nobody waits for it any more is closed at once, and late is
// called when the node does not count it any more.
func (c *Conn) open(ctx context.Context, kind string, payload []byte, late func()) (xssh.Channel, <-chan *xssh.Request, error) {
	type opened struct {
		ch   xssh.Channel
		reqs <-chan *xssh.Request
		err  error
	}
	answer := make(chan opened)
	abandoned := make(chan struct{})
	ok := c.spawn(func() {
		ch, reqs, err := c.client.OpenChannel(kind, payload)
		select {
		case answer <- opened{ch, reqs, err}:
		case <-abandoned:
			if err == nil {
				_ = ch.Close() // nobody uses it
				xssh.DiscardRequests(reqs)
			}
			late()
		}
	})
	if !ok {
		return nil, nil, errClosed
	}
	select {
	case o := <-answer:
		return o.ch, o.reqs, o.err
	case <-ctx.Done():
		close(abandoned)
		return nil, nil, context.Cause(ctx)
	case <-c.ended.Done():
		close(abandoned)
		return nil, nil, c.Err()
	}
}

// acquire takes one of the places of a semaphore; release may be called more
// than once.
func (c *Conn) acquire(ctx context.Context, places chan struct{}) (release func(), err error) {
	if c.Err() != nil {
		return nil, c.Err()
	}
	select {
	case places <- struct{}{}:
		return sync.OnceFunc(func() { <-places }), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-c.ended.Done():
		return nil, c.Err()
	}
}

var _ remote.Conn = (*Conn)(nil)
