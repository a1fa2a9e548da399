package engine

import (
	"maps"
	"slices"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// Summary is a run as a report tells it.
type Summary struct {
	Run         string    `json:"run"`
	Procedure   string    `json:"procedure"`
	Cluster     string    `json:"cluster"`
	Environment string    `json:"environment"`
	Title       msg.Msg   `json:"title"`
	Outcome     Outcome   `json:"outcome,omitempty"` // empty: it runs, or died
	Error       string    `json:"error,omitempty"`
	Started     time.Time `json:"started"`
	Ended       time.Time `json:"ended,omitzero"`
	// Duration is from the start to the end, or to the last event.
	Duration time.Duration  `json:"duration"`
	Resumes  int            `json:"resumes,omitempty"`
	Version  string         `json:"version,omitempty"`
	Stages   []StageSummary `json:"stages"`
	// Failed is the ID of the step that failed last and is not done since.
	Failed string `json:"failed,omitempty"`
	// Unknown are the IDs of the steps whose outcome is not known.
	Unknown []string `json:"unknown,omitempty"`
	// Changed is, for each node on which something may have been changed, the
	// commands that did, in their order.
	Changed []NodeChanges `json:"changed,omitempty"`
	// Findings are the guards that warned or blocked, Overridden among them.
	Findings []Finding         `json:"findings,omitempty"`
	Warnings []msg.Msg         `json:"warnings,omitempty"`
	Values   map[string]string `json:"values,omitempty"`
	Approval Approval          `json:"approval"`
}

// StageSummary is one stage of a Summary.
type StageSummary struct {
	ID       string        `json:"id"`
	Title    msg.Msg       `json:"title"`
	Status   Status        `json:"status"`
	Started  time.Time     `json:"started,omitzero"`
	Ended    time.Time     `json:"ended,omitzero"`
	Duration time.Duration `json:"duration"`
	Steps    []StepSummary `json:"steps"`
}

// StepSummary is one step of a Summary.
type StepSummary struct {
	ID       string           `json:"id"`
	Title    msg.Msg          `json:"title"`
	Node     string           `json:"node"`
	Effect   remote.Effect    `json:"effect"`
	Status   Status           `json:"status"`
	Started  time.Time        `json:"started,omitzero"`
	Ended    time.Time        `json:"ended,omitzero"`
	Error    string           `json:"error,omitempty"`
	Commands []CommandSummary `json:"commands,omitempty"`
}

// CommandSummary is one command that was run.
type CommandSummary struct {
	Node    string        `json:"node"`
	Line    string        `json:"line"`
	Effect  remote.Effect `json:"effect"`
	Started time.Time     `json:"started"`
	// Ended is zero, and Exit nil, when the end was not seen.
	Ended time.Time `json:"ended,omitzero"`
	Exit  *int      `json:"exit,omitempty"`
	Error string    `json:"error,omitempty"`
}

// NodeChanges are the commands beyond Read that ran on a node, and the steps
// beyond Read that were begun there.
type NodeChanges struct {
	Node     string           `json:"node"`
	Steps    []string         `json:"steps,omitempty"`
	Commands []CommandSummary `json:"commands,omitempty"`
}

// Summarize tells a run from its plan and its events, those of the journal or
// of the feed. It is a pure function.
func Summarize(p Plan, events []Event) Summary {
	state := Replay(events)
	s := Summary{
		Run: state.Run, Procedure: p.Procedure, Cluster: p.Cluster, Environment: p.Environment,
		Title: p.Title, Outcome: state.Outcome, Error: state.Error,
		Started: state.Started, Ended: state.Ended, Duration: state.Updated.Sub(state.Started),
		Resumes: state.Resumes, Version: state.Version, Unknown: state.Unknown(),
		Values: maps.Clone(state.Values), Approval: state.Approval,
	}
	commands, order := commandsOf(events)
	for _, e := range events {
		switch {
		case e.Type == GuardChecked && e.Finding != nil && e.Finding.Result != Pass:
			s.Findings = append(s.Findings, *e.Finding)
		case e.Type == Warning:
			s.Warnings = append(s.Warnings, e.Text)
		case e.Type == StepFailed && !state.Step(e.Step).Status.Finished():
			s.Failed = e.Step
		}
	}
	for i := range p.Stages {
		s.Stages = append(s.Stages, summarizeStage(&p.Stages[i], state, events, commands))
	}
	s.Changed = changes(p, state, order)
	return s
}

// stepCommand is a command with the step it ran for.
type stepCommand struct {
	step string
	CommandSummary
}

// commandsOf pairs the starts and ends of commands.
func commandsOf(events []Event) (byStep map[string][]CommandSummary, order []stepCommand) {
	at := map[uint64]int{}
	for _, e := range events {
		switch e.Type {
		case CommandStart:
			at[e.Seq] = len(order)
			order = append(order, stepCommand{e.Step, CommandSummary{
				Node: e.Node, Line: e.Line, Effect: e.Effect, Started: e.Time}})
		case CommandEnd:
			i, ok := at[e.Ref]
			if !ok {
				continue
			}
			order[i].Exit, order[i].Error = e.Exit, e.Error
			if e.Outcome != OutcomeUnknown {
				order[i].Ended = e.Time
			}
		default:
		}
	}
	byStep = map[string][]CommandSummary{}
	for _, c := range order {
		byStep[c.step] = append(byStep[c.step], c.CommandSummary)
	}
	return byStep, order
}

func summarizeStage(stage *Stage, state State, events []Event, commands map[string][]CommandSummary) StageSummary {
	out := StageSummary{ID: stage.ID, Title: stage.Title, Status: StatusPending}
	for _, e := range events {
		if e.Stage != stage.ID {
			continue
		}
		if e.Type == StageStarted && out.Started.IsZero() {
			out.Started = e.Time
		}
		if !out.Started.IsZero() {
			out.Ended = e.Time
		}
	}
	if !out.Started.IsZero() {
		out.Duration = out.Ended.Sub(out.Started)
		out.Status = StatusNotDone
	}
	var worst []Status
	for i := range stage.Steps {
		step := &stage.Steps[i]
		st := state.Step(step.ID)
		worst = append(worst, st.Status)
		out.Steps = append(out.Steps, StepSummary{
			ID: step.ID, Title: step.Title, Node: step.Node, Effect: step.Effect, Status: st.Status,
			Started: st.Started, Ended: st.Ended, Error: st.Error, Commands: commands[step.ID],
		})
	}
	switch {
	case slices.Contains(worst, StatusUnknown):
		out.Status = StatusUnknown
	case slices.Contains(worst, StatusFailed):
		out.Status = StatusFailed
	case slices.Contains(state.StagesDone, stage.ID):
		out.Status = StatusDone
	}
	return out
}

func changes(p Plan, state State, order []stepCommand) []NodeChanges {
	byNode := map[string]*NodeChanges{}
	of := func(node string) *NodeChanges {
		if byNode[node] == nil {
			byNode[node] = &NodeChanges{Node: node}
		}
		return byNode[node]
	}
	for _, c := range order {
		if rank(c.Effect) > 1 {
			n := of(c.Node)
			n.Commands = append(n.Commands, c.CommandSummary)
		}
	}
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			st := state.Step(step.ID)
			if step.Effect != remote.Read && st.Runs > 0 && st.Status != StatusNotDone {
				n := of(step.Node)
				n.Steps = append(n.Steps, step.ID)
			}
		}
	}
	var out []NodeChanges
	for _, node := range p.nodes() {
		if n := byNode[node]; n != nil {
			out = append(out, *n)
		}
	}
	return out
}
