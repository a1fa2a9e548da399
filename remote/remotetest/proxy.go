package remotetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy stands between a client and a server on TCP and does to their
// connections what networks do: it swallows bytes, resets, delays, and leads
// somewhere else. What it does can be changed while it runs.
type Proxy struct {
	ln net.Listener
	wg sync.WaitGroup

	mu      sync.Mutex
	changed chan struct{} // closed and made anew with every change of what follows
	target  string
	hole    bool // bytes go in and do not come out
	cut     bool // new connections are reset
	delay   time.Duration
	loss    float64
	random  *rand.Rand
	ways    map[net.Conn]net.Conn // each client's connection to the server
	closed  bool
	passed  int64
	accepts int
}

// NewProxy starts a proxy on a port of 127.0.0.1 in front of target
// ("127.0.0.1:2222") and stops it when the test ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	p := &Proxy{
		ln: ln, target: target, changed: make(chan struct{}), ways: map[net.Conn]net.Conn{},
		random: rand.New(rand.NewPCG(1, 2)), //nolint:gosec // the same "network" in every run of the test
	}
	p.wg.Go(p.accept)
	t.Cleanup(p.Close)
	return p
}

// Port is where the proxy listens on 127.0.0.1.
func (p *Proxy) Port() int { return p.ln.Addr().(*net.TCPAddr).Port }

// Addr is host and port.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// BlackHole swallows from now on whatever either side sends, without a FIN or a
// reset, as a firewall does that lost its state. With false the network is back,
// and what was sent meanwhile arrives, as TCP would send it again.
func (p *Proxy) BlackHole(on bool) { p.change(func() { p.hole = on }) }

// Slow delays every piece of data by d on its way and, by chance (0 to 1), as
// long again three times: what the loss of a packet looks like to programs,
// which see TCP's repetition of it. (A real loss of packets cannot be made
// above TCP.)
func (p *Proxy) Slow(d time.Duration, loss float64) {
	p.change(func() { p.delay, p.loss = d, loss })
}

// LeadTo gives new connections to another server, as a name does that means
// another machine now.
func (p *Proxy) LeadTo(target string) { p.change(func() { p.target = target }) }

// Cut resets all connections, and new ones too as long as it is on.
func (p *Proxy) Cut(on bool) {
	p.change(func() { p.cut = on })
	if on {
		p.Reset()
	}
}

// Reset ends all connections with a TCP reset on both sides.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for in, out := range p.ways {
		reset(in)
		reset(out)
	}
}

// Passed is how many bytes went through so far.
func (p *Proxy) Passed() int64 { p.mu.Lock(); defer p.mu.Unlock(); return p.passed }

// Accepted is how many connections were accepted so far.
func (p *Proxy) Accepted() int { p.mu.Lock(); defer p.mu.Unlock(); return p.accepts }

// Close ends everything and waits for it.
func (p *Proxy) Close() {
	p.change(func() { p.closed = true })
	_ = p.ln.Close()
	p.Reset()
	p.wg.Wait()
}

func (p *Proxy) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// reset closes a connection so that the other side gets a RST, not a FIN.
func reset(c net.Conn) {
	if c == nil {
		return
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func (p *Proxy) accept() {
	for {
		in, err := p.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // The test ends, or the system is short of something.
		}
		p.mu.Lock()
		p.accepts++
		if p.closed || p.cut {
			p.mu.Unlock()
			reset(in)
			continue
		}
		p.ways[in] = nil
		p.wg.Go(func() { p.lead(in) })
		p.mu.Unlock()
	}
}

// lead connects a client to the server and carries bytes both ways.
func (p *Proxy) lead(in net.Conn) {
	defer func() {
		p.mu.Lock()
		out := p.ways[in]
		delete(p.ways, in)
		p.mu.Unlock()
		_ = in.Close()
		if out != nil {
			_ = out.Close()
		}
	}()
	if !p.open(in) {
		return
	}
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	var dialer net.Dialer
	out, err := dialer.DialContext(context.Background(), "tcp", target)
	if err != nil {
		reset(in)
		return
	}
	p.mu.Lock()
	p.ways[in] = out
	gone := p.closed || p.cut
	p.mu.Unlock()
	if gone {
		reset(in)
		reset(out)
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.carry(out, in, in) })
	both.Go(func() { p.carry(in, out, in) })
	both.Wait()
}

// piece is data on its way.
type piece struct {
	data []byte
	due  time.Time
}

// carry moves what from sends to to, in order, each piece when it is due.
func (p *Proxy) carry(to, from, way net.Conn) {
	pieces := make(chan piece, 1024)
	p.wg.Go(func() {
		defer close(pieces)
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if n > 0 {
				pieces <- piece{append([]byte(nil), buf[:n]...), time.Now().Add(p.lag())}
			}
			if err != nil {
				return
			}
		}
	})
	broken := false
	for x := range pieces {
		if broken {
			continue // The reader ends with its connection.
		}
		time.Sleep(time.Until(x.due)) // the way that the data has to go
		if !p.open(way) {
			broken = true
			continue
		}
		if _, err := to.Write(x.data); err != nil {
			broken = true
			reset(from)
			continue
		}
		p.mu.Lock()
		p.passed += int64(len(x.data))
		p.mu.Unlock()
	}
	// An end of the data is passed on too, unless nothing gets through.
	if !broken && p.open(way) {
		if tcp, ok := to.(interface{ CloseWrite() error }); ok {
			_ = tcp.CloseWrite()
		}
	}
}

// lag is how long the next piece of data is on its way.
func (p *Proxy) lag() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loss > 0 && p.random.Float64() < p.loss {
		return 4 * p.delay
	}
	return p.delay
}

// open waits while nothing gets through; false when the client's connection is
// over, which in a black hole it notices only when it is closed on our side.
func (p *Proxy) open(in net.Conn) bool {
	for {
		p.mu.Lock()
		changed, hole := p.changed, p.hole
		over := p.closed
		_, known := p.ways[in]
		p.mu.Unlock()
		switch {
		case over || !known:
			return false
		case !hole:
			return true
		}
		<-changed
	}
}
