package diagnosis

import (
	"slices"
	"strings"
)

// quorumSeen is what the numbers say of quorum.
type quorumSeen int

const (
	quorumUnknown quorumSeen = iota
	quorumHolds
	quorumGone
)

// quorum judges by the numbers of members. Where only the number of those that
// are down is known and it is one, the others hold quorum unless the cluster is
// one of one or two: that must be known before anything is destroyed.
func (x *explainer) quorum() quorumSeen {
	if x.members <= 0 || x.down < 0 {
		return quorumUnknown
	}
	if x.members-x.down >= x.members/2+1 {
		return quorumHolds
	}
	return quorumGone
}

// remedy chooses by cause and quorum, and gives the id of the reason.
func (x *explainer) remedy() (Remedy, string) {
	best := x.causes[0]
	word := Remedy(x.know.kinds[best.id].Remedy)
	if best.remedy != "" {
		word = best.remedy
	}
	switch best.id {
	case "quorum-lost":
		return x.quorumRemedy()
	case "no-quorum-safe-guard":
		if x.members == 1 && x.down <= 0 {
			return RemedyNone, "none"
		}
	case "host-crash":
		if x.inOrder() {
			return RemedyNone, "none"
		}
	case "cluster-id-mismatch":
		return x.foreignRemedy(word)
	}
	if word != remedyByQuorum {
		return word, string(word)
	}
	return x.dataRemedy(best)
}

// dataRemedy: the data of the bad member are broken, lost or foreign. Whether
// it can get them from others, or nothing is left but a snapshot, only quorum
// tells; where nothing tells that, nothing is destroyed.
func (x *explainer) dataRemedy(best weighed) (Remedy, string) {
	if weight(best.sure) < 2 {
		return RemedyUnsafe, "suspicion"
	}
	if x.openOutside() {
		return RemedyFix, string(RemedyFix)
	}
	switch {
	case x.in.Down == 0 && !livesWith(best.id):
		return RemedyUnsafe, "all-up" // it is up, so these lines are of a trouble that is over
	case x.members == 1 && unreadable(best.id):
		return RemedyRestore, "restore-alone"
	case x.members == 1:
		return RemedyUnsafe, "alone"
	case x.quorum() == quorumHolds:
		return RemedyRejoin, "rejoin"
	case x.quorum() == quorumGone && x.down == x.members && unreadable(best.id) && x.brokenPeers():
		return RemedyRestore, "restore"
	case x.quorum() == quorumGone:
		return RemedyUnsafe, "others-down"
	case x.quorumSpoke(best):
		return RemedyRejoin, "rejoin-spoke"
	case x.oneDown():
		return RemedyRejoin, "rejoin-one-down"
	}
	return RemedyUnsafe, "quorum-not-known"
}

// openOutside reports whether a cause outside the data is certain too: then a
// rejoin would not help, and would cost data.
func (x *explainer) openOutside() bool {
	return slices.ContainsFunc(x.causes[1:], func(c weighed) bool {
		k := x.know.kinds[c.id]
		return k.Outside && !k.RejoinFixes && weight(c.sure) > 2 && c.id != "known-bug" && c.id != "slow-disk"
	})
}

// oneDown: all that is known of the numbers is that one member is down, and
// nothing shows that it is the only one.
func (x *explainer) oneDown() bool {
	return x.down == 1 && x.members < 0 && x.tool.noQuorum == "" && !x.maybeAlone()
}

// livesWith reports whether a member runs on with such a cause.
func livesWith(cause string) bool { return cause == "data-inconsistent" || cause == "removed-member" }

// unreadable reports whether a cause is that files cannot be read: no member
// alone gets over that without a snapshot.
func unreadable(cause string) bool {
	return cause == "db-corrupt" || cause == "wal-corrupt" || cause == "snap-missing"
}

// quorumSpoke: the evidence itself shows that others form a quorum: only a
// leader, or members that answer for the cluster, can have said it.
func (x *explainer) quorumSpoke(best weighed) bool {
	switch best.id {
	case "removed-member", "raft-lost-log", "already-bootstrapped":
		return x.down <= 1 && x.tool.noQuorum == ""
	case "data-inconsistent":
		return x.tool.oddHash()
	}
	for _, s := range x.said {
		if s.source == sourcePeers && s.signs.leader && !s.signs.lost {
			return x.down <= 1
		}
	}
	return false
}

// brokenPeers: peers' logs show data faults too.
func (x *explainer) brokenPeers() bool {
	return slices.ContainsFunc(x.findings, func(f finding) bool {
		return f.rule != nil && f.evidence.Source == sourcePeers && unreadable(f.cause) && weight(f.sure) > 1
	})
}

// foreignRemedy: two clusters talk to each other, and the messages alone do
// not tell which one is meant.
func (x *explainer) foreignRemedy(word Remedy) (Remedy, string) {
	switch {
	case word == RemedyFix:
		return RemedyFix, string(RemedyFix)
	case x.members == 1, x.tool.added:
		return RemedyFix, string(RemedyFix) // it was to join, and its settings made another cluster
	case x.members > 0 && x.members%2 == 0:
		return RemedyUnsafe, "which-cluster" // one of them was just added, perhaps this one
	case x.quorum() == quorumHolds && x.down > 0:
		return RemedyRejoin, "rejoin"
	case x.members < 0 && x.down != 0 && x.found("cluster-id-mismatch/own-membership"):
		return RemedyRejoin, "rejoin-foreign"
	}
	return RemedyUnsafe, "which-cluster"
}

// addedTooEarly reports an even number of members, half of them down, whose
// tool gets no answer for want of quorum: somebody added a member in place of
// one that was dead and still in the membership, and so lost quorum for good
// (etcd issue 6103; etcd FAQ, "Should I add a member before removing an
// unhealthy member?").
func (x *explainer) addedTooEarly() bool {
	return x.members >= 4 && x.members%2 == 0 && x.down == x.members/2 && x.tool.timeouts > 0
}

// inOrder reports whether the member runs and serves, as far as is said.
func (x *explainer) inOrder() bool {
	if x.in.Down > 0 || x.unitBad() {
		return false
	}
	return x.unitRuns() || slices.ContainsFunc(x.said, func(s *said) bool {
		return s.source == sourceLog && len(s.current()) > 0 && s.current()[0].served > 0
	})
}

// refused reports whether the peers that are down refuse connections: their
// hosts are there, and no etcd runs on them. To start it destroys nothing.
func (x *explainer) refused() bool {
	refuse := slices.ContainsFunc(x.findings, func(f finding) bool {
		return f.rule != nil && f.rule.ID == "network-partition/signs" && strings.Contains(f.evidence.Text, "refused")
	})
	return x.down > 1 && refuse && !x.found("network-partition/words") && !x.found("network-partition/no-route")
}

// waitsInVain reports whether the member read its data, found them whole, and
// was ended while it looked for its peers.
func (x *explainer) waitsInVain() bool {
	ended := x.unitBad() || x.found("stopped-by-supervisor/timeout") || x.found("stopped-by-supervisor/signal")
	return ended && slices.ContainsFunc(x.said, func(s *said) bool {
		return s.source == sourceLog && len(s.current()) > 0 && slices.ContainsFunc(s.current()[:min(2, len(s.current()))],
			func(r *explainedRun) bool { return r.loaded > 0 })
	})
}

// logSpoke reports whether a log with anything in it was given.
func (x *explainer) logSpoke() bool {
	return slices.ContainsFunc(x.said, func(s *said) bool { return s.source == sourceLog && s.spoke })
}

// quorumRemedy: a majority is gone and nothing tells why. Members that were
// stopped can be started; others are replaced only where somebody has
// already given them up.
func (x *explainer) quorumRemedy() (Remedy, string) {
	switch {
	case x.quorum() != quorumGone:
		return RemedyUnsafe, "quorum-not-seen"
	case !x.logSpoke() && (x.tool.changes > 1 || x.addedTooEarly()):
		return RemedyRestore, "restore-given-up"
	case x.waitsInVain():
		return RemedyRestart, "restart-together"
	case x.refused():
		return RemedyRestart, "restart-down"
	}
	return RemedyUnsafe, "bring-back"
}
