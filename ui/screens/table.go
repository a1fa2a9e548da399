package screens

import (
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/ui/theme"
)

// column of a table. Columns with a higher drop go first when it is too wide;
// those with 0 stay.
type column struct {
	title string
	right bool
	mid   bool
	min   int // the narrowest that it starts with, so that nothing jumps
	drop  int
}

// cell of a table, styled after it was measured.
type cell struct {
	text  string
	token theme.Token
}

// table renders rows under a header line, with a cursor before the chosen row
// (none when chosen is negative). No row is ever wrapped.
func (s *Session) table(cols []column, rows [][]cell, chosen, w int) []string {
	widths := make([]int, len(cols))
	for i, c := range cols {
		widths[i] = max(c.min, text.Width(c.title))
		for _, r := range rows {
			widths[i] = max(widths[i], text.Width(r[i].text))
		}
	}
	shown := fit(cols, widths, w-2)
	out := make([]string, 0, len(rows)+1)
	head := "  "
	for n, i := range shown {
		head += gap(n) + align(cols[i].title, widths[i], cols[i])
	}
	out = append(out, s.T.S(theme.Dim, text.Cut(head, w)))
	for at, r := range rows {
		line := s.cursor(at == chosen)
		for n, i := range shown {
			token := r[i].token
			if at == chosen && token == theme.Plain {
				token = theme.Strong
			}
			line += gap(n) + s.T.S(token, align(r[i].text, widths[i], cols[i]))
		}
		out = append(out, text.Cut(line, w))
	}
	return out
}

func gap(n int) string {
	if n == 0 {
		return ""
	}
	return "  "
}

func align(t string, w int, c column) string {
	switch {
	case c.right:
		return text.Right(t, w)
	case c.mid:
		return text.Centre(t, w)
	}
	return text.Left(t, w)
}

// fit chooses the columns that have room, and narrows the widest left-aligned
// one when even those that must stay do not.
func fit(cols []column, widths []int, w int) []int {
	var shown []int
	total := -2
	for i := range cols {
		shown = append(shown, i)
		total += widths[i] + 2
	}
	for total > w {
		at := -1
		for n, i := range shown {
			if cols[i].drop > 0 && (at < 0 || cols[i].drop > cols[shown[at]].drop) {
				at = n
			}
		}
		if at < 0 {
			break
		}
		total -= widths[shown[at]] + 2
		shown = append(shown[:at:at], shown[at+1:]...)
	}
	for total > w {
		at := -1
		for _, i := range shown {
			if !cols[i].right && widths[i] > 6 && (at < 0 || widths[i] > widths[at]) {
				at = i
			}
		}
		if at < 0 {
			break
		}
		widths[at]--
		total--
	}
	return shown
}
