package diagnosis

import (
	"cmp"
	"slices"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
)

// recommend chooses by the table of procedures §2: from the causes, from
// quorum, and from what is known of each member's data. Among several things
// that could be done it takes first what destroys nothing.
func (j *judge) recommend() etcdops.Recommendation {
	switch {
	case len(j.f.Nodes) == 0:
		return unsafeTo("nothing-known")
	case all(j.nodes, func(c nodeCase) bool { return !c.facts.Reachable }):
		return act(etcdops.ProcedureFixCause, j.names(unseen), "no-host")
	case j.cluster == "" && len(j.rivals) > 0, j.count(foreign) > 0:
		return unsafeTo("split", "nodes", append(j.names(foreign), j.names(serving)...))
	case j.twoLeaders():
		return unsafeTo("two-leaders")
	case j.quorum.Holds:
		return j.withQuorum()
	case !j.everFormed():
		return unsafeTo("not-formed")
	}
	return j.withoutQuorum()
}

func act(p etcdops.Procedure, nodes []string, why string, pairs ...any) etcdops.Recommendation {
	pairs = append(pairs, "nodes", nodes)
	return etcdops.Recommendation{Procedure: p, Nodes: nodes, Why: msg.M("diagnosis.rec."+why, pairs...)}
}

// unsafeTo says that the evidence carries no choice, and what to look at.
func unsafeTo(why string, pairs ...any) etcdops.Recommendation {
	return etcdops.Recommendation{Procedure: etcdops.ProcedureNone, Unsafe: true, Why: msg.M("diagnosis.rec."+why, pairs...)}
}

// withQuorum: the cluster serves. Restart before repair from outside before
// rejoin; one member at a time where data are replaced.
func (j *judge) withQuorum() etcdops.Recommendation {
	if nodes := j.names(doubtful); len(nodes) > 0 {
		return unsafeTo("hashes-undecided", "nodes", nodes)
	}
	if nodes := j.names(restartable); len(nodes) > 0 {
		return act(etcdops.ProcedureRestart, nodes[:1], more(nodes, "restart-minority", "restart-minority-first"))
	}
	if nodes := j.names(fixable); len(nodes) > 0 {
		return act(etcdops.ProcedureFixCause, nodes, "fix-outside", "cause", j.firstOutside(nodes[0]))
	}
	if nodes := j.names(unseen); len(nodes) > 0 {
		return act(etcdops.ProcedureFixCause, nodes, "host-first")
	}
	if nodes := j.names(broken); len(nodes) > 0 {
		if pending := j.pending(); len(pending) > 0 {
			return act(etcdops.ProcedureNone, nil, "wait", "waiting", pending)
		}
		if !j.survivesRemoval() {
			return unsafeTo("member-elsewhere")
		}
		return act(etcdops.ProcedureRejoin, nodes[:1], more(nodes, "rejoin", "rejoin-first"), "cause", j.firstData(nodes[0]))
	}
	if nodes := j.names(failing); len(nodes) > 0 {
		return unsafeTo("unknown-failure", "nodes", nodes)
	}
	if nodes := j.outsideOnHealthy(); len(nodes) > 0 {
		return act(etcdops.ProcedureFixCause, nodes, "fix-while-healthy", "cause", j.firstOutside(nodes[0]))
	}
	if j.corruptAlarm() {
		return unsafeTo("alarm-corrupt")
	}
	if j.count(elsewhere) > 0 {
		return unsafeTo("member-elsewhere")
	}
	if nodes := j.names(joining); len(nodes) > 0 {
		return act(etcdops.ProcedureNone, nil, "wait", "waiting", nodes)
	}
	if nodes := j.hostsAway(); len(nodes) > 0 {
		return act(etcdops.ProcedureFixCause, nodes, "host-away")
	}
	return act(etcdops.ProcedureNone, nil, "healthy")
}

// hostsAway lists the nodes that cannot be reached though their etcd serves.
func (j *judge) hostsAway() []string {
	var nodes []string
	for i := range j.nodes {
		if !j.nodes[i].facts.Reachable && j.nodes[i].healthy {
			nodes = append(nodes, j.nodes[i].facts.Node)
		}
	}
	return nodes
}

// pending lists the nodes whose member was added and is not a full one yet:
// one change of the membership at a time.
func (j *judge) pending() []string {
	var nodes []string
	for i := range j.members {
		s := &j.members[i]
		if s.prospect == joining && s.listed && (s.m.Learner || s.m.Unstarted()) {
			nodes = append(nodes, s.Node)
		}
	}
	return nodes
}

// survivesRemoval reports whether the voters that are seen to be healthy would
// be a quorum of the membership with one voter less.
func (j *judge) survivesRemoval() bool { return j.quorum.Healthy >= (j.quorum.Voters-1)/2+1 }

// more chooses the words for one or for the first of several nodes.
func more(nodes []string, one, first string) string {
	if len(nodes) > 1 {
		return first
	}
	return one
}

// withoutQuorum: nothing can be written. Members that only have to be brought
// back come first, because that loses nothing; then the newest sound data;
// a snapshot last. What cannot be seen counts as alive and blocks the last two.
func (j *judge) withoutQuorum() etcdops.Recommendation {
	up := j.voting(serving) + j.voting(joining)
	down, fix := j.voting(restartable), j.voting(fixable)
	needed := j.quorum.Needed
	switch {
	case j.voting(doubtful) > 0:
		return unsafeTo("hashes-undecided", "nodes", j.names(doubtful))
	case up >= needed && down == 0 && fix == 0:
		return j.upButNoLeader()
	case up+down >= needed && down > 0:
		nodes := j.names(restartable)
		return act(etcdops.ProcedureRestart, nodes, more(nodes, "restart-last", "restart-majority"), "needed", needed)
	case up+down+fix >= needed && fix > 0:
		nodes := j.names(fixable)
		return act(etcdops.ProcedureFixCause, nodes, "fix-majority", "cause", j.firstOutside(nodes[0]))
	case j.voting(unseen) > 0:
		return act(etcdops.ProcedureFixCause, j.names(unseen), "host-first")
	case j.voting(elsewhere) > 0:
		return unsafeTo("member-elsewhere")
	case up+down+fix+j.voting(failing) >= needed:
		return unsafeTo("unknown-failure", "nodes", j.names(failing))
	}
	return j.oldMajorityGone()
}

// oldMajorityGone: too few members can come back as they are.
func (j *judge) oldMajorityGone() etcdops.Recommendation {
	if nodes := j.soundest(); len(nodes) > 0 {
		return act(etcdops.ProcedureSalvage, nodes[:1], "salvage", "source", nodes[0])
	}
	if nodes := j.names(restartable); len(nodes) > 0 {
		return act(etcdops.ProcedureRestart, nodes, "restart-to-see")
	}
	if nodes := j.names(fixable); len(nodes) > 0 {
		return act(etcdops.ProcedureFixCause, nodes, "fix-majority", "cause", j.firstOutside(nodes[0]))
	}
	if nodes := j.names(joining); len(nodes) > 0 {
		return act(etcdops.ProcedureNone, nil, "wait", "waiting", nodes)
	}
	if nodes := j.names(failing); len(nodes) > 0 {
		return unsafeTo("unknown-failure", "nodes", nodes)
	}
	if nodes := j.stale(); len(nodes) > 0 {
		return unsafeTo("stale-left", "nodes", nodes)
	}
	return act(etcdops.ProcedureRestore, j.nodeNames(), "restore")
}

// stale lists the voters that hold an older copy of the data: their log lacks
// what they had acknowledged, but something is there, and whether a snapshot
// is newer has to be looked at.
func (j *judge) stale() []string {
	var nodes []string
	for _, s := range j.voters() {
		if c := j.nodeOf(s); c != nil && j.has(c.facts.Node, "raft-lost-log") && j.intact(c) {
			nodes = append(nodes, c.facts.Node)
		}
	}
	return nodes
}

// upButNoLeader: enough members run, yet they elect nobody.
func (j *judge) upButNoLeader() etcdops.Recommendation {
	var nodes []string
	for i := range j.nodes {
		if len(j.openOutside(j.nodes[i].facts.Node)) > 0 {
			nodes = append(nodes, j.nodes[i].facts.Node)
		}
	}
	if len(nodes) > 0 {
		return act(etcdops.ProcedureFixCause, nodes, "fix-majority", "cause", j.firstOutside(nodes[0]))
	}
	if j.voting(joining) > 0 {
		return act(etcdops.ProcedureNone, nil, "wait", "waiting", j.names(joining))
	}
	return unsafeTo("no-leader")
}

// names lists the nodes of the seats with a prospect, in order. A seat outside
// the membership counts only where its data are known to be of no use there.
func (j *judge) names(p prospect) []string {
	var names []string
	for i := range j.members {
		s := &j.members[i]
		if s.prospect == p && s.Node != "" && (s.listed || len(j.f.Members) == 0 || p == broken || p == foreign || p == unseen) {
			names = append(names, s.Node)
		}
	}
	return names
}

func (j *judge) nodeNames() []string {
	var names []string
	for _, n := range j.f.Nodes {
		names = append(names, n.Node)
	}
	return names
}

func (j *judge) count(p prospect) int {
	count := 0
	for i := range j.members {
		if j.members[i].prospect == p {
			count++
		}
	}
	return count
}

// voting counts the voters with a prospect.
func (j *judge) voting(p prospect) int {
	count := 0
	for _, s := range j.voters() {
		if s.prospect == p {
			count++
		}
	}
	return count
}

// soundest lists the nodes whose data are known to be sound, the newest data
// first: a member that runs tells its index, so it goes before one that is down.
func (j *judge) soundest() []string {
	var seats []*seat
	for _, s := range j.voters() {
		if s.Sound && s.SoundKnown && s.Node != "" {
			seats = append(seats, s)
		}
	}
	index := func(s *seat) uint64 {
		if e := j.nodeOf(s).facts.Endpoint; e.Answers {
			return max(e.RaftIndex, 1)
		}
		return 0
	}
	slices.SortStableFunc(seats, func(a, b *seat) int { return cmp.Compare(index(b), index(a)) })
	var nodes []string
	for _, s := range seats {
		nodes = append(nodes, s.Node)
	}
	return nodes
}

// outsideOnHealthy lists healthy nodes with a cause that will hurt: all but
// what etcd lives with while it runs.
func (j *judge) outsideOnHealthy() []string {
	var nodes []string
	for i := range j.nodes {
		if !j.nodes[i].healthy {
			continue
		}
		for _, c := range j.openOutside(j.nodes[i].facts.Node) {
			if c.ID != "clock-skew" && c.ID != "slow-disk" {
				nodes = append(nodes, c.Node)
				break
			}
		}
	}
	return nodes
}

func (j *judge) corruptAlarm() bool {
	return slices.ContainsFunc(j.causes, func(c etcdops.Cause) bool { return c.ID == "data-inconsistent" })
}

func (j *judge) firstOutside(node string) msg.Msg {
	for _, c := range j.causes {
		if c.Node == node && c.Outside && weight(c.Confidence) > 1 {
			return c.Title
		}
	}
	return msg.M("diagnosis.unknown.title")
}

func (j *judge) firstData(node string) msg.Msg {
	for _, c := range j.causes {
		if c.Node == node && c.Data && weight(c.Confidence) > 1 {
			return c.Title
		}
	}
	return msg.M("diagnosis.unknown.title")
}
