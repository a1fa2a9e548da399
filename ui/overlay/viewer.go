package overlay

import (
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/keys"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
)

// Viewer shows a text that may be longer than the screen: evidence, exact
// commands, guards, help.
type Viewer struct {
	Kit
	title msg.Msg
	// content renders the whole text for a width. It is called for every view,
	// so that the language and the size can change under it.
	content func(w int) []string
	// Plain is what is copied; nil means the content without styles.
	Plain func() string

	top, page int
	width     int // of the last view, so that a found line has its number there
	search    *Editor
	query     string
}

// NewViewer makes a viewer.
func NewViewer(k Kit, title msg.Msg, content func(w int) []string) *Viewer {
	return &Viewer{Kit: k, title: title, content: content}
}

// Title implements Overlay.
func (v *Viewer) Title() msg.Msg { return v.title }

// Keys implements Overlay.
func (v *Viewer) Keys() keys.Map {
	return keys.Map{
		{Action: keys.Back, Help: "ui.key.close", Foot: true},
		{Action: keys.Down, Help: "ui.key.scroll", Foot: true},
		{Action: keys.Search, Help: "ui.key.search", Foot: true},
		{Action: keys.Copy, Help: "ui.key.copy", Foot: true},
	}
}

// viewerKeys are what Press understands.
var viewerKeys = keys.Map{
	{Action: keys.Up}, {Action: keys.Down}, {Action: keys.PageUp}, {Action: keys.PageDown},
	{Action: keys.Home}, {Action: keys.End}, {Action: keys.Toggle}, {Action: keys.Copy},
	{Action: keys.Search}, {Action: keys.NextHit}, {Action: keys.PrevHit},
	{Action: keys.Back}, {Action: keys.Enter}, {Action: keys.Quit}, {Action: keys.Help},
	{Action: keys.Evidence},
}

// Press implements Overlay.
func (v *Viewer) Press(k tea.KeyPressMsg) (bool, tea.Cmd) {
	if v.search != nil {
		v.typeSearch(k)
		return false, nil
	}
	p, _ := viewerKeys.Find(k)
	switch p.Action {
	case keys.Up:
		v.top--
	case keys.Down:
		v.top++
	case keys.PageUp:
		v.top -= v.page
	case keys.PageDown, keys.Toggle:
		v.top += v.page
	case keys.Home:
		v.top = 0
	case keys.End:
		v.top = 1 << 30
	case keys.Search:
		v.search = &Editor{}
	case keys.NextHit:
		v.find(1)
	case keys.PrevHit:
		v.find(-1)
	case keys.Copy:
		return false, Copied(v.plain())
	case keys.Back, keys.Enter, keys.Quit, keys.Help, keys.Evidence:
		return true, nil
	}
	return false, nil
}

// Paste implements Overlay.
func (v *Viewer) Paste(s string) {
	if v.search != nil {
		v.search.Insert(s)
	}
}

func (v *Viewer) typeSearch(k tea.KeyPressMsg) {
	switch k.Keystroke() {
	case "enter":
		v.query = v.search.Value()
		v.search = nil
		v.top--
		v.find(1)
	case "esc", "ctrl+c":
		v.search = nil
	default:
		v.search.Press(k)
	}
}

// find moves to the next line that holds the query, around the end.
func (v *Viewer) find(direction int) {
	lines := v.content(max(v.width, 20))
	n := len(lines)
	if v.query == "" || n == 0 {
		return
	}
	want := strings.ToLower(v.query)
	for i := 1; i <= n; i++ {
		at := ((v.top+direction*i)%n + n) % n
		if strings.Contains(strings.ToLower(ansi.Strip(lines[at])), want) {
			v.top = at
			return
		}
	}
}

// Lines implements Overlay.
func (v *Viewer) Lines(w, h int) []string {
	v.width = w
	lines := v.content(w)
	foot := ""
	if v.search != nil {
		foot = v.T.S(theme.Accent, "/") + v.search.View(v.T.Glyph(theme.Caret), w-1)
	}
	room := h
	if foot != "" {
		room--
	}
	if len(lines) <= room {
		v.top, v.page = 0, max(1, room-1)
		return withFoot(lines, foot)
	}
	room-- // for the line that says how much there is
	v.page = max(1, room-1)
	v.top = max(0, min(v.top, len(lines)-room))
	end := min(len(lines), v.top+max(room, 0))
	shown := append([]string(nil), lines[v.top:end]...)
	more := v.P.T("ui.viewer.position", "from", v.top+1, "to", end, "of", len(lines))
	shown = append(shown, v.T.S(theme.Dim, text.Cut(more, w)))
	return withFoot(shown, foot)
}

func withFoot(lines []string, foot string) []string {
	if foot == "" {
		return lines
	}
	return append(lines, foot)
}

func (v *Viewer) plain() string {
	if v.Plain != nil {
		return v.Plain()
	}
	return ansi.Strip(strings.Join(v.content(400), "\n"))
}

// Copy is the message that asks the root to put a text on the clipboard.
type Copy struct{ Text string }

// maxCopy bounds what goes to the clipboard through the terminal, in bytes:
// many terminals drop longer sequences whole.
const maxCopy = 64 << 10

// Copied makes the command that asks for it; of a longer text it is the end.
func Copied(s string) tea.Cmd {
	if len(s) > maxCopy {
		s = strings.ToValidUTF8(s[len(s)-maxCopy:], "")
	}
	return func() tea.Msg { return Copy{Text: s} }
}
