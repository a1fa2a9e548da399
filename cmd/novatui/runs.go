package main

import (
	"time"

	"github.com/spf13/cobra"

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
}

func newRuns(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "runs",
		GroupID: groupRuns,
		Short:   "List the runs of this machine",
		Long: `List the runs that were started on this machine, newest first, with how each
ended, whether it can be resumed, and by which run it was rolled back. No
connection is made.

With --cluster or --nodes only that cluster's runs are listed.

Output (-o): table, json (schema novatui/runs/v1).`,
		Example: `  novatui runs
  novatui runs --cluster prod.yaml
  novatui runs -o json`,
		Args: exactly(),
		RunE: func(*cobra.Command, []string) error { return p.listRuns() },
	}
}

func (p *program) listRuns() error {
	format, err := p.outputFormat("table", "json")
	if err != nil {
		return err
	}
	cluster := ""
	if p.flags.cluster != "" || p.flags.nodes != "" {
		c, err := p.inventory()
		if err != nil {
			return err
		}
		cluster = c.Name
	}
	runs := p.storedRuns(cluster)
	out := runsJSON{Schema: "novatui/runs/v1", Dir: p.runsDir(), Runs: []runJSON{}}
	t := textTable{header: []string{
		p.t("cmd.runs.col.run"), p.t("cmd.runs.col.cluster"), p.t("cmd.runs.col.procedure"),
		p.t("cmd.runs.col.started"), p.t("cmd.runs.col.outcome"), p.t("cmd.runs.col.stage"),
	}}
	for _, r := range runs {
		j := runJSON{
			ID: r.ID, Cluster: r.Cluster, Environment: r.Environment, Procedure: r.Procedure,
			Title: p.msgs().S(r.Title), Started: r.Started, Ended: r.Ended, Outcome: string(r.Outcome),
			Stage: p.msgs().S(r.Stage), Active: r.Active, Resumable: r.Resumable, Changed: r.Changed,
			Error: r.Error, Dir: r.Dir, Undoes: r.Undoes, UndoneBy: r.UndoneBy, RolledBack: r.RolledBack,
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
		t.add(j.ID, j.Cluster, j.Procedure, stamp(j.Started), said, j.Stage)
	}
	if format == "json" {
		return writeJSON(p.stdout, out)
	}
	if len(t.rows) == 0 {
		p.say("%s", p.t("cmd.runs.none", "dir", out.Dir))
		return nil
	}
	return t.write(p.stdout)
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
