// Package keys maps key presses to actions. Every letter works on a Cyrillic
// keyboard layout too, by its place on the keyboard.
package keys

import (
	"strings"

	tea "charm.land/bubbletea/v2"
)

// Action is what a key asks for.
type Action string

// The actions.
const (
	Up       Action = "up"
	Down     Action = "down"
	Left     Action = "left"
	Right    Action = "right"
	PageUp   Action = "page-up"
	PageDown Action = "page-down"
	Home     Action = "home"
	End      Action = "end"
	Enter    Action = "enter"
	Back     Action = "back"
	NextPane Action = "next-pane"
	PrevPane Action = "prev-pane"
	Pick     Action = "pick" // a digit; see Press.Digit
	Help     Action = "help"
	Search   Action = "search"
	NextHit  Action = "next-hit"
	PrevHit  Action = "prev-hit"
	Palette  Action = "palette"
	Zoom     Action = "zoom"
	Follow   Action = "follow"
	Evidence Action = "evidence"
	Runbook  Action = "runbook"
	Guards   Action = "guards"
	SavePane Action = "save-pane"
	SavePlan Action = "save-plan"
	Copy     Action = "copy"
	Toggle   Action = "toggle" // space
	Pause    Action = "pause"  // space, while a run goes
	Stop     Action = "stop"
	Abort    Action = "abort"
	Again    Action = "again"
	Language Action = "language"
	Repaint  Action = "repaint"
	Suspend  Action = "suspend"
	Quit     Action = "quit"
)

// strokes are the keys of each action, the one that is shown first.
var strokes = map[Action][]string{
	Up:       {"up", "k"},
	Down:     {"down", "j"},
	Left:     {"left", "h"},
	Right:    {"right", "l"},
	PageUp:   {"pgup", "ctrl+b"},
	PageDown: {"pgdown", "ctrl+f"},
	Home:     {"home"},
	End:      {"end"},
	Enter:    {"enter"},
	Back:     {"esc", "backspace"},
	NextPane: {"tab"},
	PrevPane: {"shift+tab"},
	Pick:     {"1", "2", "3", "4", "5", "6", "7", "8", "9"},
	Help:     {"?"},
	Search:   {"/"},
	NextHit:  {"n"},
	PrevHit:  {"N"},
	Palette:  {":"},
	Zoom:     {"z"},
	Follow:   {"f"},
	Evidence: {"e"},
	Runbook:  {"r"},
	Guards:   {"g"},
	SavePane: {"w"},
	SavePlan: {"s"},
	Copy:     {"y"},
	Toggle:   {"space"},
	Pause:    {"space"},
	Stop:     {"s"},
	Abort:    {"x"},
	Again:    {"a"},
	Language: {"L"},
	Repaint:  {"ctrl+l"},
	Suspend:  {"ctrl+z"},
	Quit:     {"q", "ctrl+c"},
}

// Binding is an action that is possible now.
type Binding struct {
	Action Action
	// Help is the message id of what it does here.
	Help string
	// Foot puts it into the footer.
	Foot bool
	// Quiet keeps it out of the help and the palette (arrows and the like).
	Quiet bool
}

// Map is what is possible now, in the order in which it is shown.
type Map []Binding

// Label is how the keys of an action are shown: "enter", "1-9".
func Label(a Action) string {
	switch a {
	case Pick:
		return "1-9"
	case Up:
		return "↑"
	case Down:
		return "↓"
	}
	return strokes[a][0]
}

// All lists every key of an action, for the help.
func All(a Action) string {
	if a == Pick {
		return "1-9"
	}
	return strings.Join(strokes[a], ", ")
}

// Press is a key press, brought to the names used here.
type Press struct {
	Action Action
	// Digit is 1 to 9 for Pick.
	Digit int
	// Raw is the press itself, for editors.
	Raw tea.KeyPressMsg
}

// Find gives the action that a key press asks for. Earlier bindings win; what
// was typed wins over what the same key means on a Latin layout.
func (m Map) Find(k tea.KeyPressMsg) (Press, bool) {
	for _, stroke := range candidates(k) {
		for _, b := range m {
			for i, s := range strokes[b.Action] {
				if s == stroke {
					p := Press{Action: b.Action, Raw: k}
					if b.Action == Pick {
						p.Digit = i + 1
					}
					return p, true
				}
			}
		}
	}
	return Press{Raw: k}, false
}

// Is reports whether a key press is one of the keys of an action.
func Is(k tea.KeyPressMsg, a Action) bool {
	_, ok := Map{{Action: a}}.Find(k)
	return ok
}
