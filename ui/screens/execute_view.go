package screens

import (
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
	"github.com/novatui/novatui/workflows/engine"
)

// sideBySide is the width from which every node has its pane beside the
// others (a terminal of 120 columns, less the margins), and paneMin what each
// of them needs.
const (
	sideBySide = 118
	paneMin    = 36
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
	if w >= wideFrom && len(table) > 0 {
		lw := 98
		table = append([]string{""}, columns(e.table(lw), e.stageTimes(w-lw-6), lw, 6)...)
		progress = nil
	}
	if e.stopped() {
		head = append(head, "")
		head = append(append(head, e.choiceLines(w)...), "")
	}
	fixed := len(head) + len(progress)
	// The table goes when there is no room for a pane of some lines beside it.
	if h-fixed-len(table) < 6 {
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
	case e.undoing:
		return s.para(theme.Accent, msg.M("ui.report.planning"), w, 2)
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
		named := strings.Contains(e.s.P.S(title), node) // the title names the node
		if others > 0 && named {
			return msg.M("ui.execute.doing-there-others", "title", title, "note", e.notes[node], "n", others)
		}
		if others > 0 {
			return msg.M("ui.execute.doing-others", "title", title, "node", node, "note", e.notes[node], "n", others)
		}
		if named {
			return msg.M("ui.execute.doing-there", "title", title, "note", e.notes[node])
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
	case step.ID == "":
		id = "ui.stopped.other"
	case e.result.Outcome == engine.OutcomeUnknown:
		id = "ui.stopped.unknown"
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
	for _, ev := range e.events {
		if ev.Type == engine.StepFailed && ev.Changed {
			return msg.M("ui.stopped.known-maybe", "done", done, "all", all)
		}
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
	return text.Cut(e.around(parts, w), w)
}

// around is the stage that runs or comes next, with a count of those before
// it, and as many of those after it as there is room for.
func (e *Execute) around(parts []string, w int) string {
	if len(parts) == 0 {
		return ""
	}
	t := e.s.T
	at := 0
	for at < len(parts)-1 && contains(e.state.StagesDone, e.plan.Stages[at].ID) {
		at++
	}
	line := parts[at]
	if at > 0 {
		line = t.S(theme.Good, t.Glyph(theme.Done)+" "+e.s.P.T("ui.execute.ndone", "n", at)) + "  " + line
	}
	left := func(n int) string {
		if n == 0 {
			return ""
		}
		return "  " + t.S(theme.Dim, t.Glyph(theme.Idle)+" "+e.s.P.T("ui.execute.nleft", "n", n))
	}
	for at++; at < len(parts); at++ {
		longer := line + "  " + parts[at]
		if text.Width(longer+left(len(parts)-at-1)) > w {
			break
		}
		line = longer
	}
	return line + left(len(parts)-at)
}

// stageTimes is the stages one a line, with how long each took or takes.
func (e *Execute) stageTimes(w int) []string {
	began := map[string]time.Time{}
	ended := map[string]time.Time{}
	for _, ev := range e.events {
		switch ev.Type {
		case engine.StageStarted:
			began[ev.Stage] = ev.Time
		case engine.StageDone:
			ended[ev.Stage] = ev.Time
		default:
		}
	}
	out := make([]string, len(e.plan.Stages))
	for i, st := range e.plan.Stages {
		mark, token := e.stageMark(i, st)
		line := e.s.T.S(token, e.s.T.Glyph(mark)+" "+e.s.P.S(st.Title))
		if from, ok := began[st.ID]; ok {
			to, over := ended[st.ID]
			if !over && e.ended {
				to = from
			} else if !over {
				to = e.s.Now()
			}
			if to.After(from) {
				line += e.s.T.S(theme.Dim, "  "+e.s.P.Short(to.Sub(from)))
			}
		}
		out[i] = text.Cut(line, w)
	}
	return out
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
