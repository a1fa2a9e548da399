package keys

import (
	"testing"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
)

func TestLayoutIsComplete(t *testing.T) {
	if a, b := utf8.RuneCountInString(cyrillic), len(latin); a != b {
		t.Fatalf("%d Cyrillic letters stand over %d Latin keys", a, b)
	}
	if len(latinOf) != 66 {
		t.Fatalf("%d of 66 letters", len(latinOf))
	}
}

func TestFind(t *testing.T) {
	m := Map{{Action: Evidence}, {Action: Runbook}, {Action: Palette}, {Action: Help}, {Action: Search}, {Action: Language}, {Action: Pick}, {Action: Toggle}, {Action: Repaint}, {Action: PrevPane}}
	for _, c := range []struct {
		name string
		key  tea.KeyPressMsg
		want Action
	}{
		{"letter", tea.KeyPressMsg{Code: 'e', Text: "e"}, Evidence},
		{"same key, Russian", tea.KeyPressMsg{Code: 'у', Text: "у"}, Evidence},
		{"capital", tea.KeyPressMsg{Code: 'l', Text: "L", Mod: tea.ModShift}, Language},
		{"capital, Russian", tea.KeyPressMsg{Code: 'д', Text: "Д", Mod: tea.ModShift}, Language},
		{"colon by its key", tea.KeyPressMsg{Code: 'ж', Text: "Ж", Mod: tea.ModShift}, Palette},
		{"question mark by its key", tea.KeyPressMsg{Code: '.', Text: ",", Mod: tea.ModShift}, Help},
		{"slash by its key", tea.KeyPressMsg{Code: '.', Text: "."}, Search},
		{"kitty tells the physical key", tea.KeyPressMsg{Code: 'é', Text: "é", BaseCode: 'r'}, Runbook},
		{"space", tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}, Toggle},
		{"ctrl on a Russian layout", tea.KeyPressMsg{Code: 'д', Mod: tea.ModCtrl}, Repaint},
		{"shift+tab", tea.KeyPressMsg{Code: tea.KeyTab, Mod: tea.ModShift}, PrevPane},
	} {
		if p, ok := m.Find(c.key); !ok || p.Action != c.want {
			t.Errorf("%s: %q gives %q", c.name, c.key.String(), p.Action)
		}
	}
	if p, ok := m.Find(tea.KeyPressMsg{Code: '3', Text: "3"}); !ok || p.Digit != 3 {
		t.Errorf("3 picks %d", p.Digit)
	}
	if p, ok := m.Find(tea.KeyPressMsg{Code: 'b', Text: "b"}); ok {
		t.Errorf("b gives %q", p.Action)
	}
}

func TestSameTyped(t *testing.T) {
	for _, c := range []struct {
		typed, want string
		same        bool
	}{
		{"nova-prod", "nova-prod", true}, {" nova-prod ", "nova-prod", true}, {"тщмф-зкщв", "nova-prod", true},
		{"кластер", "кластер", true}, {"a.b", "a.b", true}, {"фюи", "a.b", true},
		{"", "nova-prod", false}, {"  ", "", false}, {"", "", false}, {"nova-Prod", "nova-prod", false}, {"nova-pro", "nova-prod", false},
	} {
		if got := SameTyped(c.typed, c.want); got != c.same {
			t.Errorf("%q for %q: %v", c.typed, c.want, got)
		}
	}
}
