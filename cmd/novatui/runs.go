package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/inventory"
	"github.com/novatui/novatui/workflows/engine"
)

// runsJSON is the JSON of `novatui runs -o json`.
type runsJSON struct {
	Schema string    `json:"schema"`
	Dir    string    `json:"dir"`
	Runs   []runJSON `json:"runs"`
}

type runJSON struct {
	ID          string    `json:"id"`
	Cluster     string    `json:"cluster"`
	Environment string    `json:"environment"`
	Procedure   string    `json:"procedure"`
	Title       string    `json:"title"`
	Started     time.Time `json:"started"`
	Ended       time.Time `json:"ended,omitzero"`
	Outcome     string    `json:"outcome"` // empty while it runs
	Stage       string    `json:"stage"`
	Active      bool      `json:"active"`
	Resumable   bool      `json:"resumable"`
	Changed     bool      `json:"changed"`
	Error       string    `json:"error,omitempty"`
	Dir         string    `json:"dir"`
	// Undoes is the run that this one takes back; UndoneBy the rollback that
	// took this one back (RolledBack) or began to.
	Undoes     string `json:"undoes,omitempty"`
	UndoneBy   string `json:"undone_by,omitempty"`
	RolledBack bool   `json:"rolled_back,omitempty"`
	// Done and Left count the steps, Unknown names those of which nobody knows.
	Done    int      `json:"steps_done"`
	Left    int      `json:"steps_left"`
	Unknown []string `json:"steps_unknown,omitempty"`
	// Nodes have the newest copy of a run that is not, or not so far, on this
	// machine; Holder runs it elsewhere now.
	Nodes  []string    `json:"nodes,omitempty"`
	Holder *holderJSON `json:"holder,omitempty"`
}

func newRuns(p *program) *cobra.Command {
	var local bool
	cmd := &cobra.Command{
		Use:     "runs",
		GroupID: groupRuns,
		Short:   "List the runs, also those begun on another machine",
		Long: `List the runs that were started on this machine, newest first, with how each
ended, whether it can be resumed, what of it is done, and by which run it was
rolled back. The cluster's nodes are asked for runs that were begun on another
machine and did not end; with --local, or where there is no cluster file, no
connection is made.

With --cluster or --nodes only that cluster's runs are listed.

Output (-o): table, json (schema novatui/runs/v1).`,
		Example: `  novatui runs
  novatui runs --cluster prod.yaml
  novatui runs -o json`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.listRuns(cmd.Context(), local) },
	}
	cmd.Flags().BoolVar(&local, "local", false, "connect to nothing: only the runs of this machine")
	return cmd
}

func (p *program) listRuns(ctx context.Context, local bool) error {
	format, err := p.outputFormat("table", "json")
	if err != nil {
		return err
	}
	runs, err := p.allRuns(ctx, local)
	if err != nil {
		return err
	}
	out := runsJSON{Schema: "novatui/runs/v1", Dir: p.runsDir(), Runs: []runJSON{}}
	t := textTable{header: []string{
		p.t("cmd.runs.col.run"), p.t("cmd.runs.col.cluster"), p.t("cmd.runs.col.procedure"),
		p.t("cmd.runs.col.started"), p.t("cmd.runs.col.outcome"), p.t("cmd.runs.col.steps"),
		p.t("cmd.runs.col.stage"),
	}}
	for _, r := range runs {
		j := runJSON{
			ID: r.ID, Cluster: r.Cluster, Environment: r.Environment, Procedure: r.Procedure,
			Title: p.msgs().S(r.Title), Started: r.Started, Ended: r.Ended, Outcome: string(r.Outcome),
			Stage: p.msgs().S(r.Stage), Active: r.Active, Resumable: r.Resumable, Changed: r.Changed,
			Error: r.Error, Dir: r.Dir, Undoes: r.Undoes, UndoneBy: r.UndoneBy, RolledBack: r.RolledBack,
			Done: r.Done, Left: r.Left, Unknown: r.Unknown, Nodes: r.Nodes, Holder: holderOf(r.Holder),
		}
		out.Runs = append(out.Runs, j)
		outcome := j.Outcome
		if r.Active {
			outcome = "running"
		}
		said := p.t("cmd.outcome." + outcome)
		switch {
		case r.RolledBack:
			said = p.t("rollback.runs.rolled-back", "run", r.UndoneBy)
		case r.UndoneBy != "":
			said = p.t("rollback.runs.rolling-back", "run", r.UndoneBy)
		}
		steps := p.t("cmd.runs.steps", "done", j.Done, "of", j.Done+j.Left+len(j.Unknown))
		if len(j.Unknown) > 0 {
			steps = p.t("cmd.runs.steps-unknown", "done", j.Done, "of", j.Done+j.Left+len(j.Unknown), "unknown", len(j.Unknown))
		}
		t.add(j.ID, j.Cluster, j.Procedure, stamp(j.Started), said, steps, j.Stage)
	}
	if format == "json" {
		return writeJSON(p.stdout, out)
	}
	if len(t.rows) == 0 {
		p.say("%s", p.t("cmd.runs.none", "dir", out.Dir))
		return nil
	}
	if err := t.write(p.stdout); err != nil {
		return err
	}
	for _, r := range out.Runs {
		switch {
		case r.Holder != nil:
			p.say("%s", p.t("cmd.runs.held", "run", r.ID, "owner", r.Holder.Owner, "host", r.Holder.Host, "seconds", r.Holder.AgeSeconds, "doing", r.Holder.Doing))
		case len(r.Nodes) > 0:
			p.say("%s", p.t("cmd.runs.on-nodes", "run", r.ID, "nodes", strings.Join(r.Nodes, ", ")))
		}
	}
	return nil
}

// allRuns lists this machine's runs, of the chosen cluster where one is chosen,
// and what the nodes know beyond them. Nodes that cannot be asked are named.
func (p *program) allRuns(ctx context.Context, local bool) ([]engine.RunInfo, error) {
	chosen := p.flags.cluster != "" || p.flags.nodes != ""
	cluster, name := inventory.Cluster{}, ""
	var err error
	switch {
	case chosen:
		if cluster, err = p.inventory(); err != nil {
			return nil, err
		}
		name = cluster.Name
	case !local:
		if path, errFind := inventory.Find(inventory.FindOptions{ConfigHome: p.getenv("XDG_CONFIG_HOME")}); errFind == nil {
			cluster, _, err = inventory.Load(path)
			local = err != nil // a file that was not asked for is not complained about
		} else {
			local = true
		}
	}
	runs := p.storedRuns(name)
	if local {
		return runs, nil
	}
	s := p.newSession(cluster, &terminalAsker{p: p}, func(node string, text msg.Msg) { p.say("%s: %s", node, p.msgs().S(text)) })
	defer s.close()
	h := s.lookElsewhere(ctx, cluster.Nodes, "")
	p.sayUnasked(h)
	if len(h.failed) == len(cluster.Nodes) {
		p.say("%s", p.t("cmd.handover.local-only"))
	}
	return h.merge(runs), nil
}

// storedRuns lists the runs, of one cluster unless that is empty. A folder that
// cannot be read is said and does not hide the others.
func (p *program) storedRuns(cluster string) []engine.RunInfo {
	runs, problems := engine.Runs(p.runsDir())
	for _, problem := range problems {
		p.say("novatui: %v", problem)
	}
	var chosen []engine.RunInfo
	for _, r := range runs {
		if cluster == "" || r.Cluster == cluster {
			chosen = append(chosen, r)
		}
	}
	return chosen
}

// completeRuns offers the runs' ids, newest first.
func (p *program) completeRuns(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	runs, _ := engine.Runs(p.runsDir())
	ids := make([]string, 0, len(runs))
	for _, r := range runs {
		ids = append(ids, r.ID+"\t"+r.Procedure+" "+r.Cluster)
	}
	return ids, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}
