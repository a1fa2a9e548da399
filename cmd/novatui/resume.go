package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/novatui/novatui/workflows"
	"github.com/novatui/novatui/workflows/engine"
)

func newResume(p *program) *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:     "resume [RUN]",
		GroupID: groupRuns,
		Short:   "Go on with a run that did not end",
		Long: `Go on with a run that stopped, was stopped, or died with its process. Steps that
are done stay done; of every other step reality is asked first whether it took
effect, so that nothing is done twice that must not be. Without RUN: the newest
resumable run of this cluster.

What was confirmed when the run began still holds. The cluster file must
describe the same cluster.

Output (-o): text, json (one event a line on stdout, schema novatui/event/v1).
Signals and exit statuses are those of apply.`,
		Example: `  novatui resume
  novatui resume RUN --cluster prod.yaml -o json`,
		Args:              atMost(1),
		ValidArgsFunction: p.completeRuns,
		RunE:              func(cmd *cobra.Command, args []string) error { return p.resume(cmd.Context(), args, f) },
	}
	f.register(cmd)
	return cmd
}

func (p *program) resume(ctx context.Context, args []string, f applyFlags) error {
	format, err := p.outputFormat("text", "json")
	if err != nil {
		return err
	}
	approval, err := f.approval()
	if err != nil {
		return err
	}
	cluster, err := p.inventory()
	if err != nil {
		return err
	}
	id, err := p.chooseRun(args, "no run of cluster "+cluster.Name+" can be resumed",
		func(r engine.RunInfo) bool { return r.Resumable && r.Cluster == cluster.Name })
	if err != nil {
		return err
	}
	stored, _, err := engine.LoadRun(p.runsDir(), id)
	if errors.Is(err, fs.ErrNotExist) {
		return usagef("novatui runs lists what there is", "no run %q", id)
	}
	if err != nil {
		return fmt.Errorf("reading run %s: %w", id, err)
	}
	s, err := p.openSession(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.sameCluster(stored.Cluster); err != nil {
		return err
	}
	run, plan, err := s.resume(ctx, id, stored, approval)
	if err != nil {
		return p.notStarted(err)
	}
	return s.finish(ctx, run, plan, format == "json")
}

// resume builds the functions of a stored plan again and lets the engine go on.
func (s *session) resume(ctx context.Context, id string, stored engine.Plan, approval engine.Approval) (*engine.Run, engine.Plan, error) {
	plan, err := workflows.Rebuild(site{s}, stored)
	if err != nil {
		return nil, plan, fmt.Errorf("building the plan of run %s again: %w", id, err)
	}
	run, err := engine.Resume(detached(ctx), s.options(plan, approval), id)
	if err != nil {
		return nil, plan, fmt.Errorf("resuming run %s: %w", id, err)
	}
	return run, plan, nil
}

// loadState adds up the journal of a run's folder.
func loadState(dir string) (engine.State, error) {
	_, events, err := engine.LoadRun(filepath.Dir(dir), filepath.Base(dir))
	if err != nil {
		return engine.State{}, fmt.Errorf("reading the journal: %w", err)
	}
	return engine.Replay(events), nil
}
