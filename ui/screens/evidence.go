package screens

import (
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/ui/overlay"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
)

// memberEvidence opens everything that a member's state rests on.
func (s *Session) memberEvidence(r member) overlay.Overlay {
	name := r.name
	if name == "" {
		name = r.node
	}
	return overlay.NewViewer(s.Kit, msg.M("ui.evidence.title", "member", name, "node", r.node), func(w int) []string {
		return s.evidence(r, w)
	})
}

// evidence is all of it, what decides first.
func (s *Session) evidence(r member, w int) []string {
	var out []string
	section := func(id string, lines []string) {
		if len(lines) == 0 {
			return
		}
		if len(out) > 0 {
			out = append(out, "")
		}
		out = append(out, s.T.S(theme.Accent, s.P.T(id)))
		out = append(out, lines...)
	}
	n, _ := s.Facts.NodeByName(r.node)
	section("ui.evidence.state", s.stateEvidence(r, w))
	section("ui.evidence.causes", s.causeEvidence(r.node, w))
	section("ui.evidence.endpoint", s.endpointEvidence(r.endpoint, w))
	section("ui.evidence.unit", s.unitEvidence(n, w))
	section("ui.evidence.files", s.fileEvidence(n, w))
	section("ui.evidence.certs", s.certEvidence(n, w))
	section("ui.evidence.log", s.journal(n, w))
	return out
}

func (s *Session) stateEvidence(r member, w int) []string {
	out := []string{text.Cut("  "+s.status(r.state), w)}
	if v, ok := s.Verdict.MemberOn(r.node); ok {
		out = append(out, indent(s.para(theme.Plain, v.Why, w-2, 6), 2)...)
		if v.SoundKnown {
			id := "ui.evidence.unsound"
			if v.Sound {
				id = "ui.evidence.sound"
			}
			out = append(out, indent(s.para(theme.Plain, msg.M(id), w-2, 2), 2)...)
		}
	}
	if n, ok := s.Facts.NodeByName(r.node); ok && n.Error != "" {
		out = append(out, indent(s.para(theme.Dim, errText(errString(n.Error)), w-2, 6), 2)...)
	}
	return out
}

func (s *Session) causeEvidence(node string, w int) []string {
	var out []string
	for _, c := range s.Verdict.Causes {
		if c.Node != node && c.Node != "" {
			continue
		}
		out = append(out, "  "+s.causeTitle(c, w-2))
		out = append(out, indent(s.para(theme.Plain, c.Why, w-4, 6), 4)...)
		out = append(out, s.restsOn(c, w)...)
		out = append(out, s.advices("ui.evidence.do", theme.Good, c.Do, w)...)
		out = append(out, s.advices("ui.evidence.donot", theme.Bad, c.DoNot, w)...)
	}
	return out
}

// around is how many lines of a log are shown before and behind one that a
// cause rests on.
const around = 2

// restsOn shows what a cause rests on: lines of a log where they stand, with
// those around them, and everything else as it is.
func (s *Session) restsOn(c etcdops.Cause, w int) []string {
	var out []string
	shown := map[string]bool{}
	for _, e := range c.Evidence {
		n, _ := s.Facts.NodeByName(e.Node)
		if logged(n, e) < 0 {
			out = append(out, s.longEvidence(e, w)...)
			continue
		}
		if !shown[e.Node] {
			shown[e.Node] = true
			out = append(out, s.excerpt(n, c, w)...)
		}
	}
	return out
}

// logged is where in a node's journal a line of evidence stands; -1: not there.
func logged(n etcdops.NodeFacts, e etcdops.Evidence) int {
	if e.Source != "log" || e.Line < 1 {
		return -1
	}
	return slices.IndexFunc(n.Journal, func(l etcdops.LogLine) bool { return l.N == e.Line })
}

// excerpt is the part of a node's journal that a cause rests on, every line
// with its number.
func (s *Session) excerpt(n etcdops.NodeFacts, c etcdops.Cause, w int) []string {
	cited, near := map[int]bool{}, map[int]bool{}
	for _, e := range c.Evidence {
		if at := logged(n, e); e.Node == n.Node && at >= 0 {
			cited[at] = true
			for i := max(0, at-around); i <= min(len(n.Journal)-1, at+around); i++ {
				near[i] = true
			}
		}
	}
	out := []string{"    " + s.T.S(theme.Dim, text.Cut(s.P.T("ui.evidence.lines", "node", n.Node, "all", len(n.Journal)), w-4))}
	last := -1
	for _, at := range slices.Sorted(maps.Keys(near)) {
		if last >= 0 && at > last+1 {
			out = append(out, "      "+s.T.S(theme.Dim, "…"))
		}
		last = at
		out = append(out, indent(s.numbered(n.Journal[at], cited[at], true, w-4), 4)...)
	}
	return out
}

// numbered is a line of a journal with its number, marked where a cause rests
// on it. A compact one has what an engineer reads, without stack traces; where
// no cause rests on it, it is cut to one row.
func (s *Session) numbered(l etcdops.LogLine, cited, compact bool, w int) []string {
	mark, token := " ", theme.Command
	switch {
	case cited:
		mark, token = ">", theme.Bad
	case compact:
		token = theme.Dim
	case trouble(l.Text):
		token = theme.Bad
	}
	stamp := text.Spaces(8)
	if !l.Time.IsZero() {
		stamp = l.Time.Format("15:04:05")
	}
	lead := mark + text.Right(strconv.Itoa(l.N), 4) + "  " + stamp + "  "
	room := max(20, w-text.Width(lead))
	words := text.Clean(l.Text)
	if compact {
		words = text.Clean(text.Compact(l.Text))
	}
	lines := text.Wrap(words, room)
	if compact && !cited {
		lines = []string{text.Cut(words, room)}
	}
	out := make([]string, 0, len(lines))
	for i, t := range lines {
		if i > 0 {
			lead = text.Spaces(text.Width(lead))
		}
		out = append(out, s.T.S(theme.Dim, lead)+s.T.S(token, t))
	}
	return out
}

// longEvidence shows a line in full, wrapped.
func (s *Session) longEvidence(e etcdops.Evidence, w int) []string {
	where := e.Source
	if e.Line > 0 {
		where += ":" + strconv.Itoa(e.Line)
	}
	if e.Node != "" {
		where = e.Node + " " + where
	}
	out := []string{"    " + s.T.S(theme.Dim, text.Cut(text.Clean(where), w-4))}
	for _, l := range text.Wrap(text.Clean(e.Text), w-6) {
		out = append(out, "      "+s.T.S(theme.Command, l))
	}
	return out
}

// groundsOf is what stands below guards and a recommendation: the causes on
// some nodes, or on all where none are named, with what they rest on.
func (s *Session) groundsOf(nodes []string, w int) []string {
	var out []string
	seen := map[string]bool{"": true}
	for _, c := range s.Verdict.Causes {
		if seen[c.Node] || len(nodes) > 0 && !slices.Contains(nodes, c.Node) {
			continue
		}
		seen[c.Node] = true
		out = append(out, s.T.S(theme.Accent, text.Cut(text.Clean(s.memberName(c.Node)+" · "+c.Node), w)))
		out = append(out, s.causeEvidence(c.Node, w)...)
	}
	if len(out) == 0 {
		out = s.causeEvidence("", w)
	}
	return out
}

// withGrounds adds to lines about guards what the causes rest on.
func (s *Session) withGrounds(lines, nodes []string, w int) []string {
	grounds := s.groundsOf(nodes, w)
	if len(grounds) == 0 {
		return lines
	}
	return append(append(lines, "", s.T.S(theme.Accent, s.P.T("ui.evidence.causes"))), grounds...)
}

func (s *Session) advices(id string, token theme.Token, list []msg.Msg, w int) []string {
	var out []string
	for _, m := range list {
		lead := s.P.T(id) + " "
		for i, l := range text.Wrap(s.P.S(m), min(w, readable)-4-text.Width(lead)) {
			if i > 0 {
				lead = text.Spaces(text.Width(lead))
			}
			out = append(out, "    "+s.T.S(token, lead)+l)
		}
	}
	return out
}

// pairs renders label and value, one a line, values in full.
func (s *Session) pairs(w int, list ...string) []string {
	var out []string
	for i := 0; i+1 < len(list); i += 2 {
		if list[i+1] == "" {
			continue
		}
		label := list[i]
		if s.P.Has("ui.fact." + label) {
			label = s.P.T("ui.fact." + label)
		}
		for j, l := range text.Wrap(text.Clean(list[i+1]), max(10, w-26)) {
			if j > 0 {
				label = ""
			}
			out = append(out, "  "+s.T.S(theme.Dim, text.Left(label, 22))+"  "+l)
		}
	}
	return out
}

func (s *Session) endpointEvidence(e etcdops.EndpointFacts, w int) []string {
	if !e.Asked && !e.Answers {
		return nil
	}
	number := func(known bool, n int64) string {
		if !known {
			return ""
		}
		return text.Int(n)
	}
	return s.pairs(w,
		"url", e.ClientURL,
		"error", e.Error,
		"health-error", e.HealthError,
		"member-id", e.MemberID, "cluster-id", e.ClusterID, "leader-id", e.LeaderID,
		"version", e.Version,
		"term", number(e.Answers, int64(e.RaftTerm)),
		"index", number(e.Answers, int64(e.RaftIndex)),
		"applied", number(e.Answers, int64(e.Applied)),
		"revision", number(e.Answers, e.Revision),
		"hash", e.Hash,
		"alarms", strings.Join(e.Alarms, ", "),
		"errors", strings.Join(e.Errors, ", "),
	)
}

func (s *Session) unitEvidence(n etcdops.NodeFacts, w int) []string {
	if n.Unit.Name == "" {
		return nil
	}
	out := s.pairs(w, "unit", n.Unit.Name, "state", s.unitLine(n.Unit), "unit-file", n.Unit.UnitFile, "user", n.Unit.User)
	for _, p := range n.Running {
		out = append(out, s.pairs(w, "process", strconv.Itoa(p.PID)+"  "+strings.Join(p.Argv, " "))...)
	}
	for _, p := range n.Ports {
		state := s.P.T("ui.port.closed")
		if p.Listening {
			state = s.P.T("ui.port.open", "process", p.Process, "pid", p.PID)
		}
		out = append(out, s.pairs(w, "port", strconv.Itoa(p.Port)+" "+p.Use+"  "+state)...)
	}
	return out
}

func (s *Session) fileEvidence(n etcdops.NodeFacts, w int) []string {
	if !n.Reachable {
		return nil
	}
	out := s.pairs(w, "env-file", n.Env.Path, "error", n.Env.Error)
	names := make([]string, 0, len(n.Env.Values))
	for name := range n.Env.Values {
		if strings.HasPrefix(name, "ETCD_") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		out = append(out, text.Cut("    "+s.T.S(theme.Command, text.Clean(name+"="+n.Env.Values[name])), w))
	}
	for _, d := range []struct {
		label string
		dir   etcdops.DirFacts
	}{{"data-dir", n.Data}, {"wal-dir", n.WAL}} {
		if d.dir.Path != "" {
			out = append(out, s.pairs(w, d.label, d.dir.Path, "", s.dirLine(d.dir), "error", d.dir.Error)...)
		}
	}
	return append(out, s.pairs(w, "asides", strings.Join(n.Asides, ", "))...)
}

func (s *Session) dirLine(d etcdops.DirFacts) string {
	if !d.Exists {
		return s.P.T("ui.dir.absent")
	}
	parts := []string{d.Owner + ":" + d.Group + " " + d.Mode, s.P.T("ui.dir.size", "size", s.P.Bytes(d.SizeBytes), "free", s.P.Bytes(d.FreeBytes))}
	if d.Empty {
		parts = append(parts, s.P.T("ui.dir.empty"))
	}
	if d.MountPoint {
		parts = append(parts, s.P.T("ui.dir.mount"))
	}
	return strings.Join(parts, " · ")
}

func (s *Session) certEvidence(n etcdops.NodeFacts, w int) []string {
	var out []string
	for _, c := range n.Certs {
		line := s.P.T("ui.cert.valid", "until", c.NotAfter.UTC().Format(time.DateOnly))
		if c.Error != "" {
			line = c.Error
		}
		out = append(out, s.pairs(w, c.Use, c.Path, "", line, "subject", c.Subject, "sans", strings.Join(c.SANs, ", "))...)
	}
	return out
}

// journal is all that was read of the unit's log; what causes rest on is marked.
func (s *Session) journal(n etcdops.NodeFacts, w int) []string {
	cited := map[int]bool{}
	for _, c := range s.Verdict.Causes {
		for _, e := range c.Evidence {
			if at := logged(n, e); e.Node == n.Node && at >= 0 {
				cited[at] = true
			}
		}
	}
	out := make([]string, 0, len(n.Journal))
	for at, l := range n.Journal {
		out = append(out, indent(s.numbered(l, cited[at], false, w-2), 2)...)
	}
	return out
}

// runbook opens what a procedure does, in words.
func (s *Session) runbook(p etcdops.Procedure) overlay.Overlay {
	return overlay.NewViewer(s.Kit, msg.M("ui.runbook.title", "procedure", procedureName(p)), func(w int) []string {
		return s.runbookLines(p, w)
	})
}

// runbookLines is the text of a procedure: what it is, then what it does.
func (s *Session) runbookLines(p etcdops.Procedure, w int) []string {
	id := "ui.runbook." + string(p)
	if !s.P.Has(id) {
		return s.para(theme.Plain, msg.M("ui.runbook.missing"), w, 4)
	}
	out := append(s.para(theme.Strong, msg.M(id), w, 8), "")
	return append(out, s.runbookSteps(p, w)...)
}

// runbookSteps is the numbered part of a procedure's text.
func (s *Session) runbookSteps(p etcdops.Procedure, w int) []string {
	id := "ui.runbook." + string(p)
	var out []string
	for i := 1; s.P.Has(id + "." + strconv.Itoa(i)); i++ {
		lines := text.Wrap(s.P.T(id+"."+strconv.Itoa(i)), min(w, readable)-4)
		for j, l := range lines {
			lead := "    "
			if j == 0 {
				lead = text.Right(strconv.Itoa(i), 2) + "  "
			}
			out = append(out, s.T.S(theme.Accent, lead)+l)
		}
	}
	return out
}
