package screens

import (
	"context"
	"fmt"

	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/overlay"
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
	given    engine.Approval // what was typed
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
			r.s.Open(refused(r.s, msg.M("ui.review.not-started"), m.Err, func() tea.Cmd { return r.start(r.given) }))
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
		{Action: keys.Guards, Help: "ui.key.guards", Foot: true},
		{Action: keys.SavePlan, Help: "ui.key.saveplan"},
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
			return r.s.withGrounds(r.s.guardLines(r.plan.Guards, true, w), r.plan.Nodes, w)
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
	r.starting, r.given = true, a
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
	return append(out, r.wayBack(w)...)
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

// wayBack says how the run is taken back, after which stage there is no way back,
// and why.
func (r *Review) wayBack(w int) []string {
	why := r.plan.NoReturn
	if at := r.plan.NoReturnAt(); at > 0 {
		args := []any{"at", at, "stage", r.plan.Stages[at-1].Title, "why", r.plan.NoReturn}
		if why = msg.M("rollback.no-return", args...); r.plan.NoReturnCosts {
			why = msg.M("rollback.no-return-costs", args...)
		}
	}
	out := r.s.para(theme.Warn, why, w, 3)
	return append(out, r.s.para(theme.Plain, r.plan.WayBack, w, 2)...)
}
