package ssh

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/remote/remotetest"
)

func pool(t *testing.T, o Options, nodes ...remote.Node) *Pool {
	p := NewPool(New(o), nodes)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestPoolSharesOneConnection(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	n := s.Node("n1")
	p := pool(t, patient(), n)
	conns := make([]remote.Conn, 12)
	errs := remote.Each(conns, func(i int, _ remote.Conn) error {
		var err error
		if i%2 == 0 {
			conns[i], err = p.Conn(within(t), n)
		} else {
			conns[i], err = p.Connect(within(t), n, func(remote.Phase) {})
		}
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, c := range conns {
		if c != conns[0] {
			t.Error("several connections")
		}
	}
	if got := s.Connections.Load(); got != 1 {
		t.Errorf("%d connections", got)
	}
}

func TestPoolReconnects(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	n := s.Node("n1")
	p := pool(t, patient(), n)
	c, err := p.Conn(within(t), n)
	if err != nil {
		t.Fatal(err)
	}
	s.HangUp.Store(8) // The node is not back at once.
	s.DropConnections()
	eventually(t, "the loss is seen", func() bool { return c.(*Conn).Err() != nil })
	again, err := p.Conn(within(t), n)
	if err != nil || again == c {
		t.Fatal(err)
	}
	run(t, again, "true")

	s.ChangeHostKeys()
	s.TrustHostKeys()
	s.DropConnections()
	eventually(t, "the loss is seen", func() bool { return again.(*Conn).Err() != nil })
	faster(t, 10*time.Second, func() {
		_, err = p.Conn(within(t), n)
		wantKind(t, err, remote.ErrHostKeyChanged)
	})
}

func TestPoolGivesUpWithTheCaller(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	n := s.Node("n1")
	p := pool(t, patient(), n)
	c, err := p.Conn(within(t), n)
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	eventually(t, "the loss is seen", func() bool { return c.(*Conn).Err() != nil })
	ctx, cancel := context.WithTimeout(context.Background(), 700*time.Millisecond)
	defer cancel()
	faster(t, 10*time.Second, func() {
		_, err = p.Conn(ctx, n)
		wantKind(t, err, remote.ErrUnreachable)
	})
	// The loop is over; a dead node now costs one attempt.
	faster(t, 5*time.Second, func() {
		_, err = p.Conn(within(t), n)
		wantKind(t, err, remote.ErrUnreachable)
	})
	ctx, cancel = context.WithCancel(context.Background())
	cancel()
	if _, err = p.Conn(ctx, n); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestPoolCallersAreIndependent: one caller giving up does not end the attempt
// of another.
func TestPoolCallersAreIndependent(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	n := s.Node("n1")
	n.KnownHosts = []string{s.KnownHosts() + ".new"}
	o := answers(t, "host-key", "yes")
	o.think = 500 * time.Millisecond
	opts := patient()
	opts.Asker = o
	p := pool(t, opts, n)
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan error, 1)
	go func() { _, err := p.Connect(ctx, n, nil); first <- err }()
	eventually(t, "the question is asked", func() bool { return o.count() == 1 })
	second := make(chan error, 1)
	joined := make(chan remote.Phase, 10)
	go func() {
		_, err := p.Connect(within(t), n, func(ph remote.Phase) { joined <- ph })
		second <- err
	}()
	if ph := <-joined; ph != remote.PhaseHostKey {
		t.Errorf("joined in phase %s", ph)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("first: %v", err)
	}
	if err := <-second; err != nil {
		t.Errorf("second: %v", err)
	}
}

func TestPoolCloseEndsAttempts(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	s.SilentBanner.Store(true)
	p := NewPool(New(patient()), nil)
	got := make(chan error, 1)
	go func() { _, err := p.Connect(context.Background(), s.Node("n1"), nil); got <- err }()
	eventually(t, "the attempt runs", func() bool { return s.Connections.Load() > 0 })
	faster(t, 5*time.Second, func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := <-got; err == nil {
		t.Error("connected after Close")
	}
	_, err := p.Conn(context.Background(), s.Node("n1"))
	wantKind(t, err, remote.ErrUnreachable)
}
