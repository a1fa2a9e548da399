package screens

import (
	"context"

	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/workflows/engine"
)

// rollbackPlanned is the plan to take a run back, or why there is none.
type rollbackPlanned struct {
	run  string
	plan planned
}

// planRollback asks for the plan to take a run back. It changes nothing.
func (s *Session) planRollback(run string) tea.Cmd {
	req := backend.PlanRequest{Procedure: etcdops.ProcedureRollback, Run: run}
	return s.Do(func(ctx context.Context) tea.Msg {
		plan, err := s.Back.Plan(ctx, req)
		return rollbackPlanned{run: run, plan: planned{plan: plan, err: err, req: req}}
	})
}

// reviewRollback opens the review of a rollback above the diagnosis, which is
// where its end leads back to; gone is called when there is one to review.
func (s *Session) reviewRollback(m rollbackPlanned, gone func()) tea.Cmd {
	if m.plan.err != nil {
		s.Open(refusal(s, msg.M("rollback.no-plan"), m.plan.err))
		return nil
	}
	gone()
	return tea.Batch(s.Push(NewDiagnose(s)), s.Push(NewReview(s, m.plan.plan, m.plan.req)))
}

// choices are what can be done about an unfinished run, by the names of their
// texts. A rollback is gone on with or left, never rolled back.
func (c *Connect) choices() []string {
	if len(c.unfinished) > 0 && c.unfinished[0].Undoes == "" && c.unfinished[0].Changed {
		return []string{"resume", "diagnose", "rollback"}
	}
	return []string{"resume", "diagnose"}
}

func (c *Connect) chosen() string { return c.choices()[min(c.choice, len(c.choices())-1)] }

func (c *Connect) nextChoice(down bool) {
	n, step := len(c.choices()), 1
	if !down {
		step = n - 1
	}
	c.choice = (c.choice + step) % n
}

// canRollBack: the run changed something, and is no rollback itself. How far it
// can be taken back, its plan says.
func (e *Execute) canRollBack() bool {
	return e.stopped() && e.result.Changed && e.plan.Undoes == "" &&
		e.result.Outcome != engine.OutcomeRefused && e.result.Outcome != engine.OutcomeLocked
}

// rollBack asks for the plan to take the run back.
func (e *Execute) rollBack() tea.Cmd {
	if e.undoing {
		return nil
	}
	e.undoing = true
	return e.s.planRollback(e.run.ID())
}

// reviewRollback shows it, above a fresh diagnosis.
func (e *Execute) reviewRollback(m rollbackPlanned) tea.Cmd {
	e.undoing = false
	if m.plan.err != nil {
		e.s.Open(refusal(e.s, msg.M("rollback.no-plan"), m.plan.err))
		return nil
	}
	e.s.BackTo(StepDiagnose)
	return e.s.Push(NewReview(e.s, m.plan.plan, m.plan.req))
}

// after goes on from the stopped run: to the run as it was resumed, or to the
// review of its rollback.
func (e *Execute) after(m tea.Msg) tea.Cmd {
	switch m := m.(type) {
	case rollbackPlanned:
		if e.undoing && m.run == e.run.ID() {
			return e.reviewRollback(m)
		}
	case Started:
		if e.resuming {
			e.resuming = false
			return e.goOn(m)
		}
	}
	return nil
}
