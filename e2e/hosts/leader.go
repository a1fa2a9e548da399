//go:build e2e && linux

package hosts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// settle waits until the members that were spared agree on a leader, when they
// are a majority: who looks next should see the fault and not an election.
func (h *Hosts) settle(ctx context.Context, broken []*node) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if len(h.nodes)-len(broken) <= len(h.nodes)/2 {
		return nil
	}
	return until(ctx, func() error {
		for _, n := range h.nodes {
			if slices.Contains(broken, n) {
				continue
			}
			asking, cancel := context.WithTimeout(ctx, 3*time.Second)
			leader, err := h.leaderOf(asking, n)
			cancel()
			if err != nil {
				return err
			}
			for _, b := range broken {
				if leader == b.member {
					return fmt.Errorf("%s is still seen as the leader", leader)
				}
			}
			if leader == "" {
				return errors.New("no leader yet")
			}
		}
		return nil
	})
}

// Settled waits until the others have noticed that a node is away, and agree on
// a leader; cut off from its peers, the node itself has noticed too.
func (h *Hosts) Settled(ctx context.Context, away string) error {
	n, err := h.node(away)
	if err != nil {
		return err
	}
	if err := h.settle(ctx, []*node{n}); err != nil {
		return err
	}
	if n.greeted(ctx) == nil { // otherwise nobody can ask it
		return leaderless(ctx, h, n)
	}
	return nil
}

// leaderless waits until a member knows no leader.
func leaderless(ctx context.Context, h *Hosts, n *node) error {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	err := until(ctx, func() error {
		asking, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		c, err := h.client(n)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		st, err := c.Status(asking, n.clientURL())
		if err == nil && st.Leader != 0 {
			err = errors.New("it still has a leader")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", n.name, err)
	}
	return nil
}

// leaderOf is the member that a node's member takes for the leader; "" when it
// knows none.
func (h *Hosts) leaderOf(ctx context.Context, n *node) (string, error) {
	c, err := h.client(n)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	st, err := c.Status(ctx, n.clientURL())
	if err != nil || st.Leader == 0 {
		return "", err
	}
	list, err := c.MemberList(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range list.Members {
		if m.ID == st.Leader {
			return m.Name, nil
		}
	}
	return "", fmt.Errorf("leader %x is no member", st.Leader)
}

// leadElsewhere moves the leadership away from a node.
func (h *Hosts) leadElsewhere(ctx context.Context, n *node) error {
	c, err := h.client(n)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	st, err := c.Status(ctx, n.clientURL())
	if err != nil || st.Leader != st.Header.MemberId {
		return err
	}
	list, err := c.MemberList(ctx)
	if err != nil {
		return err
	}
	for _, m := range list.Members {
		if m.ID != st.Leader {
			if _, err = c.MoveLeader(ctx, m.ID); err == nil {
				return nil
			}
		}
	}
	return fmt.Errorf("moving the leadership away from %s: %w", n.name, err)
}
