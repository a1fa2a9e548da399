package overlay

import (
	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
)

// Field is something that must be typed exactly.
type Field struct {
	Label msg.Msg
	Want  string
}

// Confirm asks before something is changed. With fields, each must be typed in
// full; without, the answer is the letter y. Enter alone, a blank and the end
// of input are never a yes.
type Confirm struct {
	Kit
	title   msg.Msg
	body    func(w int) []string
	fields  []Field
	editors []Editor
	at      int
	hint    msg.Msg
	yes     func(typed []string) tea.Cmd
}

// NewConfirm makes a confirmation; yes gets what was typed, in the order of
// the fields (what was wanted, when it was typed on a Cyrillic layout).
func NewConfirm(k Kit, title msg.Msg, body func(w int) []string, fields []Field, yes func([]string) tea.Cmd) *Confirm {
	return &Confirm{Kit: k, title: title, body: body, fields: fields, editors: make([]Editor, len(fields)), yes: yes}
}

// Title implements Overlay.
func (c *Confirm) Title() msg.Msg { return c.title }

// Keys implements Overlay.
func (c *Confirm) Keys() keys.Map {
	if len(c.fields) == 0 {
		return keys.Map{
			{Action: keys.Copy, Help: "ui.key.yes", Foot: true},
			{Action: keys.Back, Help: "ui.key.no", Foot: true},
		}
	}
	m := keys.Map{
		{Action: keys.Enter, Help: "ui.key.accept", Foot: true},
		{Action: keys.Back, Help: "ui.key.no", Foot: true},
	}
	if len(c.fields) > 1 {
		m = append(m, keys.Binding{Action: keys.NextPane, Help: "ui.key.nextfield", Foot: true})
	}
	return m
}

// Press implements Overlay.
func (c *Confirm) Press(k tea.KeyPressMsg) (bool, tea.Cmd) {
	if k.Keystroke() == "esc" || k.Keystroke() == "ctrl+c" {
		return true, nil
	}
	if len(c.fields) == 0 {
		return c.pressYesNo(k)
	}
	switch k.Keystroke() {
	case "enter":
		return c.accept()
	case "tab", "down":
		c.at = (c.at + 1) % len(c.fields)
	case "shift+tab", "up":
		c.at = (c.at + len(c.fields) - 1) % len(c.fields)
	case "ctrl+d":
		if c.editors[c.at].Value() == "" {
			return true, nil
		}
		c.editors[c.at].Press(k)
	default:
		if c.editors[c.at].Press(k) {
			c.hint = msg.Msg{}
		}
	}
	return false, nil
}

func (c *Confirm) pressYesNo(k tea.KeyPressMsg) (bool, tea.Cmd) {
	switch {
	case keys.Is(k, keys.Copy): // y
		return true, c.yes(nil)
	case keys.Is(k, keys.NextHit), keys.Is(k, keys.Quit): // n, q
		return true, nil
	}
	c.hint = msg.M("ui.confirm.press-y")
	return false, nil
}

// accept goes on to the next field that is not right, and says yes when all
// are.
func (c *Confirm) accept() (bool, tea.Cmd) {
	for i := range c.fields {
		at := (c.at + i) % len(c.fields)
		if keys.SameTyped(c.editors[at].Value(), c.fields[at].Want) {
			continue
		}
		switch {
		case at != c.at: // the one just typed is right: on to the next
			c.hint = msg.Msg{}
		case c.editors[at].Blank():
			c.hint = msg.M("ui.confirm.blank", "want", c.fields[at].Want)
		default:
			c.hint = msg.M("ui.confirm.wrong", "want", c.fields[at].Want)
		}
		c.at = at
		return false, nil
	}
	typed := make([]string, len(c.fields))
	for i, f := range c.fields {
		typed[i] = f.Want
	}
	return true, c.yes(typed)
}

// Paste implements Overlay. A pasted name counts: whoever pastes it has read
// it somewhere.
func (c *Confirm) Paste(s string) {
	if len(c.editors) > 0 {
		c.editors[c.at].Insert(s)
	}
}

// Lines implements Overlay. The fields come first to be kept when there is
// little room; the body is cut.
func (c *Confirm) Lines(w, h int) []string {
	var tail []string
	for i, f := range c.fields {
		label := c.P.S(f.Label)
		if i > 0 {
			tail = append(tail, "")
		}
		token := theme.Plain
		if i == c.at {
			token = theme.Strong
		}
		for _, l := range text.Wrap(label, w) {
			tail = append(tail, c.T.S(token, l))
		}
		tail = append(tail, c.field(i, w))
	}
	if !c.hint.Zero() {
		for _, l := range text.Wrap(c.P.S(c.hint), w) {
			tail = append(tail, c.T.S(theme.Warn, l))
		}
	} else if len(c.fields) == 0 {
		for _, l := range text.Wrap(c.P.T("ui.confirm.press-y"), w) {
			tail = append(tail, c.T.S(theme.Strong, l))
		}
	}
	return fitAbove(c.body(w), tail, h)
}

func (c *Confirm) field(i, w int) string {
	prompt := c.T.Glyph(theme.Cursor) + " "
	room := w - text.Width(prompt)
	if i != c.at {
		return "  " + text.Cut(c.editors[i].Value(), room)
	}
	return c.T.S(theme.Accent, prompt) + c.T.S(theme.Strong, c.editors[i].View(c.T.Glyph(theme.Caret), room))
}

// fitAbove puts body over tail within h lines; the body gives way.
func fitAbove(body, tail []string, h int) []string {
	if len(tail) >= h {
		return tail[len(tail)-max(h, 0):]
	}
	room := h - len(tail) - 1
	if len(body) > room {
		body = body[:max(0, room)]
	}
	if len(body) == 0 {
		return tail
	}
	out := append(append([]string(nil), body...), "")
	return append(out, tail...)
}
