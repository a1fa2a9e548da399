package screens

import (
	"context"
	"sort"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/overlay"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
)

// Report is the end: what was proved, what was done, what is left to do.
type Report struct {
	s      *Session
	report backend.Report
	run    string

	todo     int // chosen among what can be started
	top      int
	page     int
	planning bool
}

// todoPlanned is the plan of something that was left to do.
type todoPlanned struct {
	run  string
	plan planned
}

// NewReport makes the screen.
func NewReport(s *Session, r backend.Report, run string) *Report {
	return &Report{s: s, report: r, run: run}
}

// Step implements Screen.
func (r *Report) Step() Step { return StepReport }

// About implements Screen.
func (r *Report) About() msg.Msg { return msg.M("ui.report.about") }

// Place implements Screen.
func (r *Report) Place() msg.Msg { return msg.Msg{} }

// Init implements Screen.
func (r *Report) Init() tea.Cmd { return nil }

// Update implements Screen.
func (r *Report) Update(m tea.Msg) tea.Cmd {
	t, ok := m.(todoPlanned)
	if !ok || t.run != r.run || !r.planning {
		return nil
	}
	r.planning = false
	if t.plan.err != nil {
		r.s.Open(refusal(r.s, msg.M("ui.choose.plan-failed", "procedure", procedureName(t.plan.req.Procedure)), t.plan.err))
		return nil
	}
	return r.s.Push(NewReview(r.s, t.plan.plan, t.plan.req))
}

// startable are the things to do that a procedure can begin.
func (r *Report) startable() []backend.Todo {
	var out []backend.Todo
	for _, t := range r.report.Todo {
		if t.Procedure != "" && !byHand(t.Procedure) {
			out = append(out, t)
		}
	}
	return out
}

// Keys implements Screen.
func (r *Report) Keys() keys.Map {
	var m keys.Map
	if len(r.startable()) > 0 {
		m = keys.Map{{Action: keys.Enter, Help: "ui.key.starttodo", Foot: true}, {Action: keys.NextPane, Help: "ui.key.nexttodo"}}
	}
	return append(m,
		keys.Binding{Action: keys.Evidence, Help: "ui.key.proofs", Foot: true},
		keys.Binding{Action: keys.Down, Help: "ui.key.scroll", Foot: true},
		keys.Binding{Action: keys.Again, Help: "ui.key.todiagnose", Foot: true},
		keys.Binding{Action: keys.Quit, Help: "ui.key.quit", Foot: true},
		keys.Binding{Action: keys.Runbook, Help: "ui.key.markdown"},
		keys.Binding{Action: keys.Copy, Help: "ui.key.copyreport"},
		keys.Binding{Action: keys.Back, Help: "ui.key.todiagnose"},
		keys.Binding{Action: keys.Up, Quiet: true}, keys.Binding{Action: keys.PageUp, Quiet: true},
		keys.Binding{Action: keys.PageDown, Quiet: true}, keys.Binding{Action: keys.Home, Quiet: true},
		keys.Binding{Action: keys.End, Quiet: true},
	)
}

// Press implements Screen.
func (r *Report) Press(p keys.Press) tea.Cmd {
	switch p.Action {
	case keys.Up:
		r.top--
	case keys.Down:
		r.top++
	case keys.PageUp:
		r.top -= r.page
	case keys.PageDown:
		r.top += r.page
	case keys.Home:
		r.top = 0
	case keys.End:
		r.top = 1 << 30
	case keys.NextPane:
		if n := len(r.startable()); n > 0 {
			r.todo = (r.todo + 1) % n
		}
	case keys.Enter:
		return r.start()
	case keys.Evidence:
		r.s.Open(overlay.NewViewer(r.s.Kit, msg.M("ui.report.proofs"), r.proofDetails))
	case keys.Runbook:
		r.s.Open(overlay.NewViewer(r.s.Kit, msg.M("ui.report.file"), r.markdown))
	case keys.Copy:
		return overlay.Copied(r.report.Markdown)
	case keys.Again, keys.Back:
		r.s.BackTo(StepDiagnose)
		return r.s.Collect()
	}
	return nil
}

func (r *Report) start() tea.Cmd {
	list := r.startable()
	if len(list) == 0 || r.planning {
		return nil
	}
	r.planning = true
	t := list[min(r.todo, len(list)-1)]
	req := backend.PlanRequest{Procedure: t.Procedure, Nodes: t.Nodes, Run: t.Run}
	run := r.run
	return r.s.Do(func(ctx context.Context) tea.Msg {
		plan, err := r.s.Back.Plan(ctx, req)
		return todoPlanned{run: run, plan: planned{plan: plan, err: err, req: req}}
	})
}

// Coach implements Screen.
func (r *Report) Coach() msg.Msg {
	switch {
	case r.report.Proved && len(r.report.StillDown) > 0:
		return msg.M("ui.coach.stilldown")
	case r.report.Proved:
		return msg.M("ui.coach.proved")
	}
	return msg.M("ui.coach.notproved")
}

// Lines implements Screen.
func (r *Report) Lines(w, h int) []string {
	s := r.s
	token, mark := theme.Good, theme.Done
	switch {
	case !r.report.Proved:
		token, mark = theme.Bad, theme.Fail
	case len(r.report.StillDown) > 0:
		token, mark = theme.Warn, theme.Caution
	}
	head := s.para(token, r.report.Headline, w-3, 2)
	if len(head) > 0 {
		head[0] = s.T.S(token, s.T.Glyph(mark)) + " " + head[0]
	}
	if r.report.Path != "" {
		head = append(head, text.Cut(s.T.S(theme.Dim, s.P.T("ui.report.path"))+" "+s.T.S(theme.Command, text.Clean(r.report.Path)), w))
	}
	if r.planning {
		head = append(head, s.T.Status(theme.Busy, theme.Accent, text.Cut(s.P.T("ui.report.planning"), w-3)))
	}
	var body []string
	if w >= wideFrom {
		lw := (w - 4) / 2
		body = columns(r.proofs(lw), r.rest(w - lw - 4)[1:], lw, 4)
	} else {
		body = append(r.proofs(w), r.rest(w)...)
	}
	room := max(0, h-len(head)-1)
	r.page = max(1, room-1)
	if len(body) > room {
		room = max(0, room-1)
		r.top = max(0, min(r.top, len(body)-room))
		shown := append([]string(nil), body[r.top:min(len(body), r.top+room)]...)
		below := len(body) - r.top - room
		id := "ui.below"
		if below <= 0 {
			id, below = "ui.above", r.top
		}
		body = append(shown, s.T.S(theme.Dim, "  "+s.P.T(id, "n", below)))
	} else {
		r.top = 0
	}
	return s.pack(h, block{lines: head}, block{lines: body})
}

// proofs lists what was proved, one a line.
func (r *Report) proofs(w int) []string {
	s := r.s
	out := []string{s.T.S(theme.Dim, text.Cut(s.P.T("ui.report.section.proofs"), w))}
	for _, p := range r.report.Proofs {
		l := proofLook(p.Result)
		line := "  " + s.T.S(l.token, s.T.Glyph(l.mark)) + " " + s.P.S(p.Title)
		if p.Result != backend.Proved {
			line += "  " + s.T.S(l.token, s.P.T("ui.proof."+string(p.Result)))
		}
		if d := s.P.S(p.Detail); d != "" {
			line += s.T.S(theme.Dim, "  "+d)
		}
		out = append(out, text.Cut(line, w))
	}
	return out
}

func proofLook(p backend.ProofResult) look {
	switch p {
	case backend.Proved:
		return look{theme.Done, theme.Good}
	case backend.Disproved:
		return look{theme.Fail, theme.Bad}
	case backend.Unproved:
	}
	return look{theme.Unknown, theme.Warn}
}

// rest is changes, losses, things to do, files and the commands for later.
func (r *Report) rest(w int) []string {
	s := r.s
	var out []string
	section := func(id string, lines []string) {
		if len(lines) > 0 {
			out = append(out, "", s.T.S(theme.Dim, text.Cut(s.P.T(id), w)))
			out = append(out, lines...)
		}
	}
	section("ui.report.section.todo", r.todoLines(w))
	lost := indent(s.para(theme.Good, msg.M("ui.report.nothing-lost"), w-2, 1), 2)
	for i, m := range r.report.Lost {
		if i == 0 {
			lost = nil
		}
		lost = append(lost, indent(s.para(theme.Bad, m, w-2, 3), 2)...)
	}
	section("ui.report.section.lost", lost)
	var files []string
	for _, f := range r.report.Files {
		if f.Path == r.report.Path {
			continue // it stands below the headline
		}
		where := f.Path
		if f.Node != "" {
			where = f.Node + ":" + f.Path
		}
		files = append(files, text.Cut("  "+s.P.S(f.Title)+"  "+s.T.S(theme.Command, text.Clean(where)), w))
	}
	section("ui.report.section.files", files)
	section("ui.report.section.changes", r.changes(w))
	var cleanup []string
	for _, c := range r.report.Cleanup {
		cleanup = append(cleanup, text.Cut("  "+s.T.S(theme.Accent, text.Left(c.Node, 11))+" "+s.T.S(theme.Command, text.Clean(c.Line)), w))
	}
	section("ui.report.section.cleanup", cleanup)
	return out
}

// changes is what was done, node by node.
func (r *Report) changes(w int) []string {
	s := r.s
	var nodes []string
	byNode := map[string][]string{}
	for _, c := range r.report.Changes {
		if byNode[c.Node] == nil {
			nodes = append(nodes, c.Node)
		}
		byNode[c.Node] = append(byNode[c.Node], text.Wrap(s.P.S(c.Text), max(10, min(w, readable)-14))...)
	}
	sort.Strings(nodes)
	var out []string
	for _, node := range nodes {
		name := node
		for _, l := range byNode[node] {
			out = append(out, "  "+s.T.S(theme.Accent, text.Left(name, 11))+" "+l)
			name = ""
		}
	}
	return out
}

func (r *Report) todoLines(w int) []string {
	s := r.s
	var out []string
	n := 0
	for _, t := range r.report.Todo {
		lead := "  " + s.T.Glyph(theme.Bullet) + " "
		token := theme.Plain
		if t.Procedure != "" && !byHand(t.Procedure) {
			if n == r.todo {
				lead = s.cursor(true) + s.T.Glyph(theme.Bullet) + " "
				token = theme.Accent
			}
			n++
		}
		for i, l := range text.Wrap(s.P.S(t.Text), max(10, min(w, readable)-4)) {
			if i > 0 {
				lead = text.Spaces(4)
			}
			out = append(out, lead+s.T.S(token, l))
		}
	}
	return out
}

// proofDetails is every proof with what it rests on.
func (r *Report) proofDetails(w int) []string {
	s := r.s
	var out []string
	for _, p := range r.report.Proofs {
		l := proofLook(p.Result)
		out = append(out, text.Cut(s.T.Status(l.mark, l.token, s.P.T("ui.proof."+string(p.Result)))+"  "+s.T.S(theme.Strong, s.P.S(p.Title)), w))
		out = append(out, indent(s.para(theme.Plain, p.Detail, w-4, 10), 4)...)
		for _, e := range p.Evidence {
			for _, t := range text.Wrap(text.Clean(e), max(20, w-6)) {
				out = append(out, "      "+s.T.S(theme.Command, t))
			}
		}
	}
	return out
}

// markdown is the report file as it was written.
func (r *Report) markdown(w int) []string {
	var out []string
	for _, l := range strings.Split(ansi.Strip(r.report.Markdown), "\n") {
		out = append(out, text.Wrap(text.Clean(l), w)...)
	}
	return out
}
