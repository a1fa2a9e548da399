package screens

import (
	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
)

// readable is the widest that a sentence gets; wider terminals get columns.
const readable = 100

// wideFrom is the width from which a screen shows what it is about beside
// what it says.
const wideFrom = 150

// block is a group of lines that is set off from the next by a blank line.
type block struct {
	lines []string
	// min is how many lines stay when there is little room; blocks with a
	// higher rank give way first. A rank of 0 never gives way.
	min  int
	rank int
}

// pack stacks blocks within h lines. When there is too little room, blanks go
// first, from below, then lines of the blocks that may give way, and what is
// cut is marked.
func (s *Session) pack(h int, blocks ...block) []string {
	kept := blocks[:0:0]
	total := 0
	for _, b := range blocks {
		if len(b.lines) > 0 {
			kept = append(kept, b)
			total += len(b.lines)
		}
	}
	blanks := max(0, len(kept)-1)
	for total+blanks > h && blanks > 0 {
		blanks--
	}
	for total > h {
		at := -1
		for i, b := range kept {
			if b.rank > 0 && len(b.lines) > b.min && (at < 0 || b.rank > kept[at].rank) {
				at = i
			}
		}
		if at < 0 {
			break
		}
		room := max(kept[at].min, len(kept[at].lines)-(total-h))
		total -= len(kept[at].lines) - room
		kept[at].lines = s.shorten(kept[at].lines, room)
		kept[at].rank = 0
	}
	var out []string
	for i, b := range kept {
		if i > 0 && i <= blanks {
			out = append(out, "")
		}
		out = append(out, b.lines...)
	}
	if len(out) > h {
		out = out[:max(h, 0)]
	}
	return out
}

// shorten keeps n lines and says how many it cut.
func (s *Session) shorten(lines []string, n int) []string {
	if n >= len(lines) {
		return lines
	}
	if n <= 1 {
		return lines[:max(n, 0)]
	}
	more := s.T.S(theme.Dim, "  "+s.P.T("ui.more", "n", len(lines)-n+1))
	return append(lines[:n-1:n-1], more)
}

// para is a message as lines, at most n of them.
func (s *Session) para(token theme.Token, m msg.Msg, w, n int) []string {
	t := s.P.S(m)
	if t == "" {
		return nil
	}
	lines := text.WrapMax(t, min(w, readable), n)
	for i, l := range lines {
		lines[i] = s.T.S(token, l)
	}
	return lines
}

// indent puts n spaces before each line.
func indent(lines []string, n int) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = text.Spaces(n) + l
	}
	return out
}

// columns puts two blocks of lines side by side, the left one lw wide.
func columns(left, right []string, lw, gap int) []string {
	n := max(len(left), len(right))
	out := make([]string, n)
	for i := range out {
		l, r := "", ""
		if i < len(left) {
			l = left[i]
		}
		if i < len(right) {
			r = right[i]
		}
		out[i] = text.Left(l, lw) + text.Spaces(gap) + r
	}
	return out
}

// window gives the h lines around the one at focus, with marks where there is
// more above or below.
func (s *Session) window(lines []string, focus, h int) []string {
	if len(lines) <= h || h <= 0 {
		return lines[:min(len(lines), max(h, 0))]
	}
	from := max(0, min(focus-h/2, len(lines)-h))
	out := append([]string(nil), lines[from:from+h]...)
	if h < 4 {
		return out
	}
	if from > 0 && focus > from {
		out[0] = s.T.S(theme.Dim, "  "+s.P.T("ui.above", "n", from+1))
	}
	if below := len(lines) - from - h; below > 0 && focus < from+h-1 {
		out[h-1] = s.T.S(theme.Dim, "  "+s.P.T("ui.below", "n", below+1))
	}
	return out
}

// cursor is the mark before the chosen one of several rows.
func (s *Session) cursor(on bool) string {
	if on {
		return s.T.S(theme.Accent, s.T.Glyph(theme.Cursor)) + " "
	}
	return "  "
}
