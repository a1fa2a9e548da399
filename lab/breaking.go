package lab

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// breakTime bounds one injection; it is for a machine under heavy load.
const breakTime = 60 * time.Second

// breakNodes validates, injects and notes a fault.
func (s *supervisor) breakNodes(ctx context.Context, name string, names []string) error {
	i := slices.IndexFunc(faults, func(f fault) bool { return f.name == name })
	if i < 0 {
		return fmt.Errorf("%w %q", ErrUnknownFault, name)
	}
	f := faults[i]
	nodes, err := s.pick(f, names)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, breakTime)
	defer cancel()
	s.logf("break %s %v", name, names)
	for _, n := range nodes {
		n.etcd().endKilling()
	}
	if err := f.inject(ctx, s, nodes); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, n := range nodes {
		n.addFault(name)
	}
	s.settle(ctx)
	return nil
}

// settleTime is longer than several rounds of an election.
const settleTime = 10 * time.Second

// settle waits until the members that were spared serve again, when they are a
// majority: the fault may have hit the leader, and who looks next should see the
// fault and not an election. Where an earlier fault keeps them from serving,
// there is nothing to wait for and the wait ends by itself.
func (s *supervisor) settle(ctx context.Context) {
	var spared []*node
	for _, n := range s.nodes {
		if st, _ := n.etcd().state(); st.Sub == subRunning && len(n.faultStates()) == 0 {
			spared = append(spared, n)
		}
	}
	if len(spared) <= len(s.nodes)/2 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for ctx.Err() == nil {
		states := s.health(ctx, spared)
		if !slices.ContainsFunc(states, func(h EtcdStatus) bool { return !h.Healthy }) {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(poll):
		}
	}
}

// pick finds the nodes by name, or the fault's default ones.
func (s *supervisor) pick(f fault, names []string) ([]*node, error) {
	least, most := f.count(len(s.nodes))
	if most < least {
		return nil, fmt.Errorf("%w: %s needs more nodes than the lab's %d", ErrBadNodes, f.name, len(s.nodes))
	}
	if len(names) == 0 {
		from := f.from(len(s.nodes))
		return s.nodes[from : from+least], nil
	}
	var out []*node
	for _, name := range names {
		i := slices.IndexFunc(s.nodes, func(n *node) bool { return n.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("%w: no node %q", ErrBadNodes, name)
		}
		if slices.Contains(out, s.nodes[i]) {
			return nil, fmt.Errorf("%w: %s is named twice", ErrBadNodes, name)
		}
		out = append(out, s.nodes[i])
	}
	// A fault of one node may be put into several, one after the other.
	if most == 1 {
		return out, nil
	}
	if len(out) < least || len(out) > most {
		return nil, fmt.Errorf("%w: %s takes %d to %d nodes", ErrBadNodes, f.name, least, most)
	}
	return out, nil
}
