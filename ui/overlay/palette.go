package overlay

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
)

// Palette is every action that is possible now, found by typing a part of what
// it does.
type Palette struct {
	Kit
	actions keys.Map
	editor  Editor
	at      int
	run     func(keys.Action) tea.Cmd
}

// NewPalette makes a palette over the actions of a screen.
func NewPalette(k Kit, actions keys.Map, run func(keys.Action) tea.Cmd) *Palette {
	var shown keys.Map
	for _, b := range actions {
		if !b.Quiet && b.Action != keys.Palette && b.Action != keys.Pick {
			shown = append(shown, b)
		}
	}
	return &Palette{Kit: k, actions: shown, run: run}
}

// Title implements Overlay.
func (p *Palette) Title() msg.Msg { return msg.M("ui.palette.title") }

// Keys implements Overlay.
func (p *Palette) Keys() keys.Map {
	return keys.Map{
		{Action: keys.Enter, Help: "ui.key.choose", Foot: true},
		{Action: keys.Down, Help: "ui.key.next", Foot: true},
		{Action: keys.Back, Help: "ui.key.close", Foot: true},
	}
}

// matching are the actions whose description or key holds what was typed, also
// when it was typed on the other layout.
func (p *Palette) matching() keys.Map {
	typed := strings.ToLower(strings.TrimSpace(p.editor.Value()))
	if typed == "" {
		return p.actions
	}
	var out keys.Map
	for _, b := range p.actions {
		name := strings.ToLower(p.P.T(b.Help) + " " + p.AllKeys(b.Action))
		if strings.Contains(name, typed) || strings.Contains(name, keys.Latin(typed)) {
			out = append(out, b)
		}
	}
	return out
}

// Press implements Overlay.
func (p *Palette) Press(k tea.KeyPressMsg) (bool, tea.Cmd) {
	found := p.matching()
	switch k.Keystroke() {
	case "esc", "ctrl+c":
		return true, nil
	case "enter":
		if p.at < len(found) {
			return true, p.run(found[p.at].Action)
		}
		return false, nil
	case "up", "shift+tab":
		p.at = max(0, p.at-1)
	case "down", "tab":
		p.at = min(max(0, len(found)-1), p.at+1)
	default:
		if p.editor.Press(k) {
			p.at = 0
		}
	}
	return false, nil
}

// Paste implements Overlay.
func (p *Palette) Paste(s string) { p.editor.Insert(s); p.at = 0 }

// Lines implements Overlay.
func (p *Palette) Lines(w, h int) []string {
	out := []string{p.T.S(theme.Accent, ":") + p.editor.View(p.T.Glyph(theme.Caret), w-1)}
	found := p.matching()
	if len(found) == 0 {
		return append(out, p.T.S(theme.Dim, text.Cut(p.P.T("ui.palette.none"), w)))
	}
	p.at = min(p.at, len(found)-1)
	from := max(0, p.at-max(0, h-2))
	for i := from; i < len(found) && len(out) < h; i++ {
		lead, token := "  ", theme.Plain
		if i == p.at {
			lead, token = p.T.Glyph(theme.Cursor)+" ", theme.Accent
		}
		line := lead + text.Left(p.Key(found[i].Action), 10) + " " + p.P.T(found[i].Help)
		out = append(out, p.T.S(token, text.Cut(line, w)))
	}
	return out
}
