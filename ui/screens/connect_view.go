package screens

import (
	"context"
	"errors"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/ui/overlay"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
	"github.com/novatui/novatui/workflows/engine"
)

// Lines implements Screen.
func (c *Connect) Lines(w, h int) []string {
	ready, failed, open := c.count()
	head := msg.M("ui.connect.going", "n", len(c.links), "cluster", c.s.Info.Name)
	token := theme.Strong
	switch {
	case open == 0 && failed == len(c.links):
		head, token = msg.M("ui.connect.none", "cluster", c.s.Info.Name), theme.Bad
	case open == 0 && failed > 0:
		head = msg.M("ui.connect.some", "ready", ready, "all", len(c.links), "n", failed)
	case open == 0:
		head = msg.M("ui.connect.all", "n", len(c.links))
	}
	blocks := []block{
		{lines: c.s.para(token, head, w, 3)},
		{lines: c.s.table(c.columns(), c.rows(), c.at, w)},
	}
	if !c.s.Info.DrillGoal.Zero() {
		blocks = append(blocks[:1:1], block{lines: c.s.para(theme.Plain, c.s.Info.DrillGoal, w, 3), rank: 2}, blocks[1])
	}
	if l := c.links[c.at]; l.err != nil {
		blocks = append(blocks, block{lines: c.trouble(l, w, 3), rank: 3, min: 3})
	}
	if len(c.unfinished) > 0 {
		blocks = append(blocks, block{lines: c.unfinishedLines(w)})
	}
	return c.s.pack(h, blocks...)
}

func (c *Connect) columns() []column {
	return []column{
		{title: c.s.P.T("ui.col.node")},
		{title: c.s.P.T("ui.col.address"), drop: 2},
		{title: c.s.P.T("ui.col.connection"), min: 22},
		{title: c.s.P.T("ui.col.time"), right: true, min: 6, drop: 1},
	}
}

func (c *Connect) rows() [][]cell {
	rows := make([][]cell, len(c.links))
	for i, l := range c.links {
		took := l.took
		if !l.done && !l.started.IsZero() {
			took = c.s.Now().Sub(l.started)
		}
		mark, token, word := theme.Busy, theme.Accent, c.s.P.Or("ui.phase."+l.phase, l.phase)
		switch {
		case l.done && l.err != nil:
			mark, token, word = theme.Fail, theme.Bad, c.s.P.T("ui.connect.err."+kind(l.err)+".word")
		case l.done:
			mark, token, word = theme.OK, theme.Good, c.s.P.T("ui.phase.ready")
		case l.phase == "":
			word = c.s.P.T("ui.phase.start")
		}
		rows[i] = []cell{
			{text: l.node}, {text: c.s.address(l.node), token: theme.Dim},
			{c.s.T.Glyph(mark) + " " + word, token}, {c.s.P.Short(took), theme.Dim},
		}
	}
	return rows
}

// kind sorts a connection's error into the kinds that have words and advice.
func kind(err error) string {
	var known *backend.ConnectError
	if errors.As(err, &known) {
		switch known.Kind {
		case "unreachable", "host-key-unknown", "host-key-changed", "auth", "privilege", "timeout", "probe":
			return known.Kind
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return "other"
}

// trouble says what is wrong with a node, what to do, and the raw error.
func (c *Connect) trouble(l *link, w, raw int) []string {
	k := kind(l.err)
	out := c.s.para(theme.Strong, msg.M("ui.connect.err."+k+".title", "node", l.node, "address", c.s.address(l.node)), w, 3)
	out = append(out, c.s.para(theme.Plain, msg.M("ui.connect.err."+k+".do", "node", l.node, "address", c.s.address(l.node)), w, 4)...)
	for _, t := range text.WrapMax(text.Clean(l.err.Error()), w-2, raw) {
		out = append(out, "  "+c.s.T.S(theme.Dim, t))
	}
	return out
}

func (c *Connect) unfinishedLines(w int) []string {
	run := c.unfinished[0]
	last := run.Ended
	if last.IsZero() { // it died
		last = run.Started
	}
	out := c.s.para(theme.Warn, msg.M("ui.connect.unfinished", "what", run.Title, "stage", run.Stage,
		"age", c.s.P.Ago(c.s.Now().Sub(last)), "run", run.ID), w, 3)
	if len(run.Nodes) > 0 {
		out = append(out, c.s.para(theme.Plain, msg.M("ui.connect.unfinished-elsewhere", "nodes", run.Nodes,
			"done", run.Done, "left", run.Left, "unknown", len(run.Unknown)), w, 2)...)
	}
	if run.Holder != nil {
		out = append(out, c.s.para(theme.Warn, engine.Explain(run.Holder), w, 3)...)
	}
	for i, name := range c.choices() {
		token := theme.Plain
		if i == c.choice {
			token = theme.Accent
		}
		out = append(out, c.s.cursor(i == c.choice)+c.s.T.S(token, text.Cut(c.s.P.T("ui.connect.choice."+name), w-2)))
	}
	if c.undoing {
		out = append(out, c.s.T.Status(theme.Busy, theme.Accent, c.s.P.T("ui.report.planning")))
	}
	if c.resuming {
		out = append(out, c.s.T.Status(theme.Busy, theme.Accent, c.s.P.T("ui.connect.resuming")))
	}
	return out
}

// refusal shows why something was not begun, and that nothing was changed
// when the engine says so.
func refusal(s *Session, title msg.Msg, err error) overlay.Overlay {
	return overlay.NewViewer(s.Kit, title, func(w int) []string {
		out := s.para(theme.Strong, engine.Explain(err), w, 10)
		if engine.OutcomeOf(err) == engine.OutcomeRefused || engine.OutcomeOf(err) == engine.OutcomeLocked {
			out = append(out, s.para(theme.Good, msg.M("ui.refused.unchanged"), w, 2)...)
		}
		out = append(out, "")
		var refused *engine.RefusedError
		if errors.As(err, &refused) {
			out = append(out, s.guardLines(refused.Findings, true, w)...)
			out = append(out, "")
		}
		for _, l := range text.Wrap(text.Clean(err.Error()), min(w, readable)) {
			out = append(out, s.T.S(theme.Dim, l))
		}
		return out
	})
}
