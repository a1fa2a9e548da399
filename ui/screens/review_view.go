package screens

import (
	"fmt"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
	"github.com/novatui/novatui/workflows/engine"
)

// Coach implements Screen.
func (r *Review) Coach() msg.Msg {
	hard, soft := r.blocks()
	switch {
	case len(hard) > 0:
		return msg.M("ui.coach.review-blocked")
	case r.starting:
		return msg.M("ui.coach.starting")
	case len(soft) > 0 || r.destroys():
		return msg.M("ui.coach.review-typed", "cluster", r.plan.Cluster)
	}
	return msg.M("ui.coach.review-yes")
}

// Lines implements Screen.
func (r *Review) Lines(w, h int) []string {
	s := r.s
	head := s.para(theme.Strong, msg.M("ui.review.head", "title", r.plan.Title, "n", len(r.plan.Stages),
		"d", s.P.Duration(time.Duration(r.plan.Estimate)*time.Second)), w, 2)
	switch {
	case r.starting:
		head = []string{s.T.Status(theme.Busy, theme.Accent, text.Cut(s.P.T("ui.review.starting"), w-3))}
	case r.again:
		head = []string{s.T.Status(theme.Busy, theme.Accent, text.Cut(s.P.T("ui.review.replanning"), w-3))}
	}
	stakes := s.para(theme.Plain, r.plan.Kept, w, 2)
	stakes = append(stakes, r.losses(w)...)
	stakes = append(stakes, r.wayBack(w)...)
	guards := r.guardSummary(w)
	room := h - len(head) - len(stakes) - len(guards) - 3
	if room < 3 {
		stakes = stakes[:max(0, min(len(stakes), len(stakes)+room-3))]
		room = 3
	}
	if age := s.Now().Sub(r.plan.CreatedAt); age > 5*time.Minute && !r.plan.CreatedAt.IsZero() {
		head = append(head, s.para(theme.Warn, msg.M("ui.review.old", "age", s.P.Duration(age)), w, 1)...)
		room--
	}
	stages := r.stageLines(w, max(1, room))
	if w >= wideFrom && r.at < len(r.plan.Stages) {
		lw := (w - 4) / 2
		right := s.stageDetail(r.plan.Stages[r.at], w-lw-4)
		stages = columns(r.stageLines(lw, max(1, room)), right[:min(len(right), max(1, room))], lw, 4)
	}
	return s.pack(h, block{lines: head}, block{lines: stakes, rank: 2},
		block{lines: stages, rank: 1, min: 1}, block{lines: guards})
}

func (r *Review) guardSummary(w int) []string {
	var pass int
	var warn, block, over []engine.Finding
	for _, f := range r.plan.Guards {
		switch {
		case f.Stops() && f.Override == "":
			block = append(block, f)
		case f.Stops():
			over = append(over, f)
		case f.Result == engine.Pass:
			pass++
		default:
			warn = append(warn, f)
		}
	}
	t := r.s.T
	line := r.s.P.T("ui.review.guards") + "  " + t.Status(theme.OK, theme.Good, r.s.P.T("ui.review.pass", "n", pass))
	if len(warn) > 0 {
		line += "  " + t.Status(theme.Caution, theme.Warn, r.s.P.T("ui.review.warn", "n", len(warn)))
	}
	if len(over)+len(block) > 0 {
		line += "  " + t.Status(theme.Fail, theme.Bad, r.s.P.T("ui.review.block", "n", len(over)+len(block)))
	}
	out := []string{text.Cut(line, w)}
	switch {
	case len(block) > 0:
		out = append(out, r.s.para(theme.Bad, msg.M("ui.review.cannot", "why", block[0].Reason), w, 2)...)
	case len(over) > 0:
		out = append(out, r.s.para(theme.Warn, msg.M("ui.review.mustoverride", "why", over[0].Reason), w, 2)...)
	case len(warn) > 0:
		out = append(out, text.Cut(t.S(theme.Warn, t.Glyph(theme.Caution))+" "+r.s.P.S(warn[0].Reason), w))
	}
	return out
}

// stageLines is the numbered list with the opened stages' commands.
func (r *Review) stageLines(w, h int) []string {
	var out []string
	focus := 0
	titles := 0
	for _, st := range r.plan.Stages {
		titles = max(titles, text.Width(r.s.P.S(st.Title)))
	}
	titles = min(titles, max(18, w/2-6))
	for i, st := range r.plan.Stages {
		if i == r.at {
			focus = len(out)
		}
		out = append(out, r.stageLine(i, st, titles, w))
		if r.open[i] {
			out = append(out, r.s.commandLines(st, w)...)
		}
	}
	return r.s.window(out, focus, h)
}

func (r *Review) stageLine(i int, st engine.Stage, titles, w int) string {
	t := r.s.T
	token, arrow := theme.Plain, theme.Closed
	if i == r.at {
		token = theme.Accent
	}
	if r.open[i] {
		arrow = theme.Open
	}
	line := r.s.cursor(i == r.at) + t.S(theme.Dim, text.Right(fmt.Sprint(i+1), 2)+" ") +
		t.S(token, text.Left(r.s.P.S(st.Title), titles)) + "  "
	switch {
	case st.ID == r.plan.NoReturnStage && st.ID != "" && r.plan.NoReturnCosts:
		line += t.S(theme.Warn, r.s.P.T("rollback.stage-costs")) + "  "
	case st.ID == r.plan.NoReturnStage && st.ID != "":
		line += t.S(theme.Warn, r.s.P.T("ui.review.noreturn-here")) + "  "
	case st.Destroys():
		line += t.S(theme.Bad, r.s.P.T("ui.review.destroys")) + "  "
	}
	n, short := r.summary(st)
	switch n {
	case 0:
		return text.Cut(line+t.S(theme.Dim, r.s.P.T("ui.review.looks")), w)
	case 1:
		return text.Cut(line+t.S(theme.Dim, short), w)
	}
	return text.Cut(line+t.S(theme.Dim, t.Glyph(arrow)+" "+r.s.P.T("ui.review.ncommands", "n", n)+"  "+short), w)
}

// summary counts a stage's commands and joins their short forms, each once.
func (r *Review) summary(st engine.Stage) (n int, short string) {
	seen := map[string]bool{}
	var parts []string
	for _, step := range st.Steps {
		for _, c := range step.Commands {
			n++
			bare := c.Command
			bare.Env = nil // addresses and certificates, in front of what matters
			if line := text.Clean(bare.ShortIn(r.s.P.S)); !seen[line] {
				seen[line] = true
				parts = append(parts, line)
			}
		}
	}
	return n, strings.Join(parts, "; ")
}
