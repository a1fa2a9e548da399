package text

import (
	"strings"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

// Ellipsis marks what was cut off.
const Ellipsis = "…"

// Width is the number of terminal cells of s, escapes not counted.
func Width(s string) int {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return ansi.StringWidth(s)
		}
	}
	return len(s)
}

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

// Wrap breaks a text without escapes into lines of at most w cells, at spaces;
// only a word that is longer than a line is broken itself. Hyphens are no place
// to break: paths and options must be copied whole.
func Wrap(s string, w int) []string {
	if w <= 0 {
		return nil
	}
	var lines []string
	line, cells := "", 0
	for _, word := range strings.Fields(s) {
		n := Width(word)
		if line != "" && cells+1+n <= w {
			line, cells = line+" "+word, cells+1+n
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for n > w {
			part := ansi.Truncate(word, w, "")
			if part == "" { // not even one rune fits
				break
			}
			lines = append(lines, part)
			word = word[len(part):]
			n = Width(word)
		}
		line, cells = Cut(word, w), min(n, w)
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
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
