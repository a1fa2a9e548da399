package screens

import (
	"slices"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
)

// Coach implements Screen.
func (c *Choose) Coach() msg.Msg {
	a, ok := c.current()
	switch {
	case !ok:
		return msg.M("ui.coach.collecting")
	case c.planning != 0:
		return msg.M("ui.coach.planning")
	case byHand(a.Procedure):
		return msg.M("ui.coach.fixcause")
	case a.Verdict == backend.Blocked:
		return msg.M("ui.coach.blocked")
	case a.Procedure == etcdops.ProcedureRestore && c.pane != 2:
		return msg.M("ui.coach.snapshot")
	case a.Procedure == etcdops.ProcedureRestore:
		return msg.M("ui.coach.snapshot-chosen")
	}
	if best := c.options()[0]; best.Procedure != a.Procedure {
		return msg.M("ui.coach.choose-other", "procedure", procedureName(best.Procedure))
	}
	return msg.M("ui.coach.choose", "procedure", procedureName(a.Procedure))
}

// Lines implements Screen.
func (c *Choose) Lines(w, h int) []string {
	a, ok := c.current()
	if !ok {
		return c.s.pack(h, block{lines: c.s.para(theme.Strong, msg.M("ui.choose.none"), w, 3)})
	}
	head := c.s.para(theme.Strong, msg.M("ui.choose.head"), w, 2)
	if c.planning != 0 {
		head = []string{c.s.T.Status(theme.Busy, theme.Accent, text.Cut(c.s.P.T("ui.choose.planning", "procedure", procedureName(a.Procedure)), w-3))}
	}
	if w >= wideFrom {
		lw := (w - 4) / 2
		rw := w - lw - 4
		right := append(c.detail(a, rw, h-3), "")
		right = append(right, c.s.runbookSteps(a.Procedure, rw)...)
		if len(a.Guards) > 0 {
			right = append(append(right, ""), c.s.guardLines(a.Guards, false, rw)...)
		}
		return c.s.pack(h, block{lines: head}, block{lines: columns(c.list(lw), right, lw, 4), rank: 1})
	}
	list := c.list(w)
	return c.s.pack(h, block{lines: head, rank: 3}, block{lines: list}, block{lines: c.detail(a, w, h-len(list)-3), rank: 1, min: 1})
}

// list is the procedures, one line each.
func (c *Choose) list(w int) []string {
	list := c.options()
	wide := 0
	for _, a := range list {
		wide = max(wide, text.Width(c.s.P.S(procedureName(a.Procedure))))
	}
	out := make([]string, 0, len(list))
	for i, a := range list {
		token := theme.Plain
		if i == c.at {
			token = theme.Strong
			if c.pane == 0 {
				token = theme.Accent
			}
		}
		l, word := verdictLook(a.Verdict), c.s.P.Or("ui.verdict."+a.Verdict, a.Verdict)
		if byHand(a.Procedure) {
			l, word = look{theme.Cursor, theme.Accent}, c.s.P.T("ui.verdict.byhand")
		}
		if a.Procedure == c.s.Verdict.Recommended.Procedure && a.Verdict != backend.Blocked {
			word = c.s.P.T("ui.verdict.recommended")
		}
		line := c.s.cursor(i == c.at && c.pane == 0) + c.s.T.S(token, text.Left(c.s.P.S(procedureName(a.Procedure)), wide)) +
			"  " + c.s.T.Status(l.mark, l.token, word)
		if why := c.s.P.S(a.Why); why != "" {
			line = text.Left(line, min(wide+24, w/2)) + "  " + c.s.T.S(theme.Dim, why)
		}
		out = append(out, text.Cut(line, w))
	}
	return out
}

// detail is what the chosen procedure does, on which nodes, from what.
func (c *Choose) detail(a backend.Assessed, w, h int) []string {
	out := c.s.para(theme.Plain, msg.M("ui.runbook."+string(a.Procedure)), w, max(2, h/3))
	if why := a.Why; !why.Zero() {
		out = append(out, c.s.para(theme.Dim, why, w, 3)...)
	}
	if !byHand(a.Procedure) {
		out = append(out, "")
		out = append(out, c.nodeLines(a, w)...)
	}
	if a.Procedure == etcdops.ProcedureRestore {
		out = append(out, "")
		out = append(out, c.snapshotLines(w, max(3, h-len(out)))...)
	}
	return out
}

func (c *Choose) nodeLines(a backend.Assessed, w int) []string {
	if !choosesNodes(a.Procedure) {
		return c.s.para(theme.Plain, msg.M("ui.choose.allnodes"), w, 2)
	}
	out := []string{c.s.T.S(theme.Dim, text.Cut(c.s.P.T("ui.choose.nodes"), w))}
	chosen := c.nodes(a)
	for i, n := range c.s.Info.Nodes {
		box, token := "[ ] ", theme.Plain
		if slices.Contains(chosen, n.Name) {
			box, token = "[x] ", theme.Strong
		}
		here := c.pane == 1 && i == c.nodeAt
		if here {
			token = theme.Accent
		}
		line := c.s.cursor(here) + c.s.T.S(token, box+text.Left(n.Name, 14)) + "  "
		if v, ok := c.s.Verdict.MemberOn(n.Name); ok {
			line += text.Left(c.s.memberName(n.Name), 10) + "  " + c.s.status(v.State)
		}
		out = append(out, text.Cut(line, w))
	}
	return out
}

// snapshotLines lists what a restore can start from, the newest first.
func (c *Choose) snapshotLines(w, h int) []string {
	switch {
	case c.snapErr != nil:
		return c.s.para(theme.Bad, errText(c.snapErr), w, 2)
	case !c.snapDone:
		return []string{c.s.T.Status(theme.Busy, theme.Accent, text.Cut(c.s.P.T("ui.choose.snapshots-looking"), w-3))}
	case len(c.snapshots) == 0:
		return c.s.para(theme.Warn, msg.M("ui.choose.nosnapshot"), w, 2)
	}
	cols := []column{
		{title: c.s.P.T("ui.col.age"), right: true, min: 8},
		{title: c.s.P.T("ui.col.node")},
		{title: c.s.P.T("ui.col.size"), right: true},
		{title: c.s.P.T("ui.col.nova"), drop: 3},
		{title: c.s.P.T("ui.col.k8s"), drop: 4},
		{title: c.s.P.T("ui.col.taken"), drop: 5},
		{title: c.s.P.T("ui.col.path"), drop: 0},
	}
	rows := make([][]cell, len(c.snapshots))
	for i, f := range c.snapshots {
		dash := func(t string) cell {
			if t == "" {
				return cell{"–", theme.Dim}
			}
			return cell{text: text.Clean(t)}
		}
		at := snapshotTime(f)
		rows[i] = []cell{
			{text: c.s.P.Duration(c.s.Now().Sub(at))}, {text: f.Node}, {text: c.s.P.Bytes(f.SizeBytes)},
			dash(f.NovaVersion), dash(f.KubernetesVersion), {text: at.Format("2006-01-02 15:04")}, {text.Clean(f.Path), theme.Dim},
		}
	}
	chosen := -1
	if c.pane == 2 {
		chosen = c.snapAt
	}
	lines := c.s.table(cols, rows, chosen, w)
	return append(lines[:1:1], c.s.window(lines[1:], c.snapAt, max(1, h-1))...)
}

// snapshotTime is when a snapshot was taken, by its name or else by its file.
func snapshotTime(f etcdops.SnapshotFile) (t time.Time) {
	if !f.TakenAt.IsZero() {
		return f.TakenAt
	}
	return f.Modified
}
