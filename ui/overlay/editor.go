package overlay

import (
	"strings"
	"unicode"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/ui/text"
)

// maxInput bounds what can be typed or pasted into a field.
const maxInput = 1024

// Editor is a line editor: the text input of Bubbles, drawn with our caret, so
// that it works without colour and in ASCII. The zero Editor is ready to use.
type Editor struct {
	input *textinput.Model
	// Hidden shows nothing of the value: for secrets.
	Hidden bool
}

// field is the text input, made when first needed.
func (e *Editor) field() *textinput.Model {
	if e.input == nil {
		m := textinput.New()
		m.CharLimit = maxInput
		// Pasting comes from the terminal as a message; the library's own key
		// would run a program to read this machine's clipboard.
		m.KeyMap.Paste = key.NewBinding(key.WithDisabled())
		m.Focus()
		e.input = &m
	}
	return e.input
}

// Value is what was typed.
func (e *Editor) Value() string { return e.field().Value() }

// Set replaces the value and puts the cursor at its end.
func (e *Editor) Set(s string) {
	e.field().Reset()
	e.Insert(s)
}

// Insert types a text; everything that is not printable is left out.
func (e *Editor) Insert(s string) {
	printable := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
	e.update(tea.PasteMsg{Content: printable})
}

// Press edits; it reports whether the key was one of an editor's.
func (e *Editor) Press(k tea.KeyPressMsg) bool {
	if k.Text != "" {
		e.Insert(k.Text)
		return true
	}
	m := e.field().KeyMap
	if !key.Matches(k, m.CharacterForward, m.CharacterBackward, m.WordForward, m.WordBackward,
		m.DeleteWordBackward, m.DeleteWordForward, m.DeleteAfterCursor, m.DeleteBeforeCursor,
		m.DeleteCharacterBackward, m.DeleteCharacterForward, m.LineStart, m.LineEnd) {
		return false
	}
	e.update(k)
	return true
}

// update passes a message on. The commands that come back only make a cursor
// blink that is not drawn.
func (e *Editor) update(m tea.Msg) {
	next, _ := e.field().Update(m)
	*e.input = next
}

// View is the value with the cursor in it, in at most w cells around the
// cursor.
func (e *Editor) View(caret string, w int) string {
	if e.Hidden {
		return caret
	}
	value, at := []rune(e.Value()), e.field().Position()
	before, after := string(value[:at]), string(value[at:])
	room := max(1, w-text.Width(caret))
	if over := text.Width(before) - room; over > 0 {
		before = text.Skip(before, over)
		// A wide rune cut in two leaves a cell over or under.
		for text.Width(before) > room {
			before = string([]rune(before)[1:])
		}
	}
	return before + caret + text.Cut(after, room-text.Width(before))
}

// Blank reports whether nothing but spaces was typed.
func (e *Editor) Blank() bool { return strings.TrimSpace(e.Value()) == "" }
