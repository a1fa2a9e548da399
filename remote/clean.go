package remote

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text that came from a remote machine safe to print: terminal
// escapes, other control characters and bidirectional overrides are shown as
// what they are (␛, \x07, …), broken UTF-8 becomes U+FFFD. Tabs stay; a
// newline stays.
func Clean(s string) string {
	if isClean(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r == 0x1b:
			b.WriteRune('␛')
		case r < 0x20:
			b.WriteRune('␀' + r) // the pictures of the control characters
		case r == 0x7f:
			b.WriteRune('␡')
		case r >= 0x80 && r < 0xa0 || isBidi(r):
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isClean(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' && r != '\t' || isBidi(r)
	}) < 0
}

// isBidi matches the characters that reorder text, which can make a command
// read as another one (CVE-2021-42574).
func isBidi(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f
}
