// Package overlay holds what lies on top of a screen for a while: help, lists,
// evidence, prompts, confirmations. An overlay is a sheet that covers the
// lower part of the screen in its full width, so that the screen's first
// sentence stays in view and copying needs no care about borders.
package overlay

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
)

// Kit is what everything that is shown needs.
type Kit struct {
	P *text.Printer
	T *theme.Theme
}

// Key is how the key of an action is called on a keyboard, in the language.
func (k Kit) Key(a keys.Action) string {
	if label := keys.Label(a); label != "space" {
		return label
	}
	return k.P.T("ui.keyname.space")
}

// AllKeys lists every key of an action.
func (k Kit) AllKeys(a keys.Action) string {
	names := strings.Split(keys.All(a), ", ")
	for i, name := range names {
		if name == "space" { // not the end of backspace
			names[i] = k.P.T("ui.keyname.space")
		}
	}
	return strings.Join(names, ", ")
}

// Overlay is one sheet. Its methods are called by the root model only.
type Overlay interface {
	// Title is shown in the sheet's upper edge.
	Title() msg.Msg
	// Lines renders at most h lines of at most w cells; fewer make the sheet
	// lower.
	Lines(w, h int) []string
	// Press handles a key press; done closes the sheet.
	Press(k tea.KeyPressMsg) (done bool, cmd tea.Cmd)
	// Paste handles pasted text.
	Paste(s string)
	// Keys are for the footer and the help.
	Keys() keys.Map
}

// Grace is how long the keyboard must be quiet before an overlay that opened
// by itself takes a key: typing that was meant for something else must not
// answer it.
const Grace = 400 * time.Millisecond

// Stack is the overlays, the top one last.
type Stack struct{ sheets []sheet }

type sheet struct {
	Overlay
	quietSince time.Time
	waiting    bool // grace is still running
}

// Open puts an overlay on top that the operator asked for.
func (s *Stack) Open(o Overlay) { s.sheets = append(s.sheets, sheet{Overlay: o}) }

// OpenByItself puts an overlay on top that nobody asked for; it takes keys
// after Grace of silence, counted from now.
func (s *Stack) OpenByItself(o Overlay, now time.Time) {
	s.sheets = append(s.sheets, sheet{Overlay: o, quietSince: now, waiting: true})
}

// Top is the uppermost overlay.
func (s *Stack) Top() (Overlay, bool) {
	if len(s.sheets) == 0 {
		return nil, false
	}
	return s.sheets[len(s.sheets)-1].Overlay, true
}

// Press gives a key press to the top overlay.
func (s *Stack) Press(k tea.KeyPressMsg, now time.Time) tea.Cmd {
	if len(s.sheets) == 0 {
		return nil
	}
	at := len(s.sheets) - 1
	top := &s.sheets[at]
	if top.waiting {
		quiet := now.Sub(top.quietSince)
		top.quietSince = now
		if quiet < Grace {
			return nil
		}
		top.waiting = false
	}
	o := top.Overlay
	done, cmd := o.Press(k)
	if done {
		s.Close(o)
	}
	return cmd
}

// Paste gives pasted text to the top overlay; during its grace it is dropped.
func (s *Stack) Paste(content string, now time.Time) {
	if len(s.sheets) == 0 {
		return
	}
	top := &s.sheets[len(s.sheets)-1]
	if top.waiting {
		if now.Sub(top.quietSince) < Grace {
			top.quietSince = now
			return
		}
		top.waiting = false
	}
	top.Overlay.Paste(content)
}

// Close takes an overlay off, wherever it lies.
func (s *Stack) Close(o Overlay) {
	for i, sh := range s.sheets {
		if sh.Overlay == o {
			s.sheets = append(s.sheets[:i:i], s.sheets[i+1:]...)
			return
		}
	}
}

// Clear takes all off that were opened by the operator.
func (s *Stack) Clear() {
	kept := s.sheets[:0:0]
	for _, sh := range s.sheets {
		if _, prompt := sh.Overlay.(*Prompt); prompt {
			kept = append(kept, sh)
		}
	}
	s.sheets = kept
}
