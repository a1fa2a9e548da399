// Package logpane is one node's pane: a bounded scrollback of which only the
// visible lines are ever rendered, so that its cost depends on its height and
// never on how much a node has printed.
package logpane

import (
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
	"github.com/novatui/novatui/workflows/engine"
)

// Keep is how many lines of scrollback a pane holds; the transcript file has
// everything.
const Keep = 5000

// Pane is the scrollback with a position in it.
type Pane struct {
	say     func(msg.Msg) string
	lines   []engine.OutputLine
	dropped int // lines that fell out of lines at the front

	following bool
	top       int // absolute number of the first visible line when not following
	skip      int // cells skipped on the left
	height    int // of the last View
	query     string
	hit       int // absolute number of the line last found, -1 for none
	last      time.Time
}

// New makes a pane that follows its end. say turns the messages among the
// lines into text.
func New(say func(msg.Msg) string) *Pane { return &Pane{say: say, following: true, hit: -1} }

// Append adds lines at the end. What exceeds Keep is dropped at the front.
func (p *Pane) Append(lines []engine.OutputLine) {
	if len(lines) == 0 {
		return
	}
	for _, l := range lines {
		l.Text = text.Clean(l.Text)
		p.lines = append(p.lines, l)
	}
	p.last = lines[len(lines)-1].Time
	// Trimming in larger portions keeps appending cheap.
	if over := len(p.lines) - Keep; over > Keep/4 {
		p.dropped += over
		p.lines = append([]engine.OutputLine(nil), p.lines[over:]...)
	}
}

// Len is how many lines are held.
func (p *Pane) Len() int { return len(p.lines) }

// Last is when the last line arrived; zero when none did.
func (p *Pane) Last() time.Time { return p.last }

// Following reports whether the pane shows its end as it grows.
func (p *Pane) Following() bool { return p.following }

// Follow turns following on or off.
func (p *Pane) Follow(on bool) {
	if !on && p.following {
		p.top = p.first()
	}
	p.following = on
}

// Scroll moves by n lines; reaching the end follows again.
func (p *Pane) Scroll(n int) {
	p.top = p.first() + n
	p.following = false
	p.clamp()
}

// Page is how many lines one page has.
func (p *Pane) Page() int { return max(1, p.height-1) }

// Home goes to the oldest line held.
func (p *Pane) Home() { p.top, p.following = p.dropped, false; p.clamp() }

// Sideways skips n more cells on the left, fewer when n is negative.
func (p *Pane) Sideways(n int) { p.skip = max(0, min(p.skip+n, 4000)) }

// Query is what is searched for.
func (p *Pane) Query() string { return p.query }

// Search looks for a text, ignoring case, backwards from the end as far as
// shown; it reports whether there is a hit. An empty text ends the search.
func (p *Pane) Search(query string) bool {
	p.query, p.hit = query, -1
	if query == "" {
		return true
	}
	return p.NextHit(-1)
}

// NextHit goes to the next hit in direction 1 (newer) or -1 (older), around
// the end.
func (p *Pane) NextHit(direction int) bool {
	n := len(p.lines)
	if n == 0 || p.query == "" {
		return false
	}
	want := strings.ToLower(p.query)
	start := p.hit - p.dropped
	if p.hit < p.dropped {
		start = min(p.first()-p.dropped+p.height, n)
		if direction > 0 {
			start = -1
		}
	}
	for i := 1; i <= n; i++ {
		at := ((start+direction*i)%n + n) % n
		if strings.Contains(strings.ToLower(p.text(p.lines[at])), want) {
			p.hit = at + p.dropped
			p.following = false
			p.top = p.hit - p.height/2
			p.clamp()
			return true
		}
	}
	return false
}

// Text is everything held, one line each, for saving.
func (p *Pane) Text() string {
	var b strings.Builder
	for _, l := range p.lines {
		b.WriteString(p.text(l))
		b.WriteByte('\n')
	}
	return b.String()
}

// View renders the visible part: exactly h lines of at most w cells.
func (p *Pane) View(t *theme.Theme, w, h int) []string {
	p.height = max(h, 0)
	p.clamp()
	out := make([]string, 0, p.height)
	from := p.first() - p.dropped
	for i := from; i < len(p.lines) && len(out) < h; i++ {
		if i < 0 {
			continue
		}
		out = append(out, p.line(t, i, w))
	}
	for len(out) < h {
		out = append(out, "")
	}
	return out
}

func (p *Pane) line(t *theme.Theme, i, w int) string {
	l := p.lines[i]
	s := text.Cut(text.Skip(text.Compact(p.text(l)), p.skip), w)
	if p.hit == i+p.dropped {
		return t.S(theme.Accent, s)
	}
	switch l.Kind {
	case engine.LineCommand:
		return t.S(theme.Strong, s)
	case engine.LineErr:
		return t.S(theme.Warn, s)
	case engine.LineNote, engine.LineGap:
		return t.S(theme.Dim, s)
	case engine.LineOut:
	}
	return t.S(theme.Command, s)
}

// text is a line in words.
func (p *Pane) text(l engine.OutputLine) string {
	switch {
	case l.Kind == engine.LineGap:
		return p.say(msg.M("ui.pane.gap", "n", l.Missing))
	case l.Kind == engine.LineCommand && !l.Msg.Zero():
		return "$ " + p.say(l.Msg)
	case !l.Msg.Zero():
		return p.say(l.Msg)
	case l.Kind == engine.LineCommand && !strings.HasPrefix(l.Text, "$ "):
		return "$ " + l.Text
	}
	return l.Text
}

// first is the absolute number of the first visible line.
func (p *Pane) first() int {
	if p.following {
		return p.dropped + max(0, len(p.lines)-p.height)
	}
	return p.top
}

// clamp keeps the position within what is held.
func (p *Pane) clamp() {
	if p.following {
		return
	}
	end := p.dropped + max(0, len(p.lines)-p.height)
	if p.top >= end {
		p.top = end
		if p.hit < 0 {
			p.following = true
		}
	}
	p.top = max(p.top, p.dropped)
}
