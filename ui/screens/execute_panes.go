package screens

import (
	"strings"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
	"github.com/novatui/novatui/workflows/engine"
)

// panesBlock is the panes in h lines: side by side where there is room, else
// one with the nodes as tabs above it.
func (e *Execute) panesBlock(w, h int) []string {
	n := 1
	if w >= sideBySide {
		n = min(len(e.nodes), max(1, (w+3)/(paneMin+3)))
	}
	if n > 1 {
		return e.beside(n, w, h)
	}
	if h < 3 {
		return e.paneLines(e.at, w, h)
	}
	return append([]string{e.tabs(w)}, e.paneLines(e.at, w, h-1)...)
}

// beside puts n panes side by side, the shown one among them.
func (e *Execute) beside(n, w, h int) []string {
	from := max(0, min(e.at-n/2, len(e.nodes)-n))
	width := (w - 3*(n-1)) / n
	out := make([]string, h)
	bar := e.s.T.S(theme.Dim, " "+e.s.T.Glyph(theme.Bar)+" ")
	for i := range n {
		lines := e.paneLines(from+i, width, h)
		for j := range out {
			line := ""
			if j < len(lines) {
				line = lines[j]
			}
			if i > 0 {
				out[j] += bar
			}
			if i < n-1 {
				line = text.Left(line, width)
			}
			out[j] += line
		}
	}
	return out
}

// tabs names the nodes with what each is at.
func (e *Execute) tabs(w int) string {
	parts := make([]string, len(e.nodes))
	for i, node := range e.nodes {
		mark, token, word := e.nodeStatus(node)
		name := e.s.T.S(theme.Dim, string(rune('1'+i%9))+" ")
		if i == e.at {
			name += e.s.T.S(theme.Accent, node)
		} else {
			name += node
		}
		parts[i] = name + " " + e.s.T.S(token, e.s.T.Glyph(mark)+" "+word)
	}
	bar := e.s.T.S(theme.Dim, " "+e.s.T.Glyph(theme.Bar)+" ")
	line := strings.Join(parts, bar)
	if text.Width(line) <= w {
		return line
	}
	for i, node := range e.nodes { // without the words
		mark, token, _ := e.nodeStatus(node)
		name := node
		if i == e.at {
			name = e.s.T.S(theme.Accent, node)
		}
		parts[i] = name + " " + e.s.T.S(token, e.s.T.Glyph(mark))
	}
	return text.Cut(strings.Join(parts, bar), w)
}

// nodeStatus is what a node is at, in a word.
func (e *Execute) nodeStatus(node string) (theme.Mark, theme.Token, string) {
	if a, ok := e.active[node]; ok {
		return theme.Busy, theme.Accent, e.s.P.T("ui.execute.working", "d", e.s.P.Short(e.s.Now().Sub(a.since)))
	}
	done, all := 0, 0
	for _, st := range e.plan.Stages {
		for _, step := range st.Steps {
			if step.Node != node {
				continue
			}
			all++
			switch status := e.state.Step(step.ID).Status; {
			case status == engine.StatusFailed:
				return theme.Fail, theme.Bad, e.s.P.T("ui.execute.nodefailed")
			case status == engine.StatusUnknown && e.ended:
				return theme.Unknown, theme.Warn, e.s.P.T("common.unknown")
			case status.Finished():
				done++
			}
		}
	}
	switch {
	case all == 0:
		return theme.Idle, theme.Dim, e.s.P.T("ui.execute.looking")
	case done == all:
		return theme.Done, theme.Good, e.s.P.T("ui.execute.nodedone")
	}
	return theme.Idle, theme.Dim, e.s.P.T("ui.execute.waiting")
}

// paneLines is one node's pane in exactly h lines: its edge, then its output.
// The edge has no corners, so that copying takes no borders along.
func (e *Execute) paneLines(i, w, h int) []string {
	node := e.nodes[i]
	p := e.panes[node]
	s := e.s
	token := theme.Plain
	if i == e.at {
		token = theme.Accent
	}
	mark, mtoken, _ := e.nodeStatus(node)
	left := s.T.Line(2) + " " + s.T.S(mtoken, s.T.Glyph(mark)) + " " + s.T.S(token, node) + " "
	right := ""
	if !p.last.IsZero() {
		right = " " + s.T.S(theme.Dim, s.P.T("ui.execute.lastbyte", "d", s.P.Short(s.Now().Sub(p.last))))
	}
	if !p.Following() {
		right = " " + s.T.S(theme.Warn, s.P.T("ui.execute.notfollowing")) + right
	}
	search := ""
	if i == e.at && e.search != nil {
		search = s.T.S(theme.Accent, "/") + e.search.View(s.T.Glyph(theme.Caret), max(2, w-1))
	}
	edge := text.Cut(left+s.T.Line(w-text.Width(left)-text.Width(right))+right, w)
	if h <= 1 {
		return []string{edge}[:max(0, min(1, h))]
	}
	rows := h - 1
	if search != "" {
		rows--
	}
	out := append([]string{edge}, p.View(s.T, w, rows)...)
	if search != "" {
		out = append(out, search)
	}
	return out
}

// table is the state of etcd, as it is now or with its age.
func (e *Execute) table(w int) []string {
	if e.liveAt.IsZero() {
		return nil
	}
	rows := e.s.aged(live(e.live))
	out := e.s.memberTable(rows, -1, min(w, 150))
	age := e.s.Now().Sub(e.liveAt)
	switch {
	case e.liveErr != nil:
		out = append(out, e.s.para(theme.Warn, msg.M("ui.table.failed", "age", e.s.P.Ago(age), "error", e.liveErr.Error()), w, 1)...)
	case age > 3*statusEvery:
		out = append(out, e.s.para(theme.Warn, msg.M("ui.table.old", "age", e.s.P.Ago(age)), w, 1)...)
	}
	return out
}

// stepDetails lists every step with what became of it and what it ran.
func (e *Execute) stepDetails(w int) []string {
	s := e.s
	summary := engine.Summarize(e.plan, e.events)
	var out []string
	for i, st := range summary.Stages {
		mark, token := e.stageMark(i, e.plan.Stages[i])
		out = append(out, text.Cut(s.T.S(token, s.T.Glyph(mark)+" "+s.P.S(st.Title)), w))
		for _, step := range st.Steps {
			out = append(out, e.stepDetail(step, w)...)
		}
	}
	for _, warning := range summary.Warnings {
		out = append(out, s.para(theme.Warn, warning, w, 3)...)
	}
	return out
}

func (e *Execute) stepDetail(step engine.StepSummary, w int) []string {
	s := e.s
	line := "    " + s.P.S(step.Title) + s.T.S(theme.Dim, "  "+step.Node+"  "+s.P.Or("ui.step-status."+string(step.Status), string(step.Status)))
	if !step.Ended.IsZero() && !step.Started.IsZero() {
		line += s.T.S(theme.Dim, "  "+s.P.Short(step.Ended.Sub(step.Started)))
	}
	out := []string{text.Cut(line, w)}
	for _, c := range step.Commands {
		exit := s.P.T("ui.execute.noexit")
		if c.Exit != nil {
			exit = s.P.T("ui.execute.exit", "code", *c.Exit)
		}
		for j, l := range text.Wrap(text.Clean(c.Line), max(20, w-10)) {
			lead := "        "
			if j == 0 {
				lead = "      $ "
			}
			out = append(out, s.T.S(theme.Dim, lead)+s.T.S(theme.Command, l))
		}
		out = append(out, text.Cut("        "+s.T.S(theme.Dim, exit), w))
	}
	if step.Error != "" {
		for _, l := range text.Wrap(text.Clean(step.Error), max(20, w-8)) {
			out = append(out, "      "+s.T.S(theme.Bad, l))
		}
	}
	return out
}
