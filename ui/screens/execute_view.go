package screens

import (
	"strings"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
	"github.com/novatui/novatui/workflows/engine"
)

// sideBySide is the width from which every node has its pane beside the
// others, and paneMin what each of them needs.
const (
	sideBySide = 120
	paneMin    = 38
)

// Coach implements Screen.
func (e *Execute) Coach() msg.Msg {
	switch {
	case e.reporting:
		return msg.M("ui.coach.proving")
	case e.stopped():
		return msg.M("ui.coach.stopped")
	case e.ended:
		return msg.M("ui.coach.toreport")
	case e.paused:
		return msg.M("ui.coach.paused")
	}
	return msg.M("ui.coach.running")
}

// Lines implements Screen.
func (e *Execute) Lines(w, h int) []string {
	head := e.head(w)
	if e.zoom {
		head = head[:min(1, len(head))]
		return e.s.pack(h, block{lines: head, rank: 1}, block{lines: e.paneLines(e.at, w, max(1, h-len(head)-1))})
	}
	progress := []string{e.progress(w)}
	table := e.table(w)
	if e.stopped() {
		head = append(head, "")
		head = append(head, e.choiceLines(w)...)
	}
	fixed := len(head) + len(progress)
	// The table goes when there is no room for a pane of some lines beside it.
	if h-fixed-len(table) < 6 && !e.stopped() || h-fixed-len(table) < 3 {
		table = nil
	}
	room := max(0, h-fixed-len(table))
	var panes []string
	if room > 0 {
		panes = e.panesBlock(w, room)
	}
	out := append(append(append(append([]string(nil), head...), progress...), panes...), table...)
	return out[:min(len(out), max(h, 0))]
}

// head is the one sentence on what goes on, or how it ended.
func (e *Execute) head(w int) []string {
	s := e.s
	switch {
	case e.resuming:
		return s.para(theme.Accent, msg.M("ui.connect.resuming"), w, 2)
	case e.reporting:
		return s.para(theme.Accent, msg.M("ui.execute.proving"), w, 2)
	case e.stopped():
		return e.failure(w)
	case e.ended:
		return s.para(theme.Good, msg.M("ui.execute.done"), w, 2)
	case e.paused:
		return s.para(theme.Warn, msg.M("ui.execute.paused", "next", e.next()), w, 2)
	}
	out := s.para(theme.Strong, e.doing(), w, 2)
	if e.pausing() {
		out = append(out, s.para(theme.Warn, msg.M("ui.execute.pausing"), w, 1)...)
	}
	return out
}

// doing says which steps are under way, with the progress that they tell.
func (e *Execute) doing() msg.Msg {
	for i := range e.nodes {
		node := e.nodes[(e.at+i)%len(e.nodes)]
		a, ok := e.active[node]
		if !ok {
			continue
		}
		step, _ := e.stepByID(a.step)
		title := step.Title
		if title.Zero() {
			title = msg.Raw(a.step)
		}
		others := len(e.active) - 1
		if others > 0 {
			return msg.M("ui.execute.doing-others", "title", title, "node", node, "note", e.notes[node], "n", others)
		}
		return msg.M("ui.execute.doing", "title", title, "node", node, "note", e.notes[node])
	}
	if i := e.stage(); i >= 0 {
		return msg.M("ui.execute.stage", "stage", e.plan.Stages[i].Title)
	}
	return msg.M("ui.execute.starting", "title", e.plan.Title)
}

// next is the stage that comes when a pause ends.
func (e *Execute) next() msg.Msg {
	for _, st := range e.plan.Stages {
		if !contains(e.state.StagesDone, st.ID) {
			return st.Title
		}
	}
	return msg.Msg{}
}

func contains(list []string, want string) bool {
	for _, s := range list {
		if s == want {
			return true
		}
	}
	return false
}

// failure says what failed, where, why, and what is known.
func (e *Execute) failure(w int) []string {
	s := e.s
	var step engine.Step
	if e.result.FailedStep != nil {
		step = *e.result.FailedStep
	}
	at := max(0, e.stage())
	stage := msg.Msg{}
	if at < len(e.plan.Stages) {
		stage = e.plan.Stages[at].Title
	}
	args := []any{"title", step.Title, "node", e.result.FailedNode, "at", at + 1, "of", len(e.plan.Stages), "stage", stage}
	id := "ui.stopped.failed"
	switch {
	case e.result.Outcome == engine.OutcomeInterrupted:
		id = "ui.stopped.interrupted"
	case e.result.Outcome == engine.OutcomeRefused:
		id = "ui.stopped.refused"
	case e.result.Outcome == engine.OutcomeUnknown:
		id = "ui.stopped.unknown"
	case step.ID == "":
		id = "ui.stopped.other"
	}
	out := s.para(theme.Bad, msg.M(id, args...), w, 3)
	out = append(out, s.para(theme.Plain, e.known(), w, 2)...)
	if e.result.Err != nil {
		out = append(out, s.para(theme.Dim, engine.Explain(e.result.Err), w, 2)...)
	}
	if !step.IfItFails.Zero() {
		out = append(out, s.para(theme.Plain, step.IfItFails, w, 2)...)
	}
	return out
}

// known counts what is done, and names what is not known.
func (e *Execute) known() msg.Msg {
	done, all := 0, 0
	for _, st := range e.plan.Stages {
		for _, step := range st.Steps {
			all++
			if e.state.Step(step.ID).Status.Finished() {
				done++
			}
		}
	}
	unknown := make([]string, 0, len(e.result.Unknown))
	for _, id := range e.result.Unknown {
		title := id
		if step, ok := e.stepByID(id); ok {
			title = e.s.P.S(step.Title) + " (" + step.Node + ")"
		}
		unknown = append(unknown, title)
	}
	switch {
	case len(unknown) > 0:
		return msg.M("ui.stopped.known-unknown", "done", done, "all", all, "unknown", unknown)
	case !e.result.Changed:
		return msg.M("ui.stopped.unchanged")
	}
	return msg.M("ui.stopped.known", "done", done, "all", all)
}

func (e *Execute) choiceLines(w int) []string {
	var out []string
	for i, c := range e.choices() {
		token := theme.Plain
		if i == e.choice {
			token = theme.Accent
		}
		line := e.s.cursor(i == e.choice) + e.s.T.S(token, e.s.P.S(c.label)) + "  " + e.s.T.S(theme.Dim, e.s.P.S(c.note))
		out = append(out, text.Cut(line, w))
	}
	return out
}

// progress is all stages in one line, or the ones around the present one.
func (e *Execute) progress(w int) string {
	t := e.s.T
	var parts []string
	total := 0
	for i, st := range e.plan.Stages {
		mark, token := e.stageMark(i, st)
		part := t.S(token, t.Glyph(mark)+" "+e.s.P.S(st.Title))
		parts = append(parts, part)
		total += text.Width(part) + 2
	}
	if total-2 <= w {
		return strings.Join(parts, "  ")
	}
	at := min(max(0, e.stage()), max(0, len(parts)-1))
	if len(parts) == 0 {
		return ""
	}
	done := len(e.state.StagesDone)
	line := ""
	if done > 0 {
		line = t.S(theme.Good, t.Glyph(theme.Done)+" "+e.s.P.T("ui.execute.ndone", "n", done)) + "  "
	}
	line += parts[at]
	if left := len(parts) - at - 1; left > 0 {
		line += "  " + t.S(theme.Dim, t.Glyph(theme.Idle)+" "+e.s.P.T("ui.execute.nleft", "n", left))
	}
	return text.Cut(line, w)
}

func (e *Execute) stageMark(i int, st engine.Stage) (theme.Mark, theme.Token) {
	switch {
	case contains(e.state.StagesDone, st.ID):
		return theme.Done, theme.Good
	case i != e.stage():
		return theme.Idle, theme.Dim
	case e.stopped() && e.result.Outcome == engine.OutcomeUnknown:
		return theme.Unknown, theme.Warn
	case e.stopped():
		return theme.Fail, theme.Bad
	}
	return theme.Busy, theme.Accent
}

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
