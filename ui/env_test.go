package ui

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestLookOfTheEnvironment(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
		want look
	}{
		{"utf-8 and colour", Options{Env: []string{"LANG=ru_RU.UTF-8", "TERM=xterm-256color"}}, look{lang: "ru", colour: true, askBackground: true}},
		{"NO_COLOR with any value", Options{Env: []string{"LANG=en_US.utf8", "NO_COLOR=yes", "TERM=linux"}}, look{lang: "en"}},
		{"NO_COLOR empty", Options{Env: []string{"LANG=en_US.utf8", "NO_COLOR="}}, look{lang: "en", colour: true}},
		{"--no-color", Options{NoColor: true, Env: []string{"LANG=C.UTF-8"}}, look{lang: "en"}},
		{"not UTF-8", Options{Env: []string{"LANG=ru_RU.KOI8-R"}}, look{lang: "en", colour: true, ascii: true}},
		{"not UTF-8, asked for", Options{Lang: "ru", Env: []string{"LC_ALL=C", "LANG=ru_RU.UTF-8"}}, look{lang: "ru", colour: true, ascii: true}},
		{"over SSH", Options{Env: []string{"LANG=C.UTF-8", "SSH_TTY=/dev/pts/1"}}, look{lang: "en", colour: true, ssh: true}},
	} {
		got := lookOf(c.o)
		got.env = nil
		if got.lang != c.want.lang || got.colour != c.want.colour || got.ascii != c.want.ascii || got.ssh != c.want.ssh || got.askBackground != c.want.askBackground {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestNoTerminal(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, o := range map[string]Options{
		"dumb":     {Env: []string{"TERM=dumb"}, Input: null, Output: null},
		"unset":    {Env: []string{"LANG=C"}, Input: null, Output: null},
		"no tty":   {Env: []string{"TERM=xterm"}, Input: strings.NewReader(""), Output: null},
		"--plain":  {Env: []string{"TERM=xterm"}, Plain: true},
		"dev null": {Env: []string{"TERM=xterm"}, Input: null, Output: null},
	} {
		err := Run(t.Context(), newFake("en", "healthy", nil), o)
		if !errors.Is(err, ErrNoTerminal) || !strings.Contains(err.Error(), "novatui diagnose") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
