package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/etcdops/diagnosis"
	"github.com/novatui/novatui/inventory"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/remote/ssh"
	"github.com/novatui/novatui/ui/backend"
)

// session is the way from a cluster file to facts: the pool of connections and
// the collector over it. Every command that needs the cluster has one.
type session struct {
	p         *program
	cluster   inventory.Cluster
	asker     remote.Asker
	pool      *ssh.Pool
	collector *etcdops.Collector

	mu sync.Mutex
	// fresh are connections that replaced ones whose answer was lost; replaced
	// are those that fresh ones replaced in turn, kept open for whoever still
	// uses them.
	fresh    map[string]remote.Conn
	replaced []remote.Conn
	// The newest facts and the judgement over them.
	facts   etcdops.Facts
	verdict etcdops.Verdict
	looked  bool
	reached map[string]bool // nodes that were connected to
}

// openSession reads the inventory and makes a session that asks its questions
// on the terminal. Connections are made when they are first needed.
func (p *program) openSession(ctx context.Context) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("opening the session: %w", err)
	}
	cluster, err := p.inventory()
	if err != nil {
		return nil, err
	}
	return p.newSession(cluster, &terminalAsker{p: p}, func(node string, text msg.Msg) {
		p.say("%s: %s", node, p.msgs().S(text))
	}), nil
}

func (p *program) newSession(cluster inventory.Cluster, asker remote.Asker, warn func(node string, text msg.Msg)) *session {
	s := &session{p: p, cluster: cluster, asker: asker, fresh: map[string]remote.Conn{}, reached: map[string]bool{}}
	s.pool = ssh.NewPool(ssh.New(ssh.Options{Asker: asker, Warn: warn}), cluster.Nodes)
	s.collector = etcdops.NewCollector(configOf(cluster), cluster.Nodes, s)
	return s
}

// close ends every connection.
func (s *session) close() {
	s.mu.Lock()
	conns := s.replaced
	for _, c := range s.fresh {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	err := s.collector.Close()
	for _, c := range conns {
		err = errors.Join(err, c.Close())
	}
	if err = errors.Join(err, s.pool.Close()); err != nil {
		// Nothing depends on how a connection ends that is no longer needed.
		_ = err
	}
}

func (s *session) node(name string) (remote.Node, error) {
	for _, n := range s.cluster.Nodes {
		if n.Name == name {
			return n, nil
		}
	}
	return remote.Node{}, fmt.Errorf("no node %q in cluster %s", name, s.cluster.Name)
}

// Conn implements engine.Conns and etcdops.Conns: the connection to a node,
// made when there is none, made again when it broke.
func (s *session) Conn(ctx context.Context, name string) (remote.Conn, error) {
	n, err := s.node(name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	c, ok := s.fresh[name]
	s.mu.Unlock()
	if ok && open(c) {
		return c, nil
	}
	return s.pool.Conn(ctx, n)
}

// open reports whether a connection has not broken, as far as it knows.
func open(c remote.Conn) bool {
	e, ok := c.(interface{ Err() error })
	return !ok || e.Err() == nil
}

// Reconnect implements engine.Reconnector: a connection of its own, because the
// old one lost an answer. It is tried again while the node is unreachable: what
// broke the old one may well last a few seconds longer. The old one stays open
// for those who still use it.
func (s *session) Reconnect(ctx context.Context, name string) (remote.Conn, error) {
	n, err := s.node(name)
	if err != nil {
		return nil, err
	}
	c, err := s.pool.Fresh(ctx, n)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.fresh[name]; ok {
		s.replaced = append(s.replaced, old)
	}
	s.fresh[name] = c
	return c, nil
}

// Connect implements backend.Backend.
func (s *session) Connect(ctx context.Context, name string, progress func(phase string)) error {
	n, err := s.node(name)
	if err != nil {
		return err
	}
	_, err = s.pool.Connect(ctx, n, func(ph remote.Phase) { progress(string(ph)) })
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.reached[name] = true
		return nil
	}
	var known *ssh.Error
	text := err
	if errors.As(err, &known) {
		text = &spoken{error: err, text: s.p.msgs().S(known.Text)}
	}
	return &backend.ConnectError{Kind: connectKind(err), Err: text}
}

// spoken is an error with its text in the chosen language.
type spoken struct {
	error
	text string
}

func (e *spoken) Error() string { return e.text }
func (e *spoken) Unwrap() error { return e.error }

// connectKind is the kind of a connection error as facts have it
// (etcdops.NodeFacts.ErrorKind).
func connectKind(err error) string {
	for _, k := range []struct {
		is   error
		kind string
	}{
		{remote.ErrHostKeyUnknown, "host-key-unknown"},
		{remote.ErrHostKeyChanged, "host-key-changed"},
		{remote.ErrAuth, "auth"},
		{remote.ErrDeclined, "auth"},
		{remote.ErrPrivilege, "privilege"},
		{context.DeadlineExceeded, "timeout"},
	} {
		if errors.Is(err, k.is) {
			return k.kind
		}
	}
	return "unreachable"
}

// collect asks every node and etcd for everything, and remembers the answer.
func (s *session) collect(ctx context.Context) (etcdops.Facts, error) {
	return s.keep(s.collector.Collect(ctx))
}

// keep remembers the newest facts and what they say.
func (s *session) keep(f etcdops.Facts, err error) (etcdops.Facts, error) {
	if err != nil {
		return f, fmt.Errorf("looking at the cluster: %w", err)
	}
	v := diagnosis.Diagnose(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts, s.verdict, s.looked = f, v, true
	return f, nil
}

// Diagnose collects facts and judges them.
func (s *session) Diagnose(ctx context.Context) (etcdops.Facts, etcdops.Verdict, error) {
	f, err := s.collect(ctx)
	if err != nil {
		return f, etcdops.Verdict{}, err
	}
	return f, diagnosis.Diagnose(f), nil
}

// lastFacts gives the newest facts, collecting when there are none yet.
func (s *session) lastFacts(ctx context.Context) (etcdops.Facts, etcdops.Verdict, error) {
	s.mu.Lock()
	f, v, looked := s.facts, s.verdict, s.looked
	s.mu.Unlock()
	if looked {
		return f, v, nil
	}
	return s.Diagnose(ctx)
}
