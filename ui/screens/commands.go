package screens

import (
	"fmt"
	"slices"
	"strings"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/overlay"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
	"github.com/novatui/novatui/workflows/engine"
)

// commandLines is the commands of a stage under its line, each in its short
// form and cut to one line; the viewer has them in full.
func (s *Session) commandLines(st engine.Stage, w int) []string {
	var out []string
	for _, step := range st.Steps {
		out = append(out, text.Cut("       "+s.T.S(theme.Plain, s.P.S(step.Title))+s.T.S(theme.Dim, "  "+step.Node), w))
		for _, c := range step.Commands {
			out = append(out, text.Cut("         "+s.T.S(theme.Command, text.Clean(c.Command.ShortIn(s.P.S))), w))
		}
	}
	return out
}

// scripts are the shell scripts among a plan's arguments, each once: a command
// names the script, and its text stands below.
type scripts struct{ texts []string }

// line is a command's line with its scripts named, and whether it has any.
func (x *scripts) line(c engine.NodeCommand) string {
	short := c.Command
	for i, a := range short.Argv {
		if !strings.Contains(a, "\n") {
			continue
		}
		a = c.Command.Redact(a)
		n := slices.Index(x.texts, a)
		if n < 0 {
			x.texts = append(x.texts, a)
			n = len(x.texts) - 1
		}
		short.Argv = slices.Clone(short.Argv)
		short.Argv[i] = scriptName(n)
	}
	return short.Line()
}

func scriptName(n int) string { return fmt.Sprintf("script:%d", n+1) }

// lines is the scripts in full, below everything that names them.
func (x *scripts) lines(s *Session, w int) []string {
	var out []string
	for n, t := range x.texts {
		out = append(out, "", s.T.S(theme.Accent, text.Cut(s.P.T("ui.review.script", "name", scriptName(n)), w)))
		for _, l := range strings.Split(strings.TrimRight(t, "\n"), "\n") {
			for _, part := range hardWrap(text.Clean(l), max(20, w-4)) {
				out = append(out, "    "+s.T.S(theme.Command, part))
			}
		}
	}
	return out
}

// hardWrap breaks a line of code without losing its indentation.
func hardWrap(l string, w int) []string {
	var out []string
	for text.Width(l) > w {
		rest := text.Skip(l, w)
		out = append(out, strings.TrimSuffix(l, rest))
		l = rest
	}
	return append(out, l)
}

// exact is every command of a plan in full.
func (s *Session) exact(p engine.Plan, w int) []string {
	var out []string
	x := &scripts{}
	for i, st := range p.Stages {
		if i > 0 {
			out = append(out, "")
		}
		out = append(out, s.T.S(theme.Accent, text.Cut(fmt.Sprintf("%d  %s", i+1, s.P.S(st.Title)), w)))
		for _, step := range st.Steps {
			out = append(out, s.stepLines(step, x, w)...)
		}
	}
	return append(out, x.lines(s, w)...)
}

// stepLines is a step with what it runs and what it looks at, in full.
func (s *Session) stepLines(step engine.Step, x *scripts, w int) []string {
	effect := s.P.Or("ui.effect."+string(step.Effect), string(step.Effect))
	token := theme.Dim
	if step.Effect == "destroy" {
		token = theme.Bad
	}
	out := []string{text.Cut("  "+s.T.S(theme.Strong, s.P.S(step.Title))+"  "+s.T.S(token, effect)+s.T.S(theme.Dim, "  "+step.Node), w)}
	for _, c := range step.Commands {
		if c.Command.Summary != "" {
			out = append(out, text.Cut("    "+text.Clean(c.Command.ShortIn(s.P.S)), w))
		}
		for j, l := range text.Wrap(text.Clean(x.line(c)), max(20, w-6)) {
			lead := "      "
			if j == 0 {
				lead = "    $ "
			}
			out = append(out, s.T.S(theme.Dim, lead)+s.T.S(theme.Command, l))
		}
		if c.Command.Stdin != "" {
			for _, l := range strings.Split(strings.TrimRight(c.Command.Redact(c.Command.Stdin), "\n"), "\n") {
				out = append(out, text.Cut("      "+s.T.S(theme.Dim, "< "+text.Clean(l)), w))
			}
		}
	}
	if n := len(step.Checks); n > 0 {
		out = append(out, text.Cut("    "+s.T.S(theme.Dim, s.P.T("ui.review.checks", "n", n)), w))
	}
	return out
}

// script is a plan's commands as text that can be copied.
func script(p engine.Plan) string {
	var b strings.Builder
	for i, st := range p.Stages {
		fmt.Fprintf(&b, "# %d %s\n", i+1, st.ID)
		for _, step := range st.Steps {
			for _, c := range step.Commands {
				fmt.Fprintf(&b, "# %s\n%s\n", c.Node, c.Command.Line())
			}
		}
	}
	return b.String()
}

// stageText opens why each step of a stage is done and what a failure means.
func (s *Session) stageText(st engine.Stage) overlay.Overlay {
	return overlay.NewViewer(s.Kit, msg.M("ui.runbook.title", "procedure", st.Title), func(w int) []string {
		return s.stageDetail(st, w)
	})
}

func (s *Session) stageDetail(st engine.Stage, w int) []string {
	var out []string
	x := &scripts{}
	for i, step := range st.Steps {
		if i > 0 {
			out = append(out, "")
		}
		out = append(out, s.stepLines(step, x, w)...)
		out = append(out, indent(s.para(theme.Plain, step.Why, w-4, 20), 4)...)
		if !step.IfItFails.Zero() {
			out = append(out, indent(s.para(theme.Warn, msg.M("ui.review.ifitfails", "text", step.IfItFails), w-4, 20), 4)...)
		}
	}
	return append(out, x.lines(s, w)...)
}
