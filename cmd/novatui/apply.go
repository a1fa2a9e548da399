package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/novatui/novatui/workflows"
	"github.com/novatui/novatui/workflows/engine"
)

// lookAfter bounds how long the report waits for a look at the cluster after a
// run; a node that hangs must not hold back what is known.
const lookAfter = 20 * time.Second

type applyFlags struct {
	confirm   string
	overrides []string
	dry       bool
	takeOver  bool
}

func (f *applyFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.confirm, "confirm", "", "`CLUSTER`'s name in full, for a plan with steps that cannot be undone")
	cmd.Flags().StringArrayVar(&f.overrides, "override", nil, "override a guard by its phrase: `GUARD=PHRASE`")
	cmd.Flags().BoolVar(&f.takeOver, "take-over", false, "take the cluster from a run that gave no sign of life for 30 s")
}

func (f *applyFlags) approval() (engine.Approval, error) {
	overrides, err := parseOverrides(f.overrides)
	return engine.Approval{Confirm: f.confirm, Overrides: overrides, TakeOver: f.takeOver}, err
}

func newApply(p *program) *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:     "apply PLAN.json",
		GroupID: groupRepair,
		Short:   "Run a saved plan",
		Long: `Run a plan that "novatui plan --out" wrote. The plan is made again from fresh
facts first; when it would do anything else than the saved one, because the
cluster changed meanwhile, it is refused.

A plan with steps that cannot be undone needs --confirm with the cluster's name.
While it runs, a lease on every node keeps other operators off. When somebody
else holds the cluster it is refused and says who; --take-over takes it from a
run that gave no sign of life for 30 s.

Every step is journalled before and after it. Ctrl-C (or SIGTERM, SIGHUP) stops
at the next boundary between steps, a second one aborts at once; either way
"novatui resume" goes on later. A long command that an abort (or a lost link, or
a killed novatui) left behind goes on on its node, and resume waits for it. At the end a report is written.

Output (-o): text (progress on stdout), json (one event a line on stdout, schema
novatui/event/v1; words on stderr).

Exit status: 0 done, 1 failed and nothing changed, 2 bad plan file, 3 refused,
4 stopped part-way, 5 another run holds the cluster, 6 outcome unknown,
130 interrupted.`,
		Example: `  novatui apply rejoin.json --confirm=prod
  novatui apply rejoin.json --dry-run
  novatui apply restore.json --confirm=prod --override 'restore-while-quorum=restore-while-quorum prod' -o json`,
		Args: exactly("the file of a plan"),
		RunE: func(cmd *cobra.Command, args []string) error { return p.apply(cmd.Context(), args[0], f) },
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.dry, "dry-run", false, "run only what reads: probes and guards; change nothing")
	return cmd
}

func (p *program) apply(ctx context.Context, path string, f applyFlags) error {
	format, err := p.outputFormat("text", "json")
	if err != nil {
		return err
	}
	approval, err := f.approval()
	if err != nil {
		return err
	}
	stored, err := readPlanFile(path)
	if err != nil {
		return err
	}
	if err := p.confirmed(stored, approval, f.dry); err != nil {
		return err
	}
	s, err := p.openSession(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := sameCluster(stored, s.cluster); err != nil {
		return err
	}
	facts, verdict, err := s.Diagnose(ctx)
	if err != nil {
		return err
	}
	plan, err := workflows.Reapply(ctx, site{s}, facts, verdict, stored, approval.Overrides)
	if err != nil {
		return p.staleOrBad(plan, approval, err)
	}
	if blocked := blocking(plan, approval.Overrides); len(blocked) > 0 {
		return p.refuse(plan.Procedure, blocked)
	}
	options := s.options(plan, approval)
	options.DryRun = f.dry
	run, err := engine.Start(detached(ctx), options)
	if err != nil {
		return p.notStarted(err)
	}
	if f.dry {
		p.say("%s", p.t("cmd.run.dry"))
	}
	return s.finish(ctx, run, plan, format == "json")
}

// confirmed refuses a plan that destroys and is not confirmed, before anything
// is connected to.
func (p *program) confirmed(plan engine.Plan, a engine.Approval, dry bool) error {
	switch {
	case a.Confirm != "" && a.Confirm != plan.Cluster:
		p.say("%s", p.t("cmd.confirm.wrong", "given", a.Confirm, "cluster", plan.Cluster))
	case plan.Destroys() && a.Confirm == "" && !dry:
		p.say("%s", p.t("cmd.confirm.needed", "cluster", plan.Cluster))
	default:
		return nil
	}
	return fmt.Errorf("%s: %w", plan.Procedure, engine.ErrNotConfirmed)
}

// staleOrBad explains why a saved plan cannot be applied: when the cluster
// changed so that a guard blocks now, the guard is the better answer.
func (p *program) staleOrBad(now engine.Plan, a engine.Approval, err error) error {
	if !errors.Is(err, engine.ErrPlanStale) {
		return requestError(err)
	}
	if blocked := blocking(now, a.Overrides); len(blocked) > 0 {
		_ = p.refuse(now.Procedure, blocked)
	}
	return withHint(err, "novatui diagnose, then plan again")
}

// notStarted explains why the engine refused to begin.
func (p *program) notStarted(err error) error {
	var refused *engine.RefusedError
	if errors.As(err, &refused) && len(refused.Findings) > 0 {
		return p.refuse("apply", refused.Findings)
	}
	p.say("novatui: %s", oneLine(p.msgs().S(engine.Explain(err))))
	p.sayHowToTakeOver(err)
	return fmt.Errorf("%w: %w", errSilent, err)
}

// sayHowToTakeOver says what can be done about a lease that is in the way.
func (p *program) sayHowToTakeOver(err error) {
	var locked *engine.LockedError
	switch {
	case !errors.As(err, &locked) || locked.Token == "" || locked.Lost:
	case locked.Stale:
		p.say("  %s", p.t("cmd.lease.take-over"))
	default:
		p.say("  %s", p.t("cmd.lease.wait"))
	}
}

// finish follows a run to its end, looks at the cluster, writes the report, and
// returns the error that sets the exit status.
func (s *session) finish(ctx context.Context, run *engine.Run, plan engine.Plan, asJSON bool) error {
	p := s.p
	p.follow(ctx, run, plan, asJSON)
	result := run.Wait()
	if run.Dir() != "" {
		// The signals that ended the run must not keep the report from looking.
		look, stop := withSignals(detached(ctx))
		defer stop()
		report, err := s.report(look, run.Dir(), plan)
		switch {
		case err != nil:
			p.say("novatui: the report could not be written: %v", err)
		default:
			p.say("%s", p.msgs().S(report.Report.Headline))
			p.say("%s", p.t("cmd.run.report", "path", report.Report.Path))
		}
	}
	return p.ended(result, asJSON)
}

// report looks at the cluster and writes the report of a run that has ended.
// Of a run that ended well the last look is its proof, taken after everything
// it changed: that one is judged, and not a second one a moment later.
func (s *session) report(ctx context.Context, dir string, plan engine.Plan) (runReport, error) {
	ctx, cancel := context.WithTimeout(ctx, lookAfter)
	defer cancel()
	state, err := loadState(dir)
	if err != nil {
		return runReport{}, err
	}
	look := s.Diagnose
	if state.Outcome == engine.OutcomeDone {
		look = s.lastFacts
	}
	after := lookedAt{}
	facts, verdict, err := look(ctx)
	if err == nil && ctx.Err() == nil {
		after = lookedAt{Known: true, Facts: s.withCopies(ctx, facts, plan), Verdict: verdict}
	}
	return s.p.writeReport(dir, buildReport(dir, plan, state, after))
}
