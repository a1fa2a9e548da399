package workflows

import (
	"fmt"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/workflows/engine"
)

// restart brings members that are down up again by restarting etcd's unit
// (vendor documents 000–002, "restart of a faulty member"). While quorum holds
// they are restarted one after the other. Without a quorum they are started
// together and without blocking, since systemctl start waits for a quorum that
// cannot form with one member; every member that still runs gives a snapshot
// first, because after a restart it would give none.
func restart(w *world, r Request) (engine.Plan, error) {
	if len(r.Nodes) == 0 {
		return engine.Plan{}, fmt.Errorf("%w: restart needs the nodes to restart", ErrRequest)
	}
	p := newPlan(w, r, msg.M("restart.title", "members", w.labels(r.Nodes)))
	p.Estimate(time.Duration(5+5*len(r.Nodes)) * time.Second)
	p.Kept(msg.M("restart.kept"))
	p.WayBack(msg.M("restart.way-back"))
	p.Guards(w.restartGuards(r.Nodes)...)
	if w.base.Verdict.Quorum.Holds {
		for _, node := range r.Nodes {
			p.Stage("restart-"+node, msg.M("restart.stage.one", "member", w.label(node)), w.restartUnit(node), w.waitHealthy(node))
		}
	} else {
		p.Stage("way-back", msg.M("stage.way-back"), w.saveSurvivors()...)
		title := msg.M("restart.stage.all")
		if len(r.Nodes) == 1 {
			title = msg.M("restart.stage.one", "member", w.label(r.Nodes[0]))
		}
		p.Stage("restart", title, each(r.Nodes, w.restartUnit)...)
		p.Stage("wait", msg.M("restart.stage.wait"), each(r.Nodes, w.waitHealthy)...)
	}
	p.Stage("prove", msg.M("stage.prove"), w.prove(r.Nodes, proofs{})...)
	return p.finish()
}

func (w *world) restartGuards(nodes []string) []engine.Guard {
	return []engine.Guard{
		w.guard("hosts-reachable", hostsReachable(nodes)),
		w.guard("member-down", memberDown(nodes)),
		w.guard("log-gone", logGone(nodes)),
		w.guard("data-differ", notInconsistent(nodes)),
		w.guard("identity", w.identityHolds(nodes)),
		w.guard("certs-valid", certsValid(nodes)),
		w.guard("restart-useful", usefulRestart(nodes)),
		w.guard("enough-sound", enoughSound(nodes)),
		w.guard("clock", clock),
	}
}

// saveSurvivors takes a snapshot of each member that runs without a quorum.
func (w *world) saveSurvivors() []engine.Step {
	var steps []engine.Step
	for _, n := range w.base.Facts.Nodes {
		if n.Endpoint.Answers && !n.Endpoint.Learner {
			steps = append(steps, w.saveSnapshot(n.Node)...)
		}
	}
	return steps
}

// each makes one step a node.
func each(nodes []string, step func(node string) engine.Step) []engine.Step {
	steps := make([]engine.Step, len(nodes))
	for i, node := range nodes {
		steps[i] = step(node)
	}
	return steps
}

// label is a node's member name, or the node's own where it has none.
func (w *world) label(node string) string {
	if m, ok := w.base.Facts.MemberOf(node); ok && m.Name != "" {
		return m.Name
	}
	if name := w.node(node).Env.Name(); name != "" {
		return name
	}
	return node
}

func (w *world) labels(nodes []string) []string {
	labels := make([]string, len(nodes))
	for i, node := range nodes {
		labels[i] = w.label(node)
	}
	return labels
}

// healthyHelper chooses the member that answers for the cluster while another
// one is repaired: a healthy follower before the leader, so that the leader is
// spared the snapshot's load.
func (w *world) healthyHelper(except string) (etcdops.NodeFacts, bool) {
	var leader etcdops.NodeFacts
	for _, m := range w.base.Verdict.Members {
		if m.Node == "" || m.Node == except || !m.Healthy || m.Member.Learner {
			continue
		}
		if !m.Leader {
			return w.node(m.Node), true
		}
		leader = w.node(m.Node)
	}
	return leader, leader.Node != ""
}
