package ssh

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// clientVersion is what the node's log shows about us.
const clientVersion = "SSH-2.0-novatui"

// busyRetries is how often a server that hangs up before it says anything is
// tried again: sshd drops connections at random beyond MaxStartups. (OpenSSH
// 9.2 says "Exceeded MaxStartups" first, in place of its banner; measured.)
const busyRetries = 3

// Connect connects to a node through its jump hosts, checks host keys, logs in
// and finds out how commands get root. Errors are *Error and match a sentinel
// of package remote.
func (t *Transport) Connect(ctx context.Context, n remote.Node, progress func(remote.Phase)) (remote.Conn, error) {
	if progress == nil {
		progress = func(remote.Phase) {}
	}
	asked := false
	for try := 0; ; try++ {
		a := &attempt{t: t, node: n, progress: progress}
		c, err := a.run(ctx)
		if err == nil {
			return c, nil
		}
		busy := a.silentHangUp && try < busyRetries
		// A server that was waited upon while the operator thought may have
		// given up (LoginGraceTime). The answer is known now: once more.
		waited := a.asked && !asked && dropped(err)
		asked = asked || a.asked
		if ctx.Err() != nil || !busy && !waited {
			return nil, err
		}
		if busy && !sleep(ctx, time.Duration(try+1)*300*time.Millisecond) {
			return nil, err
		}
	}
}

// sleep waits unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// attempt is one try to connect.
type attempt struct {
	t        *Transport
	node     remote.Node
	progress func(remote.Phase)
	w        *watchdog
	// asked: the operator answered something. silentHangUp: the server closed
	// the connection before it said that it speaks SSH.
	asked, silentHangUp bool
	// links are what was opened so far, the innermost last; hop is the jump
	// host that is being connected to, empty at the node itself.
	links []link
	hop   string
}

func (a *attempt) run(parent context.Context) (remote.Conn, error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	a.w = &watchdog{cancel: cancel}
	defer a.w.end()
	a.begin(remote.PhaseResolve, a.t.opts.Timeouts.Resolve)
	way, err := a.t.chain(ctx, a.node)
	if err != nil {
		return nil, a.explain(ctx, &Error{Kind: remote.ErrUnreachable,
			Text: msg.M("ssh.config", "host", a.node.Address, "error", raw(err)), Err: err})
	}
	c, err := a.connect(ctx, way)
	if err != nil {
		a.closeLinks()
		return nil, a.explain(ctx, err)
	}
	return c, nil
}

// begin starts a phase and reports it.
func (a *attempt) begin(p remote.Phase, limit time.Duration) {
	a.progress(p)
	a.w.begin(p, limit)
}

func (a *attempt) connect(ctx context.Context, way []host) (remote.Conn, error) {
	a.begin(remote.PhaseTCP, a.t.opts.Timeouts.TCP)
	for i, h := range way {
		last := i == len(way)-1
		a.hop = h.alias
		if last {
			a.hop = ""
		}
		raw, err := a.open(ctx, h)
		if err == nil {
			err = a.handshake(ctx, raw, h, last)
		}
		if err != nil {
			return nil, viaHop(err, h, last)
		}
		if !last {
			a.w.begin(remote.PhaseTCP, a.t.opts.Timeouts.TCP)
		}
	}
	a.begin(remote.PhasePrivilege, a.t.opts.Timeouts.Privilege)
	c := newConn(a.t.opts, a.node, way[len(way)-1], a.links)
	if err := c.findPrivilege(ctx); err != nil {
		_ = c.Close() // The connection is of no use; why is in err.
		return nil, err
	}
	a.w.end()
	a.progress(remote.PhaseReady)
	return c, nil
}

// viaHop says of an error that it happened at a jump host, not at the node.
func viaHop(err error, h host, last bool) error {
	var e *Error
	if last || !errors.As(err, &e) {
		return err
	}
	at := *e
	at.Text = msg.M("ssh.at-hop", "hop", h.alias, "text", e.Text)
	return &at
}

// open makes the connection that SSH is spoken on: TCP, a ProxyCommand, or a
// tunnel through the link before.
func (a *attempt) open(ctx context.Context, h host) (net.Conn, error) {
	fail := func(id string, err error) error {
		return &Error{Kind: remote.ErrUnreachable, Err: err, Text: msg.M(id, "host", h.addr(), "error", raw(err))}
	}
	if len(a.links) > 0 {
		return a.openThrough(ctx, h)
	}
	if h.proxyCommand != "" {
		c, err := dialProxy(h.proxyCommand)
		if err != nil {
			return nil, fail("ssh.proxy", err)
		}
		return c, nil
	}
	c, err := dialTCP(ctx, h.addr())
	var dns *net.DNSError
	switch {
	case err == nil:
		return c, nil
	case errors.As(err, &dns):
		return nil, fail("ssh.dns", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fail("ssh.refused", err)
	}
	return nil, fail("ssh.tcp", err)
}

// openThrough opens a tunnel to h through the last link.
func (a *attempt) openThrough(ctx context.Context, h host) (net.Conn, error) {
	before := a.links[len(a.links)-1]
	// Only closing the link frees a request to open a channel.
	stop := context.AfterFunc(ctx, func() { _ = a.links[0].raw.Close() })
	defer stop()
	ch, reqs, err := before.client.OpenChannel("direct-tcpip", tunnelRequest(h.hostname, h.port))
	if err != nil {
		return nil, &Error{Kind: remote.ErrUnreachable, Err: err,
			Text: msg.M("ssh.hop-cannot", "host", h.addr(), "error", raw(err))}
	}
	return newChannelConn(ch, reqs), nil
}

// handshake speaks SSH on a connection up to the accepted login.
func (a *attempt) handshake(ctx context.Context, c net.Conn, h host, last bool) error {
	traffic := &counted{Conn: c}
	a.links = append(a.links, newLink(a.hop, traffic))
	if last {
		a.progress(remote.PhaseHostKey)
	}
	a.w.begin(remote.PhaseHostKey, a.t.opts.Timeouts.HostKey)
	known, err := openHostKeys(h.knownHosts)
	if err != nil {
		return &Error{Kind: remote.ErrHostKeyUnknown, Text: msg.M("ssh.known-hosts", "error", raw(err)), Err: err}
	}
	if len(known.broken) > 0 {
		a.t.warnOnce(a.node.Name, msg.M("ssh.known-hosts-broken", "lines", known.broken))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	keys := &hostKeys{t: a.t, ctx: ctx, w: a.w, node: a.node, host: h, known: known}
	if last {
		keys.onPass = func() { a.progress(remote.PhaseAuth) }
	}
	l := &login{t: a.t, ctx: ctx, w: a.w, node: a.node, host: h, prompts: map[string]int{}}
	config := &xssh.ClientConfig{
		User: h.user, ClientVersion: clientVersion, AuthCallback: l.next,
		HostKeyCallback: keys.check, HostKeyAlgorithms: keys.algorithms(),
		BannerCallback: func(string) error { return nil },
	}
	stop := context.AfterFunc(ctx, func() { _ = traffic.Close() })
	sshConn, chans, reqs, err := xssh.NewClientConn(traffic, h.hostKeyName(), config)
	untouched := stop()
	l.done(err == nil)
	a.asked = a.asked || l.asked
	if err == nil && untouched {
		a.asked = a.asked || keys.wasAsked()
		a.links[len(a.links)-1].client = xssh.NewClient(sshConn, chans, reqs)
		return nil
	}
	if err == nil { // The deadline came at the very end and closed it.
		_ = sshConn.Close()
		return &Error{Kind: remote.ErrUnreachable, Text: msg.M("ssh.dropped", "host", h.addr(), "error", raw(context.Cause(ctx))), Err: context.Cause(ctx)}
	}
	return a.handshakeError(ctx, err, h, keys, l, traffic)
}

// handshakeError turns what the library says into one of our errors.
func (a *attempt) handshakeError(ctx context.Context, err error, h host, keys *hostKeys, l *login, traffic *counted) error {
	_ = traffic.Close()
	ended := ctx.Err() != nil
	// The operator may still be looking at the host key although the server
	// has hung up meanwhile: the answer counts for the next try.
	a.asked = a.asked || keys.wasAsked()
	switch {
	case keys.failed() != nil:
		return keys.failed()
	case ended:
		return &Error{Kind: remote.ErrUnreachable, Text: msg.M("ssh.dropped", "host", h.addr(), "error", raw(err)), Err: err}
	case !keys.hasPassed() && !traffic.spokeSSH() && dropped(err):
		said := traffic.said()
		a.silentHangUp = len(a.links) == 1 && (said == "" || strings.Contains(said, "MaxStartups"))
		if said != "" {
			return &Error{Kind: remote.ErrUnreachable, Text: msg.M("ssh.hang-up-said", "host", h.addr(), "said", oneLine(said)), Err: err}
		}
		return &Error{Kind: remote.ErrUnreachable, Text: msg.M("ssh.silent-hang-up", "host", h.addr()), Err: err}
	case !keys.hasPassed():
		return &Error{Kind: remote.ErrUnreachable, Text: msg.M("ssh.handshake", "host", h.addr(), "error", raw(err)), Err: err}
	case dropped(err) && l.asked:
		return &Error{Kind: remote.ErrUnreachable, Text: msg.M("ssh.dropped", "host", h.addr(), "error", raw(err)), Err: err}
	}
	return l.failure(err)
}

// explain names node and phase, and the deadline where one ended the attempt.
func (a *attempt) explain(ctx context.Context, err error) error {
	phase := a.w.current()
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Kind: remote.ErrUnreachable, Text: msg.Raw(oneLine(err.Error())), Err: err}
	}
	named := *e
	named.Node = a.node.Name
	if named.Phase == "" {
		named.Phase = phase
	}
	// A refusal that was complete before the deadline stays what it is.
	if ctx.Err() == nil || !errors.Is(e.Kind, remote.ErrUnreachable) && !errors.Is(e.Kind, remote.ErrPrivilege) {
		return &named
	}
	named.Phase = phase
	cause := context.Cause(ctx)
	var late *phaseTimeout
	if errors.As(cause, &late) {
		named.Phase = late.phase
		text := msg.M("ssh.timeout", "seconds", seconds(late.limit), "phase", phaseName(late.phase))
		if a.hop != "" {
			text = msg.M("ssh.at-hop", "hop", a.hop, "text", text)
		}
		named.Text, named.Err = text, late
		if late.phase == remote.PhasePrivilege {
			named.Kind = remote.ErrPrivilege
		}
		return &named
	}
	named.Text, named.Err = msg.M("ssh.given-up", "phase", phaseName(phase)), ctx.Err()
	if errors.Is(ctx.Err(), context.Canceled) {
		named.Kind = nil
	}
	return &named
}

func (a *attempt) closeLinks() { closeLinks(a.links) }

// closeLinks closes the outermost connection first: the inner ones run inside
// it, and closing them in order could block on a dead line.
func closeLinks(links []link) {
	for _, l := range links {
		_ = l.raw.Close() // freeing is all that is wanted
		if l.client != nil {
			_ = l.client.Close()
			_ = l.client.Wait()
		}
		if c, ok := l.raw.Conn.(*channelConn); ok {
			<-c.over // The link that it ran in was closed before.
		}
	}
}

// counted notes when bytes arrive and how many.
type counted struct {
	net.Conn
	in   atomic.Int64
	last atomic.Int64 // nanoseconds since processStart

	mu   sync.Mutex
	head []byte // the first bytes that came, at most maxHead
}

// maxHead is how much of the beginning of a connection is kept: enough for what
// a server says that does not want to speak SSH.
const maxHead = 512

// said is how the other side began.
func (c *counted) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.TrimSpace(string(c.head))
}

// spokeSSH reports whether the other side has sent a banner of SSH (RFC 4253,
// 4.2: other lines may come before it).
func (c *counted) spokeSSH() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.HasPrefix(c.head, []byte("SSH-")) || bytes.Contains(c.head, []byte("\nSSH-"))
}

// processStart makes a monotonic clock of an integer.
var processStart = time.Now()

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		if c.in.Add(int64(n)) <= maxHead {
			c.mu.Lock()
			c.head = append(c.head, p[:n]...)
			c.mu.Unlock()
		}
		c.last.Store(int64(time.Since(processStart)))
	}
	return n, err
}

// lastRead is when the last byte arrived.
func (c *counted) lastRead() time.Time { return processStart.Add(time.Duration(c.last.Load())) }
