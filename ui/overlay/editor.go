package overlay

import (
	"strings"
	"unicode"

	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/ui/text"
)

// maxInput bounds what can be typed or pasted into a field.
const maxInput = 1024

// Editor is a line editor with the usual keys.
type Editor struct {
	value []rune
	pos   int
	// Hidden shows nothing of the value: for secrets.
	Hidden bool
}

// Value is what was typed.
func (e *Editor) Value() string { return string(e.value) }

// Set replaces the value and puts the cursor at its end.
func (e *Editor) Set(s string) {
	e.value, e.pos = nil, 0
	e.Insert(s)
}

// Insert types a text; everything that is not printable is left out.
func (e *Editor) Insert(s string) {
	for _, r := range s {
		if !unicode.IsPrint(r) || len(e.value) >= maxInput {
			continue
		}
		e.value = append(e.value, 0)
		copy(e.value[e.pos+1:], e.value[e.pos:])
		e.value[e.pos] = r
		e.pos++
	}
}

// Press edits; it reports whether the key was one of an editor's.
func (e *Editor) Press(k tea.KeyPressMsg) bool {
	switch k.Keystroke() {
	case "left", "ctrl+b":
		e.pos = max(0, e.pos-1)
	case "right", "ctrl+f":
		e.pos = min(len(e.value), e.pos+1)
	case "home", "ctrl+a":
		e.pos = 0
	case "end", "ctrl+e":
		e.pos = len(e.value)
	case "backspace", "ctrl+h":
		e.remove(e.pos-1, e.pos)
	case "delete", "ctrl+d":
		e.remove(e.pos, e.pos+1)
	case "ctrl+u":
		e.remove(0, e.pos)
	case "ctrl+k":
		e.remove(e.pos, len(e.value))
	case "alt+backspace", "ctrl+backspace", "ctrl+w":
		from := e.pos
		for from > 0 && e.value[from-1] == ' ' {
			from--
		}
		for from > 0 && e.value[from-1] != ' ' {
			from--
		}
		e.remove(from, e.pos)
	default:
		if k.Text == "" {
			return false
		}
		e.Insert(k.Text)
	}
	return true
}

func (e *Editor) remove(from, to int) {
	if from < 0 || to > len(e.value) || from >= to {
		return
	}
	e.value = append(e.value[:from:from], e.value[to:]...)
	e.pos = from
}

// View is the value with the cursor in it, in at most w cells around the
// cursor.
func (e *Editor) View(caret string, w int) string {
	if e.Hidden {
		return caret
	}
	before, after := string(e.value[:e.pos]), string(e.value[e.pos:])
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
func (e *Editor) Blank() bool { return strings.TrimSpace(string(e.value)) == "" }
