// Package diagnosis turns facts about a cluster into a verdict: the state of
// each member and of the whole, what is wrong with the evidence for it, and
// the procedure to recommend. It is made of pure functions over plain data,
// so that a guard, a screen and a test that see the same facts judge alike.
//
// What log lines mean is data (assets/rules); what facts mean is code
// (facts_*.go). A procedure that destroys data is recommended only on positive
// evidence that the data of that very member are broken, lost or foreign
// (remedy.go). Where the evidence does not carry a choice, none is made.
package diagnosis

import (
	"slices"

	"github.com/novatui/novatui/etcdops"
)

// Diagnose judges a cluster by its facts.
func Diagnose(f etcdops.Facts) etcdops.Verdict {
	j := newJudge(f)
	j.readRuns()
	for i := range j.nodes {
		j.readLog(&j.nodes[i])
	}
	for i := range j.nodes {
		j.readFacts(&j.nodes[i])
	}
	j.compareData()
	j.blameNobody()
	j.judgeMembers()
	j.rankCauses()
	v := etcdops.Verdict{
		State: j.clusterState(), Quorum: j.quorum, Members: j.verdicts(), Causes: j.causes,
	}
	v.Recommended = j.recommend()
	v.Headline, v.Second = j.headline(v.State), j.second(v)
	return v
}

// judge holds what is known while a verdict is made.
type judge struct {
	f       etcdops.Facts
	know    knowledge
	cluster string // the id of the cluster that is to be repaired; empty: unknown
	rivals  []string
	quorum  etcdops.Quorum
	proved  bool // a linearizable read succeeded: etcd itself says that quorum holds
	members []seat
	nodes   []nodeCase
	causes  []etcdops.Cause
	hashes  hashes
}

// seat is one place to judge: a member of the membership, or a node that has
// none in it.
type seat struct {
	m      etcdops.Member
	listed bool // it is in the membership
	node   int  // index into judge.nodes; -1 without a node of ours
	etcdops.MemberVerdict
	prospect prospect
}

// nodeCase is one node with its journal read.
type nodeCase struct {
	facts  etcdops.NodeFacts
	member etcdops.Member
	listed bool
	// confirmed: the membership is what a quorum says.
	confirmed bool
	healthy   bool  // takes part in a quorum of the cluster that is to be repaired
	runs      []run // of the trouble that is on now, newest last
}

func (c *nodeCase) newest() *run {
	if len(c.runs) == 0 {
		return nil
	}
	return &c.runs[len(c.runs)-1]
}

// newJudge lays out members and nodes, and finds out which cluster is meant
// and who takes part in it; it reads no journal.
func newJudge(f etcdops.Facts) *judge {
	j := &judge{f: f, know: known()}
	j.cluster, j.rivals = referenceCluster(f)
	if len(j.rivals) > 0 && j.cluster != "" {
		if members, from, ok := ownMembership(f, j.cluster); ok {
			f.Members, f.MembersFrom = members, from
			j.f = f
		}
	}
	seated := map[string]bool{}
	for _, m := range f.Members {
		at := slices.IndexFunc(f.Nodes, func(n etcdops.NodeFacts) bool { return n.Node == m.Node && m.Node != "" })
		if at >= 0 {
			seated[m.Node] = true
		}
		j.members = append(j.members, seat{m: m, listed: true, node: at})
	}
	for i, n := range f.Nodes {
		m, listed := f.MemberOf(n.Node)
		if !listed {
			m = etcdops.Member{Name: n.Env.Name(), PeerURLs: n.Env.PeerURLs(), ClientURLs: n.Env.ClientURLs(), Node: n.Node}
		}
		j.nodes = append(j.nodes, nodeCase{facts: n, member: m, listed: listed, healthy: j.takesPart(n)})
		if !seated[n.Node] {
			j.members = append(j.members, seat{m: m, node: i})
		}
	}
	j.hashes = compareHashes(f, j.cluster)
	for i := range j.nodes {
		if slices.Contains(j.hashes.odd, j.nodes[i].facts.Node) {
			j.nodes[i].healthy = false
		}
	}
	j.countQuorum()
	for i := range j.nodes {
		j.nodes[i].confirmed = j.confirmed()
	}
	return j
}

// nodeOf is the case of a seat's node, nil without one.
func (j *judge) nodeOf(s *seat) *nodeCase {
	if s.node < 0 {
		return nil
	}
	return &j.nodes[s.node]
}

// caseOf finds a node's case by name.
func (j *judge) caseOf(node string) *nodeCase {
	for i := range j.nodes {
		if j.nodes[i].facts.Node == node && node != "" {
			return &j.nodes[i]
		}
	}
	return nil
}

// voters are the listed seats that vote; without a membership every node does.
func (j *judge) voters() []*seat {
	var all []*seat
	for i := range j.members {
		s := &j.members[i]
		if s.listed && !s.m.Learner || len(j.f.Members) == 0 {
			all = append(all, s)
		}
	}
	return all
}

func (j *judge) verdicts() []etcdops.MemberVerdict {
	list := make([]etcdops.MemberVerdict, 0, len(j.members))
	for i := range j.members {
		list = append(list, j.members[i].MemberVerdict)
	}
	return list
}
