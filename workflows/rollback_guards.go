package workflows

import (
	"maps"
	"slices"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/workflows/engine"
)

// rollbackGuards are the rules for taking a run back. That the run is not still
// going, and that nobody went on with it since, the engine makes sure of under
// its lease.
func (w *world) rollbackGuards() []engine.Guard {
	nodes := w.undone.nodes()
	return []engine.Guard{
		w.guard("rollback-possible", w.rollbackPossible),
		w.guard("hosts-reachable", hostsReachable(nodes)),
		w.guard("identity", w.identityHolds(nodes)),
		w.guard("data-dir-sane", dataDirSane(nodes)),
		w.guard("old-data-there", w.oldDataThere),
		w.guard("env-ours", w.envOurs),
		w.guard("later-changes", w.laterChanges),
		w.guard("rollback-healthy", w.rollbackHealthy),
		w.guard("rollback-serving", w.rollbackServing),
		w.guard("rollback-writes", w.rollbackWrites),
	}
}

// rollbackPossible: a member that was removed can never come back with its old
// data, so a rejoin is taken back only while its membership stands, confirmed
// by quorum. Where the member was in no membership to begin with, the point is
// that it was added.
func (w *world) rollbackPossible(f etcdops.Facts, v etcdops.Verdict) ruling {
	u := w.undone
	if u.Request.Procedure != etcdops.ProcedureRejoin {
		return pass(msg.M("guard.rollback-possible.pass"))
	}
	node := u.Request.Nodes[0]
	say := func(id string) ruling {
		if u.Done {
			id = "done"
		}
		return block(msg.M("guard.rollback-possible."+id, "member", w.label(node), "node", node, "run", u.Run))
	}
	var healthy []string
	for _, m := range v.Members {
		if m.Healthy && m.Node != "" {
			healthy = append(healthy, m.Node)
		}
	}
	if f.MembersFrom != etcdops.FromLinearizable && !allAgree(f, healthy) {
		return say("unknown").on("members from %s", f.MembersFrom)
	}
	old, listed := u.Facts.MemberOf(node)
	here := func(m etcdops.Member) bool { return m.ID == old.ID }
	added := func(m etcdops.Member) bool { return m.ID != old.ID && samePeers(m, w.node(node)) }
	switch {
	case listed && !slices.ContainsFunc(f.Members, here):
		return say("removed").on("member %s", old.ID)
	case slices.ContainsFunc(f.Members, added):
		return say("added")
	}
	return pass(msg.M("guard.rollback-possible.pass"))
}

// oldDataThere: what the run set aside lies where it put it, or never left its
// place. Anything else means that somebody moved it since.
func (w *world) oldDataThere(f etcdops.Facts, _ etcdops.Verdict) ruling {
	u := w.undone
	for _, node := range u.on("aside") {
		n, _ := f.NodeByName(node)
		for _, d := range w.host(node).StateDirs() {
			if wasFree(d) || !n.Reachable {
				continue // there was nothing; hosts-reachable speaks of the others
			}
			aside := etcdops.AsidePath(d, u.Request.Tag)
			lies := slices.Contains(n.Asides, aside) || slices.Contains(n.Asides, aside+".part")
			now := dirNow(n, d)
			inPlace := !u.begun("place/"+node) && now.Exists && !now.Empty && now.HasMember == d.HasMember
			if !lies && !inPlace {
				return block(msg.M("guard.old-data-there.block", "node", node, "aside", aside, "path", d.Path))
			}
		}
	}
	return pass(msg.M("guard.old-data-there.pass"))
}

// wasFree reports whether a directory held nothing when the run began.
func wasFree(d etcdops.DirFacts) bool { return !d.Exists || d.Empty }

// dirNow is a state directory as it is now.
func dirNow(n etcdops.NodeFacts, d etcdops.DirFacts) etcdops.DirFacts {
	if n.WAL.Path == d.Path && n.Data.Path != d.Path {
		return n.WAL
	}
	return n.Data
}

// envOurs: the env file is as it was, or exactly as the run wrote it. What
// somebody else changed in it since must not be thrown away.
func (w *world) envOurs(f etcdops.Facts, _ etcdops.Verdict) ruling {
	u := w.undone
	was := newWorld(nil, Stored{Facts: u.Facts, Verdict: u.Verdict})
	was.request = u.Request
	for _, node := range u.on("env") {
		n, _ := f.NodeByName(node)
		then := w.node(node).Env
		if !n.Reachable || n.Env.SHA256 == then.SHA256 {
			continue
		}
		written := maps.Clone(then.Values)
		maps.Copy(written, was.restoreEnv())
		if !maps.Equal(n.Env.Values, written) {
			return block(msg.M("guard.env-ours.block", "node", node, "path", n.Env.Path))
		}
	}
	return pass(msg.M("guard.env-ours.pass"))
}

// laterChanges: a later run has set something aside or written the env file on
// a node of this run. Taking back the earlier one would undo half of both.
func (w *world) laterChanges(f etcdops.Facts, _ etcdops.Verdict) ruling {
	u := w.undone
	for _, node := range u.nodes() {
		n, _ := f.NodeByName(node)
		if path := laterTag(n, u.Request.Tag, w.request.Tag); path != "" {
			return block(msg.M("guard.later-changes.block", "node", node, "path", path))
		}
	}
	return pass(msg.M("guard.later-changes.pass"))
}

// rollbackHealthy: what a restart brought up and is healthy is not stopped
// again (procedures.md §4, remove-healthy).
func (w *world) rollbackHealthy(_ etcdops.Facts, v etcdops.Verdict) ruling {
	for _, node := range w.undone.on("restart") {
		m, ok := v.MemberOn(node)
		if ok && m.Healthy && !wasUp(w.node(node).Unit) {
			return block(msg.M("guard.rollback-healthy.block", "member", w.label(node), "node", node))
		}
	}
	return pass(msg.M("guard.rollback-healthy.pass"))
}

// rollbackServing: a cluster that works now and did not work before the run is
// taken down. That is a decision about a service, not about data, which stay:
// it must be typed.
func (w *world) rollbackServing(_ etcdops.Facts, v etcdops.Verdict) ruling {
	if len(w.undone.on("start")) > 0 && v.Quorum.Holds && !w.undone.Verdict.Quorum.Holds {
		return typed(msg.M("guard.rollback-serving.block", "how", w.undone.Verdict.Headline))
	}
	return pass(msg.M("guard.rollback-serving.pass"))
}

// rollbackWrites: clients may have written into the restored cluster since it
// was started. Nobody can tell by its revision alone (a lease that runs out
// writes too), so it counts as written to. The writes stay on disk and leave
// service, like those that newer-data-exists and restore-while-quorum speak of:
// therefore typed, and no block for good.
func (w *world) rollbackWrites(f etcdops.Facts, _ etcdops.Verdict) ruling {
	if len(w.undone.on("start")) == 0 {
		return pass(msg.M("guard.rollback-writes.pass"))
	}
	newest := int64(0)
	for _, n := range f.Nodes {
		newest = max(newest, n.Endpoint.Revision)
	}
	return typed(msg.M("guard.rollback-writes.block", "aside", w.asideSuffix())).on("revision %d now", newest)
}

// oldDataBack: nothing old starts before the data of every node are back, and
// nothing restored is left in place. One node that came up with the restored
// data beside two with the old would be a second cluster.
func (w *world) oldDataBack(f etcdops.Facts, _ etcdops.Verdict) ruling {
	u := w.undone
	for _, node := range u.on("aside") {
		n, _ := f.NodeByName(node)
		for _, d := range w.host(node).StateDirs() {
			if aside := etcdops.AsidePath(d, u.Request.Tag); !n.Reachable || slices.Contains(n.Asides, aside) {
				return block(msg.M("guard.old-data-back.block", "node", node, "aside", aside))
			}
		}
	}
	return pass(msg.M("guard.old-data-back.pass"))
}
