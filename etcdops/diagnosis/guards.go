package diagnosis

import (
	"slices"

	"github.com/novatui/novatui/etcdops"
)

// The functions here answer single questions from the same facts and by the
// same rules as Diagnose, for guards that ask again right before a step: guard
// and diagnosis can never disagree.

// QuorumOf counts the voters and those that are healthy.
func QuorumOf(f etcdops.Facts) etcdops.Quorum { return newJudge(f).quorum }

// HealthyVoters lists the voting members that take part in a quorum of the
// cluster that is to be repaired and whose data are not known to differ.
func HealthyVoters(f etcdops.Facts) []etcdops.Member {
	j := newJudge(f)
	var list []etcdops.Member
	for _, s := range j.voters() {
		if c := j.nodeOf(s); c != nil && c.healthy {
			list = append(list, s.m)
		}
	}
	return list
}

// ClusterID is the id of the cluster that is to be repaired, and the ids of
// others that nodes of ours serve. An empty id with others beside it means
// that nothing tells which one is meant.
func ClusterID(f etcdops.Facts) (id string, others []string) { return referenceCluster(f) }

// LogGone reports whether the member of a node had started and has no WAL any
// more: it must never simply be started (guard log-gone).
func LogGone(f etcdops.Facts, node string) bool {
	j := newJudge(f)
	j.readRuns()
	c := j.caseOf(node)
	return c != nil && j.logGone(c)
}

// OddOnes lists the nodes whose hash differs from that of a majority of all
// voters, and the nodes that differ without a majority for any hash.
func OddOnes(f etcdops.Facts) (odd, undecided []string) {
	h := newJudge(f).hashes
	return h.odd, h.split
}

// IsSound reports what a verdict knows of the data of a node's member: sound
// is true only on positive evidence; known is false where there is none.
func IsSound(v etcdops.Verdict, node string) (sound, isKnown bool) {
	m, ok := v.MemberOn(node)
	return ok && m.Sound, ok && m.SoundKnown
}

// OutsideCauses lists the causes on a node that lie outside its data and are
// known with more than a suspicion: while one is open, a rejoin or a restore
// would not help (guard cause-outside-data).
func OutsideCauses(v etcdops.Verdict, node string) []etcdops.Cause {
	return pick(v, node, func(c etcdops.Cause) bool { return c.Outside })
}

// DataCauses lists the causes on a node that are broken, lost or foreign data
// of its member, known with more than a suspicion: what alone justifies
// setting its data aside.
func DataCauses(v etcdops.Verdict, node string) []etcdops.Cause {
	return pick(v, node, func(c etcdops.Cause) bool { return c.Data })
}

func pick(v etcdops.Verdict, node string, ok func(etcdops.Cause) bool) []etcdops.Cause {
	return slices.DeleteFunc(slices.Clone(v.CausesOn(node)), func(c etcdops.Cause) bool {
		return !ok(c) || weight(c.Confidence) < 2
	})
}
