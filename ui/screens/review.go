package screens

import (
	"context"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/overlay"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
	"github.com/novatui/novatui/workflows/engine"
)

// Review shows a plan before anything happens: every stage with its exact
// commands, what the guards say, what is kept and what is lost.
type Review struct {
	s    *Session
	plan engine.Plan
	req  backend.PlanRequest

	at       int
	open     map[int]bool
	starting bool
	again    bool
}

// NewReview makes the screen for a plan.
func NewReview(s *Session, plan engine.Plan, req backend.PlanRequest) *Review {
	return &Review{s: s, plan: plan, req: req, open: map[int]bool{}}
}

// Step implements Screen.
func (r *Review) Step() Step { return StepReview }

// About implements Screen.
func (r *Review) About() msg.Msg { return msg.M("ui.review.about") }

// Place implements Screen.
func (r *Review) Place() msg.Msg { return msg.Msg{} }

// Init implements Screen.
func (r *Review) Init() tea.Cmd { return nil }

// Update implements Screen.
func (r *Review) Update(m tea.Msg) tea.Cmd {
	switch m := m.(type) {
	case Started:
		if !r.starting {
			return nil
		}
		r.starting = false
		if m.Err != nil {
			r.s.Open(refusal(r.s, msg.M("ui.review.not-started"), m.Err))
			return nil
		}
		r.s.BackTo(StepDiagnose)
		return r.s.Push(NewExecute(r.s, r.plan, m.Run))
	case replanned:
		if !r.again {
			return nil
		}
		r.again = false
		if m.err != nil {
			r.s.Open(refusal(r.s, msg.M("ui.choose.plan-failed", "procedure", procedureName(r.req.Procedure)), m.err))
			return nil
		}
		r.plan = m.plan
		r.at = min(r.at, max(0, len(m.plan.Stages)-1))
	}
	return nil
}

// replanned is the answer to planning again.
type replanned struct {
	plan engine.Plan
	err  error
}

// destroys reports whether anything in the plan cannot be taken back.
func (r *Review) destroys() bool {
	for _, st := range r.plan.Stages {
		if st.Destroys() {
			return true
		}
	}
	return false
}

// blocks sorts the findings that stop the plan: those that nothing overrides,
// and those that a typed phrase does.
func (r *Review) blocks() (hard, soft []engine.Finding) {
	for _, f := range r.plan.Guards {
		switch {
		case !f.Stops():
		case f.Override == "":
			hard = append(hard, f)
		default:
			soft = append(soft, f)
		}
	}
	return hard, soft
}

// Keys implements Screen.
func (r *Review) Keys() keys.Map {
	hard, _ := r.blocks()
	enter := "ui.key.confirm"
	if len(hard) > 0 {
		enter = "ui.key.whyblocked"
	}
	return keys.Map{
		{Action: keys.Enter, Help: enter, Foot: true},
		{Action: keys.Toggle, Help: "ui.key.expand", Foot: true},
		{Action: keys.Evidence, Help: "ui.key.commands", Foot: true},
		{Action: keys.Guards, Help: "ui.key.guards"},
		{Action: keys.SavePlan, Help: "ui.key.saveplan", Foot: true},
		{Action: keys.Back, Help: "ui.key.back", Foot: true},
		{Action: keys.Runbook, Help: "ui.key.runbook-stage"},
		{Action: keys.Again, Help: "ui.key.replan"},
		{Action: keys.Pick, Help: "ui.key.pickstage"},
		{Action: keys.Copy, Help: "ui.key.copycommands"},
		{Action: keys.Up, Quiet: true}, {Action: keys.Down, Quiet: true}, {Action: keys.NextPane, Quiet: true},
		{Action: keys.PrevPane, Quiet: true}, {Action: keys.Right, Quiet: true}, {Action: keys.Left, Quiet: true},
		{Action: keys.Home, Quiet: true}, {Action: keys.End, Quiet: true},
	}
}

// Press implements Screen.
func (r *Review) Press(p keys.Press) tea.Cmd {
	n := len(r.plan.Stages)
	switch p.Action {
	case keys.Back:
		if !r.starting {
			r.s.Pop()
		}
	case keys.Up, keys.PrevPane:
		r.at = max(0, r.at-1)
	case keys.Down, keys.NextPane:
		r.at = max(0, min(n-1, r.at+1))
	case keys.Home:
		r.at = 0
	case keys.End:
		r.at = max(0, n-1)
	case keys.Pick:
		if p.Digit <= n {
			r.at = p.Digit - 1
			r.open[r.at] = true
		}
	case keys.Toggle:
		r.open[r.at] = !r.open[r.at]
	case keys.Right:
		r.open[r.at] = true
	case keys.Left:
		r.open[r.at] = false
	case keys.Enter:
		return r.confirm()
	default:
		return r.pressMore(p.Action)
	}
	return nil
}

func (r *Review) pressMore(a keys.Action) tea.Cmd {
	switch a {
	case keys.Evidence:
		v := overlay.NewViewer(r.s.Kit, msg.M("ui.review.commands"), func(w int) []string { return r.s.exact(r.plan, w) })
		v.Plain = func() string { return script(r.plan) }
		r.s.Open(v)
	case keys.Guards:
		r.s.Open(overlay.NewViewer(r.s.Kit, msg.M("ui.guards.of", "procedure", r.plan.Title), func(w int) []string {
			return r.s.guardLines(r.plan.Guards, w)
		}))
	case keys.Runbook:
		if r.at < len(r.plan.Stages) {
			r.s.Open(r.s.stageText(r.plan.Stages[r.at]))
		}
	case keys.SavePlan:
		plan := r.plan
		name := fmt.Sprintf("plan-%s-%s.json", plan.Procedure, plan.Tag)
		return r.s.Save(name, func() ([]byte, error) { return engine.EncodePlan(plan) })
	case keys.Copy:
		return overlay.Copied(script(r.plan))
	case keys.Again:
		return r.replan()
	}
	return nil
}

func (r *Review) replan() tea.Cmd {
	if r.again || r.starting {
		return nil
	}
	r.again = true
	req := r.req
	return r.s.Do(func(ctx context.Context) tea.Msg {
		plan, err := r.s.Back.Plan(ctx, req)
		return replanned{plan: plan, err: err}
	})
}

// confirm asks for what the plan needs: each override's phrase, the cluster's
// name when something is destroyed, otherwise a yes.
func (r *Review) confirm() tea.Cmd {
	if r.starting || r.again {
		return nil
	}
	hard, soft := r.blocks()
	if len(hard) > 0 {
		return r.pressMore(keys.Guards)
	}
	var fields []overlay.Field
	for _, f := range soft {
		fields = append(fields, overlay.Field{Label: msg.M("ui.confirm.override", "reason", f.Reason, "phrase", f.Override), Want: f.Override})
	}
	if r.destroys() {
		fields = append(fields, overlay.Field{Label: msg.M("ui.confirm.name", "cluster", r.plan.Cluster), Want: r.plan.Cluster})
	}
	destroys := r.destroys()
	r.s.Open(overlay.NewConfirm(r.s.Kit, r.plan.Title, r.stakes, fields, func(typed []string) tea.Cmd {
		a := engine.Approval{Overrides: map[string]string{}}
		for i, f := range soft {
			a.Overrides[f.ID] = typed[i]
		}
		if destroys {
			a.Confirm = typed[len(typed)-1]
		}
		return r.start(a)
	}))
	return nil
}

func (r *Review) start(a engine.Approval) tea.Cmd {
	r.starting = true
	plan := r.plan
	return r.s.Do(func(ctx context.Context) tea.Msg {
		run, err := r.s.Back.Start(ctx, plan, a)
		return Started{Run: run, Plan: plan, Err: err}
	})
}

// stakes is what the confirmation says above its field.
func (r *Review) stakes(w int) []string {
	s := r.s
	out := s.para(theme.Plain, msg.M("ui.confirm.nodes", "nodes", r.plan.Nodes, "n", len(r.plan.Nodes)), w, 2)
	out = append(out, s.para(theme.Plain, r.plan.Kept, w, 3)...)
	out = append(out, r.losses(w)...)
	return append(out, s.para(theme.Warn, r.noReturn(), w, 2)...)
}

func (r *Review) losses(w int) []string {
	if len(r.plan.Lost) == 0 {
		return r.s.para(theme.Plain, msg.M("ui.review.nothing-lost"), w, 1)
	}
	var out []string
	for _, m := range r.plan.Lost {
		out = append(out, r.s.para(theme.Bad, msg.M("ui.review.lost", "what", m), w, 3)...)
	}
	return out
}

// noReturn says from where there is no way back.
func (r *Review) noReturn() msg.Msg {
	for i, st := range r.plan.Stages {
		if st.ID == r.plan.NoReturnStage && st.ID != "" {
			return msg.M("ui.review.noreturn", "at", i+1, "stage", st.Title, "why", r.plan.NoReturn)
		}
	}
	return r.plan.NoReturn
}

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
	stakes = append(stakes, s.para(theme.Warn, r.noReturn(), w, 2)...)
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
	return s.pack(h, block{lines: head}, block{lines: stakes, rank: 2},
		block{lines: r.stageLines(w, max(1, room)), rank: 1, min: 1}, block{lines: guards})
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
		out = append(out, r.s.para(theme.Dim, warn[0].Reason, w, 1)...)
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
	if st.ID == r.plan.NoReturnStage && st.ID != "" {
		line += t.S(theme.Warn, r.s.P.T("ui.review.noreturn-here")) + "  "
	} else if st.Destroys() {
		line += t.S(theme.Bad, r.s.P.T("ui.review.destroys")) + "  "
	}
	n, short := summary(st)
	if n == 1 {
		return text.Cut(line+t.S(theme.Dim, short), w)
	}
	return text.Cut(line+t.S(theme.Dim, t.Glyph(arrow)+" "+r.s.P.T("ui.review.ncommands", "n", n)+"  "+short), w)
}

// summary counts a stage's commands and joins their short forms, each once.
func summary(st engine.Stage) (n int, short string) {
	seen := map[string]bool{}
	var parts []string
	for _, step := range st.Steps {
		for _, c := range step.Commands {
			n++
			if line := text.Clean(c.Command.Short()); !seen[line] {
				seen[line] = true
				parts = append(parts, line)
			}
		}
	}
	return n, strings.Join(parts, "; ")
}

// commandLines is the commands of a stage under its line, each cut to one
// line; the viewer has them in full.
func (s *Session) commandLines(st engine.Stage, w int) []string {
	var out []string
	for _, step := range st.Steps {
		out = append(out, text.Cut("       "+s.T.S(theme.Plain, s.P.S(step.Title))+s.T.S(theme.Dim, "  "+step.Node), w))
		for _, c := range step.Commands {
			out = append(out, text.Cut("         "+s.T.S(theme.Command, text.Clean(c.Command.Line())), w))
		}
	}
	return out
}

// exact is every command of a plan in full.
func (s *Session) exact(p engine.Plan, w int) []string {
	var out []string
	for i, st := range p.Stages {
		if i > 0 {
			out = append(out, "")
		}
		out = append(out, s.T.S(theme.Accent, text.Cut(fmt.Sprintf("%d  %s", i+1, s.P.S(st.Title)), w)))
		for _, step := range st.Steps {
			out = append(out, s.stepLines(step, w)...)
		}
	}
	return out
}

// stepLines is a step with what it runs and what it looks at, in full.
func (s *Session) stepLines(step engine.Step, w int) []string {
	effect := s.P.Or("ui.effect."+string(step.Effect), string(step.Effect))
	token := theme.Dim
	if step.Effect == "destroy" {
		token = theme.Bad
	}
	out := []string{text.Cut("  "+s.T.S(theme.Strong, s.P.S(step.Title))+"  "+s.T.S(token, effect)+s.T.S(theme.Dim, "  "+step.Node), w)}
	for _, c := range step.Commands {
		for j, l := range text.Wrap(text.Clean(c.Command.Line()), max(20, w-6)) {
			lead := "      "
			if j == 0 {
				lead = "    $ "
			}
			out = append(out, s.T.S(theme.Dim, lead)+s.T.S(theme.Command, l))
		}
		if c.Command.Stdin != "" {
			for _, l := range strings.Split(strings.TrimRight(c.Command.Redact(c.Command.Stdin), "\n"), "\n") {
				out = append(out, text.Cut("      "+s.T.S(theme.Dim, "< "+text.Clean(l)), w))
			}
		}
	}
	if n := len(step.Checks); n > 0 {
		out = append(out, text.Cut("    "+s.T.S(theme.Dim, s.P.T("ui.review.checks", "n", n)), w))
	}
	return out
}

// script is a plan's commands as text that can be copied.
func script(p engine.Plan) string {
	var b strings.Builder
	for i, st := range p.Stages {
		fmt.Fprintf(&b, "# %d %s\n", i+1, st.ID)
		for _, step := range st.Steps {
			for _, c := range step.Commands {
				fmt.Fprintf(&b, "# %s\n%s\n", c.Node, c.Command.Line())
			}
		}
	}
	return b.String()
}

// stageText opens why each step of a stage is done and what a failure means.
func (s *Session) stageText(st engine.Stage) overlay.Overlay {
	return overlay.NewViewer(s.Kit, msg.M("ui.runbook.title", "procedure", st.Title), func(w int) []string {
		var out []string
		for i, step := range st.Steps {
			if i > 0 {
				out = append(out, "")
			}
			out = append(out, s.stepLines(step, w)...)
			out = append(out, indent(s.para(theme.Plain, step.Why, w-4, 20), 4)...)
			if !step.IfItFails.Zero() {
				out = append(out, indent(s.para(theme.Warn, msg.M("ui.review.ifitfails", "text", step.IfItFails), w-4, 20), 4)...)
			}
		}
		return out
	})
}
