package screens

import (
	"context"
	"fmt"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/ui/logpane"
	"github.com/novatui/novatui/ui/overlay"
	"github.com/novatui/novatui/workflows/engine"
)

// Execute shows a run: a pane for each node, the stages, the state of etcd. It
// only looks; the run goes on whether it is looked at or not.
type Execute struct {
	s    *Session
	plan engine.Plan
	run  backend.Run

	events []engine.Event
	state  engine.State
	cursor uint64
	active map[string]activity // by node: the step under way
	notes  map[string]msg.Msg  // by node: the last word of progress

	nodes []string
	panes map[string]*pane
	at    int

	paused bool
	zoom   bool
	search *overlay.Editor
	idle   time.Duration // since how long the feed has been silent

	ended     bool
	result    engine.Result
	reporting bool
	resuming  bool
	undoing   bool // the plan of a rollback is being made
	choice    int

	live     etcdops.Facts
	liveAt   time.Time
	liveErr  error
	liveBusy bool
	liveOld  bool // a step has ended since the table was made
}

// pane is a node's output with its place in the feed.
type pane struct {
	*logpane.Pane
	cursor uint64
	last   time.Time
}

// activity is the step that a node is at.
type activity struct {
	step  string
	since time.Time
}

type (
	fed struct {
		run     string
		events  []engine.Event
		cursor  uint64
		lines   map[string][]engine.OutputLine
		cursors map[string]uint64
		last    map[string]time.Time
		ended   bool
		result  engine.Result
	}
	statusSeen struct {
		facts etcdops.Facts
		err   error
	}
	reported struct {
		run    string
		report backend.Report
		err    error
	}
)

const (
	// pullLimit bounds what one look at the feed brings, per node.
	pullLimit = 1000
	// pullIdle is the longest time between two looks while nothing happens.
	pullIdle = 250 * time.Millisecond
	// statusEvery is how often the live table is renewed.
	statusEvery = 2 * time.Second
)

// NewExecute makes the screen of a run.
func NewExecute(s *Session, plan engine.Plan, run backend.Run) *Execute {
	e := &Execute{
		s: s, plan: plan, run: run, state: engine.Replay(nil),
		active: map[string]activity{}, notes: map[string]msg.Msg{}, panes: map[string]*pane{},
		live: s.Facts, liveAt: s.FactsAt,
	}
	e.nodes = slices.Clone(plan.Nodes)
	if len(e.nodes) == 0 {
		e.nodes = s.NodeNames()
	}
	for _, n := range e.nodes {
		e.panes[n] = &pane{Pane: logpane.New(s.P.S)}
	}
	return e
}

// Step implements Screen.
func (e *Execute) Step() Step { return StepExecute }

// About implements Screen.
func (e *Execute) About() msg.Msg { return msg.M("ui.execute.about") }

// Place implements Screen: the stage stands where the path was.
func (e *Execute) Place() msg.Msg {
	i := e.stage()
	if i < 0 || e.ended {
		return msg.Msg{}
	}
	return msg.M("ui.execute.place", "at", i+1, "of", len(e.plan.Stages), "stage", e.plan.Stages[i].Title)
}

// Init implements Screen.
func (e *Execute) Init() tea.Cmd {
	e.s.Running, e.s.Run = true, e.run
	return tea.Batch(e.pull(), e.status())
}

// pull looks at the feed after a while, once; Update arms it again.
func (e *Execute) pull() tea.Cmd {
	wait := min(max(e.s.PullEvery, e.idle), pullIdle)
	run, cursor, nodes := e.run, e.cursor, e.nodes
	cursors := make(map[string]uint64, len(nodes))
	for n, p := range e.panes {
		cursors[n] = p.cursor
	}
	return e.s.After(wait, func(time.Time) tea.Msg { return readFeed(run, cursor, nodes, cursors) })
}

// readFeed reads what is new. Whether the run has ended is asked first, so that an
// end is only reported when everything before it was read.
func readFeed(run backend.Run, cursor uint64, nodes []string, cursors map[string]uint64) fed {
	ended := false
	select {
	case <-run.Done():
		ended = true
	default:
	}
	f := fed{run: run.ID(), lines: map[string][]engine.OutputLine{}, cursors: map[string]uint64{}, last: map[string]time.Time{}}
	f.events, f.cursor = run.Since(cursor, pullLimit)
	more := len(f.events) == pullLimit
	for _, n := range nodes {
		f.lines[n], f.cursors[n] = run.Output(n, cursors[n], pullLimit)
		f.last[n] = run.LastByte(n)
		more = more || len(f.lines[n]) >= pullLimit
	}
	if ended && !more {
		f.ended, f.result = true, run.Wait()
	}
	return f
}

// Update implements Screen.
func (e *Execute) Update(m tea.Msg) tea.Cmd {
	switch m := m.(type) {
	case fed:
		if m.run == e.run.ID() && !e.ended {
			return e.take(m)
		}
	case Tick:
		if e.s.Top() == Screen(e) && (e.liveOld || e.s.Now().Sub(e.liveAt) >= statusEvery) {
			e.liveOld = e.liveBusy
			return e.status()
		}
	case statusSeen:
		e.liveBusy, e.liveErr = false, m.err
		if m.err == nil {
			e.live, e.liveAt = m.facts, e.s.Now()
			e.s.see(m.facts)
		}
		if e.liveOld && e.s.Top() == Screen(e) {
			e.liveOld = false
			return e.status()
		}
	case reported:
		if m.run == e.run.ID() && e.reporting {
			e.reporting = false
			return e.showReport(m)
		}
	case rollbackPlanned, Started:
		return e.after(m)
	}
	return nil
}

func (e *Execute) status() tea.Cmd {
	if e.liveBusy {
		return nil
	}
	e.liveBusy = true
	return e.s.Do(func(ctx context.Context) tea.Msg {
		f, err := e.s.Back.Status(ctx)
		return statusSeen{facts: f, err: err}
	})
}

// take adds what the feed brought.
func (e *Execute) take(m fed) tea.Cmd {
	fresh := len(m.events) > 0
	for _, ev := range m.events {
		e.note(ev)
	}
	e.s.Paused = e.paused
	e.events = append(e.events, m.events...)
	e.cursor = m.cursor
	if fresh {
		e.state = engine.Replay(e.events)
	}
	for n, p := range e.panes {
		p.Append(m.lines[n])
		p.cursor, p.last = m.cursors[n], m.last[n]
		fresh = fresh || len(m.lines[n]) > 0
	}
	if m.ended {
		return e.end(m.result)
	}
	if fresh {
		e.idle = e.s.PullEvery
	} else {
		e.idle *= 2
	}
	return e.pull()
}

// note keeps what the screen says beside the state that Replay adds up.
func (e *Execute) note(ev engine.Event) {
	switch ev.Type {
	case engine.StepProbed, engine.StepIntent:
		if e.active[ev.Node].step != ev.Step {
			e.active[ev.Node] = activity{step: ev.Step, since: ev.Time}
			e.turnTo(ev.Node)
		}
	case engine.StepDone, engine.StepSkipped, engine.StepFailed:
		e.liveOld = true // the table must not tell of before the step
		delete(e.active, ev.Node)
		delete(e.notes, ev.Node)
	case engine.Note:
		e.notes[ev.Node] = ev.Text
	case engine.Paused:
		e.paused = true
	case engine.RunResumed:
		// What was under way when the run was cut off is not under way now.
		e.paused = false
		e.active = map[string]activity{}
		e.notes = map[string]msg.Msg{}
	case engine.Continued, engine.StageStarted:
		e.paused = false
	case engine.Warning:
		e.s.Flash(ev.Text)
	case engine.RunStopped, engine.RunDone:
		e.paused = false
		e.active = map[string]activity{}
	case engine.RunStarted, engine.StageDone, engine.GuardChecked, engine.CommandStart,
		engine.CommandEnd, engine.ValueSet, engine.WouldRun:
	}
}

// turnTo shows the pane of a node that begins to work, unless the operator
// reads in the one that is shown.
func (e *Execute) turnTo(node string) {
	i := slices.Index(e.nodes, node)
	shown := e.panes[e.nodes[e.at]]
	if i >= 0 && !e.zoom && shown.Following() && e.active[e.nodes[e.at]].step == "" {
		e.at = i
	}
}

func (e *Execute) end(r engine.Result) tea.Cmd {
	e.ended, e.result = true, r
	e.s.Running, e.s.Paused, e.s.Run = false, false, nil
	e.s.Forget()
	if r.Outcome == engine.OutcomeDone {
		return e.report()
	}
	return e.status()
}

func (e *Execute) report() tea.Cmd {
	if e.reporting {
		return nil
	}
	e.reporting = true
	run := e.run
	return e.s.Do(func(ctx context.Context) tea.Msg {
		r, err := e.s.Back.Report(ctx, run)
		return reported{run: run.ID(), report: r, err: err}
	})
}

func (e *Execute) showReport(m reported) tea.Cmd {
	if m.err != nil {
		e.s.Open(refusal(e.s, msg.M("ui.report.failed"), m.err))
		return nil
	}
	return e.s.Push(NewReport(e.s, m.report, e.run.ID()))
}

// resume goes on with the run that stopped.
func (e *Execute) resume() tea.Cmd {
	if e.resuming {
		return nil
	}
	e.resuming = true
	id := e.run.ID()
	return e.s.Do(func(ctx context.Context) tea.Msg {
		r, plan, err := e.s.Back.ResumeRun(ctx, id)
		return Started{Run: r, Plan: plan, Err: err}
	})
}

func (e *Execute) goOn(m Started) tea.Cmd {
	if m.Err != nil {
		e.s.Open(refusal(e.s, msg.M("ui.connect.resume-failed"), m.Err))
		return nil
	}
	e.s.BackTo(StepDiagnose)
	return e.s.Push(NewExecute(e.s, m.Plan, m.Run))
}

// stage is the number of the stage that was begun last, -1 before the first.
func (e *Execute) stage() int {
	return slices.IndexFunc(e.plan.Stages, func(st engine.Stage) bool { return st.ID == e.state.Stage })
}

// stepByID finds a step of the plan.
func (e *Execute) stepByID(id string) (engine.Step, bool) {
	for _, st := range e.plan.Stages {
		for _, step := range st.Steps {
			if step.ID == id {
				return step, true
			}
		}
	}
	return engine.Step{}, false
}

// pausing reports that a pause was asked for and has not begun.
func (e *Execute) pausing() bool { return !e.ended && !e.paused && e.run.Pausing() }

// savePane writes the shown pane to a file.
func (e *Execute) savePane() tea.Cmd {
	node := e.nodes[e.at]
	content := []byte(e.panes[node].Text())
	name := fmt.Sprintf("pane-%s-%s.txt", e.run.ID(), node)
	return e.s.Save(name, func() ([]byte, error) { return content, nil })
}
