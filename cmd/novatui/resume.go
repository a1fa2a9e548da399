package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/novatui/novatui/inventory"
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
describe the same cluster. When somebody else holds the cluster it is refused
and says who; --take-over takes it from a run that gave no sign of life for 30 s.

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
	id := ""
	if len(args) == 1 {
		id = args[0]
	} else if runs := p.resumable(cluster); len(runs) > 0 {
		id = runs[0].ID
	} else {
		return usagef("novatui runs lists what there is", "no run of cluster %s can be resumed", cluster.Name)
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
	if err := sameCluster(stored, s.cluster); err != nil {
		return err
	}
	run, plan, err := s.resume(ctx, id, stored, approval)
	if err != nil {
		return p.notStarted(err)
	}
	return s.finish(ctx, run, plan, format == "json")
}

// resumable lists the runs of a cluster that can be resumed, newest first. A
// folder that cannot be read as a run is not among them; `novatui runs` names it.
func (p *program) resumable(c inventory.Cluster) []engine.RunInfo {
	runs, _ := engine.Runs(p.runsDir())
	return slices.DeleteFunc(runs, func(r engine.RunInfo) bool {
		if !r.Resumable {
			return true
		}
		plan, _, err := engine.LoadRun(p.runsDir(), r.ID)
		return err != nil || sameCluster(plan, c) != nil
	})
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
