package screens

import (
	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/overlay"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
)

// Diagnose shows what is wrong, what it rests on, and what to do.
type Diagnose struct {
	s      *Session
	at     int  // chosen row
	chosen bool // by the operator; else the first that is not healthy
}

// NewDiagnose makes the screen.
func NewDiagnose(s *Session) *Diagnose { return &Diagnose{s: s} }

// Step implements Screen.
func (d *Diagnose) Step() Step { return StepDiagnose }

// About implements Screen.
func (d *Diagnose) About() msg.Msg { return msg.M("ui.diagnose.about") }

// Place implements Screen.
func (d *Diagnose) Place() msg.Msg { return msg.Msg{} }

// Init implements Screen.
func (d *Diagnose) Init() tea.Cmd { return d.s.Collect() }

// Update implements Screen.
func (d *Diagnose) Update(m tea.Msg) tea.Cmd {
	switch m.(type) {
	case Tick:
		if d.s.Top() == Screen(d) {
			return d.s.Refresh()
		}
	case FactsCollected:
		d.aim()
	}
	return nil
}

// aim points at the first member that needs a look, until the operator has
// chosen one.
func (d *Diagnose) aim() {
	rows := d.rows()
	d.at = max(0, min(d.at, len(rows)-1))
	if d.chosen {
		return
	}
	for i, r := range rows {
		if r.state != etcdops.StateHealthy {
			d.at = i
			return
		}
	}
}

func (d *Diagnose) rows() []member {
	return d.s.aged(judged(d.s.Facts, d.s.Verdict))
}

// Keys implements Screen.
func (d *Diagnose) Keys() keys.Map {
	if !d.s.HaveFacts {
		return keys.Map{{Action: keys.Again, Help: "ui.key.lookagain", Foot: true}, {Action: keys.Back, Help: "ui.key.back", Foot: true}}
	}
	return keys.Map{
		{Action: keys.Enter, Help: "ui.key.tochoose", Foot: true},
		{Action: keys.Evidence, Help: "ui.key.evidence", Foot: true},
		{Action: keys.NextPane, Help: "ui.key.node", Foot: true},
		{Action: keys.Runbook, Help: "ui.key.runbook", Foot: true},
		{Action: keys.Again, Help: "ui.key.lookagain"},
		{Action: keys.Guards, Help: "ui.key.guards"},
		{Action: keys.Pick, Help: "ui.key.picknode"},
		{Action: keys.Back, Help: "ui.key.back"},
		{Action: keys.Up, Quiet: true}, {Action: keys.Down, Quiet: true},
		{Action: keys.PrevPane, Quiet: true}, {Action: keys.Right, Quiet: true},
	}
}

// Press implements Screen.
func (d *Diagnose) Press(p keys.Press) tea.Cmd {
	n := len(d.rows())
	switch p.Action {
	case keys.Again:
		return d.s.Collect()
	case keys.Back:
		d.s.Pop()
	}
	if n == 0 {
		return nil
	}
	switch p.Action {
	case keys.Down, keys.NextPane:
		d.at, d.chosen = (d.at+1)%n, true
	case keys.Up, keys.PrevPane:
		d.at, d.chosen = (d.at+n-1)%n, true
	case keys.Pick:
		if p.Digit <= n {
			d.at, d.chosen = p.Digit-1, true
		}
	case keys.Enter, keys.Right:
		return d.s.Push(NewChoose(d.s))
	case keys.Evidence:
		d.s.Open(d.s.memberEvidence(d.rows()[d.at]))
	case keys.Runbook:
		d.s.Open(d.s.runbook(d.s.Verdict.Recommended.Procedure))
	case keys.Guards:
		d.s.Open(d.s.allGuards())
	}
	return nil
}

// Coach implements Screen.
func (d *Diagnose) Coach() msg.Msg {
	r := d.s.Verdict.Recommended
	switch {
	case !d.s.HaveFacts && d.s.CollectErr != nil:
		return msg.M("ui.coach.collect-failed")
	case !d.s.HaveFacts:
		return msg.M("ui.coach.collecting")
	case r.Procedure == etcdops.ProcedureNone && !r.Unsafe:
		return msg.M("ui.coach.healthy")
	case r.Procedure == etcdops.ProcedureNone:
		return msg.M("ui.coach.unsafe")
	case r.Procedure == etcdops.ProcedureFixCause:
		return msg.M("ui.coach.fixcause")
	}
	return msg.M("ui.coach.diagnose", "procedure", procedureName(r.Procedure))
}

// Lines implements Screen.
func (d *Diagnose) Lines(w, h int) []string {
	s := d.s
	if !s.HaveFacts {
		return d.waiting(w, h)
	}
	head := append(s.para(d.tone(), s.Verdict.Headline, w, 2), s.para(theme.Plain, s.Verdict.Second, w, 2)...)
	rows := d.rows()
	table := s.memberTable(rows, d.at, min(w, 150))
	if m := s.asOf(s.FactsAt, s.CollectErr); !m.Zero() {
		table = append(table, s.para(theme.Warn, m, w, 1)...)
	}
	at := rows[max(0, min(d.at, len(rows)-1))]
	if w >= wideFrom {
		lw := 98
		left := s.pack(h, block{lines: head, rank: 1, min: 2}, block{lines: s.memberTable(rows, d.at, lw)}, block{lines: d.advice(lw)},
			block{lines: s.runbookLines(s.Verdict.Recommended.Procedure, lw), rank: 1})
		rw := w - lw - 6
		right := s.pack(h, block{lines: append(s.card(at, rw, 3), "")}, block{lines: s.evidence(at, rw), rank: 1})
		return columns(left, right, lw, 6)
	}
	logs := max(1, min(8, (h-14)/3))
	return s.pack(h,
		block{lines: head, rank: 1, min: 2},
		block{lines: table},
		block{lines: s.card(at, w, logs), rank: 3, min: 1},
		block{lines: d.moreCauses(at.node, w, h), rank: 4},
		block{lines: d.advice(w), rank: 2, min: 2},
	)
}

func (d *Diagnose) waiting(w, h int) []string {
	if d.s.CollectErr != nil {
		return d.s.pack(h,
			block{lines: d.s.para(theme.Bad, msg.M("ui.diagnose.failed"), w, 2)},
			block{lines: d.s.para(theme.Dim, errText(d.s.CollectErr), w, 6)},
			block{lines: d.s.para(theme.Plain, msg.M("ui.diagnose.failed-do"), w, 2)})
	}
	return d.s.pack(h, block{lines: d.s.para(theme.Strong, msg.M("ui.diagnose.looking", "n", len(d.s.Info.Nodes)), w, 2)})
}

// tone of the headline.
func (d *Diagnose) tone() theme.Token {
	switch d.s.Verdict.State {
	case etcdops.ClusterHealthy:
		return theme.Good
	case etcdops.ClusterQuorumLost, etcdops.ClusterSplit:
		return theme.Bad
	case etcdops.ClusterDegraded, etcdops.ClusterNotFormed:
	}
	return theme.Strong
}

// moreCauses lists the causes where there is room beyond the card.
func (d *Diagnose) moreCauses(node string, w, h int) []string {
	if h < 26 {
		return nil
	}
	return d.s.causes(node, w, max(2, min(4, (h-26)/3)))
}

// advice is the recommendation and, in one line each, the other ways.
func (d *Diagnose) advice(w int) []string {
	s := d.s
	r := s.Verdict.Recommended
	advice := msg.M("ui.recommended", "why", r.Why)
	switch {
	case r.Why.Zero():
		advice = msg.M("ui.recommended.bare", "procedure", procedureName(r.Procedure), "targets", s.targets(r))
	case r.Procedure == etcdops.ProcedureNone:
		advice = r.Why
	}
	out := s.para(theme.Strong, advice, w, 3)
	wide := 0
	for _, a := range s.Assessed {
		wide = max(wide, text.Width(s.P.S(procedureName(a.Procedure))))
	}
	for _, a := range s.Assessed {
		if a.Procedure == r.Procedure {
			continue
		}
		name := s.P.S(procedureName(a.Procedure))
		word := s.P.Or("ui.verdict."+a.Verdict, a.Verdict)
		line := "  " + text.Left(name, wide) + "  "
		rest := word
		if why := s.P.S(a.Why); why != "" {
			rest += ": " + why
		}
		out = append(out, line+s.T.S(theme.Dim, text.Cut(rest, min(w, readable)-text.Width(line))))
	}
	return out
}

// targets are the members that a recommendation is about, in words.
func (s *Session) targets(r etcdops.Recommendation) string {
	names := make([]string, len(r.Nodes))
	for i, n := range r.Nodes {
		names[i] = s.memberName(n)
	}
	return joinNames(names)
}

func joinNames(names []string) string {
	out := ""
	for i, n := range names {
		if i > 0 {
			out += ", "
		}
		out += n
	}
	return out
}

// procedureName is a procedure in words.
func procedureName(p etcdops.Procedure) msg.Msg { return msg.M("ui.procedure." + string(p)) }

// allGuards shows every procedure with its guards.
func (s *Session) allGuards() overlay.Overlay {
	return overlay.NewViewer(s.Kit, msg.M("ui.guards.title"), func(w int) []string {
		var out []string
		for i, a := range s.Assessed {
			if i > 0 {
				out = append(out, "")
			}
			out = append(out, s.assessment(a, w)...)
		}
		return s.withGrounds(out, nil, w)
	})
}

// assessment is one procedure with its verdict, its reason and its guards.
func (s *Session) assessment(a backend.Assessed, w int) []string {
	l := verdictLook(a.Verdict)
	out := []string{text.Cut(s.T.S(theme.Strong, s.P.S(procedureName(a.Procedure)))+"  "+
		s.T.Status(l.mark, l.token, s.P.Or("ui.verdict."+a.Verdict, a.Verdict)), w)}
	out = append(out, indent(s.para(theme.Plain, a.Why, w-2, 5), 2)...)
	return append(out, indent(s.guardLines(a.Guards, true, w-2), 2)...)
}

func verdictLook(verdict string) look {
	switch verdict {
	case backend.Allowed:
		return look{theme.OK, theme.Good}
	case backend.Confirm:
		return look{theme.Caution, theme.Warn}
	}
	return look{theme.Fail, theme.Bad}
}
