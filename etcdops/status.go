package etcdops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/novatui/novatui/remote"
)

// Status is the cheap Collect for live tables: the state of the units and what
// the endpoints say, in one round trip each; everything else is kept as prev
// has it, except the hashes, which are out of date. prev must come from the
// same Collector's Collect or Status.
func (c *Collector) Status(ctx context.Context, prev Facts) (Facts, error) {
	began := time.Now()
	f := prev
	f.CollectedAt, f.HashRevision = began, 0
	f.Nodes = slices.Clone(prev.Nodes)
	answers := make([]answer, len(f.Nodes))
	errs := remote.Each(f.Nodes, func(i int, n NodeFacts) error {
		f.Nodes[i], answers[i] = c.statusNode(ctx, n, began.Sub(prev.CollectedAt))
		return nil
	})
	c.finish(ctx, &f, answers, errs)
	f.Took = Millis(time.Since(began).Milliseconds())
	return f, ctx.Err()
}

// statusNode refreshes the unit and the endpoint of a node.
func (c *Collector) statusNode(ctx context.Context, n NodeFacts, elapsed time.Duration) (NodeFacts, answer) {
	s, ok := c.state(n.Node)
	if !ok {
		// Never probed: whoever wants to know more must Collect.
		n.Endpoint = EndpointFacts{Error: n.Error}
		return n, answer{}
	}
	var a answer
	before, unit, unitErr := n, UnitFacts{}, error(nil)
	remote.Each([]func(){
		func() { unit, unitErr = c.showUnit(ctx, before, s.limit) },
		func() { a = c.askNode(ctx, &n, s) },
	}, func(_ int, fn func()) error { fn(); return nil })
	n.Unit = unit
	n.Unit.SinceSeconds = sinceThen(before.Unit, unit, elapsed)
	n.Reachable, n.ErrorKind, n.Error = true, "", ""
	if unitErr != nil {
		n.Unit = UnitFacts{Name: n.Unit.Name, SinceSeconds: -1}
		n.Reachable, n.ErrorKind, n.Error = false, errorKind(unitErr), remote.Clean(unitErr.Error())
	}
	return n, a
}

// sinceThen tells how long a unit has been in its state, in seconds, from what
// was known an elapsed time ago; -1 where nothing was.
func sinceThen(before, now UnitFacts, elapsed time.Duration) int64 {
	same := before.Active == now.Active && before.Sub == now.Sub && before.MainPID == now.MainPID &&
		before.Restarts == now.Restarts
	switch {
	case !same && now.Active != "" && before.Active != "":
		return 0 // it changed since the last look
	case !same || before.SinceSeconds < 0:
		return -1
	}
	return before.SinceSeconds + int64(elapsed/time.Second)
}

func (c *Collector) showUnit(ctx context.Context, n NodeFacts, limit time.Duration) (UnitFacts, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := c.conns.Conn(ctx, n.Node)
	if err != nil {
		return UnitFacts{}, err
	}
	cmd := Host{Config: c.cfg, Facts: n}.ShowUnit()
	cmd.Quiet = true
	res, err := conn.Run(ctx, cmd, remote.Streams{})
	if err != nil {
		return UnitFacts{}, err
	}
	if res.Exit != 0 {
		// systemctl that cannot answer is a fact about the unit, not a node
		// that cannot be reached.
		return UnitFacts{Name: n.Unit.Name, SinceSeconds: -1}, nil
	}
	u := ParseUnit(res.Stdout, -1)
	u.Name = firstOf(u.Name, n.Unit.Name)
	u.User = firstOf(u.User, n.Unit.User)
	return u, nil
}

// ErrCompacted: what was at a revision is not kept any more.
var ErrCompacted = errors.New("the revision is compacted")

// CountKeys counts all keys through the endpoint of a node, confirmed by
// quorum, as they were at a revision (0: now); no key and no value travels. It
// needs a Collect before it. ErrCompacted when the revision is.
func (c *Collector) CountKeys(ctx context.Context, n NodeFacts, revision int64) (int64, error) {
	urls := Host{Config: c.cfg, Facts: n}.ClientURLs()
	if _, ok := c.state(n.Node); !ok || len(urls) == 0 {
		return 0, fmt.Errorf("counting keys on %s: nothing is known of its etcd", n.Node)
	}
	e, err := c.client(n.Node, reachableURL(urls[0]))
	if err != nil {
		return 0, fmt.Errorf("counting keys on %s: %w", n.Node, err)
	}
	count, err := e.countKeys(ctx, hashTimeout, revision)
	if err != nil {
		return 0, fmt.Errorf("counting keys on %s: %w", n.Node, err)
	}
	return count, nil
}
