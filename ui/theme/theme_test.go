package theme

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

func TestMarksHaveAShapeInEveryCharacterSet(t *testing.T) {
	utf, ascii := New(true, false), New(true, true)
	seen := map[string]Mark{}
	for m := OK; m <= Bullet; m++ {
		if ansi.StringWidth(utf.Glyph(m)) != 1 {
			t.Errorf("mark %d is %q: not one cell", m, utf.Glyph(m))
		}
		for _, r := range ascii.Glyph(m) {
			if r > 0x7e {
				t.Errorf("mark %d is %q without UTF-8", m, ascii.Glyph(m))
			}
		}
		if m <= Caution && m != Done {
			if other, twice := seen[ascii.Glyph(m)]; twice {
				t.Errorf("marks %d and %d look the same: %q", m, other, ascii.Glyph(m))
			}
			seen[ascii.Glyph(m)] = m
		}
	}
}

func TestFoldKeepsWidths(t *testing.T) {
	for _, s := range []string{"a…b – c — d · e", "«x» → ↑↓ ●✓✗◌▲★›▸▾│─", "кириллица\u00a0и"} {
		got := New(false, true).Fold(s)
		if ansi.StringWidth(got) != ansi.StringWidth(s) {
			t.Errorf("%q has another width than %q", got, s)
		}
	}
}

func TestColourCanBeSwitchedOff(t *testing.T) {
	off := New(false, false)
	for token := Plain; token < tokens; token++ {
		if s := off.S(token, "x"); strings.Contains(s, "38;") || strings.Contains(s, "48;") {
			t.Errorf("token %d is coloured: %q", token, s)
		}
	}
	on := New(true, false)
	dark := on.S(Bad, "x")
	on.Set(false)
	if on.S(Bad, "x") == dark {
		t.Error("a light background gets the colours of a dark one")
	}
}
