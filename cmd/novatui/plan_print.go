package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// writePlanText prints a plan as the review screen shows it: what it is, what
// is kept and lost, every stage with its exact commands, the guards.
func writePlanText(w io.Writer, plan engine.Plan, pr *msg.Printer) error {
	var b strings.Builder
	b.WriteString(wrap(pr.T("cmd.plan.head", "title", plan.Title, "cluster", plan.Cluster,
		"environment", plan.Environment), "", textWidth) + "\n")
	// A plan that a guard blocks for good has no stages.
	if len(plan.Stages) > 0 {
		writeStages(&b, plan, pr)
	}
	b.WriteString("\n")
	writeGuards(&b, plan, pr)
	fmt.Fprintf(&b, "\n%s\n", pr.T("cmd.plan.hash", "hash", plan.Hash))
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the plan: %w", err)
	}
	return nil
}

// writeStages prints what a plan keeps and loses, and what it does.
func writeStages(b *strings.Builder, plan engine.Plan, pr *msg.Printer) {
	b.WriteString(wrap(pr.T("cmd.plan.size", "stages", pr.T("cmd.plan.stages", "n", len(plan.Stages)),
		"seconds", int(plan.Estimate)), "", textWidth) + "\n")
	for _, m := range append([]msg.Msg{plan.Kept, plan.WayBack, wayBackEnds(plan)}, plan.Lost...) {
		if !m.Zero() {
			b.WriteString(wrap(pr.S(m), "", textWidth) + "\n")
		}
	}
	for i, stage := range plan.Stages {
		fmt.Fprintf(b, "\n%2d  %s", i+1, oneLine(pr.S(stage.Title)))
		switch {
		case i+1 != plan.NoReturnAt():
		case plan.NoReturnCosts:
			b.WriteString("   <- " + pr.T("rollback.here-costs"))
		default:
			b.WriteString("   <- " + pr.T("cmd.plan.no-return"))
		}
		b.WriteString("\n")
		for _, step := range stage.Steps {
			writeStep(b, step, pr)
		}
	}
	b.WriteString("\n" + wrap(pr.T("cmd.plan.scripts"), "", textWidth) + "\n")
}

// wayBackEnds says after which stage there is no way back, and why.
func wayBackEnds(plan engine.Plan) msg.Msg {
	at := plan.NoReturnAt()
	if at == 0 {
		return plan.NoReturn
	}
	args := []any{"at", at, "stage", plan.Stages[at-1].Title, "why", plan.NoReturn}
	if plan.NoReturnCosts {
		return msg.M("rollback.no-return-costs", args...)
	}
	return msg.M("rollback.no-return", args...)
}

func writeStep(b *strings.Builder, step engine.Step, pr *msg.Printer) {
	head := "[" + step.Node + "] " + oneLine(pr.S(step.Title))
	if step.Effect != remote.Read {
		head += " (" + pr.T("cmd.effect."+string(step.Effect)) + ")"
	}
	b.WriteString(wrap(head, "    ", textWidth) + "\n")
	for _, c := range step.Commands {
		where := ""
		if c.Node != step.Node {
			where = "[" + c.Node + "] "
		}
		b.WriteString("      " + where + commandText(c.Command, pr) + "\n")
	}
}

// commandText is a command on one line. It is not wrapped, so that it can be
// copied. A script is named by its summary: it fills a screen, and -o script has
// it in full.
func commandText(c remote.Command, pr *msg.Printer) string {
	if line := c.Line(); c.Summary == "" || !strings.Contains(line, "\n") {
		return "$ " + oneLine(line)
	}
	return "* " + oneLine(c.ShortIn(pr.S))
}

func writeGuards(b *strings.Builder, plan engine.Plan, pr *msg.Printer) {
	passed := 0
	for _, g := range plan.Guards {
		if g.Result == engine.Pass {
			passed++
		}
	}
	b.WriteString(pr.T("cmd.plan.guards-passed", "n", passed) + "\n")
	for _, g := range plan.Guards {
		if g.Result == engine.Pass {
			continue
		}
		word := pr.T("cmd.guard." + string(g.Result))
		if g.Overridden {
			word = pr.T("cmd.guard.overridden")
		}
		b.WriteString(wrap(word+" "+g.ID+": "+pr.S(g.Reason), "  ", textWidth) + "\n")
		if g.Fact != "" {
			b.WriteString("      " + oneLine(g.Fact) + "\n")
		}
	}
}

// writePlanScript prints the commands of a plan as a shell script that is there
// to be read, copied from and reviewed. It ends at once when it is run: its
// commands belong to different nodes, wait for each other, and hold slots
// @{…} that only a run can fill.
func writePlanScript(w io.Writer, plan engine.Plan, pr *msg.Printer) error {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n")
	comment(&b, pr.T("cmd.plan.head", "title", plan.Title, "cluster", plan.Cluster, "environment", plan.Environment))
	comment(&b, pr.T("cmd.plan.hash", "hash", plan.Hash))
	comment(&b, pr.T("cmd.script.note"))
	fmt.Fprintf(&b, "echo %s >&2\nexit 2\n", remote.Quote(pr.T("cmd.script.refusal")))
	for i, stage := range plan.Stages {
		fmt.Fprintf(&b, "\n# --- %d. %s\n", i+1, oneLine(pr.S(stage.Title)))
		for _, step := range stage.Steps {
			comment(&b, pr.S(step.Title))
			for _, c := range step.Commands {
				fmt.Fprintf(&b, "# on %s (%s)\n", c.Node, c.Command.Effect)
				writeScriptCommand(&b, c.Command)
			}
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the plan: %w", err)
	}
	return nil
}

func comment(b *strings.Builder, text string) {
	b.WriteString(wrap(text, "# ", textWidth) + "\n")
}

func writeScriptCommand(b *strings.Builder, c remote.Command) {
	line := remote.Clean(c.Line())
	if c.Stdin == "" {
		b.WriteString(line + "\n")
		return
	}
	stdin := remote.Clean(c.Redact(c.Stdin))
	end := "EOF"
	for strings.Contains(stdin, end) {
		end += "_"
	}
	fmt.Fprintf(b, "%s <<'%s'\n%s\n%s\n", line, end, strings.TrimSuffix(stdin, "\n"), end)
}
