package diagnosis

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
)

// maxEvidence is how many lines are kept for one cause from one source.
const maxEvidence = 3

// distinct is a line of a run that no other line of it repeats, with the
// places of its first and last appearance in the run.
type distinct struct {
	lowered
	first, last int
	lastN       int
}

// distinctLines folds a run's lines that say the same: a crash loop's journal
// is mostly repetition, and rules need to see each thing once.
func distinctLines(r *run) []distinct {
	type key struct {
		from                origin
		level, caller, m, e string
		peer                string
	}
	seen := make(map[key]int, len(r.lines))
	list := make([]distinct, 0, len(r.lines))
	for i, l := range r.lines {
		k := key{l.from, l.level, l.caller, l.msg, l.err, remoteID(l)}
		if at, ok := seen[k]; ok {
			list[at].last, list[at].lastN = i, l.n
			continue
		}
		seen[k] = len(list)
		list = append(list, distinct{lowered: lower(l), first: i, last: i, lastN: l.n})
	}
	return list
}

// readRuns reads the nodes' journals: which runs are the trouble that is on
// now. Of a healthy member only the newest is.
func (j *judge) readRuns() {
	for i := range j.nodes {
		c := &j.nodes[i]
		c.runs = current(splitRuns(readJournal(c.facts.Journal)))
		if c.healthy && len(c.runs) > 1 {
			c.runs = c.runs[len(c.runs)-1:]
		}
	}
}

// readLog adds what the rules say to a node's journal.
func (j *judge) readLog(c *nodeCase) {
	decided := decisive(c.runs)
	if j.outdated(c) {
		decided = len(c.runs)
	}
	loaded := false // a later run read the data, and found them whole
	// Newest first: the first evidence of a rule is the freshest.
	for i := len(c.runs) - 1; i >= 0; i-- {
		r := reading{c: c, run: &c.runs[i], lines: distinctLines(&c.runs[i]), earlier: i < decided}
		for k := range j.know.rules {
			if rule := &j.know.rules[k]; !rule.Pasted && (!loaded || rule.Stays) {
				j.applyRule(r, rule)
			}
		}
		loaded = loaded || c.runs[i].loaded
	}
}

// reading is one run as rules see it.
type reading struct {
	c       *nodeCase
	run     *run
	lines   []distinct
	earlier bool // than the decisive run: its evidence is a suspicion
}

// outdated reports whether the journal ends long before the unit came into its
// present state: then it does not speak of that state.
func (j *judge) outdated(c *nodeCase) bool {
	r, u := c.newest(), c.facts.Unit
	if r == nil || u.Active == "" || u.SinceSeconds < 0 || j.f.CollectedAt.IsZero() {
		return false
	}
	since := j.nodeTime(c)
	if u.Active != "activating" { // there something is tried again and again
		since = since.Add(-time.Duration(u.SinceSeconds) * time.Second)
	}
	last := r.lines[len(r.lines)-1].at
	return !last.IsZero() && since.Sub(last) > pause
}

// nodeTime is the moment of the facts by the node's own clock.
func (j *judge) nodeTime(c *nodeCase) time.Time {
	return j.f.CollectedAt.Add(time.Duration(c.facts.Host.SkewMillis) * time.Millisecond)
}

// decisive is the newest run that came far enough to show what is wrong now:
// what an earlier one died of may be mended since, and is only a suspicion.
func decisive(runs []run) int {
	for i := len(runs) - 1; i > 0; i-- {
		r := &runs[i]
		if r.served >= 0 || r.loaded || slices.ContainsFunc(r.lines, func(l line) bool {
			return l.level == "error" || l.level == "panic" || l.level == "fatal"
		}) {
			return i
		}
	}
	return 0
}

// applyRule adds the rule's cause when the run carries its evidence; in an
// earlier run than the decisive one that is no more than a suspicion, unless
// the rule says that later runs cannot disprove it.
func (j *judge) applyRule(r reading, rule *rule) {
	if r.c.healthy && !rule.Healthy || rule.Last && !endedBadly(r.c.facts.Unit) {
		return
	}
	hits := r.hits(rule)
	if len(hits) == 0 || !r.admits(rule) {
		return
	}
	sure, variant := rule.Confidence, rule.Variant
	if r.earlier && !rule.Stays {
		sure = etcdops.Possible
	}
	if len(rule.Past) > 0 && all(rule.Past, r.is) {
		sure, variant = etcdops.Possible, "past"
	}
	for _, h := range hits {
		node, source := r.c.facts.Node, "log"
		if rule.Blames == "remote" {
			source = "peers"
			node = j.peerOf(h.line, node)
			if target := j.caseOf(node); target == nil || target.healthy {
				continue
			}
		}
		j.add(found{
			cause: rule.Cause, node: node, confidence: sure, variant: variant,
			evidence: etcdops.Evidence{Source: source, Node: r.c.facts.Node, Line: h.lastN, Text: h.text},
		})
	}
}

// hits are the lines that a rule matches.
func (r reading) hits(rule *rule) []*distinct {
	var hits []*distinct
	for i := range r.lines {
		l := &r.lines[i]
		if rule.Last && l.last < r.run.served {
			continue
		}
		if slices.ContainsFunc(rule.Match, func(m matcher) bool { return m.matches(&l.lowered) }) {
			hits = append(hits, l)
		}
	}
	return hits
}

// admits reports whether the rule's other conditions hold.
func (r reading) admits(rule *rule) bool {
	said := func(m matcher) bool {
		return slices.ContainsFunc(r.lines, func(d distinct) bool { return m.matches(&d.lowered) })
	}
	return all(rule.With, said) && !slices.ContainsFunc(rule.Unless, said) &&
		all(rule.When, r.is) && !slices.ContainsFunc(rule.Not, r.is)
}

// is reports whether a named condition holds on the node's facts.
func (r reading) is(name string) bool { return conditions[name](r.c) }

func all[T any](list []T, ok func(T) bool) bool {
	return !slices.ContainsFunc(list, func(t T) bool { return !ok(t) })
}

// endedBadly reports whether the unit's last exit is one that etcd chose
// itself. A process that was killed or that ended cleanly did not end over
// its last error line. What is not known does not speak against it.
func endedBadly(u etcdops.UnitFacts) bool {
	switch {
	case u.ExitCode == "killed" && (u.ExitStatus == 9 || u.ExitStatus == 15):
		return false
	case u.ExitCode == "exited" && u.ExitStatus == 0 && u.Active == "inactive" && u.Result == "success":
		return false
	}
	return true
}

// conditions are the named conditions that rules may set on facts.
var conditions = map[string]func(*nodeCase) bool{
	// The WAL is there now, whatever the log says of an earlier moment.
	"has-wal": func(c *nodeCase) bool { return c.facts.Data.Error == "" && hasWAL(c.facts) },
	// The file systems of its data were looked at, and have room now.
	"has-room": func(c *nodeCase) bool { return hasRoom(c.facts.Data) && hasRoom(c.facts.WAL) },
	// A quorum's membership lists the very id under which it last ran.
	"is-member": func(c *nodeCase) bool {
		own := lastWith(c.newest(), "local-member-id").field("local-member-id")
		return c.confirmed && c.listed && !c.member.Unstarted() && (own == "" || sameID(own, c.member.ID))
	},
	"serves": func(c *nodeCase) bool { return c.facts.Endpoint.Answers },
	"down":   func(c *nodeCase) bool { return !c.facts.Unit.Running() && c.facts.Unit.Active != "activating" },
}

// remoteID is the id of the peer that a line is about.
func remoteID(l line) string {
	for _, key := range []string{"remote-peer-id", "remote-member-id", "peer-id"} {
		if v := l.field(key); v != "" && v != "0" {
			return v
		}
	}
	return ""
}

// peerOf finds the node of the peer that a line names, by member id or by the
// address of the connection where that address is one node's alone.
func (j *judge) peerOf(l line, self string) string {
	if id := remoteID(l); id != "" {
		for _, m := range j.f.Members {
			if sameID(m.ID, id) {
				return m.Node
			}
		}
		return ""
	}
	at, err := netip.ParseAddrPort(l.field("remote-addr"))
	if err != nil || at.Addr().IsLoopback() {
		return ""
	}
	node := ""
	for _, n := range j.f.Nodes {
		if n.Address == at.Addr().String() && n.Node != self {
			if node != "" {
				return ""
			}
			node = n.Node
		}
	}
	return node
}

// found is one piece of evidence for a cause on a node.
type found struct {
	cause, node string
	confidence  etcdops.Confidence
	variant     string // chooses other words than the cause's own
	detail      string // the words' argument "detail"
	evidence    etcdops.Evidence
	outside     *bool // other than the kind says
}

// add puts evidence to the cause it belongs to, which takes the words of its
// surest evidence.
func (j *judge) add(e found) {
	kd := j.know.kinds[e.cause]
	e.evidence.Text = shown(e.evidence.Text)
	at := slices.IndexFunc(j.causes, func(c etcdops.Cause) bool { return c.ID == e.cause && c.Node == e.node })
	if at < 0 {
		at = len(j.causes)
		j.causes = append(j.causes, etcdops.Cause{ID: e.cause, Node: e.node, Data: kd.Data, Outside: kd.Outside})
	}
	c := &j.causes[at]
	if c.Confidence == "" || weight(e.confidence) > weight(c.Confidence) {
		c.Confidence = e.confidence
		j.say(c, kd, e.variant, e.detail)
		c.Outside = kd.Outside
		if e.outside != nil {
			c.Outside = *e.outside
		}
	}
	same := 0
	for _, have := range c.Evidence {
		if have.Source == e.evidence.Source && have.Node == e.evidence.Node {
			same++
			if have.Line == e.evidence.Line && have.Text == e.evidence.Text {
				return
			}
		}
	}
	if e.evidence.Text != "" && same < maxEvidence {
		c.Evidence = append(c.Evidence, e.evidence)
	}
}

// say gives a cause its words: those of a variant where it has some.
func (j *judge) say(c *etcdops.Cause, kd kind, variant, detail string) {
	id := "diagnosis." + c.ID
	if variant != "" {
		id += "." + variant
	}
	args := []any{"node", c.Node, "member", j.memberName(c.Node), "detail", shown(detail)}
	c.Title = msg.M(id + ".title")
	c.Why = msg.M(id+".why", args...)
	c.Do, c.DoNot = nil, nil
	for _, name := range kd.Do {
		c.Do = append(c.Do, msg.M("diagnosis.do."+name, args...))
	}
	for _, name := range kd.DoNot {
		c.DoNot = append(c.DoNot, msg.M("diagnosis.dont."+name, args...))
	}
}

// memberName is what to call the member of a node.
func (j *judge) memberName(node string) string {
	if c := j.caseOf(node); c != nil && c.member.Name != "" {
		return c.member.Name
	} else if c != nil && c.facts.Env.Name() != "" {
		return c.facts.Env.Name()
	}
	return node
}

func weight(c etcdops.Confidence) int {
	switch c {
	case etcdops.Certain:
		return 3
	case etcdops.Likely:
		return 2
	case etcdops.Possible:
		return 1
	}
	return 0
}

// lastWords are the newest lines of etcd's that are no mere information, for
// the eye of whoever must judge where no rule does.
func lastWords(c *nodeCase) []etcdops.Evidence {
	r := c.newest()
	if r == nil {
		return nil
	}
	var list []etcdops.Evidence
	for i := len(r.lines) - 1; i >= 0 && len(list) < maxEvidence; i-- {
		l := r.lines[i]
		bad := l.level == "error" || l.level == "panic" || l.level == "fatal" ||
			l.level == "" && l.from == fromEtcd && strings.TrimSpace(l.msg) != "" && !isFrame(l.msg) ||
			l.from == fromSystemd && strings.Contains(l.msg, "exited")
		if bad {
			list = append(list, etcdops.Evidence{Source: "log", Node: c.facts.Node, Line: l.n, Text: l.text})
		}
	}
	slices.Reverse(list)
	return list
}

// isFrame matches the lines of a Go stack trace.
func isFrame(m string) bool {
	m = strings.TrimSpace(m)
	return strings.HasPrefix(m, "/") || strings.HasSuffix(m, ")") || strings.HasPrefix(m, "goroutine ") ||
		strings.HasPrefix(m, "created by ") || strings.HasPrefix(m, "main.")
}
