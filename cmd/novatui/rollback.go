package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/workflows"
	"github.com/novatui/novatui/workflows/engine"
)

func newRollback(p *program) *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:     "rollback RUN",
		GroupID: groupRuns,
		Short:   "Take a run back, as far as it can go",
		Long: `Plan the way back of a run from its journal and from fresh facts, show it, and
run it. What the run restored is set aside, the old data go back into place, then
the env files and the units; at the end it is proved that everything is as it
was when the run began. Nothing is deleted, and nothing is repaired: where the
cluster was broken before, it is broken again.

  restart   the units get their state of before; a member that is healthy now is
            not stopped again
  rejoin    until the member is removed from the membership; after that there is
            no way back
  restore   as long as the old data lie aside; once the restored cluster was
  salvage   started, what clients wrote into it is lost from service, and that
            must be typed (--override)

A plan with steps that cannot be undone needs --confirm with the cluster's name;
without it the plan is shown and refused. The rollback is a run of its own: it
can be stopped, killed and resumed, and "novatui runs" names it. The run that was
taken back cannot be resumed any more. A rollback is not rolled back.

Output (-o): text (the plan with --dry-run, progress otherwise), json (the plan,
schema novatui/plan/v1, with --dry-run; otherwise one event a line, schema
novatui/event/v1). Signals and exit statuses are those of apply.`,
		Example: `  novatui rollback RUN --dry-run
  novatui rollback RUN --confirm=prod
  novatui rollback RUN --confirm=prod --override 'rollback-writes=rollback-writes prod' -o json`,
		Args:              exactly("a run; novatui runs lists them"),
		ValidArgsFunction: p.completeRuns,
		RunE:              func(cmd *cobra.Command, args []string) error { return p.rollback(cmd.Context(), args[0], f) },
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.dry, "dry-run", false, "print the plan, as novatui plan does; change nothing")
	return cmd
}

func (p *program) rollback(ctx context.Context, id string, f applyFlags) error {
	format, err := p.outputFormat("text", "json")
	if err != nil {
		return err
	}
	approval, err := f.approval()
	if err != nil {
		return err
	}
	if _, _, err := p.undoable(id); err != nil {
		return p.notUndone(err)
	}
	s, err := p.openSession(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	plan, err := s.planRollback(ctx, id)
	if err != nil {
		return p.notUndone(err)
	}
	if err := p.showRollback(plan, approval, f.dry, format); err != nil || f.dry {
		return err
	}
	run, err := engine.Start(detached(ctx), s.options(plan, approval))
	if err != nil {
		return p.notStarted(err)
	}
	return s.finish(ctx, run, plan, format == "json")
}

// showRollback prints the plan where it is asked for or cannot run yet, and
// refuses it where a guard blocks or the cluster's name was not given.
func (p *program) showRollback(plan engine.Plan, approval engine.Approval, dry bool, format string) error {
	blocked := blocking(plan, approval.Overrides)
	unconfirmed := plan.Destroys() && approval.Confirm != plan.Cluster
	switch {
	case dry && format == "json" && len(blocked) == 0:
		return writeJSON(p.stdout, plan)
	case format == "text" && (dry || unconfirmed || len(blocked) > 0):
		if err := writePlanText(p.stdout, plan, p.msgs()); err != nil {
			return err
		}
	}
	if len(blocked) > 0 {
		return p.refuse(plan.Procedure, blocked)
	}
	return p.confirmed(plan, approval, dry)
}

// notUndone explains why there is no plan to take a run back: in our words where
// it is a refusal, as an error of usage or of the program otherwise.
func (p *program) notUndone(err error) error {
	switch engine.OutcomeOf(err) {
	case engine.OutcomeRefused, engine.OutcomeLocked:
		return p.notStarted(err)
	default:
		return requestError(err)
	}
}

// undoable reads a run and says, before anything is connected to, why it cannot
// be taken back.
func (p *program) undoable(id string) (engine.Plan, engine.State, error) {
	stored, events, err := engine.LoadRun(p.runsDir(), id)
	if errors.Is(err, fs.ErrNotExist) {
		return stored, engine.State{}, usagef("novatui runs lists what there is", "no run %q", id)
	}
	if err != nil {
		return stored, engine.State{}, fmt.Errorf("reading run %s: %w", id, err)
	}
	state := engine.Replay(events)
	if h, held := (engine.LocalLease{Dir: p.runsDir()}).Holder(stored.Cluster); held && h.Run == id {
		return stored, state, &engine.LockedError{Holder: h}
	}
	if err := engine.CheckUndone(p.runsDir(), id); err != nil {
		return stored, state, err
	}
	return stored, state, workflows.CanRollback(id, stored, state)
}

// planRollback plans to take a run back, from fresh facts.
func (s *session) planRollback(ctx context.Context, id string) (engine.Plan, error) {
	stored, state, err := s.p.undoable(id)
	if err != nil {
		return engine.Plan{}, err
	}
	if err := sameCluster(stored, s.cluster); err != nil {
		return engine.Plan{}, err
	}
	facts, verdict, err := s.Diagnose(ctx)
	if err != nil {
		return engine.Plan{}, err
	}
	plan, err := workflows.Rollback(ctx, site{s}, facts, verdict, stored, state)
	if err != nil {
		return plan, fmt.Errorf("planning the rollback of %s: %w", id, err)
	}
	return plan, nil
}

// rolledBack makes the report of a rollback out of what the run itself proved:
// that everything is as before. What the cluster is worth now is said beside it,
// and never called proved.
func (r *runReport) rolledBack(plan engine.Plan, state engine.State, after lookedAt) {
	r.Report.Proofs, r.Report.Cleanup, r.Report.StillDown = nil, nil, nil
	for _, m := range workflows.Proofs(state.Values) {
		r.Report.Proofs = append(r.Report.Proofs, backend.Proof{Title: m, Result: backend.Proved})
	}
	r.Report.Proved = state.Outcome == engine.OutcomeDone && len(r.Report.Proofs) > 0
	if after.Known {
		for _, m := range after.Verdict.Members {
			if !m.Healthy {
				name := m.Member.Name
				if name == "" {
					name = m.Node
				}
				r.Report.StillDown = append(r.Report.StillDown, remote.Clean(name))
			}
		}
	}
	switch {
	case !r.Report.Proved:
		r.Report.Headline = r.headline()
	case after.Known:
		r.Report.Headline = msg.M("rollback.headline.now", "run", plan.Undoes, "how", after.Verdict.Headline)
	default:
		r.Report.Headline = msg.M("rollback.headline", "run", plan.Undoes)
	}
}
