package diagnosis

import (
	"fmt"
	"slices"
	"strings"

	"github.com/novatui/novatui/etcdops"
)

// readUnit reads the unit's state as if it were a text of its own.
func (x *explainer) readUnit() {
	if strings.TrimSpace(x.in.UnitState) == "" {
		return
	}
	// Reading a string cannot fail.
	_ = x.read(sourceUnit, Text{Name: "", R: strings.NewReader(x.in.UnitState)})
}

// version takes the version that was given, else the one that the bad member's
// log names, where it names one alone or last.
func (x *explainer) version() {
	if r, err := parseRelease(x.in.Version); err == nil {
		x.release = r
		return
	}
	for _, s := range x.said {
		if s.source == sourceLog && len(s.versions) > 0 {
			x.release = s.versions[len(s.versions)-1]
			return
		}
	}
}

// count settles how many members there are and how many are down: what was
// given before what a tool's output shows.
func (x *explainer) count() {
	x.members, x.down = x.in.Members, x.in.Down
	for _, s := range x.said {
		if s.source == sourceEtcdctl {
			x.tool.read(s)
		}
	}
	if x.members < 0 && x.tool.members > 0 {
		x.members = x.tool.members
	}
	if x.down < 0 && x.tool.unhealthy > 0 && x.members > 0 && x.tool.unhealthy+x.tool.healthy == x.members {
		x.down = x.tool.unhealthy
	}
}

// maybeAlone reports signs that the cluster has one member only. They are no
// proof: kubeadm's first member is started with itself alone in its initial
// cluster, also when two more have joined since.
func (x *explainer) maybeAlone() bool {
	return slices.ContainsFunc(x.said, func(s *said) bool {
		c := s.signs
		return s.source == sourceLog && len(c.peers) == 0 && c.raftIDs <= 1 && c.raftIDs+c.initial > 0 && c.initial <= 1
	})
}

// context adds what follows from members, down and the unit, and from what was
// not said.
func (x *explainer) context() {
	lost := x.quorum() == quorumGone
	switch {
	case lost && x.members > 1:
		x.addFact("quorum-lost", etcdops.Certain, sourceUnit, fmt.Sprintf("%d of %d members down", x.down, x.members))
	case x.tool.noQuorum != "" && x.members != 1:
		x.add(finding{cause: "quorum-lost", sure: etcdops.Possible, evidence: ExplainedEvidence{Source: sourceEtcdctl, Text: x.tool.noQuorum}}, "")
	}
	x.toolCauses()
	x.suddenEnd()
	x.isolated()
	if x.allAnswer() {
		x.causes = slices.DeleteFunc(x.causes, func(c weighed) bool {
			return weight(c.sure) < 3 && slices.Contains(passing, c.id) && !(c.id == "cert-bad" && x.amongPeers(c.id))
		})
	}
	if !x.suspects() {
		if x.looksHealthy() {
			x.addFact("healthy", etcdops.Likely, sourceLog, "")
			return
		}
		x.blameNothing()
		return
	}
	x.causes = slices.DeleteFunc(x.causes, func(c weighed) bool { return c.id == "healthy" })
}

// passing are causes whose traces in a log are noise where every endpoint
// answers for a quorum: a scanner that speaks no TLS, a leader that changed, a
// peer that was restarted.
var passing = []string{"cert-bad", "network-partition", "quorum-lost", "slow-disk", "unknown"}

// allAnswer reports whether a tool was told by every endpoint that it is
// healthy, and nobody is down.
func (x *explainer) allAnswer() bool {
	t := x.tool
	return t.healthy > 0 && t.unhealthy == 0 && x.in.Down <= 0 && !x.unitBad() && (x.members < 0 || t.healthy >= x.members)
}

// amongPeers reports whether lines of a cause name the peer that they are
// about: then it is no stranger who knocks. Peers speak in both directions, so
// every endpoint may be healthy while one direction fails.
func (x *explainer) amongPeers(cause string) bool {
	return slices.ContainsFunc(x.findings, func(f finding) bool { return f.cause == cause && f.peers > 0 })
}

// isolated: a member that runs and has no leader, while the others hold quorum
// without it, does not reach them.
func (x *explainer) isolated() {
	if x.quorum() != quorumHolds || x.down != 1 || !x.unitRuns() {
		return
	}
	for _, s := range x.said {
		if s.source != sourceLog || len(s.current()) == 0 {
			continue
		}
		if run := s.current()[0]; run.noone > run.leader {
			for _, f := range x.findings {
				if f.rule != nil && f.rule.ID == "quorum-lost/signs" && f.evidence.Source == sourceLog {
					x.add(finding{cause: "network-partition", sure: etcdops.Likely, evidence: f.evidence}, "")
					return
				}
			}
		}
	}
}

// suddenEnd: a unit that is down without a word of an end, after it had served,
// went down with its host.
func (x *explainer) suddenEnd() {
	state := strings.ToLower(x.in.UnitState)
	if !strings.Contains(state, "inactive") && !strings.Contains(state, "dead") {
		return
	}
	for _, s := range x.said {
		if s.source != sourceLog || len(s.current()) == 0 {
			continue
		}
		run := s.current()[0]
		said := slices.ContainsFunc(x.findings, func(f finding) bool {
			return f.evidence.Source == sourceLog && weight(f.sure) > 1 && f.cause != "healthy"
		})
		if run.served > 0 && run.bad == 0 && !run.ended && !said {
			x.addFact("host-crash", etcdops.Likely, sourceUnit, x.in.UnitState)
		}
	}
}

// suspects reports whether anything but noise was found.
func (x *explainer) suspects() bool {
	for _, c := range x.causes {
		if c.id != "healthy" && (c.id != "slow-disk" || weight(c.sure) > 1 || !x.looksHealthy()) {
			return true
		}
	}
	return false
}

// looksHealthy reports whether what was given speaks of a member in order:
// somebody says that it runs or serves, and nobody says the contrary.
func (x *explainer) looksHealthy() bool {
	if x.in.Down > 0 || x.unitBad() {
		return false
	}
	for _, s := range x.said {
		if s.source != sourcePeers && len(s.current()) > 0 && s.current()[0].bad > 0 {
			return false
		}
	}
	if x.unitRuns() || x.sureOf("healthy") > 0 || x.in.Down == 0 {
		return true
	}
	for _, s := range x.said {
		if s.source == sourceLog && len(s.current()) > 0 && s.current()[0].served > 0 {
			return true
		}
	}
	return false
}

// blameNothing says that the cause is not known, with the last words.
func (x *explainer) blameNothing() {
	x.causes = nil
	f := finding{cause: "unknown", sure: etcdops.Possible}
	words := 0
	for _, s := range x.said {
		for back := 1; back <= min(s.next, keepLast) && words < maxEvidence; back++ {
			w := s.words[(s.next-back)%keepLast]
			text := shown(strings.ToValidUTF8(strings.TrimRight(string(w.text), "\r\n"), "\uFFFD"))
			if strings.TrimSpace(text) == "" {
				continue
			}
			f.evidence = ExplainedEvidence{Source: s.source, File: s.name, Line: w.line, Text: text}
			x.add(f, "")
			words++
		}
	}
	if words == 0 {
		x.add(f, "")
	}
}
