// Package theme is how everything looks: a handful of tokens, one accent
// colour, and marks that carry their meaning by shape and word as well, so
// that neither a colour-blind reader nor a terminal without colour loses
// anything.
package theme

import (
	"image/color"
	"strings"

	"charm.land/lipgloss/v2"
)

// Token is a role that text plays.
type Token int

// The tokens. Plain is the terminal's own foreground.
const (
	Plain   Token = iota
	Strong        // what matters now
	Dim           // what may be overlooked
	Accent        // the one accent: where you are, what to press
	Good          // healthy, done, proved
	Warn          // look here
	Bad           // failed, destroys
	Command       // text that is run or was printed by a machine
	Alarm         // PRODUCTION, RUNNING: on a coloured ground
	Calm          // staging and lab: on a coloured ground
	tokens
)

// affix is what a style puts around one line of text; it is worked out once,
// because a view styles some hundred pieces.
type affix struct{ before, after string }

// Theme holds the styles. It is changed by Set only, between views.
type Theme struct {
	// Colour is off under NO_COLOR; weights stay.
	Colour bool
	// ASCII replaces every mark, for terminals that are not UTF-8.
	ASCII bool
	// Dark is the terminal's background.
	Dark   bool
	styles [tokens]affix
}

// New makes a theme for a dark background.
func New(colour, ascii bool) *Theme {
	t := &Theme{Colour: colour, ASCII: ascii, Dark: true}
	t.Set(true)
	return t
}

// palette pairs the colour on a light with the one on a dark background. The
// hues stay apart for all three kinds of colour blindness: blue-green against
// vermilion, differing in lightness too (after Okabe and Ito, 2008).
var palette = map[Token][2]string{
	Dim:     {"#6B7280", "#808A99"},
	Accent:  {"#0B57D0", "#7AB7FF"},
	Good:    {"#00695C", "#4FC3AE"},
	Warn:    {"#8A5A00", "#F0C24B"},
	Bad:     {"#B3261E", "#FF8160"},
	Command: {"#374151", "#C5CDD9"},
}

// Set chooses the colours for a background.
func (t *Theme) Set(dark bool) {
	t.Dark = dark
	for token := range tokens {
		const probe = "x"
		before, after, _ := strings.Cut(t.style(token).Render(probe), probe)
		t.styles[token] = affix{before, after}
	}
}

func (t *Theme) style(token Token) lipgloss.Style {
	s := lipgloss.NewStyle()
	switch token {
	case Strong, Accent:
		s = s.Bold(true)
	case Alarm:
		s = s.Bold(true)
		if !t.Colour {
			return s.Reverse(true)
		}
		return s.Foreground(lipgloss.Color("#FFFFFF")).Background(lipgloss.Color("#B3261E"))
	case Calm:
		if !t.Colour {
			return s
		}
		return s.Foreground(lipgloss.Color("#FFFFFF")).Background(lipgloss.Color("#2F5D8C"))
	}
	pair, ok := palette[token]
	if !ok || !t.Colour {
		return s
	}
	return s.Foreground(t.pick(pair))
}

func (t *Theme) pick(pair [2]string) color.Color {
	if t.Dark {
		return lipgloss.Color(pair[1])
	}
	return lipgloss.Color(pair[0])
}

// S styles one line of text.
func (t *Theme) S(token Token, s string) string {
	if s == "" || token == Plain {
		return s
	}
	return t.styles[token].before + s + t.styles[token].after
}

// Mark is a shape that says how something stands.
type Mark int

// The marks.
const (
	OK Mark = iota
	Done
	Fail
	Busy
	Unknown
	Idle
	Caution
	Leader
	Cursor
	Open
	Closed
	Rule
	Bar
	Caret
	Bullet
)

var glyphs = map[Mark][2]string{
	OK:      {"●", "[ok]"},
	Done:    {"✓", "[ok]"},
	Fail:    {"✗", "[!!]"},
	Busy:    {"◌", "[..]"},
	Unknown: {"?", "[??]"},
	Idle:    {"·", "[--]"},
	Caution: {"▲", "[!]"},
	Leader:  {"★", "*"},
	Cursor:  {"›", ">"},
	Open:    {"▾", "-"},
	Closed:  {"▸", "+"},
	Rule:    {"─", "-"},
	Bar:     {"│", "|"},
	Caret:   {"▏", "_"},
	Bullet:  {"•", "*"},
}

// Glyph is the shape of a mark.
func (t *Theme) Glyph(m Mark) string {
	g := glyphs[m]
	if t.ASCII {
		return g[1]
	}
	return g[0]
}

// Status is a mark with its word, in a token's colour.
func (t *Theme) Status(m Mark, token Token, word string) string {
	return t.S(token, t.Glyph(m)+" "+word)
}

// Line is a horizontal rule of w cells.
func (t *Theme) Line(w int) string {
	if w <= 0 {
		return ""
	}
	return t.S(Dim, strings.Repeat(t.Glyph(Rule), w))
}

// folding replaces signs outside ASCII by one of the same width, for
// terminals that are not UTF-8. Letters are left: a Russian text on such a
// terminal is the terminal's own affair.
var folding = strings.NewReplacer(
	"…", "~", "–", "-", "—", "-", "·", ".", "•", "*", "×", "x", "→", ">", "←", "<", "↑", "^", "↓", "v",
	"«", `"`, "»", `"`, "“", `"`, "”", `"`, "’", "'", "≥", ">", "≤", "<", "±", "+", "▏", "_", "│", "|", "─", "-",
	"›", ">", "▸", "+", "▾", "-", "★", "*", "●", "*", "✓", "+", "✗", "x", "◌", "o", "▲", "!", "№", "#", "␛", "^",
	"\u00a0", " ",
)

// Fold makes a finished view fit the terminal's character set.
func (t *Theme) Fold(s string) string {
	if !t.ASCII {
		return s
	}
	return folding.Replace(s)
}
