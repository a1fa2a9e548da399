package workflows

import (
	"bytes"
	"context"
	"fmt"

	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// Leases takes and gives back the leases of a cluster's nodes
// (engine.LeaseKeeper), over connections.
type Leases struct {
	Conns engine.Conns
	Nodes []remote.Node
}

var _ engine.LeaseKeeper = Leases{}

func (l Leases) host(node string) (etcdops.Host, error) { return hostOf(l.Nodes, node) }

// hostOf gives the builders of a node that need nothing but paths.
func hostOf(nodes []remote.Node, node string) (etcdops.Host, error) {
	for _, n := range nodes {
		if n.Name == node {
			return etcdops.HostAt(n), nil
		}
	}
	return etcdops.Host{}, fmt.Errorf("no node %q", node)
}

// run runs one command of the lease.
func (l Leases) run(ctx context.Context, node string, build func(h etcdops.Host) (remote.Command, error)) (engine.LeaseSeen, error) {
	h, err := l.host(node)
	if err != nil {
		return engine.LeaseSeen{}, err
	}
	c, err := build(h)
	if err != nil {
		return engine.LeaseSeen{}, err
	}
	conn, err := l.Conns.Conn(ctx, node)
	if err != nil {
		return engine.LeaseSeen{}, fmt.Errorf("connecting: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	res, err := conn.Run(ctx, c, remote.Streams{})
	if err == nil {
		err = res.Check(node, c)
	}
	if err != nil {
		return engine.LeaseSeen{}, err
	}
	seen, err := etcdops.ParseLease(res.Stdout)
	return engine.LeaseSeen(seen), err
}

// Look implements engine.LeaseKeeper.
func (l Leases) Look(ctx context.Context, node string) (engine.LeaseSeen, error) {
	return l.run(ctx, node, func(h etcdops.Host) (remote.Command, error) { return h.LeaseLook(), nil })
}

// Take implements engine.LeaseKeeper.
func (l Leases) Take(ctx context.Context, node, token string, record []byte, over string) (engine.LeaseSeen, error) {
	return l.run(ctx, node, func(h etcdops.Host) (remote.Command, error) { return h.LeaseTake(token, string(record), over) })
}

// Renew implements engine.LeaseKeeper.
func (l Leases) Renew(ctx context.Context, node, token string, record []byte) (engine.LeaseSeen, error) {
	return l.run(ctx, node, func(h etcdops.Host) (remote.Command, error) { return h.LeaseRenew(token, string(record)) })
}

// Release implements engine.LeaseKeeper.
func (l Leases) Release(ctx context.Context, node, token string) (engine.LeaseSeen, error) {
	return l.run(ctx, node, func(h etcdops.Host) (remote.Command, error) { return h.LeaseRelease(token) })
}

// Fence implements engine.LeaseKeeper.
func (l Leases) Fence(node, token string, c remote.Command) remote.Command {
	h, err := l.host(node)
	if err != nil {
		return c // no lease is taken on a node that is none
	}
	return h.Fenced(token, c)
}

// Fenced implements engine.LeaseKeeper.
func (l Leases) Fenced(res remote.Result, stderr []byte) bool {
	return res.Exit == etcdops.ExitFenced && bytes.HasPrefix(stderr, []byte(etcdops.FenceMark))
}
