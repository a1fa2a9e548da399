package main

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/workflows"
	"github.com/novatui/novatui/workflows/engine"
)

// reportSchema is the version of report.json, which report.md is made from.
const reportSchema = "novatui/report/v1"

// The files of a report, in the run's folder.
const (
	reportJSONFile     = "report.json"
	reportMarkdownFile = "report.md"
)

// runReport is a report before it is put into a language: what `novatui
// report` prints, in any language, also long after.
type runReport struct {
	Schema      string         `json:"schema"`
	Run         string         `json:"run"`
	Cluster     string         `json:"cluster"`
	Environment string         `json:"environment"`
	Procedure   string         `json:"procedure"`
	Title       msg.Msg        `json:"title"`
	Started     time.Time      `json:"started"`
	Ended       time.Time      `json:"ended,omitzero"`
	Outcome     engine.Outcome `json:"outcome"`
	Error       string         `json:"error,omitempty"`
	// LookedAt is when the proofs were taken; zero when nobody looked.
	LookedAt time.Time      `json:"looked_at,omitzero"`
	Report   backend.Report `json:"report"`
	Timeline []timelineStep `json:"timeline"`
	Approval []string       `json:"overrides,omitempty"`
}

// timelineStep is one step of the run as it went.
type timelineStep struct {
	Stage  msg.Msg       `json:"stage"`
	Title  msg.Msg       `json:"title"`
	Node   string        `json:"node"`
	Status engine.Status `json:"status"`
	Start  time.Time     `json:"start,omitzero"`
	End    time.Time     `json:"end,omitzero"`
	Error  string        `json:"error,omitempty"`
}

// lookedAt is what was seen after the run; Known is false when nobody looked
// or nothing could be seen.
type lookedAt struct {
	Known   bool
	Facts   etcdops.Facts
	Verdict etcdops.Verdict
}

// buildReport states what a run did, from its plan and journal, and what holds
// now, from facts taken after it.
func buildReport(dir string, plan engine.Plan, state engine.State, after lookedAt) runReport {
	r := runReport{
		Schema: reportSchema, Run: state.Run, Cluster: plan.Cluster, Environment: plan.Environment,
		Procedure: plan.Procedure, Title: plan.Title,
		Started: state.Started, Ended: state.Ended, Outcome: state.Outcome, Error: state.Error,
	}
	for guard, phrase := range state.Approval.Overrides {
		r.Approval = append(r.Approval, guard+"="+phrase)
	}
	slices.Sort(r.Approval)
	destroyed := r.timeline(plan, state)
	if destroyed {
		r.Report.Lost = plan.Lost
	}
	if after.Known {
		r.LookedAt = after.Facts.CollectedAt
		facts, verdict := restricted(plan, after.Facts, after.Verdict)
		r.Report.Proofs = prove(facts, verdict)
		r.Report.StillDown = stillDown(verdict, after.Verdict)
		if len(r.Report.StillDown) > 0 { // "every member" would be untrue
			r.Report.Proofs[0].Title = msg.M("report.proof.members-of-run")
			r.Report.Proofs[0].Detail = msg.M("report.detail.members-of-run",
				"what", r.Report.Proofs[0].Detail, "others", r.Report.StillDown)
		}
	}
	r.Report.Proved = state.Outcome == engine.OutcomeDone && allProved(r.Report.Proofs)
	r.Report.Headline = r.headline()
	r.Report.Todo = r.todo(after)
	r.files(dir, plan, after)
	if plan.Undoes != "" {
		r.rolledBack(plan, state, after)
	}
	return r
}

// restricted leaves out of facts and verdict the members that were down before
// the run and were no part of it: whether they are healthy now is not what the
// run has to prove. What remains to be done names them.
func restricted(plan engine.Plan, f etcdops.Facts, v etcdops.Verdict) (etcdops.Facts, etcdops.Verdict) {
	expected, err := workflows.Expected(plan)
	if err != nil || len(expected) == 0 {
		return f, v // nothing is left out that nobody names
	}
	f.Nodes = slices.DeleteFunc(slices.Clone(f.Nodes), func(n etcdops.NodeFacts) bool { return !slices.Contains(expected, n.Node) })
	others := func(m etcdops.MemberVerdict) bool { return m.Node != "" && !slices.Contains(expected, m.Node) }
	if v.State == etcdops.ClusterDegraded && slices.ContainsFunc(v.Members, others) {
		v.State = etcdops.ClusterHealthy // of those that are left
	}
	v.Members = slices.DeleteFunc(slices.Clone(v.Members), others)
	return f, v
}

// stillDown names the members that restricted left out and that are not
// healthy: the run was not about them, and the cluster is not healthy without.
func stillDown(of, all etcdops.Verdict) []string {
	var down []string
	for _, m := range all.Members {
		same := func(o etcdops.MemberVerdict) bool { return o.Node == m.Node && o.Member.ID == m.Member.ID }
		if m.Healthy || slices.ContainsFunc(of.Members, same) {
			continue
		}
		name := m.Member.Name
		if name == "" {
			name = m.Node
		}
		down = append(down, name)
	}
	return down
}

// timeline fills in the steps and what they changed, and reports whether one
// that destroys was done or may have been.
func (r *runReport) timeline(plan engine.Plan, state engine.State) (destroyed bool) {
	for _, stage := range plan.Stages {
		for _, step := range stage.Steps {
			st := state.Step(step.ID)
			r.Timeline = append(r.Timeline, timelineStep{
				Stage: stage.Title, Title: step.Title, Node: step.Node,
				Status: st.Status, Start: st.Started, End: st.Ended, Error: st.Error,
			})
			if step.Effect == remote.Read || st.Status == engine.StatusPending || st.Status == engine.StatusNotDone {
				continue
			}
			text := step.Title
			switch st.Status {
			case engine.StatusUnknown:
				text = msg.M("report.change.unknown", "what", step.Title)
			case engine.StatusFailed:
				text = msg.M("report.change.failed", "what", step.Title)
			case engine.StatusSkipped:
				text = msg.M("report.change.already", "what", step.Title)
			case engine.StatusDone, engine.StatusPending, engine.StatusNotDone:
			}
			r.Report.Changes = append(r.Report.Changes, backend.Change{Node: step.Node, Text: text})
			destroyed = destroyed || step.Effect == remote.Destroy
		}
	}
	return destroyed
}

// headline is the one sentence: proved, or what is not.
func (r *runReport) headline() msg.Msg {
	proofs := r.Report.Proofs
	switch {
	case r.Report.Proved && len(r.Report.StillDown) > 0:
		return msg.M("report.headline.partly", "time", r.LookedAt.Local().Format(time.TimeOnly),
			"others", r.Report.StillDown)
	case r.Report.Proved:
		return msg.M("report.headline.proved", "time", r.LookedAt.Local().Format(time.TimeOnly),
			"took", duration(r.LookedAt.Sub(r.Started)))
	case r.Outcome != engine.OutcomeDone:
		outcome := r.Outcome
		if outcome == "" {
			outcome = "running"
		}
		return msg.M("report.headline.ended", "outcome", msg.M("cmd.run.outcome."+string(outcome)))
	case len(proofs) == 0:
		return msg.M("report.headline.not-looked")
	}
	missing := []msg.Msg{}
	for _, p := range proofs {
		if p.Result != backend.Proved {
			missing = append(missing, p.Title)
		}
	}
	return msg.M("report.headline.not-proved", "what", missing)
}

// duration is a span of time in whole seconds, as people say it.
func duration(d time.Duration) msg.Msg {
	seconds := int(d.Round(time.Second) / time.Second)
	if seconds < 60 {
		return msg.M("report.seconds", "s", seconds)
	}
	return msg.M("report.minutes", "min", seconds/60, "s", seconds%60)
}

// todo is what remains to be done.
func (r *runReport) todo(after lookedAt) []backend.Todo {
	var todo []backend.Todo
	if r.Outcome != engine.OutcomeDone {
		todo = append(todo, backend.Todo{Text: msg.M("report.todo.resume", "run", r.Run)})
		if r.Procedure != string(etcdops.ProcedureRollback) && len(r.Report.Changes) > 0 {
			todo = append(todo, backend.Todo{Text: msg.M("rollback.todo", "run", r.Run), Procedure: etcdops.ProcedureRollback, Run: r.Run})
		}
	}
	if !after.Known {
		return append(todo, backend.Todo{Text: msg.M("report.todo.look")})
	}
	switch rec := after.Verdict.Recommended; rec.Procedure {
	case etcdops.ProcedureNone, "":
	default:
		todo = append(todo, backend.Todo{
			Text:      msg.M("report.todo.procedure", "procedure", msg.M("cmd.procedure."+string(rec.Procedure)), "nodes", rec.Nodes, "why", rec.Why),
			Procedure: rec.Procedure, Nodes: rec.Nodes,
		})
	}
	if r.Procedure == string(etcdops.ProcedureRestore) || r.Procedure == string(etcdops.ProcedureSalvage) {
		// procedures.md §3: what watches through the API must see the new
		// revisions from the start.
		todo = append(todo, backend.Todo{Text: msg.M("report.todo.kubernetes")})
	}
	return todo
}

// files says where everything lies: on this machine, and what the run set
// aside on the nodes (its names carry the plan's tag).
func (r *runReport) files(dir string, plan engine.Plan, after lookedAt) {
	r.Report.Path = filepath.Join(dir, reportMarkdownFile)
	r.Report.Files = append(r.Report.Files,
		backend.File{Title: msg.M("report.file.report"), Path: r.Report.Path},
		backend.File{Title: msg.M("report.file.run"), Path: dir},
	)
	if !after.Known || plan.Tag == "" {
		return
	}
	name := func(title, remove string, paths func(etcdops.NodeFacts) []string) {
		for _, n := range after.Facts.Nodes {
			for _, path := range paths(n) {
				base := filepath.Base(path)
				if !strings.Contains(base, plan.Tag) && !strings.HasSuffix(base, etcdops.ReleasedSuffix) {
					continue // another run's
				}
				r.Report.Files = append(r.Report.Files, backend.File{Title: msg.M(title), Node: n.Node, Path: path})
				// Until the end is proved, the copies and the old data are the way back.
				if r.Report.Proved {
					r.Report.Cleanup = append(r.Report.Cleanup, backend.Cleanup{Node: n.Node, Line: remove + remote.Quote(path)})
				}
			}
		}
	}
	name("report.file.aside", "rm -rf -- ", func(n etcdops.NodeFacts) []string { return n.Asides })
	name("report.file.copies", "rm -rf -- ", func(n etcdops.NodeFacts) []string { return n.Runs })
	name("report.file.kept", "rm -- ", func(n etcdops.NodeFacts) []string { return n.Kept })
}
