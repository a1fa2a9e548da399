package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// tunnelRequest is the payload of direct-tcpip (RFC 4254, 7.2).
func tunnelRequest(host string, port int) []byte {
	return xssh.Marshal(struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}{host, uint32(port), "127.0.0.1", 0}) //nolint:gosec // a port is at most 65535
}

// Dial connects to addr as seen from the node; see remote.Conn. Network is tcp,
// tcp4 or tcp6. The connection's deadlines work, unlike those of the library.
func (c *Conn) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	fail := func(text msg.Msg, err error) (net.Conn, error) {
		return nil, &Error{Node: c.node.Name, Phase: remote.PhaseReady, Kind: remote.ErrUnreachable, Text: text, Err: err}
	}
	h, p, err := net.SplitHostPort(addr)
	port, perr := strconv.Atoi(p)
	if err = errors.Join(err, perr); err != nil || network != "tcp" && network != "tcp4" && network != "tcp6" || port < 1 || port > 65535 {
		if err == nil {
			err = fmt.Errorf("%s %s: only TCP ports can be reached", network, addr)
		}
		return fail(msg.M("ssh.tunnel", "addr", addr, "error", raw(err)), err)
	}
	release, err := c.acquire(ctx, c.tunnels)
	if err != nil {
		return fail(msg.M("ssh.tunnel", "addr", addr, "error", raw(err)), err)
	}
	within, cancel := context.WithTimeoutCause(ctx, c.opts.Timeouts.Session,
		fmt.Errorf("no answer within %s", c.opts.Timeouts.Session))
	defer cancel()
	ch, reqs, err := c.open(within, "direct-tcpip", tunnelRequest(h, port), release)
	if err == nil {
		return c.tunnel(ch, reqs, addr, release)
	}
	var refused *xssh.OpenChannelError
	if !errors.As(err, &refused) {
		return fail(msg.M("ssh.tunnel", "addr", addr, "error", raw(err)), err)
	}
	release()
	if refused.Reason == xssh.Prohibited {
		return fail(msg.M("ssh.tunnel-forbidden", "addr", addr), err)
	}
	return fail(msg.M("ssh.tunnel", "addr", addr, "error", msg.Raw(oneLine(refused.Message))), err)
}

// tunnel joins a channel to one end of an in-memory pipe, whose other end has
// the deadlines that a channel lacks.
func (c *Conn) tunnel(ch xssh.Channel, reqs <-chan *xssh.Request, addr string, release func()) (net.Conn, error) {
	ours, theirs := net.Pipe()
	closeBoth := func() {
		_ = ours.Close() // a pipe in memory
		_ = ch.Close()   // frees the node's side
	}
	var half sync.WaitGroup
	half.Add(2)
	ok := c.spawn(func() { xssh.DiscardRequests(reqs) }) &&
		c.spawn(func() {
			defer half.Done()
			defer closeBoth()
			_, _ = io.Copy(ours, ch) // either side going ends the tunnel
		}) &&
		c.spawn(func() {
			defer half.Done()
			defer closeBoth()
			_, _ = io.Copy(ch, ours)
		}) &&
		c.spawn(func() { half.Wait(); release() })
	if !ok {
		closeBoth()
		return nil, &Error{Node: c.node.Name, Phase: remote.PhaseReady, Kind: remote.ErrUnreachable,
			Text: msg.M("ssh.tunnel", "addr", addr, "error", raw(errClosed)), Err: errClosed}
	}
	return &tunnelConn{Conn: theirs, addr: addr}, nil
}

// tunnelConn is a tunnel as net.Conn: the pipe's end with a telling address.
type tunnelConn struct {
	net.Conn
	addr string
}

type tunnelAddr string

func (tunnelAddr) Network() string  { return "tcp" }
func (a tunnelAddr) String() string { return string(a) }

func (t *tunnelConn) RemoteAddr() net.Addr { return tunnelAddr(t.addr) }
func (t *tunnelConn) LocalAddr() net.Addr  { return tunnelAddr("127.0.0.1:0") }

// channelConn is a channel that carries the SSH connection behind a jump host.
// Nothing sets deadlines on it: an attempt and a Conn end it by closing.
type channelConn struct {
	xssh.Channel
	// over is closed when the channel is, on both sides.
	over chan struct{}
}

func newChannelConn(ch xssh.Channel, reqs <-chan *xssh.Request) *channelConn {
	c := &channelConn{Channel: ch, over: make(chan struct{})}
	go func() { // closeLinks waits for it
		defer close(c.over)
		xssh.DiscardRequests(reqs)
	}()
	return c
}

var errNoDeadline = errors.New("a channel has no deadlines")

func (c *channelConn) LocalAddr() net.Addr              { return tunnelAddr("127.0.0.1:0") }
func (c *channelConn) RemoteAddr() net.Addr             { return proxyAddr{} }
func (c *channelConn) SetDeadline(time.Time) error      { return errNoDeadline }
func (c *channelConn) SetReadDeadline(time.Time) error  { return errNoDeadline }
func (c *channelConn) SetWriteDeadline(time.Time) error { return errNoDeadline }
