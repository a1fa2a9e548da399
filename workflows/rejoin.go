package workflows

import (
	"fmt"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/workflows/engine"
)

// rejoin replaces one broken member (vendor documents 000–002, "one faulty
// node"). It differs from them where they lose data or skip a check: a
// snapshot comes first, the data directory is moved aside instead of deleted,
// the unit is masked so that nothing starts it halfway, the member comes back
// as a learner where etcd has learners (a learner cannot cost quorum), and the
// env file gets exactly the initial cluster that member add answered.
//
// The order remove → set aside → add is forced: etcd refuses an add before the
// remove while a member is down (measured with 3.4 to 3.7), and an old data
// directory of a removed member refuses to start. So the removal is the point of
// no return: until then a rollback leaves the member as it was found. Where the
// member was in no membership to begin with, that point is its addition, which
// only another removal could take back.
func rejoin(w *world, r Request) (engine.Plan, error) {
	if len(r.Nodes) != 1 {
		return engine.Plan{}, fmt.Errorf("%w: rejoin takes exactly one node, one member at a time", ErrRequest)
	}
	node := r.Nodes[0]
	label := w.label(node)
	p := newPlan(w, r, msg.M("rejoin.title", "member", label, "node", node))
	p.Estimate(20 * time.Second)
	p.Kept(msg.M("rejoin.kept", "aside", w.aside(node)))
	p.WayBack(msg.M("rejoin.way-back"))
	p.Guards(w.rejoinGuards(node)...)

	helper, ok := w.healthyHelper(node)
	if !ok {
		// Without a healthy member nothing below can run; the plan shows its
		// guards, quorum-holds-remove among them, and no stage.
		return p.finish()
	}
	p.Stage("way-back", msg.M("stage.way-back"), w.saveSnapshot(helper.Node)...)
	p.Stage("copy", msg.M("rejoin.stage.copy"), w.keepElsewhere(helper.Node, node)...)
	p.Stage("stop", msg.M("rejoin.stage.stop", "member", label), w.stopAndMask(node,
		w.guard("remove-healthy", removeHealthy(node)),
		w.guard("quorum-holds-remove", quorumHoldsRemove(node))))
	if m, listed := w.base.Facts.MemberOf(node); listed {
		p.NoReturn("remove", msg.M("rejoin.no-return", "member", label))
		p.Stage("remove", msg.M("rejoin.stage.remove", "member", label), w.removeMember(helper, node, m))
	}
	p.Stage("aside", msg.M("stage.aside"), w.moveAside(node))
	if _, listed := w.base.Facts.MemberOf(node); !listed {
		p.NoReturn("add", msg.M("rejoin.no-return-added", "member", label))
	}
	p.Stage("add", msg.M("rejoin.stage.add", "member", label), w.addMember(helper, node))
	p.Stage("env", msg.M("rejoin.stage.env"), w.writeRejoinEnv(node), w.makeDataDir(node))
	p.Stage("start", msg.M("rejoin.stage.start", "member", label), w.unmaskAndStart(node), w.waitCaughtUp(node))
	if helper.Versions.CanLearner() {
		p.Stage("promote", msg.M("rejoin.stage.promote", "member", label), w.promote(helper, node))
	}
	p.Stage("prove", msg.M("stage.prove"), w.prove([]string{node}, proofs{})...)
	return p.finish()
}

func (w *world) rejoinGuards(node string) []engine.Guard {
	nodes := []string{node}
	return []engine.Guard{
		w.guard("hosts-reachable", hostsReachable(nodes)),
		w.guard("quorum-holds-remove", quorumHoldsRemove(node)),
		w.guard("remove-healthy", removeHealthy(node)),
		w.guard("one-at-a-time", oneAtATime(node)),
		w.guard("identity", w.identityHolds(nodes)),
		w.guard("data-dir-sane", dataDirSane(nodes)),
		w.guard("cause-outside-data", causeOutsideData(nodes)),
		w.guard("data-cause", dataCause(node)),
		w.guard("space", spaceFor(nodes, leaderDB)),
		w.guard("certs-valid", certsValid(nodes)),
		w.guard("versions", versionsFit),
		w.guard("clock", clock),
	}
}

// leaderDB is what a joining member will receive: the size of the largest
// database among those that answer, in bytes.
func leaderDB(f etcdops.Facts, _ etcdops.NodeFacts) int64 {
	size := int64(0)
	for _, n := range f.Nodes {
		size = max(size, n.Endpoint.DBSize)
	}
	return size
}
