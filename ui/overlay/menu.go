package overlay

import (
	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
)

// Item is one choice of a Menu.
type Item struct {
	Label msg.Msg
	Note  msg.Msg // what it would do
	// Do is nil for the choice that only closes the menu.
	Do func() tea.Cmd
}

// Menu is a short list of choices, the safest first and chosen at the start.
type Menu struct {
	Kit
	title msg.Msg
	text  msg.Msg
	items []Item
	at    int
}

// NewMenu makes a menu.
func NewMenu(k Kit, title, body msg.Msg, items []Item) *Menu {
	return &Menu{Kit: k, title: title, text: body, items: items}
}

// Title implements Overlay.
func (m *Menu) Title() msg.Msg { return m.title }

// Keys implements Overlay.
func (m *Menu) Keys() keys.Map {
	return keys.Map{
		{Action: keys.Enter, Help: "ui.key.choose", Foot: true},
		{Action: keys.Down, Help: "ui.key.next", Foot: true},
		{Action: keys.Back, Help: "ui.key.back", Foot: true},
	}
}

var menuKeys = keys.Map{
	{Action: keys.Up}, {Action: keys.Down}, {Action: keys.Enter}, {Action: keys.Pick},
	{Action: keys.NextPane}, {Action: keys.PrevPane}, {Action: keys.Back}, {Action: keys.Quit},
}

// Press implements Overlay.
func (m *Menu) Press(k tea.KeyPressMsg) (bool, tea.Cmd) {
	p, _ := menuKeys.Find(k)
	n := len(m.items)
	switch p.Action {
	case keys.Up, keys.PrevPane:
		m.at = (m.at + n - 1) % n
	case keys.Down, keys.NextPane:
		m.at = (m.at + 1) % n
	case keys.Pick:
		if p.Digit <= n {
			m.at = p.Digit - 1
		}
	case keys.Enter:
		if do := m.items[m.at].Do; do != nil {
			return true, do()
		}
		return true, nil
	case keys.Back, keys.Quit:
		return true, nil
	}
	return false, nil
}

// Paste implements Overlay.
func (m *Menu) Paste(string) {}

// Lines implements Overlay.
func (m *Menu) Lines(w, h int) []string {
	var body, tail []string
	if !m.text.Zero() {
		body = text.Wrap(m.P.S(m.text), w)
	}
	for i, item := range m.items {
		lead, token := "  ", theme.Plain
		if i == m.at {
			lead, token = m.T.Glyph(theme.Cursor)+" ", theme.Accent
		}
		tail = append(tail, m.T.S(token, text.Cut(lead+digit(i)+" "+m.P.S(item.Label), w)))
		if !item.Note.Zero() {
			for _, l := range text.Wrap(m.P.S(item.Note), w-4) {
				tail = append(tail, "    "+m.T.S(theme.Dim, l))
			}
		}
	}
	return fitAbove(body, tail, h)
}

func digit(i int) string {
	if i > 8 {
		return " "
	}
	return string(rune('1' + i))
}
