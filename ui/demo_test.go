package ui

import (
	"context"
	"os"
	"testing"
	"time"
)

// TestDemo shows the wizard over the fake in a real terminal, for looking at
// it: NOVATUI_UI_DEMO=one-down go test -c -o demo ./ui && ./demo -test.run TestDemo
// NOVATUI_UI_LANG, NOVATUI_UI_ENDING and NOVATUI_UI_DRILL=1 choose the rest.
func TestDemo(t *testing.T) {
	scenario := os.Getenv("NOVATUI_UI_DEMO")
	if scenario == "" {
		t.Skip("for people: NOVATUI_UI_DEMO is not set")
	}
	lang := os.Getenv("NOVATUI_UI_LANG")
	if lang == "" {
		lang = "en"
	}
	f := newFake(lang, scenario, time.Now)
	f.paced = time.Sleep
	if e := os.Getenv("NOVATUI_UI_ENDING"); e != "" {
		f.ending = e
	}
	if os.Getenv("NOVATUI_UI_DRILL") != "" {
		f.drill, f.prod = true, false
	}
	if err := Run(context.Background(), f, Options{Lang: lang}); err != nil {
		t.Fatal(err)
	}
}
