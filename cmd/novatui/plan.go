package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows"
	"github.com/novatui/novatui/workflows/engine"
)

// planned are the procedures that can be asked for by name.
var planned = []string{"restart", "rejoin", "restore", "salvage"}

type planFlags struct {
	nodes     []string
	snapshots []string
	overrides []string
	out       string
}

func newPlan(p *program) *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:     "plan restart|rejoin|restore|salvage",
		GroupID: groupRepair,
		Short:   "Print what a procedure would do, exactly",
		Long: `Look at the cluster and print the plan of a procedure: its stages, the exact
commands on each node, the guards and what they rest on. Nothing is changed.

  restart   start members that are down; needs --node
  rejoin    remove one member, set its data aside, add it again; needs --node
  restore   put the whole cluster back to a snapshot; needs --snapshot
  salvage   quorum is lost: restore the cluster from the member that still
            answers

A guard that blocks makes the exit status 3, and no file is written. Some
blocks can be overridden by typing a phrase that the refusal names; others
never.

Output (-o): text, json (schema novatui/plan/v1, what apply reads), script
(the commands, to read; it refuses to run).`,
		Example: `  novatui plan restart --node master-2
  novatui plan rejoin --node master-2 --out rejoin.json
  novatui plan restore --snapshot master-1:/tmp/etcd_snapshot.db.tar.gz -o script
  novatui plan restore --snapshot /tmp/etcd.db --override 'restore-while-quorum=restore-while-quorum prod'`,
		ValidArgs: planned,
		Args:      exactly("a procedure: " + strings.Join(planned, ", ")),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.plan(cmd, args[0], f)
		},
	}
	cmd.Flags().StringSliceVar(&f.nodes, "node", nil, "`NODE` to act on; may be given several times")
	cmd.Flags().StringArrayVar(&f.snapshots, "snapshot", nil, "snapshot to restore: `[NODE:]PATH` as diagnose lists it")
	cmd.Flags().StringArrayVar(&f.overrides, "override", nil, "override a guard by its phrase: `GUARD=PHRASE`")
	cmd.Flags().StringVar(&f.out, "out", "", "write the plan to `FILE` (JSON, mode 0600) for apply")
	_ = cmd.MarkFlagFilename("out", "json")
	return cmd
}

func (p *program) plan(cmd *cobra.Command, procedure string, f planFlags) error {
	format, err := p.outputFormat("text", "json", "script")
	if err != nil {
		return err
	}
	request, err := planRequest(cmd, procedure, f)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	s, err := p.openSession(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	facts, verdict, err := s.Diagnose(ctx)
	if err != nil {
		return err
	}
	plan, err := workflows.Build(ctx, site{s}, facts, verdict, request)
	if err != nil {
		return requestError(err)
	}
	if blocked := blocking(plan, request.Overrides); len(blocked) > 0 {
		if format == "text" {
			if err := writePlanText(p.stdout, plan, p.msgs()); err != nil {
				return err
			}
		}
		return p.refuse(plan.Procedure, blocked)
	}
	if f.out != "" {
		if err := writePlanFile(f.out, plan); err != nil {
			return err
		}
		p.say("%s", p.t("cmd.plan.saved", "file", f.out, "cluster", remote.Quote(plan.Cluster)))
	}
	switch format {
	case "json":
		return writeJSON(p.stdout, plan)
	case "script":
		return writePlanScript(p.stdout, plan, p.msgs())
	}
	return writePlanText(p.stdout, plan, p.msgs())
}

// planRequest checks the command line before anything is connected.
func planRequest(cmd *cobra.Command, procedure string, f planFlags) (workflows.Request, error) {
	r := workflows.Request{Procedure: etcdops.Procedure(procedure), Nodes: f.nodes}
	switch procedure {
	case "restart", "rejoin":
		if len(f.nodes) == 0 {
			return r, usagef("name it with --node; novatui diagnose says which", "%s needs a node", procedure)
		}
		if procedure == "rejoin" && len(f.nodes) > 1 {
			return r, usagef("plan and apply them one after the other", "rejoin acts on one node at a time")
		}
		if len(f.snapshots) > 0 {
			return r, usagef(helpHint(cmd), "%s takes no snapshot", procedure)
		}
	case "restore":
		if len(f.snapshots) == 0 {
			return r, usagef("name it with --snapshot [NODE:]PATH; novatui diagnose -o json lists those found",
				"restore needs a snapshot")
		}
		if len(f.nodes) > 0 {
			return r, usagef("leave --node out", "restore acts on every node")
		}
	case "salvage":
		if len(f.nodes)+len(f.snapshots) > 0 {
			return r, usagef("leave --node and --snapshot out", "salvage acts on every node, with the data of the member that answers")
		}
	default:
		return r, usagef("there are: "+strings.Join(planned, ", "), "unknown procedure %q", procedure)
	}
	for _, s := range f.snapshots {
		ref, err := parseSnapshot(s)
		if err != nil {
			return r, err
		}
		r.Snapshots = append(r.Snapshots, ref)
	}
	var err error
	r.Overrides, err = parseOverrides(f.overrides)
	return r, err
}

// parseSnapshot reads [NODE:]PATH. A control character in the path is refused
// as an unsafe request, not as a typing error: no command is made of it.
func parseSnapshot(s string) (workflows.SnapshotRef, error) {
	ref := workflows.SnapshotRef{Path: s}
	if node, path, ok := strings.Cut(s, ":"); ok && !strings.HasPrefix(s, "/") {
		ref = workflows.SnapshotRef{Node: node, Path: path}
	}
	if strings.IndexFunc(s, unicode.IsControl) >= 0 {
		return ref, fmt.Errorf("%w: the snapshot path %q holds a control character", engine.ErrRefused, s)
	}
	if !filepath.IsAbs(ref.Path) {
		return ref, usagef("give it as NODE:/path or /path", "snapshot %q has no absolute path", s)
	}
	return ref, nil
}

// parseOverrides reads GUARD=PHRASE pairs.
func parseOverrides(list []string) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	overrides := make(map[string]string, len(list))
	for _, o := range list {
		guard, phrase, ok := strings.Cut(o, "=")
		if !ok || guard == "" || phrase == "" {
			return nil, usagef("give it as --override 'GUARD=PHRASE'; the refusal names both", "override %q is not GUARD=PHRASE", o)
		}
		overrides[guard] = phrase
	}
	return overrides, nil
}

// blocking marks what was overridden in the plan's findings and returns those
// that still forbid to go on.
func blocking(plan engine.Plan, overrides map[string]string) []engine.Finding {
	var blocked []engine.Finding
	for i := range plan.Guards {
		g := &plan.Guards[i]
		g.Overridden = g.Overridden || g.Result == engine.Block && g.Override != "" && overrides[g.ID] == g.Override
		if g.Stops() {
			blocked = append(blocked, *g)
		}
	}
	return blocked
}

// refuse says why, one guard a line, and what must be typed where typing helps.
func (p *program) refuse(procedure string, blocked []engine.Finding) error {
	pr := p.msgs()
	for _, g := range blocked {
		line := pr.T("cmd.guard.block") + " " + g.ID + ": " + oneLine(pr.S(g.Reason))
		if g.Fact != "" {
			line += " [" + oneLine(g.Fact) + "]"
		}
		p.say("%s", line)
		if g.Override != "" {
			p.say("  %s", pr.T("cmd.guard.override", "flag", remote.Quote(g.ID+"="+g.Override)))
		}
	}
	return fmt.Errorf("%s: %w", procedure, engine.ErrRefused)
}

// writePlanFile writes a plan where only its owner can read it: it holds the
// facts about the cluster. An existing file is replaced whole or not at all.
func writePlanFile(path string, plan engine.Plan) error {
	b, err := engine.EncodePlan(plan)
	if err != nil {
		return err
	}
	return writeFileWhole(path, b)
}

// writeFileWhole writes a file of mode 0600 beside path and renames it into
// place, so that nobody ever reads half of it.
func writeFileWhole(path string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".novatui-*")
	if err != nil {
		return badFile(fmt.Errorf("writing %s: %w", path, err), "choose a folder that can be written to")
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // already renamed when all went well
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// maxPlanBytes bounds a plan file; a plan of a large cluster has about 1 MB.
const maxPlanBytes = 32 << 20

// readPlanFile reads what plan --out or plan -o json wrote, and proves that
// nobody changed it since.
func readPlanFile(path string) (engine.Plan, error) {
	const hint = "give a file that `novatui plan ... --out FILE` wrote"
	info, err := os.Stat(path)
	if err != nil {
		return engine.Plan{}, badFile(fmt.Errorf("reading the plan: %w", err), hint)
	}
	if !info.Mode().IsRegular() || info.Size() > maxPlanBytes {
		return engine.Plan{}, usagef(hint, "%s is not a plan file", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return engine.Plan{}, badFile(fmt.Errorf("reading the plan: %w", err), hint)
	}
	plan, err := engine.DecodePlan(b)
	if err != nil {
		return plan, badFile(fmt.Errorf("%s: %w", path, err), hint)
	}
	return plan, nil
}
