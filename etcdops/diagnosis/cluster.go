package diagnosis

import (
	"slices"
	"strings"

	"github.com/novatui/novatui/etcdops"
)

// referenceCluster chooses, among the cluster ids that endpoints name, the one
// that is to be repaired, and lists the others. The cluster with more of our
// nodes in it is meant; then the one whose own member list knows more of our
// peer URLs (a member that lost its directory comes up as a cluster of one:
// facts-etcd.md pitfall 38); then the further raft log. Two clusters that are
// alike in all this leave the choice open: id is empty.
func referenceCluster(f etcdops.Facts) (id string, rivals []string) {
	type claim struct {
		id           string
		nodes, known int
		index        uint64
	}
	var claims []claim
	for _, n := range f.Nodes {
		e := n.Endpoint
		if !e.Answers && !e.PeerAnswers || e.ClusterID == "" {
			continue
		}
		at := slices.IndexFunc(claims, func(c claim) bool { return c.id == e.ClusterID })
		if at < 0 {
			at = len(claims)
			claims = append(claims, claim{id: e.ClusterID})
		}
		claims[at].nodes++
		claims[at].known = max(claims[at].known, knownURLs(f, e.OwnMembers))
		claims[at].index = max(claims[at].index, e.RaftIndex)
	}
	if len(claims) == 0 {
		return "", nil
	}
	slices.SortStableFunc(claims, func(a, b claim) int {
		if a.nodes != b.nodes {
			return b.nodes - a.nodes
		}
		return b.known - a.known
	})
	first := claims[0]
	for _, c := range claims[1:] {
		rivals = append(rivals, c.id)
		if c.nodes == first.nodes && c.known == first.known {
			id = "open"
		}
	}
	if id == "open" {
		rivals = append([]string{first.id}, rivals...)
		return "", rivals
	}
	return first.id, rivals
}

// ownMembership gives the membership as the reference cluster itself tells it,
// where the facts carry another cluster's: the own list of its member that
// knows most. ok is false when the facts' membership is the right one.
func ownMembership(f etcdops.Facts, cluster string) (members []etcdops.Member, from string, ok bool) {
	var best etcdops.EndpointFacts
	for _, n := range f.Nodes {
		e := n.Endpoint
		if e.ClusterID != cluster || len(e.OwnMembers) == 0 {
			continue
		}
		if slices.ContainsFunc(f.Members, func(m etcdops.Member) bool { return sameID(m.ID, e.MemberID) }) {
			return nil, "", false
		}
		if len(best.OwnMembers) == 0 || e.RaftTerm > best.RaftTerm || e.RaftTerm == best.RaftTerm && e.Applied > best.Applied {
			best = e
		}
	}
	for _, m := range best.OwnMembers {
		m.Node = ""
		for _, n := range f.Nodes {
			if overlap(m.PeerURLs, n.Env.PeerURLs()) {
				m.Node = n.Node
			}
		}
		members = append(members, m)
	}
	from = best.OwnMembersFrom
	if from == "" {
		from = etcdops.FromLocal
	}
	return members, from, len(members) > 0
}

// knownURLs counts the nodes of ours that a member list knows.
func knownURLs(f etcdops.Facts, list []etcdops.Member) int {
	count := 0
	for _, n := range f.Nodes {
		urls := n.Env.PeerURLs()
		if slices.ContainsFunc(list, func(m etcdops.Member) bool { return overlap(m.PeerURLs, urls) }) {
			count++
		}
	}
	return count
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// takesPart reports whether a node's etcd takes part in a quorum of the
// reference cluster: a linearizable read through it succeeded, or failed only
// because of the alarm CORRUPT, which blocks requests and not raft
// (server/etcdserver/apply: applierV3Corrupt).
func (j *judge) takesPart(n etcdops.NodeFacts) bool {
	e := n.Endpoint
	if !e.Answers || e.Learner || e.LeaderID == "" {
		return false
	}
	if j.cluster == "" && len(j.rivals) > 0 || j.cluster != "" && e.ClusterID != "" && e.ClusterID != j.cluster {
		return false
	}
	if !j.isMemberID(e.MemberID) {
		return false
	}
	return e.Healthy || strings.Contains(e.HealthError, "corrupt cluster")
}

// isMemberID reports whether the membership knows the id; where no ids are
// known (a membership read from env files) nothing speaks against it.
func (j *judge) isMemberID(id string) bool {
	anyID := false
	for _, m := range j.f.Members {
		if m.ID != "" {
			anyID = true
			if sameID(m.ID, id) {
				return true
			}
		}
	}
	return !anyID || id == ""
}

// sameID compares hexadecimal ids, which some versions pad with zeros.
func sameID(a, b string) bool {
	return strings.TrimLeft(strings.ToLower(a), "0") == strings.TrimLeft(strings.ToLower(b), "0")
}

// countQuorum counts voters. A learner does not vote; a silent, unreachable or
// inconsistent member is not healthy. A linearizable read that succeeded
// proves quorum even where not enough of its voters can be seen from here.
func (j *judge) countQuorum() {
	q := etcdops.Quorum{}
	for _, s := range j.voters() {
		q.Voters++
		if c := j.nodeOf(s); c != nil && c.healthy {
			q.Healthy++
		}
	}
	q.Needed = q.Voters/2 + 1
	for i := range j.nodes {
		e := j.nodes[i].facts.Endpoint
		j.proved = j.proved || j.nodes[i].healthy && e.Healthy
	}
	q.Holds = q.Voters > 0 && (q.Healthy >= q.Needed || j.proved)
	j.quorum = q
}

// unseen counts the voters on hosts that do not answer, where they could make
// up a quorum with the healthy ones: that quorum is lost is not proved then.
func (j *judge) unseen() int {
	n := 0
	for i := range j.members {
		if s := &j.members[i]; s.State == etcdops.StateUnreachable && !s.m.Learner {
			n++
		}
	}
	if j.quorum.Healthy+n < j.quorum.Needed {
		return 0
	}
	return n
}

// clusterState is the state of the whole.
func (j *judge) clusterState() etcdops.ClusterState {
	switch {
	case len(j.rivals) > 0 || j.twoLeaders():
		return etcdops.ClusterSplit
	case !j.quorum.Holds && !j.everFormed():
		return etcdops.ClusterNotFormed
	case !j.quorum.Holds:
		return etcdops.ClusterQuorumLost
	}
	for i := range j.members {
		s := &j.members[i]
		if s.State != etcdops.StateHealthy && s.State != etcdops.StateLearner {
			return etcdops.ClusterDegraded
		}
	}
	for i := range j.nodes {
		if len(j.nodes[i].facts.Endpoint.Alarms) > 0 {
			return etcdops.ClusterDegraded
		}
	}
	return etcdops.ClusterHealthy
}

// twoLeaders reports whether endpoints of one cluster name different leaders
// at the same term, which raft never does. (Different terms only mean that
// they were asked while the leader changed.)
func (j *judge) twoLeaders() bool {
	leaders := map[uint64]string{}
	for _, n := range j.f.Nodes {
		e := n.Endpoint
		if !e.Answers || e.LeaderID == "" || e.RaftTerm == 0 {
			continue
		}
		if other, ok := leaders[e.RaftTerm]; ok && !sameID(other, e.LeaderID) {
			return true
		}
		leaders[e.RaftTerm] = e.LeaderID
	}
	return false
}

// everFormed reports whether anything shows that this cluster has lived: a
// membership that etcd itself told, an endpoint, a WAL, a journal in which
// etcd served, set-aside data or a snapshot, or a host that cannot be asked.
func (j *judge) everFormed() bool {
	if j.f.MembersFrom != "" && j.f.MembersFrom != "env" {
		return true
	}
	for i := range j.nodes {
		n := &j.nodes[i]
		if !n.facts.Reachable || n.facts.Endpoint.Answers || hasWAL(n.facts) || n.facts.Data.Error != "" ||
			len(n.facts.Asides) > 0 || len(n.facts.Snapshots) > 0 {
			return true
		}
		if slices.ContainsFunc(n.runs, func(r run) bool { return r.served >= 0 }) {
			return true
		}
	}
	return false
}

// hashes is what comparing the members' data gave.
type hashes struct {
	compared int      // nodes that could be compared
	odd      []string // nodes whose hash differs from that of a majority of voters
	split    []string // nodes that differ without a majority for any hash
}

// compareHashes compares the hashes of the reference cluster's members. Two
// hashes say something only at one revision and one compact revision
// (etcdserverpb.HashKVResponse). Which side is right is known only where more
// than half of all voters agree.
func compareHashes(f etcdops.Facts, cluster string) hashes {
	var h hashes
	if f.HashRevision == 0 {
		return h
	}
	groups := map[int64]map[string][]string{} // compact revision → hash → nodes
	for _, n := range f.Nodes {
		e := n.Endpoint
		if !e.Answers || e.Hash == "" || cluster != "" && e.ClusterID != "" && e.ClusterID != cluster {
			continue
		}
		if groups[e.CompactRevision] == nil {
			groups[e.CompactRevision] = map[string][]string{}
		}
		groups[e.CompactRevision][e.Hash] = append(groups[e.CompactRevision][e.Hash], n.Node)
		h.compared++
	}
	for _, group := range groups {
		h.judge(group, voterCount(f))
	}
	slices.Sort(h.odd)
	slices.Sort(h.split)
	return h
}

// judge sorts the nodes of one compact revision, given by their hash.
func (h *hashes) judge(group map[string][]string, voters int) {
	if len(group) < 2 {
		return
	}
	majority := ""
	for hash, nodes := range group {
		if len(nodes) > voters/2 {
			majority = hash
		}
	}
	for hash, nodes := range group {
		switch {
		case majority == "":
			h.split = append(h.split, nodes...)
		case hash != majority:
			h.odd = append(h.odd, nodes...)
		}
	}
}

// voterCount is the number of voters; without a membership, of nodes.
func voterCount(f etcdops.Facts) int {
	if len(f.Members) == 0 {
		return len(f.Nodes)
	}
	voters := 0
	for _, m := range f.Members {
		if !m.Learner {
			voters++
		}
	}
	return voters
}

// hasWAL reports whether at least one WAL file lies where etcd looks for it.
func hasWAL(n etcdops.NodeFacts) bool { return n.WAL.HasWAL || n.Data.HasWAL }
