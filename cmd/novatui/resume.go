package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/novatui/novatui/inventory"
	"github.com/novatui/novatui/remote"
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

A run that was begun on another machine is taken from the copies of its plan and
journal on the nodes: the one that goes furthest and can be proved to be whole.

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
	s, err := p.openSession(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	named := ""
	if len(args) == 1 {
		named = args[0]
	}
	id, stored, err := s.toResume(ctx, named, approval.TakeOver)
	if err != nil {
		return err
	}
	run, plan, err := s.resume(ctx, id, stored, approval)
	if err != nil {
		return p.notStarted(err)
	}
	return s.finish(ctx, run, plan, format == "json")
}

// toResume finds the run to go on with, by its name or the newest, here and on
// the nodes, and makes sure that this machine has what is known of it.
func (s *session) toResume(ctx context.Context, id string, takeOver bool) (string, engine.Plan, error) {
	p := s.p
	h := s.lookElsewhere(ctx, s.cluster.Nodes, id)
	p.sayUnasked(h)
	if id == "" {
		runs := slices.DeleteFunc(h.merge(p.resumable(s.cluster)), func(r engine.RunInfo) bool { return !r.Resumable && !r.Active })
		if len(runs) == 0 {
			return "", engine.Plan{}, usagef("novatui runs lists what there is", "no run of cluster %s can be resumed", s.cluster.Name)
		}
		id = runs[0].ID
	}
	if err := s.adopt(ctx, h, id, takeOver); err != nil {
		return id, engine.Plan{}, p.notStarted(err)
	}
	if f, ok := h.found[id]; ok {
		p.say("%s", p.t("cmd.handover.adopted", "run", id, "nodes", strings.Join(f.Info.Nodes, ", "),
			"done", f.Info.Done, "left", f.Info.Left, "unknown", len(f.Info.Unknown)))
	}
	stored, _, err := engine.LoadRun(p.runsDir(), id)
	switch {
	case errors.Is(err, fs.ErrNotExist) && h.bad[id] != nil:
		return id, stored, fmt.Errorf("run %s is only on the nodes: %w", id, h.bad[id])
	case errors.Is(err, fs.ErrNotExist):
		return id, stored, usagef("novatui runs lists what there is", "no run %q", id)
	case err != nil:
		return id, stored, fmt.Errorf("reading run %s: %w", id, err)
	}
	return id, stored, sameCluster(stored, s.cluster)
}

// sayUnasked names the nodes whose copies of runs are not known, and the copies
// that cannot be used.
func (p *program) sayUnasked(h handover) {
	if names := slices.Sorted(maps.Keys(h.failed)); len(names) > 0 {
		p.say("%s", p.t("cmd.handover.unasked", "nodes", strings.Join(names, ", ")))
	}
	for _, id := range slices.Sorted(maps.Keys(h.bad)) {
		p.say("%s", p.t("cmd.handover.bad", "run", id, "error", remote.Clean(h.bad[id].Error())))
	}
	for _, id := range slices.Sorted(maps.Keys(h.found)) {
		if f := h.found[id]; len(f.Bad)+len(f.Differ) > 0 {
			p.say("%s", p.t("cmd.handover.differ", "run", id, "nodes", strings.Join(slices.Concat(f.Bad, f.Differ), ", ")))
		}
	}
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
