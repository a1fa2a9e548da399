package workflows

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// Slots that the membership steps fill for the steps after them.
const (
	slotMember  = "member-id"
	slotCluster = "initial-cluster"
)

// removeMember takes the broken member out of the membership, asked through a
// healthy one.
func (w *world) removeMember(helper etcdops.NodeFacts, node string, m etcdops.Member) engine.Step {
	via := helper.Node
	h := w.host(via)
	remove, err := h.MemberRemove(h.ClientURLs(), m.ID)
	list, listErr := h.MemberList(h.ClientURLs())
	list.Quiet = true
	gone := func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
		members, err := w.members(ctx, x, via, list)
		if err != nil {
			return engine.Unknown, err
		}
		if slices.ContainsFunc(members, func(o etcdops.Member) bool { return o.ID == m.ID }) {
			return engine.NotDone, nil
		}
		return engine.Done, nil
	}
	return engine.Step{
		ID: "remove/" + node, Node: via, Effect: remote.Destroy,
		Title: msg.M("step.remove.title", "member", memberLabel(m), "id", m.ID), Why: msg.M("step.remove.why"), IfItFails: msg.M("step.remove.fail"),
		Commands: []engine.NodeCommand{w.on(via, remove, err)},
		Checks:   []engine.NodeCommand{w.on(via, list, listErr)},
		Guards: []engine.Guard{
			w.guard("quorum-holds-remove", quorumHoldsRemove(node)),
			w.guard("remove-healthy", removeHealthy(node)),
			w.guard("one-at-a-time", oneAtATime(node)),
			w.guard("identity", w.identityHolds([]string{node})),
		},
		Probe: gone,
		Do: func(ctx context.Context, x *engine.Exec) error {
			_, err := x.Run(ctx, via, remove)
			return err
		},
		Verify: func(ctx context.Context, x *engine.Exec) error { return verified(gone(ctx, x)) },
	}
}

// addMember adds the member again under its old name and peer URLs. etcd
// answers "unhealthy cluster" for some seconds after a removal; that is asked
// again rather than called a failure (facts-etcd, pitfall 33).
func (w *world) addMember(helper etcdops.NodeFacts, node string) engine.Step {
	via, n := helper.Node, w.node(node)
	h := w.host(via)
	old, _ := w.base.Facts.MemberOf(node)
	add, err := h.MemberAdd(h.ClientURLs(), n.Env.Name(), n.Env.PeerURLs(), helper.Versions.CanLearner())
	list, listErr := h.MemberList(h.ClientURLs())
	list.Quiet = true
	added := func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
		members, err := w.members(ctx, x, via, list)
		if err != nil {
			return engine.Unknown, err
		}
		for _, m := range members {
			if m.ID != old.ID && samePeers(m, n) {
				return engine.Done, errors.Join(x.Set(slotMember, m.ID), x.Set(slotCluster, initialCluster(members, n)))
			}
		}
		return engine.NotDone, nil
	}
	return engine.Step{
		ID: "add/" + node, Node: via, Effect: remote.Change,
		Title: msg.M("step.add.title", "member", n.Env.Name()), Why: msg.M("step.add.why"), IfItFails: msg.M("step.add.fail"),
		Commands: []engine.NodeCommand{w.on(via, add, err)},
		Checks:   []engine.NodeCommand{w.on(via, list, listErr)},
		Guards: []engine.Guard{
			w.guard("quorum-holds-remove", quorumHoldsRemove(node)),
			w.guard("one-at-a-time", oneAtATime(node)),
		},
		Probe: added,
		Do: func(ctx context.Context, x *engine.Exec) error {
			ctx, cancel := context.WithTimeout(ctx, addLimit)
			defer cancel()
			return x.Poll(ctx, lookEvery*5, msg.M("wait.add"), func(ctx context.Context) (bool, error) {
				r, err := x.Try(ctx, via, add)
				if err != nil {
					return false, err
				}
				if r.Exit != 0 && tryAgain(r) {
					return false, nil
				}
				return true, r.Check(via, add)
			})
		},
		Verify: func(ctx context.Context, x *engine.Exec) error { return verified(added(ctx, x)) },
	}
}

// promote makes the caught-up learner a voter. etcd itself refuses while the
// learner is not in sync with the leader.
func (w *world) promote(helper etcdops.NodeFacts, node string) engine.Step {
	via := helper.Node
	h := w.host(via)
	promote, err := h.MemberPromote(h.ClientURLs(), "@{"+slotMember+"}")
	list, listErr := h.MemberList(h.ClientURLs())
	list.Quiet = true
	voter := func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
		members, err := w.members(ctx, x, via, list)
		if err != nil {
			return engine.Unknown, err
		}
		id, _ := x.Value(slotMember)
		for _, m := range members {
			if m.ID == id && !m.Learner && !m.Unstarted() {
				return engine.Done, nil
			}
		}
		return engine.NotDone, nil
	}
	return engine.Step{
		ID: "promote/" + node, Node: via, Effect: remote.Change,
		Title: msg.M("step.promote.title", "member", w.label(node)), Why: msg.M("step.promote.why"), IfItFails: msg.M("step.promote.fail"),
		Commands: []engine.NodeCommand{w.on(via, promote, err)},
		Checks:   []engine.NodeCommand{w.on(via, list, listErr)},
		Probe:    voter,
		Do: func(ctx context.Context, x *engine.Exec) error {
			ctx, cancel := context.WithTimeout(ctx, joinLimit)
			defer cancel()
			return x.Poll(ctx, lookEvery*2, msg.M("wait.promote", "member", w.label(node)), func(ctx context.Context) (bool, error) {
				r, err := x.Try(ctx, via, promote)
				if err != nil {
					return false, err
				}
				if r.Exit != 0 && strings.Contains(string(r.Stderr), "in sync with leader") {
					return false, nil
				}
				return true, r.Check(via, promote)
			})
		},
		Verify: func(ctx context.Context, x *engine.Exec) error { return verified(voter(ctx, x)) },
	}
}

// members asks for the membership, confirmed by quorum.
func (w *world) members(ctx context.Context, x *engine.Exec, via string, list remote.Command) ([]etcdops.Member, error) {
	r, err := x.Run(ctx, via, list)
	if err != nil {
		return nil, err
	}
	members, err := etcdops.ParseMemberList(r.Stdout)
	if err != nil {
		return nil, fmt.Errorf("reading the member list from %s: %w", via, err)
	}
	return members, nil
}

// tryAgain reports whether etcd refused a membership change for a reason that
// passes by itself within seconds.
func tryAgain(r remote.Result) bool {
	said := string(r.Stderr)
	return strings.Contains(said, "unhealthy cluster") || strings.Contains(said, "not enough started members")
}

func samePeers(m etcdops.Member, n etcdops.NodeFacts) bool {
	return slices.ContainsFunc(m.PeerURLs, func(u string) bool { return slices.Contains(n.Env.PeerURLs(), u) })
}

// initialCluster is the ETCD_INITIAL_CLUSTER that member add answers: every
// member by name and peer URLs, the unstarted one under its future name.
func initialCluster(members []etcdops.Member, joining etcdops.NodeFacts) string {
	var parts []string
	for _, m := range members {
		name := m.Name
		if name == "" && samePeers(m, joining) {
			name = joining.Env.Name()
		}
		for _, url := range m.PeerURLs {
			parts = append(parts, name+"="+url)
		}
	}
	return strings.Join(parts, ",")
}
