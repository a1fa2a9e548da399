package workflows

import (
	"fmt"
	"path"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/workflows/engine"
)

// restore brings the whole cluster back from one snapshot (vendor documents
// 000–002, "the whole cluster"). The vendor deletes the data first and unpacks
// afterwards; here the snapshot is verified, distributed and restored into a
// fresh directory beside the final one on all nodes before anything is stopped,
// so that a bad file, a full disk or a wrong name costs nothing. Then: stop
// all, prove it, set the old data aside, rename the new into place, start all
// together without blocking.
//
// Two additions of ours: the revision is bumped and marked compacted, because
// Kubernetes' watchers must not see time go back (kubernetes#107457, etcd
// 3.5.10 and later), and the cluster gets a fresh token, because with the old
// one a stale member would join and corrupt the data silently (measured).
func restore(w *world, r Request) (engine.Plan, error) {
	if len(w.base.Snapshots) == 0 {
		return engine.Plan{}, fmt.Errorf("%w: a restore needs a snapshot", ErrRequest)
	}
	source := w.base.Snapshots[0]
	all := nodesOf(w.base.Facts)
	p := newPlan(w, r, msg.M("restore.title", "n", len(all)))
	p.Estimate(30 * time.Second)
	p.Kept(msg.M("restore.kept", "aside", w.asideSuffix()))
	p.Lost(lossSince(w.base.Facts, source))
	p.Guards(w.restoreGuards(all)...)
	p.Guards(
		w.guard("newer-data-exists", w.newerDataExists),
		w.guard("snapshot-sound", w.snapshotSound),
		w.guard("snapshot-same", w.snapshotSame),
		w.guard("snapshot-fits", w.snapshotFits),
		w.guard("snapshot-ours", w.snapshotOurs),
	)
	b := givenBundle(source)
	w.restoreStages(p, all, b, w.verifySnapshot(b))
	return p.finish()
}

// salvage saves the data of a member that still runs although quorum is lost,
// and restores the cluster from them (no vendor document has it). A running
// survivor gives a snapshot with its checksum; a restarted one gives nothing
// any more (measured), so this is offered before anything is touched. Taking
// data from a stopped member is not done yet: the guard survivor says so.
func salvage(w *world, r Request) (engine.Plan, error) {
	all := nodesOf(w.base.Facts)
	survivor, found := w.survivor()
	p := newPlan(w, r, msg.M("salvage.title", "member", w.label(survivor.Node), "node", survivor.Node))
	p.Estimate(30 * time.Second)
	p.Kept(msg.M("restore.kept", "aside", w.asideSuffix()))
	p.Lost(msg.M("salvage.lost", "member", w.label(survivor.Node), "revision", survivor.Endpoint.Revision))
	p.Guards(w.salvageGuards(survivor.Node, all)...)
	if found {
		p.Stage("way-back", msg.M("salvage.stage.save", "member", w.label(survivor.Node)), w.saveSnapshot(survivor.Node)...)
		w.restoreStages(p, all, w.savedBundle(survivor.Node))
	}
	return p.finish()
}

func (w *world) salvageGuards(survivor string, all []string) []engine.Guard {
	return append([]engine.Guard{
		w.guard("survivor", survivorAnswers(survivor)),
		w.guard("newest-read", unreadMembers),
	}, w.restoreGuards(all)...)
}

func (w *world) restoreGuards(all []string) []engine.Guard {
	return []engine.Guard{
		w.guard("restore-while-quorum", restoreWhileQuorum),
		w.guard("hosts-reachable", hostsReachable(all)),
		w.guard("old-majority-dead", oldMajorityDead),
		w.guard("identity", w.identityHolds(all)),
		w.guard("same-cluster", sameCluster),
		w.guard("data-dir-sane", dataDirSane(all)),
		w.guard("cause-outside-data", causeOutsideData(all)),
		w.guard("space", spaceFor(all, w.restoreNeeds)),
		w.guard("certs-valid", certsValid(all)),
		w.guard("versions", versionsFit),
		w.guard("tools", restoreTools(all)),
		w.guard("encryption-keys", encryptionKeys),
		w.guard("reconciler", reconciler),
		w.guard("clock", clock),
	}
}

// restoreStages is everything from the snapshot on one node to the proof.
// first are the steps that its own node needs before it can restore from it. The
// stage "prepare" is one stage, because no node has to wait for another there:
// whoever has the file whole restores it. All of it lies beside the old data.
//
// No stage is a point of no return: the old data lie aside whole, and a rollback
// puts them back at any time. What changes is its price. Up to "env" nobody has
// seen the new cluster; from "start" on clients write into it, and what they
// write is in no old data. So that stage is shown.
func (w *world) restoreStages(p *draft, all []string, b bundle, first ...engine.Step) {
	p.NoReturnCosts("start", msg.M("restore.no-return"))
	p.WayBack(msg.M("restore.way-back"))
	p.Stage("prepare", msg.M("restore.stage.prepare"), w.prepare(all, b, first)...)
	p.Stage("stop", msg.M("restore.stage.stop"), each(all, func(node string) engine.Step {
		return w.stopAndMask(node, w.guard("restore-while-quorum", restoreWhileQuorum))
	})...)
	p.Stage("stopped", msg.M("restore.stage.stopped"), each(all, w.proveStopped)...)
	p.Stage("aside", msg.M("stage.aside"), each(all, w.moveAside)...)
	p.Stage("place", msg.M("restore.stage.place"), each(all, w.placeRestored)...)
	p.Stage("env", msg.M("restore.stage.env"), each(all, w.writeRestoreEnv)...)
	p.Stage("start", msg.M("restore.stage.start"), each(all, w.unmaskAndStart)...)
	p.Stage("wait", msg.M("restore.stage.wait"), each(all, w.waitHealthy)...)
	p.Stage("prove", msg.M("stage.prove"), w.prove(all, proofs{restored: true})...)
}

// prepare gives each node the snapshot, whole, and restores it there beside the
// old data.
func (w *world) prepare(all []string, b bundle, first []engine.Step) []engine.Step {
	var steps []engine.Step
	for _, node := range all {
		if node == b.node {
			steps = append(steps, first...)
		} else {
			steps = append(steps, w.fetch(b, node))
		}
		steps = append(steps, w.restoreBeside(b, node))
	}
	return steps
}

// survivor is the member that answers without a quorum and has the newest
// data: the highest revision, then the highest raft index.
func (w *world) survivor() (etcdops.NodeFacts, bool) {
	var best etcdops.NodeFacts
	for _, n := range w.base.Facts.Nodes {
		e := n.Endpoint
		if !e.Answers || e.Learner {
			continue
		}
		if best.Node == "" || e.Revision > best.Endpoint.Revision ||
			e.Revision == best.Endpoint.Revision && e.RaftIndex > best.Endpoint.RaftIndex {
			best = n
		}
	}
	return best, best.Node != ""
}

// restoreNeeds is the room for the unpacked snapshot and the restored
// directory (a database and a small WAL), in bytes; the old data stay.
func (w *world) restoreNeeds(f etcdops.Facts, n etcdops.NodeFacts) int64 {
	size := leaderDB(f, n)
	for _, s := range w.base.Snapshots {
		size = max(size, s.ContentBytes)
	}
	return 3*size + 128<<20 // etcd preallocates a WAL segment of 64 MB, and one more
}

// lossSince says what a restore from this snapshot loses.
func lossSince(f etcdops.Facts, s Inspected) msg.Msg {
	taken := s.Modified
	if named, ok := etcdops.ParseSnapshotName(path.Base(s.Path)); ok {
		taken = named.TakenAt
	}
	newest := int64(0)
	for _, n := range f.Nodes {
		newest = max(newest, n.Endpoint.Revision)
	}
	if newest > s.Revision {
		return msg.M("restore.lost.counted", "time", taken.Format("2006-01-02 15:04:05"), "revision", s.Revision, "n", newest-s.Revision)
	}
	return msg.M("restore.lost", "time", taken.Format("2006-01-02 15:04:05"), "revision", s.Revision)
}

// restoreTools: the tool that restores must be on every node; etcdctl lost
// the command in 3.6 and prints help with exit status 0 (facts-e2e-hosts).
func restoreTools(all []string) rule {
	return func(f etcdops.Facts, _ etcdops.Verdict) ruling {
		for _, node := range all {
			n, _ := f.NodeByName(node)
			if _, err := n.Versions.SnapshotTool(); err != nil {
				return block(msg.M("guard.tools.block", "node", node, "why", fmt.Sprint(err)))
			}
		}
		return pass(msg.M("guard.tools.pass"))
	}
}
