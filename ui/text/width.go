package text

import (
	"strings"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

// Ellipsis marks what was cut off.
const Ellipsis = "…"

// Width is the number of terminal cells of s, escapes not counted.
func Width(s string) int { return ansi.StringWidth(s) }

// Cut shortens s to w cells with an ellipsis at the end when it is longer.
func Cut(s string, w int) string {
	if w <= 0 {
		return ""
	}
	if Width(s) <= w {
		return s
	}
	return ansi.Truncate(s, w, Ellipsis)
}

// Skip drops the first n cells of s.
func Skip(s string, n int) string {
	if n <= 0 {
		return s
	}
	return ansi.TruncateLeft(s, n, "")
}

// Left pads s on the right to exactly w cells, cutting when it is longer.
func Left(s string, w int) string {
	s = Cut(s, w)
	return s + Spaces(w-Width(s))
}

// Right pads s on the left to exactly w cells, cutting when it is longer.
func Right(s string, w int) string {
	s = Cut(s, w)
	return Spaces(w-Width(s)) + s
}

// Centre pads s on both sides to exactly w cells.
func Centre(s string, w int) string {
	s = Cut(s, w)
	gap := w - Width(s)
	return Spaces(gap/2) + s + Spaces(gap-gap/2)
}

// Spaces is n spaces, none when n is negative.
func Spaces(n int) string {
	if n <= 0 {
		return ""
	}
	return strings.Repeat(" ", n)
}

// Wrap breaks s into lines of at most w cells, at spaces where it can.
func Wrap(s string, w int) []string {
	if w <= 0 {
		return nil
	}
	if s == "" {
		return []string{""}
	}
	lines := strings.Split(ansi.Wrap(s, w, " "), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// WrapMax is Wrap with at most n lines; what is left over ends in an ellipsis.
func WrapMax(s string, w, n int) []string {
	lines := Wrap(s, w)
	if n <= 0 {
		return nil
	}
	if len(lines) <= n {
		return lines
	}
	rest := strings.Join(lines[n-1:], " ")
	return append(lines[:n-1:n-1], Cut(rest, w))
}

// Clean makes s safe to put into one line: tabs become two spaces, a line
// break one space, other control characters and everything that has no or an
// uncertain width (variation selectors, bidirectional marks) goes. Text off
// the wire was already made safe by whoever collected it; this keeps widths
// right whatever comes.
func Clean(s string) string {
	clean := true
	for _, r := range s {
		if unsafe(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t':
			b.WriteString("  ")
		case r == '\n':
			b.WriteByte(' ')
		case r == 0x1b:
			b.WriteRune('␛')
		case unsafe(r):
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unsafe(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar ||
		r >= 0xfe00 && r <= 0xfe0f || r == 0x2028 || r == 0x2029
}
