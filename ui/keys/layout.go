package keys

import (
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

// The ЙЦУКЕН layout over QWERTY, key by key (Russian, PC). Only terminals with
// the kitty protocol report the physical key, hence a table.
const (
	cyrillic = "ёйцукенгшщзхъфывапролджэячсмитьбю" + "ЁЙЦУКЕНГШЩЗХЪФЫВАПРОЛДЖЭЯЧСМИТЬБЮ"
	latin    = "`qwertyuiop[]asdfghjkl;'zxcvbnm,." + "~QWERTYUIOP{}ASDFGHJKL:\"ZXCVBNM<>"
)

var latinOf = func() map[rune]rune {
	m := make(map[rune]rune, utf8.RuneCountInString(cyrillic))
	l := []rune(latin)
	i := 0
	for _, r := range cyrillic {
		m[r] = l[i]
		i++
	}
	return m
}()

// punctuation is what the two keys beside the right shift give on the Russian
// layout: they are "/" and "?" on the Latin one.
var punctuation = map[rune]rune{'.': '/', ',': '?'}

// Latin is what the keys that typed s would have typed on a Latin layout.
func Latin(s string) string {
	return strings.Map(func(r rune) rune {
		if l, ok := latinOf[r]; ok {
			return l
		}
		return r
	}, s)
}

// candidates are the names of a key press, the likeliest first: as typed, the
// physical key where the terminal tells, and the key by the table.
func candidates(k tea.KeyPressMsg) []string {
	list := []string{k.String()}
	if k.BaseCode != 0 && k.BaseCode != k.Code {
		base := k
		base.Code, base.Text = k.BaseCode, ""
		if k.Text != "" && k.Mod&tea.ModShift == 0 {
			base.Text = string(k.BaseCode)
		}
		list = append(list, base.String())
	}
	if k.Text != "" {
		if l := Latin(k.Text); l != k.Text {
			list = append(list, l)
		}
		if r, n := utf8.DecodeRuneInString(k.Text); n == len(k.Text) && punctuation[r] != 0 {
			list = append(list, string(punctuation[r]))
		}
		return list
	}
	if l, ok := latinOf[k.Code]; ok { // ctrl or alt with a Cyrillic letter
		by := k
		by.Code = l
		list = append(list, by.String())
	}
	return list
}

// SameTyped reports whether typed is want, also when it was typed with the
// Cyrillic layout left on.
func SameTyped(typed, want string) bool {
	typed = strings.TrimSpace(typed)
	if typed == "" {
		return false
	}
	return typed == want || Latin(typed) == want
}
