package screens

import (
	"strconv"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
	"github.com/novatui/novatui/workflows/engine"
)

// card is what is known about the chosen member: why it is in its state, its
// unit, its last words, and its host in one line.
func (s *Session) card(r member, w, logs int) []string {
	n, ok := s.Facts.NodeByName(r.node)
	if !ok {
		return s.para(theme.Plain, msg.M("ui.card.nonode", "member", r.name), w, 2)
	}
	if !n.Reachable {
		out := s.para(theme.Strong, msg.M("ui.connect.err."+errKind(n)+".title", "node", n.Node, "address", n.Address), w, 2)
		return append(out, s.para(theme.Dim, errText(errString(n.Error)), w, 2)...)
	}
	out := []string{s.T.S(theme.Strong, text.Cut(n.Node+": ", w)) + text.Cut(s.unitLine(n.Unit), w-text.Width(n.Node)-2)}
	out = append(out, s.logTail(n, w, logs)...)
	return append(out, s.T.S(theme.Dim, text.Cut("  "+s.hostLine(n), w)))
}

// errString lets the text of an error from the facts be shown as an error.
type errString string

// Error is the text.
func (e errString) Error() string { return string(e) }

func errKind(n etcdops.NodeFacts) string {
	switch n.ErrorKind {
	case "unreachable", "host-key-unknown", "host-key-changed", "auth", "privilege", "timeout", "probe":
		return n.ErrorKind
	}
	return "other"
}

// unitLine is the unit in one line, with systemd's own words.
func (s *Session) unitLine(u etcdops.UnitFacts) string {
	state := u.Active
	if u.Sub != "" && u.Sub != u.Active {
		state += " (" + u.Sub + ")"
	}
	if state == "" {
		state = s.P.T("common.unknown")
	}
	parts := []string{s.P.T("ui.card.unit", "state", state)}
	if u.Masked() {
		parts = append(parts, s.P.T("ui.card.masked"))
	}
	if u.Restarts > 0 {
		parts = append(parts, s.P.T("ui.card.restarts", "n", u.Restarts))
	}
	switch {
	case u.Result != "" && u.Result != "success" && u.Result != "exit-code":
		parts = append(parts, s.P.T("ui.card.result", "result", u.Result))
	case u.ExitStatus != 0:
		parts = append(parts, s.P.T("ui.card.exit", "exit", u.ExitStatus))
	}
	if u.SinceSeconds >= 0 && u.Active != "" {
		parts = append(parts, s.P.T("ui.card.since", "d", s.P.Duration(time.Duration(u.SinceSeconds)*time.Second)))
	}
	return text.Clean(strings.Join(parts, ", "))
}

// logTail is the unit's last lines. The last line that tells of trouble comes
// first when it is not among them.
func (s *Session) logTail(n etcdops.NodeFacts, w, most int) []string {
	lines := n.Journal
	if len(lines) == 0 || most < 1 {
		return nil
	}
	shown := lines[max(0, len(lines)-most):]
	if bad := lastTrouble(lines); bad >= 0 && bad < len(lines)-len(shown) {
		shown = append([]etcdops.LogLine{lines[bad]}, shown[1:]...)
	}
	out := make([]string, 0, len(shown))
	for _, l := range shown {
		out = append(out, s.logLine(l, w))
	}
	return out
}

func (s *Session) logLine(l etcdops.LogLine, w int) string {
	stamp := "        "
	if !l.Time.IsZero() {
		stamp = l.Time.Format("15:04:05")
	}
	token := theme.Command
	if trouble(l.Text) {
		token = theme.Bad
	}
	return text.Cut("  "+s.T.S(theme.Dim, stamp)+"  "+s.T.S(token, text.Clean(text.Compact(l.Text))), w)
}

// trouble recognises the lines that an engineer would look at first: etcd's
// levels fatal, panic and error, and Go's panic. It chooses what to show and
// what to colour, and judges nothing.
func trouble(line string) bool {
	for _, mark := range []string{`"level":"fatal"`, `"level":"panic"`, `"level":"error"`, "panic: ", "fatal error: "} {
		if strings.Contains(line, mark) {
			return true
		}
	}
	return false
}

func lastTrouble(lines []etcdops.LogLine) int {
	for i := len(lines) - 1; i >= 0; i-- {
		if trouble(lines[i].Text) {
			return i
		}
	}
	return -1
}

// hostLine is disk, certificates, clock and API of a node in one line.
func (s *Session) hostLine(n etcdops.NodeFacts) string {
	var parts []string
	if n.Data.TotalBytes > 0 {
		used := 100 - 100*n.Data.FreeBytes/n.Data.TotalBytes
		parts = append(parts, s.P.T("ui.card.disk", "percent", used))
	}
	if first, ok := firstExpiry(n.Certs); ok {
		left := first.Sub(s.Facts.CollectedAt)
		if left < 0 {
			parts = append(parts, s.P.T("ui.card.certs-expired", "d", s.P.Duration(left)))
		} else {
			parts = append(parts, s.P.T("ui.card.certs", "d", s.P.Duration(left)))
		}
	}
	parts = append(parts, s.P.T("ui.card.clock", "ms", signed(n.Host.SkewMillis)))
	if ok, asked := s.apis(); asked > 0 {
		parts = append(parts, s.P.T("ui.card.api", "ok", ok, "all", asked))
	}
	if v := n.Versions.Etcd; v != "" {
		parts = append(parts, "etcd "+text.Clean(v))
	}
	return strings.Join(parts, " · ")
}

func signed(n int64) string {
	if n >= 0 {
		return "+" + text.Int(n)
	}
	return text.Int(n)
}

func firstExpiry(certs []etcdops.CertFacts) (time.Time, bool) {
	var first time.Time
	for _, c := range certs {
		if !c.NotAfter.IsZero() && (first.IsZero() || c.NotAfter.Before(first)) {
			first = c.NotAfter
		}
	}
	return first, !first.IsZero()
}

// apis counts the API servers that were asked and that are ready.
func (s *Session) apis() (ok, asked int) {
	for _, n := range s.Facts.Nodes {
		if n.Readyz.Asked {
			asked++
			if n.Readyz.OK {
				ok++
			}
		}
	}
	return ok, asked
}

// causes lists what is wrong on a node, or with the cluster, each with its
// best evidence; at most n lines of evidence each.
func (s *Session) causes(node string, w, n int) []string {
	var out []string
	for _, c := range s.Verdict.Causes {
		if c.Node != node && c.Node != "" {
			continue
		}
		out = append(out, s.causeTitle(c, w))
		for i, e := range c.Evidence {
			if i >= n {
				out = append(out, s.T.S(theme.Dim, text.Cut("    "+s.P.T("ui.more-evidence", "n", len(c.Evidence)-n), w)))
				break
			}
			out = append(out, s.evidenceLine(e, w))
		}
	}
	return out
}

func (s *Session) causeTitle(c etcdops.Cause, w int) string {
	title := s.P.S(c.Title)
	if title == "" {
		title = text.Clean(c.ID)
	}
	return text.Cut(s.T.S(theme.Strong, title)+s.T.S(theme.Dim, "  "+s.P.Or("ui.confidence."+string(c.Confidence), string(c.Confidence))), w)
}

func (s *Session) evidenceLine(e etcdops.Evidence, w int) string {
	where := e.Source
	if e.Line > 0 {
		where += ":" + strconv.Itoa(e.Line)
	}
	return text.Cut("    "+s.T.S(theme.Dim, text.Clean(where)+"  ")+s.T.S(theme.Command, text.Clean(text.Compact(e.Text))), w)
}

// guardLines lists findings: what blocks first, then warnings, then the rest.
// facts shows what a guard that passes rests on, too.
func (s *Session) guardLines(findings []engine.Finding, facts bool, w int) []string {
	var out []string
	for _, result := range []engine.GuardResult{engine.Block, engine.Warn, engine.Pass} {
		for _, f := range findings {
			if f.Result == result {
				out = append(out, s.guardLine(f, facts, w)...)
			}
		}
	}
	return out
}

func guardLook(f engine.Finding) look {
	switch {
	case f.Result == engine.Block && f.Overridden, f.Result == engine.Warn:
		return look{theme.Caution, theme.Warn}
	case f.Result == engine.Block:
		return look{theme.Fail, theme.Bad}
	}
	return look{theme.OK, theme.Good}
}

func (s *Session) guardLine(f engine.Finding, facts bool, w int) []string {
	l := guardLook(f)
	title := s.P.S(f.Title)
	if title == "" {
		title = text.Clean(f.ID)
	}
	word := s.P.Or("ui.guard."+string(f.Result), string(f.Result))
	lead := s.T.Status(l.mark, l.token, word)
	out := []string{text.Cut(text.Left(lead, 12)+" "+title, w)}
	body := theme.Dim
	if f.Result != engine.Pass {
		body = theme.Plain
	}
	out = append(out, indent(s.para(body, f.Reason, w-13, 4), 13)...)
	if f.Fact != "" && (facts || f.Result != engine.Pass) {
		for _, t := range text.WrapMax(text.Clean(f.Fact), min(w, readable)-13, 3) {
			out = append(out, text.Spaces(13)+s.T.S(theme.Dim, t))
		}
	}
	if f.Result == engine.Block && f.Override != "" && !f.Overridden {
		out = append(out, indent(s.para(theme.Warn, msg.M("ui.guard.override", "phrase", f.Override), w-13, 3), 13)...)
	}
	return out
}
