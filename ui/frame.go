package ui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/overlay"
	"github.com/novatui/novatui/ui/screens"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
)

// View implements tea.Model. The mouse stays off: terminals then select and
// copy as they always do.
func (m *model) View() tea.View {
	v := tea.NewView(m.render())
	v.AltScreen = true
	v.WindowTitle = text.Clean("novatui " + m.s.Info.Name)
	return v
}

// render draws exactly what fits: at most h lines of at most w cells.
func (m *model) render() string {
	if m.w <= 0 || m.h <= 0 { // the first view comes before the size is known
		return ""
	}
	w := m.w - 2
	if w < 1 {
		w = 1
	}
	var lines []string
	rules := m.h >= 10
	lines = append(lines, m.header(w))
	room := m.h - 2
	if rules {
		lines = append(lines, m.s.T.Line(w))
		room -= 2
	}
	lines = append(lines, m.body(w, max(0, room))...)
	for len(lines) < m.h-1-b2i(rules) {
		lines = append(lines, "")
	}
	if rules {
		lines = append(lines, m.s.T.Line(w))
	}
	lines = append(lines, m.footer(w))
	if len(lines) > m.h {
		lines = append(lines[:m.h-1:m.h-1], lines[len(lines)-1])
	}
	for i, l := range lines {
		lines[i] = text.Cut(" "+l, m.w)
	}
	return m.s.T.Fold(strings.Join(lines, "\n"))
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// body is the screen, its lower part covered by the overlay on top.
func (m *model) body(w, h int) []string {
	coach := m.coach(w, h)
	lines := m.s.Top().Lines(w, h-len(coach))
	if len(coach) > 0 {
		for len(lines) < h-len(coach) {
			lines = append(lines, "")
		}
		lines = append(lines, coach...)
	}
	top, ok := m.s.Overlays.Top()
	if !ok {
		return lines[:min(len(lines), h)]
	}
	return m.sheet(lines, top, w, h)
}

// sheet lays an overlay over the lower part of the screen; the first lines of
// the screen stay as long as the overlay does not need their room.
func (m *model) sheet(lines []string, top overlay.Overlay, w, h int) []string {
	keep := min(2, max(0, h-8))
	inner := top.Lines(w, max(1, h-keep-1))
	inner = inner[:min(len(inner), max(0, h-1))]
	title := " " + m.s.P.S(top.Title()) + " "
	edge := m.s.T.Line(2) + m.s.T.S(theme.Accent, title) + m.s.T.Line(w-2-text.Width(title))
	var out []string
	for i := range max(0, h-len(inner)-1) {
		l := ""
		if i < len(lines) {
			l = lines[i]
		}
		out = append(out, l)
	}
	// What is left of a block that the sheet cuts through would mislead.
	if n := len(out); n > 0 && n < len(lines) {
		out[n-1] = ""
	}
	out = append(out, text.Cut(edge, w))
	return append(out, inner...)
}

// coach is the line of a drill that says what to press next.
func (m *model) coach(w, h int) []string {
	if m.s.Info.Drill == "" || h < 6 {
		return nil
	}
	if _, ok := m.s.Overlays.Top(); ok {
		return nil
	}
	next := m.s.P.S(m.s.Top().Coach())
	if next == "" {
		return nil
	}
	var out []string
	for _, l := range text.WrapMax(m.s.P.T("ui.coach", "next", next), min(w, 100), 2) {
		out = append(out, m.s.T.S(theme.Accent, l))
	}
	return append([]string{""}, out...)
}

// header says where one is, on what, and how dangerous it is.
func (m *model) header(w int) string {
	t, p := m.s.T, m.s.P
	name := t.S(theme.Strong, "novatui")
	cluster := t.S(theme.Accent, text.Clean(m.s.Info.Name))
	environment := m.environment()
	mode := t.S(theme.Good, p.T("ui.readonly"))
	if m.s.Running {
		word := "ui.running"
		if m.s.Paused {
			word = "ui.paused"
		}
		mode = t.S(theme.Alarm, " "+p.T(word)+" ")
	}
	clock := t.S(theme.Dim, text.Clock(m.s.Now().Sub(m.s.Opened)))
	left := strings.Join([]string{name, cluster, environment, mode}, "  ")
	room := w - text.Width(left) - text.Width(clock) - 3
	if room < 12 { // narrow: the program's own name goes first
		left = strings.Join([]string{cluster, environment, mode}, " ")
		room = w - text.Width(left) - text.Width(clock) - 3
	}
	place := m.place(room)
	right := place + "  " + clock
	if place == "" {
		right = clock
	}
	return text.Cut(left+text.Spaces(max(1, w-text.Width(left)-text.Width(right)))+right, w)
}

func (m *model) environment() string {
	word := m.s.P.Or("ui.env."+m.s.Info.Environment, m.s.Info.Environment)
	if m.s.Info.Environment == "production" || m.s.Info.Environment == "" {
		return m.s.T.S(theme.Alarm, " "+word+" ")
	}
	return m.s.T.S(theme.Calm, " "+word+" ")
}

// place is the path with the present step in capitals, or as much of it as
// has room.
func (m *model) place(room int) string {
	if room < 6 {
		return ""
	}
	top := m.s.Top()
	if own := top.Place(); !own.Zero() {
		return m.s.T.S(theme.Accent, text.Cut(m.s.P.S(own), room))
	}
	step := top.Step()
	here := strings.ToUpper(m.s.P.S(step.Name()))
	parts := []string{m.s.T.S(theme.Accent, here)}
	if step > screens.StepConnect {
		parts = append([]string{m.s.T.S(theme.Dim, m.s.P.S((step - 1).Name()))}, parts...)
	}
	if step < screens.StepReport {
		parts = append(parts, m.s.T.S(theme.Dim, m.s.P.S((step+1).Name())))
	}
	for len(parts) > 1 {
		line := strings.Join(parts, m.s.T.S(theme.Dim, " > "))
		if text.Width(line) <= room {
			return line
		}
		if len(parts) == 3 {
			parts = parts[:2]
			continue
		}
		parts = []string{m.s.T.S(theme.Accent, here)}
	}
	return text.Cut(parts[0], room)
}

// footer shows a message for a while, else the keys that matter here.
func (m *model) footer(w int) string {
	if f, ok := m.s.Flashing(); ok {
		return m.s.T.S(theme.Accent, text.Cut(m.s.P.S(f), w))
	}
	bindings := append(keys.Map(nil), m.s.Top().Keys()...)
	if top, ok := m.s.Overlays.Top(); ok {
		bindings = top.Keys()
	} else if typist, ok := m.s.Top().(screens.Typist); ok && typist.Typing() {
		bindings = keys.Map{{Action: keys.Enter, Help: "ui.key.search", Foot: true}, {Action: keys.Back, Help: "ui.key.close", Foot: true}}
	} else {
		bindings = append(bindings, everywhere...)
	}
	return m.footKeys(bindings, w)
}

// footKeys shows as many of the chosen keys as fit, and the help in any case.
func (m *model) footKeys(bindings keys.Map, w int) string {
	label := func(b keys.Binding) string {
		return m.s.T.S(theme.Accent, m.s.Key(b.Action)) + " " + m.s.T.S(theme.Dim, m.s.P.T(b.Help))
	}
	tail := ""
	var shown []string
	for _, b := range bindings {
		switch {
		case !b.Foot:
		case b.Action == keys.Help:
			tail = label(b)
		default:
			shown = append(shown, label(b))
		}
	}
	shown = shown[:min(len(shown), 5)]
	for {
		line := strings.Join(shown, "   ")
		if tail != "" && line != "" {
			line += "   "
		}
		line += tail
		if text.Width(line) <= w || len(shown) == 0 {
			return text.Cut(line, w)
		}
		shown = shown[:len(shown)-1]
	}
}
