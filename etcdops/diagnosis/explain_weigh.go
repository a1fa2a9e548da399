package diagnosis

import (
	"slices"
	"strings"

	"github.com/novatui/novatui/etcdops"
)

// judge lets every rule speak about one text.
func (x *explainer) judge(s *said) {
	runs := s.current()
	loaded := false
	decided := x.decisive(s, runs)
	for i, run := range runs { // newest first
		age := 0
		if i > decided {
			age = i - decided
		}
		for _, f := range x.hold(s, run) {
			if loaded && f.rule.Last && !f.rule.Stays {
				continue
			}
			x.add(x.weaken(f, age), f.rule.Variant)
		}
		loaded = loaded || run.loaded > 0
	}
}

// weaken takes from a finding of an earlier run than the one that decides:
// what that one died of may be mended since. A cause outside the data often
// spoke once and left others to speak after it.
func (x *explainer) weaken(f finding, age int) finding {
	if age == 0 || f.rule.Stays {
		return f
	}
	if x.know.kinds[f.cause].Data || f.sure == etcdops.Possible || age > 1 && f.sure == etcdops.Likely {
		f.sure = etcdops.Possible
		return f
	}
	f.sure = etcdops.Likely
	return f
}

// decisive is the newest of runs that came far enough to show what is wrong.
func (x *explainer) decisive(s *said, runs []*explainedRun) int {
	for i, run := range runs {
		if run.served > 0 || run.loaded > 0 || run.bad > 0 || len(x.hold(s, run)) > 0 {
			return i
		}
	}
	return 0
}

// tally is what was fulfilled of each rule, by its number.
type tally struct {
	best   map[int]*hit // the newest first occurrence
	denied map[int]bool
	with   map[int]int
	peers  map[int][]string
}

func (x *explainer) tally(s *said, run *explainedRun) tally {
	t := tally{map[int]*hit{}, map[int]bool{}, map[int]int{}, map[int][]string{}}
	patterns := knownIndex().patterns
	for p := range patterns {
		h, r := run.hits[p], patterns[p].rule
		switch {
		case h == nil:
		case patterns[p].role == asUnless:
			t.denied[r] = true
		case patterns[p].role == asWith:
			t.with[r]++
		default:
			rule := &x.know.rules[r]
			if rule.Last && s.source == sourceLog && h.LastLine < run.served || rule.Passes && x.isOver(run, h) {
				continue
			}
			t.peers[r] = append(t.peers[r], slices.DeleteFunc(slices.Clone(h.peers), func(id string) bool {
				return slices.Contains(t.peers[r], id)
			})...)
			if t.best[r] == nil || h.Line > t.best[r].Line {
				t.best[r] = h
			}
		}
	}
	return t
}

// hold are the rules that hold over one run.
func (x *explainer) hold(s *said, run *explainedRun) []finding {
	t := x.tally(s, run)
	var list []finding
	for r := range x.know.rules {
		rule, h := &x.know.rules[r], t.best[r]
		if h == nil || t.denied[r] || t.with[r] < len(rule.With) || len(t.peers[r]) < rule.Peers || !x.admits(rule) {
			continue
		}
		sure, ok := x.sureness(rule)
		if !ok {
			continue
		}
		e := h.ExplainedEvidence
		if e.Count == 1 {
			e.Count, e.LastLine = 0, 0
		}
		list = append(list, finding{rule: rule, cause: rule.Cause, sure: sure, evidence: e, remedy: Remedy(rule.Remedy), peers: len(t.peers[r])})
	}
	return list
}

// isOver reports whether a symptom passed: a leader was found since, and the
// member is in order.
func (x *explainer) isOver(run *explainedRun, h *hit) bool {
	switch {
	case run.leader <= run.noone || x.in.Down > 0 || x.unitBad():
		return false
	case x.in.Down == 0 && x.unitRuns():
		return true
	}
	return h.LastLine < max(run.leader, run.served) && (x.in.Down == 0 || x.unitRuns())
}

// sureness is how sure a rule is, with the version as far as it is known.
func (x *explainer) sureness(rule *rule) (etcdops.Confidence, bool) {
	if len(rule.Versions) == 0 {
		return rule.Confidence, true
	}
	if !x.release.known() {
		return rule.Unversioned, rule.Unversioned != ""
	}
	for _, v := range rule.Versions {
		if sp, err := parseRange(v); err == nil && sp.has(x.release) {
			return rule.Confidence, true
		}
	}
	return "", false
}

// admits checks a rule's conditions as far as texts can tell.
func (x *explainer) admits(rule *rule) bool {
	is := func(name string) bool {
		switch name {
		case "down":
			return x.in.Down != 0 && !x.unitRuns()
		case "serves":
			return x.inOrder()
		}
		return false // needs facts
	}
	return all(rule.When, is) && !slices.ContainsFunc(rule.Not, is)
}

// unitRuns reports whether the unit is said to be in order.
func (x *explainer) unitRuns() bool {
	s := strings.ToLower(x.in.UnitState)
	return strings.HasPrefix(s, "active") || strings.Contains(s, "(running)") && !strings.Contains(s, "fail")
}

// unitBad reports whether the unit is said to fail.
func (x *explainer) unitBad() bool {
	s := strings.ToLower(x.in.UnitState)
	for _, w := range []string{"fail", "loop", "crash", "exit", "dead", "error", "auto-restart", "inactive", "activating", "backoff", "terminated", "waiting", "0/1", "not ready"} {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// isExplained reports whether another cause explains this one.
func (x *explainer) isExplained(c weighed) bool {
	return slices.ContainsFunc(x.causes, func(o weighed) bool {
		switch {
		case o.id == c.id || weight(o.sure) < 2 || !slices.Contains(x.know.kinds[o.id].Explains, c.id):
			return false
		case o.id == "slow-disk" && c.id == "network-partition" && weight(c.sure) > 1:
			return false // no disk makes a connection time out
		case o.id == "quorum-lost" && x.down == 1:
			return false // the one that is down is this one: its peers are there
		}
		return weight(o.sure) >= weight(c.sure) || !x.know.kinds[c.id].Data || x.know.kinds[o.id].Outside
	})
}

// rank puts the best cause first: what explains before what is explained, the
// sure before the suspected, roots before what usually follows from them.
func (x *explainer) rank() {
	closer := slices.ContainsFunc(x.causes, func(o weighed) bool {
		return o.id != "quorum-lost" && weight(o.sure) > 1 && (x.down == 1 || !slices.Contains(x.know.kinds["quorum-lost"].Explains, o.id))
	})
	score := func(c weighed) [3]int {
		s := [3]int{0, -weight(c.sure), x.know.rank(c.id)}
		switch {
		case c.id == "quorum-lost" && (closer || weight(c.sure) < 2), c.id == "unknown" && c.sure == etcdops.Possible:
			s[0] = 2
		case x.isExplained(c):
			s[0] = 1
		}
		return s
	}
	slices.SortStableFunc(x.causes, func(a, b weighed) int {
		p, q := score(a), score(b)
		return slices.Compare(p[:], q[:])
	})
}
