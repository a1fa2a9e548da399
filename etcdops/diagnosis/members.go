package diagnosis

import (
	"slices"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
)

// prospect says what can become of a member: what the choice of a procedure
// rests on.
type prospect string

const (
	serving     prospect = "serving"     // takes part in a quorum, or would with peers
	joining     prospect = "joining"     // starting, learning or waiting: in order as far as seen
	restartable prospect = "restartable" // down, and nothing speaks against its data
	fixable     prospect = "fixable"     // down for a cause outside its data
	failing     prospect = "failing"     // ends by itself, for a reason not understood
	broken      prospect = "broken"      // its data are broken, lost or foreign: positively known
	foreign     prospect = "foreign"     // serves another cluster whose worth is not known
	doubtful    prospect = "doubtful"    // its data differ, and which side is right is not known
	unseen      prospect = "unseen"      // its host does not answer
	elsewhere   prospect = "elsewhere"   // a member without a node of ours
)

// judgeMembers gives every seat its state, its prospect and what is known of
// its data.
func (j *judge) judgeMembers() {
	furthest := j.furthestIndex()
	for i := range j.members {
		s := &j.members[i]
		c := j.nodeOf(s)
		s.MemberVerdict = etcdops.MemberVerdict{Member: s.m, Node: s.m.Node, Lag: -1}
		if c == nil {
			s.State, s.prospect = etcdops.StateUnknown, elsewhere
			s.Why = msg.M("diagnosis.state.no-node")
			continue
		}
		s.Node = c.facts.Node
		if s.Member.Node == "" {
			s.Member.Node = c.facts.Node
		}
		s.State, s.Why = j.stateOf(s, c)
		s.Healthy = s.State == etcdops.StateHealthy
		s.Leader = c.facts.Endpoint.Answers && c.facts.Endpoint.IsLeader()
		if e := c.facts.Endpoint; e.Answers && (j.cluster == "" || e.ClusterID == j.cluster) {
			s.Lag = int64(furthest - e.RaftIndex)
		}
		s.prospect = j.prospectOf(s, c)
		s.Sound, s.SoundKnown = j.soundness(s, c)
	}
}

func (j *judge) furthestIndex() uint64 {
	var furthest uint64
	for _, n := range j.f.Nodes {
		if n.Endpoint.Answers && (j.cluster == "" || n.Endpoint.ClusterID == j.cluster) {
			furthest = max(furthest, n.Endpoint.RaftIndex)
		}
	}
	return furthest
}

// stateOf is the state of a member by procedures §1.
func (j *judge) stateOf(s *seat, c *nodeCase) (etcdops.MemberState, msg.Msg) {
	n, e := c.facts, c.facts.Endpoint
	switch {
	case !n.Reachable && !e.Answers:
		return etcdops.StateUnreachable, why("unreachable", "error", shown(n.ErrorKind))
	case e.Answers && j.cluster != "" && e.ClusterID != "" && e.ClusterID != j.cluster:
		return etcdops.StateWrongCluster, why("wrong-cluster", "id", e.ClusterID)
	case slices.Contains(j.hashes.odd, n.Node):
		return etcdops.StateInconsistent, why("inconsistent")
	case j.isRemoved(s, c):
		return etcdops.StateRemoved, why("removed")
	case e.Answers:
		return j.answeringState(s, c)
	case s.listed && s.m.Unstarted():
		return etcdops.StateUnstarted, why("unstarted")
	case !s.listed && len(j.f.Members) > 0 && !n.Unit.Running():
		return etcdops.StateRemoved, why("not-listed")
	}
	return unitState(n)
}

func why(id string, pairs ...any) msg.Msg { return msg.M("diagnosis.state."+id, pairs...) }

// isRemoved: its own log says so, or it answers under an id that the
// membership does not know.
func (j *judge) isRemoved(s *seat, c *nodeCase) bool {
	return j.has(c.facts.Node, "removed-member") ||
		!s.listed && len(j.f.Members) > 0 && c.facts.Endpoint.Answers && !j.isMemberID(c.facts.Endpoint.MemberID)
}

// answeringState is the state of a member of this cluster whose endpoint answers.
func (j *judge) answeringState(s *seat, c *nodeCase) (etcdops.MemberState, msg.Msg) {
	e := c.facts.Endpoint
	switch {
	case s.m.Learner || e.Learner:
		return etcdops.StateLearner, why("learner")
	case c.healthy:
		return etcdops.StateHealthy, why("healthy")
	case j.cluster == "" && len(j.rivals) > 0:
		return etcdops.StateUnknown, why("split", "id", e.ClusterID)
	case e.LeaderID == "" || !j.quorum.Holds:
		return etcdops.StateNoQuorum, why("no-quorum")
	}
	return etcdops.StateNotAnswering, why("reads-fail", "error", shown(e.HealthError))
}

// unitState is the state of a member that does not answer.
func unitState(n etcdops.NodeFacts) (etcdops.MemberState, msg.Msg) {
	u := n.Unit
	switch u.Active {
	case "active", "reloading":
		return etcdops.StateNotAnswering, why("not-answering", "error", shown(n.Endpoint.Error))
	case "activating":
		if u.Restarts > 0 || u.Sub == "auto-restart" {
			return etcdops.StateStarting, why("retrying", "n", max(1, u.Restarts))
		}
		return etcdops.StateStarting, why("starting")
	case "failed":
		return etcdops.StateFailed, why("failed", "result", shown(u.Result), "status", u.ExitStatus)
	case "inactive", "deactivating":
		if u.Masked() {
			return etcdops.StateStopped, why("masked")
		}
		return etcdops.StateStopped, why("stopped")
	}
	if len(n.Running) > 0 {
		return etcdops.StateNotAnswering, why("not-answering", "error", shown(n.Endpoint.Error))
	}
	return etcdops.StateUnknown, why("unknown")
}

// prospectOf weighs a member's state with its causes.
func (j *judge) prospectOf(s *seat, c *nodeCase) prospect {
	n := c.facts
	switch s.State {
	case etcdops.StateUnreachable:
		return unseen
	case etcdops.StateHealthy, etcdops.StateNoQuorum:
		return j.prospectOfAnswering(n.Node)
	case etcdops.StateLearner:
		return joining
	case etcdops.StateInconsistent:
		return broken
	case etcdops.StateWrongCluster:
		if j.lesserCluster(n) {
			return broken
		}
		return foreign
	default:
	}
	if n.Endpoint.Answers && j.cluster == "" && len(j.rivals) > 0 {
		return foreign
	}
	outside := j.keepsDown(n.Node)
	if j.dataCause(n.Node) {
		if slices.ContainsFunc(outside, func(o etcdops.Cause) bool { return !j.know.kinds[o.ID].RejoinFixes }) {
			return fixable
		}
		return broken
	}
	if len(outside) > 0 {
		return fixable
	}
	return j.prospectByUnit(s, c)
}

// prospectOfAnswering judges a member that serves, or would with peers.
func (j *judge) prospectOfAnswering(node string) prospect {
	switch {
	case slices.Contains(j.hashes.split, node):
		return doubtful
	case j.has(node, "raft-lost-log"):
		return broken // without a leader nobody tells it what it has forgotten
	}
	return serving
}

// prospectByUnit judges a member that is down or silent and against whose data
// nothing is known.
func (j *judge) prospectByUnit(s *seat, c *nodeCase) prospect {
	u := c.facts.Unit
	switch {
	case c.facts.Endpoint.Answers: // it answers, but reads through it fail
		return restartable
	case j.onItsWay(c):
		return joining
	case u.Running(), s.listed && s.m.Unstarted():
		return restartable
	case j.logGone(c) || !j.intact(c):
		return failing
	case u.Active == "inactive", killed(u), j.has(c.facts.Node, "host-crash"):
		return restartable
	case u.Active == "failed" && u.Result == "timeout":
		// A start that systemd gave up on: without quorum etcd cannot become
		// ready (facts-e2e-hosts.md). It says nothing against the member.
		return restartable
	case j.wasFull(c):
		return restartable
	case u.Active == "failed" && u.Restarts == 0 && len(lastErrors(c)) == 0:
		return restartable
	}
	return failing
}

// wasFull: it ended over a full disk, and there is room now.
func (j *judge) wasFull(c *nodeCase) bool {
	return conditions["has-room"](c) && slices.ContainsFunc(j.causes, func(k etcdops.Cause) bool {
		return k.ID == "disk-full" && k.Node == c.facts.Node
	})
}

// onItsWay reports whether a member is starting, or has started and looks for
// its peers, with nothing that speaks of a failure.
func (j *judge) onItsWay(c *nodeCase) bool {
	u := c.facts.Unit
	switch {
	case u.Running():
		return j.waits(c)
	case u.Active != "activating":
		return false
	}
	return j.waits(c) && !killed(u) || u.Sub != "auto-restart" && u.Restarts == 0
}

// lastErrors are the lines of the newest run at level error and above.
func lastErrors(c *nodeCase) []line {
	var list []line
	if r := c.newest(); r != nil {
		for _, l := range r.lines {
			if l.level == "error" || l.level == "panic" || l.level == "fatal" {
				list = append(list, l)
			}
		}
	}
	return list
}

// intact reports whether the data directory looks as a sound one does. Where
// it could not be looked at, it is not called intact.
func (j *judge) intact(c *nodeCase) bool {
	d := c.facts.Data
	return d.Error == "" && d.Exists && d.HasMember && hasWAL(c.facts)
}

// soundness is what is known of a member's data: true only on positive
// evidence, and known only where there is some.
func (j *judge) soundness(s *seat, c *nodeCase) (sound, isKnown bool) {
	ok := false
	switch s.prospect {
	case broken:
		return false, true
	case serving:
		ok = true
	case joining:
		r := c.newest()
		ok = c.facts.Endpoint.Answers || c.facts.Endpoint.PeerAnswers || r != nil && r.loaded
	case restartable:
		ok = (!s.listed || !s.m.Unstarted()) && j.endedSound(c)
	case fixable:
		ok = !j.dataCause(c.facts.Node) && j.intact(c) &&
			all(j.openOutside(c.facts.Node), func(o etcdops.Cause) bool { return j.know.kinds[o.ID].SparesData })
	default:
	}
	return ok, ok
}

// endedSound reports whether a member that is down was ended by something that
// leaves its data whole, and they look so.
func (j *judge) endedSound(c *nodeCase) bool {
	return j.intact(c) && slices.ContainsFunc(j.causes, func(o etcdops.Cause) bool {
		return o.Node == c.facts.Node && weight(o.Confidence) > 1 &&
			(j.know.kinds[o.ID].SparesData || o.ID == "unknown" && killed(c.facts.Unit))
	})
}

// borne are causes outside the data that etcd starts and serves with, if slowly
// (etcd tuning documentation; FAQ, "slow applying").
var borne = []string{"slow-disk", "clock-skew", "network-partition"}

// keepsDown lists the causes outside the data that keep a node's member down.
// What it bore until somebody stopped it does not.
func (j *judge) keepsDown(node string) []etcdops.Cause {
	list := j.openOutside(node)
	if !j.has(node, "stopped-by-supervisor") {
		return list
	}
	return slices.DeleteFunc(list, func(c etcdops.Cause) bool { return slices.Contains(borne, c.ID) })
}

// openOutside lists the causes outside the data of a node, known with more than
// a suspicion.
func (j *judge) openOutside(node string) []etcdops.Cause {
	var list []etcdops.Cause
	for _, c := range j.causes {
		if c.Node == node && c.Outside && weight(c.Confidence) > 1 {
			list = append(list, c)
		}
	}
	return list
}

// dataCause reports whether it is positively known that a node's data are
// broken, lost or foreign. Data that differ count only where a majority of
// voters holds other data: otherwise the odd one may be the right one.
func (j *judge) dataCause(node string) bool {
	for _, c := range j.causes {
		if c.Node != node || !c.Data || weight(c.Confidence) < 2 {
			continue
		}
		if c.ID != "data-inconsistent" {
			return true
		}
		if slices.Contains(j.hashes.odd, node) {
			return true
		}
		if c.Confidence == etcdops.Likely && !slices.Contains(j.hashes.split, node) &&
			len(j.hashes.split) == 0 && j.hashes.compared >= j.quorum.Needed && !j.compared(node) {
			return true // it refused to start beside a majority that agrees
		}
	}
	return false
}

// compared reports whether a node's own hash is among those compared.
func (j *judge) compared(node string) bool {
	c := j.caseOf(node)
	return c != nil && c.facts.Endpoint.Answers && c.facts.Endpoint.Hash != "" && j.f.HashRevision != 0
}

// lesserCluster reports whether a node that serves another cluster plainly
// holds nothing that the reference cluster lacks: it is alone in it, and its
// revision is below the reference's.
func (j *judge) lesserCluster(n etcdops.NodeFacts) bool {
	if len(n.Endpoint.OwnMembers) > 1 {
		return false
	}
	for _, other := range j.f.Nodes {
		e := other.Endpoint
		if e.Answers && e.ClusterID == j.cluster && e.Revision > n.Endpoint.Revision {
			return true
		}
	}
	return false
}

// rankCauses puts the best first: what explains before what is explained, the
// sure before the suspected, roots before what usually follows from them.
func (j *judge) rankCauses() {
	explainedBy := func(c etcdops.Cause) bool {
		return slices.ContainsFunc(j.causes, func(o etcdops.Cause) bool {
			return o.Node == c.Node && o.ID != c.ID && weight(o.Confidence) > 1 &&
				slices.Contains(j.know.kinds[o.ID].Explains, c.ID)
		})
	}
	score := func(c etcdops.Cause) [4]int {
		s := [4]int{}
		if explainedBy(c) {
			s[0] = 1
		}
		switch {
		case c.ID == "quorum-lost":
			s[0] = 3
		case c.ID == "unknown" && c.Confidence == etcdops.Possible:
			s[0] = 2
		}
		s[1] = -weight(c.Confidence)
		s[2] = j.know.rank(c.ID)
		s[3] = slices.IndexFunc(j.nodes, func(n nodeCase) bool { return n.facts.Node == c.Node })
		return s
	}
	slices.SortStableFunc(j.causes, func(a, b etcdops.Cause) int {
		x, y := score(a), score(b)
		return slices.Compare(x[:], y[:])
	})
}
