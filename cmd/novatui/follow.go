package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// follower prints a run as it goes, and turns the operator's signals into
// "stop at the next boundary" and "abort".
type follower struct {
	p    *program
	run  *engine.Run
	plan engine.Plan
	json bool

	cursor  uint64
	lines   map[string]uint64
	working map[string]bool // steps that were begun and have not ended
	writing error           // the first error of stdout; printing then ends
}

// follow prints the run until it has ended. The first signal stops it at the
// next boundary, the second aborts it; both say what that means. It never
// returns before the run has ended.
func (p *program) follow(ctx context.Context, run *engine.Run, plan engine.Plan, asJSON bool) {
	newFollower(p, run, plan, asJSON).follow(ctx, false)
}

// seeOff stops a run whose screen is gone at the next boundary, prints what
// still happens, and waits for its end.
func (p *program) seeOff(run *engine.Run, plan engine.Plan) {
	f := newFollower(p, run, plan, false)
	f.skip()
	p.say("%s", p.t("cmd.run.left", "run", run.ID()))
	run.Stop()
	f.follow(context.Background(), true)
}

func newFollower(p *program, run *engine.Run, plan engine.Plan, asJSON bool) *follower {
	return &follower{p: p, run: run, plan: plan, json: asJSON, lines: map[string]uint64{}, working: map[string]bool{}}
}

// skip leaves out what was shown already.
func (f *follower) skip() {
	events, next := f.run.Feed().Since(0, 0)
	f.cursor = next
	for _, e := range events {
		f.track(e)
	}
	for _, node := range f.plan.Nodes {
		_, f.lines[node] = f.run.Feed().Output(node, 0, 0)
	}
}

// follow prints until the run has ended. stopping says that it has been asked
// to stop already, so that the first signal aborts it. A signal that came
// before, while the run was being begun, has ended ctx.
func (f *follower) follow(ctx context.Context, stopping bool) {
	run := f.run
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, stopSignals...)
	defer signal.Stop(signals)
	if ctx.Err() != nil {
		select {
		case <-signals: // the same one
		default:
		}
		f.announce("cmd.run.stopping", os.Interrupt)
		run.Stop()
		stopping = true
	}
	for {
		changed := run.Feed().Changed()
		f.print()
		select {
		case s := <-signals:
			f.print()
			if stopping {
				f.announce("cmd.run.aborting", s)
				run.Abort()
			} else {
				f.announce("cmd.run.stopping", s)
				run.Stop()
			}
			stopping = true
		case <-run.Done():
			f.print()
			return
		case <-changed:
		}
	}
}

// announce says what a signal leads to, naming the steps under way.
func (f *follower) announce(id string, s os.Signal) {
	name := signalName(s)
	if len(f.working) == 0 {
		f.p.say("%s", f.p.t(id+"-none", "signal", name))
		return
	}
	var steps []string
	for step := range f.working {
		steps = append(steps, step)
	}
	slices.Sort(steps)
	f.p.say("%s", f.p.t(id, "signal", name, "steps", steps))
}

func signalName(s os.Signal) string {
	if s == os.Interrupt {
		return "Ctrl-C"
	}
	return s.String()
}

// printed is one line of output with the time that orders it among the others.
type printed struct {
	at   time.Time
	text string
}

// print writes everything that is new, events and lines of all nodes in the
// order in which they happened.
func (f *follower) print() {
	events, next := f.run.Feed().Since(f.cursor, 0)
	f.cursor = next
	var all []printed
	for _, e := range events {
		f.track(e)
		switch {
		case f.json:
			f.encode(e)
		default:
			if text := f.eventText(e); text != "" {
				all = append(all, printed{e.Time, text})
			}
		}
	}
	if f.json {
		return
	}
	for _, node := range f.plan.Nodes {
		lines, next := f.run.Feed().Output(node, f.lines[node], 0)
		f.lines[node] = next
		for _, l := range lines {
			all = append(all, printed{l.Time, f.lineText(l)})
		}
	}
	slices.SortStableFunc(all, func(a, b printed) int { return a.at.Compare(b.at) })
	for _, l := range all {
		f.write(l.text + "\n")
	}
}

// track keeps the list of steps under way.
func (f *follower) track(e engine.Event) {
	switch e.Type {
	case engine.StepIntent:
		f.working[e.Step] = true
	case engine.StepDone, engine.StepFailed, engine.StepSkipped:
		delete(f.working, e.Step)
	default:
	}
}

func (f *follower) encode(e engine.Event) {
	b, err := json.Marshal(e)
	if err != nil {
		f.p.say("novatui: event %d cannot be printed: %v", e.Seq, err)
		return
	}
	f.write(string(b) + "\n")
}

// write writes to stdout. When nobody reads any more, the run goes on silently:
// the journal and the transcripts have everything.
func (f *follower) write(s string) {
	if f.writing != nil {
		return
	}
	if _, f.writing = fmt.Fprint(f.p.stdout, s); f.writing != nil {
		f.p.say("novatui: writing the output: %v; the run goes on", f.writing)
	}
}

// eventText is an event in words; empty for what the lines of the nodes show
// anyway.
func (f *follower) eventText(e engine.Event) string {
	pr := f.p.msgs()
	prefix := ""
	if e.Node != "" {
		prefix = "[" + e.Node + "] "
	}
	switch e.Type {
	case engine.RunStarted:
		return pr.T("cmd.run.started", "run", e.Run, "title", f.plan.Title)
	case engine.RunResumed:
		return pr.T("cmd.run.resumed", "run", e.Run, "title", f.plan.Title)
	case engine.StageStarted:
		i := slices.IndexFunc(f.plan.Stages, func(s engine.Stage) bool { return s.ID == e.Stage })
		if i < 0 {
			return ""
		}
		return "\n" + pr.T("cmd.run.stage", "i", i+1, "of", len(f.plan.Stages), "title", f.plan.Stages[i].Title)
	case engine.StepIntent:
		return prefix + "> " + oneLine(pr.S(f.stepTitle(e.Step)))
	case engine.StepSkipped:
		return prefix + pr.T("cmd.run.skipped", "title", f.stepTitle(e.Step))
	case engine.StepFailed:
		return prefix + oneLine(pr.T("cmd.run.failed", "title", f.stepTitle(e.Step), "error", e.Error))
	case engine.GuardChecked:
		return f.guardText(e, prefix)
	case engine.WouldRun:
		return f.wouldText(e, prefix)
	case engine.Warning, engine.Paused, engine.Continued, engine.RunStopped, engine.RunDone:
		return prefix + strings.TrimSpace(pr.S(e.Text))
	case engine.Note, engine.CommandStart, engine.CommandEnd, engine.StepProbed, engine.StepDone, engine.StageDone, engine.ValueSet:
	}
	return ""
}

func (f *follower) guardText(e engine.Event, prefix string) string {
	g := e.Finding
	if g == nil || g.Result == engine.Pass {
		return ""
	}
	pr := f.p.msgs()
	word := pr.T("cmd.guard." + string(g.Result))
	if g.Overridden {
		word = pr.T("cmd.guard.overridden")
	}
	return prefix + oneLine(word+" "+g.ID+": "+pr.S(g.Reason))
}

func (f *follower) wouldText(e engine.Event, prefix string) string {
	if e.Line != "" {
		return prefix + "$ " + oneLine(e.Line)
	}
	return prefix + "> " + oneLine(f.p.msgs().S(f.stepTitle(e.Step)))
}

func (f *follower) stepTitle(id string) msg.Msg {
	if _, step := f.plan.Step(id); step != nil {
		return step.Title
	}
	return msg.Raw(id)
}

// lineText is a line of a node's pane.
func (f *follower) lineText(l engine.OutputLine) string {
	prefix := "[" + l.Node + "] "
	switch l.Kind {
	case engine.LineCommand:
		return prefix + "$ " + strings.TrimPrefix(l.Text, "$ ")
	case engine.LineNote:
		return prefix + "# " + oneLine(f.p.msgs().S(l.Msg))
	case engine.LineGap:
		return prefix + f.p.t("cmd.run.gap", "n", int(l.Missing)) //nolint:gosec // far below the limit
	case engine.LineOut, engine.LineErr:
	}
	return prefix + "  " + remote.Clean(l.Text)
}

// ended explains how a run ended and makes the error that sets the exit status.
// The follower's words have told the outcome already, its JSON has not.
func (p *program) ended(r engine.Result, asJSON bool) error {
	if r.Outcome == engine.OutcomeDone && r.Err == nil {
		return nil
	}
	if asJSON {
		p.say("%s", p.t("cmd.run.outcome."+string(r.Outcome)))
	}
	if r.Err != nil {
		p.say("  %s", oneLine(p.msgs().S(engine.Explain(r.Err))))
	}
	for _, step := range r.Unknown {
		p.say("  %s", p.t("cmd.run.unknown-step", "step", step))
	}
	if r.Outcome != engine.OutcomeRefused && r.Outcome != engine.OutcomeLocked {
		p.say("%s", p.t("cmd.run.how-to-resume", "run", r.Run))
	}
	return fmt.Errorf("%w: %w", errSilent, r.Err)
}

// detached is the context that a run lives in: it outlives the signals, which
// the follower turns into a stop at a boundary.
func detached(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }
