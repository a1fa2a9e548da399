package ui

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

var update = flag.Bool("golden-update", false, "write the golden views")

// views are the screens in the states that matter.
var views = []struct {
	name     string
	scenario string
	set      func(*fake)
	go_      func(*driver)
}{
	{"connecting", "one-down", func(f *fake) { f.hold = "screens.connected" }, func(d *driver) { d.pass(1400 * time.Millisecond) }},
	{"looking", "one-down", func(f *fake) { f.hold = "screens.FactsCollected"; drill(f) }, func(d *driver) { d.pass(time.Second) }},
	{"connect-unreachable", "unreachable", nil, func(d *driver) { d.pass(time.Second) }},
	{"connect-unfinished", "one-down", unfinished, func(d *driver) { d.pass(time.Second) }},
	{"diagnose-healthy", "healthy", nil, func(d *driver) { d.toDiagnose() }},
	{"diagnose-one-down", "one-down", nil, func(d *driver) { d.toDiagnose() }},
	{"diagnose-one-down-drill", "one-down", drill, func(d *driver) { d.toDiagnose() }},
	{"diagnose-quorum-lost", "quorum-lost", nil, func(d *driver) { d.toDiagnose() }},
	{"diagnose-unreachable", "unreachable", nil, func(d *driver) { d.toDiagnose().press("enter"); d.pass(time.Second) }},
	{"diagnose-failed", "one-down", func(f *fake) { f.collectErr = errNoMore }, func(d *driver) { d.toDiagnose() }},
	{"evidence", "one-down", nil, func(d *driver) { d.toDiagnose().press("e") }},
	{"help", "one-down", nil, func(d *driver) { d.toDiagnose().press("?") }},
	{"palette", "one-down", nil, func(d *driver) { d.toDiagnose().press(":") }},
	{"choose", "one-down", nil, func(d *driver) { d.toChoose() }},
	{"choose-restore", "quorum-lost", nil, func(d *driver) { d.toChoose().press("enter") }},
	{"guards", "one-down", nil, func(d *driver) { d.toDiagnose().press("g") }},
	{"review", "one-down", nil, func(d *driver) { d.toReview() }},
	{"review-open", "one-down", nil, func(d *driver) { d.toReview().press("down", "down", "space") }},
	{"review-restore", "quorum-lost", nil, func(d *driver) { d.toReview().press("enter") }},
	{"review-rollback", "one-down", unfinished, func(d *driver) {
		d.pass(time.Second)
		d.press("down", "down", "enter")
		d.pass(time.Second)
	}},
	{"commands", "one-down", nil, func(d *driver) { d.toReview().press("e") }},
	{"confirm", "one-down", nil, func(d *driver) { d.toReview().press("enter"); d.write("nova-pr") }},
	{"confirm-override", "one-down", nil, func(d *driver) {
		d.toChoose().press("down", "down", "enter", "enter", "enter")
	}},
	{"running", "one-down", nil, func(d *driver) { d.toExecute().pass(3200 * time.Millisecond) }},
	{"running-drill", "one-down", drill, func(d *driver) { d.toExecute().pass(3200 * time.Millisecond) }},
	{"running-zoom", "one-down", nil, func(d *driver) { d.toExecute().pass(3200 * time.Millisecond); d.press("z") }},
	{"paused", "one-down", nil, func(d *driver) { d.toExecute().press("space"); d.pass(6 * time.Second) }},
	{"abort", "one-down", nil, func(d *driver) { d.toExecute().pass(3200 * time.Millisecond); d.press("x") }},
	{"failed-step", "one-down", func(f *fake) { f.ending = "failed" }, func(d *driver) { d.toExecute().pass(15 * time.Second) }},
	{"unknown-step", "one-down", func(f *fake) { f.ending = "unknown" }, func(d *driver) { d.toExecute().pass(15 * time.Second) }},
	{"steps", "one-down", func(f *fake) { f.ending = "failed" }, func(d *driver) { d.toExecute().pass(15 * time.Second); d.press("e") }},
	{"report", "one-down", nil, func(d *driver) { d.toExecute().pass(15 * time.Second) }},
	{"report-unproved", "one-down", func(f *fake) { f.ending = "failed" }, func(d *driver) {
		d.toExecute().pass(15 * time.Second)
		d.press("4", "down", "down", "down", "down", "enter")
	}},
	{"host-key", "one-down", hostKey, func(d *driver) { d.toDiagnose() }},
	{"sudo", "one-down", sudoRefused, func(d *driver) { d.toDiagnose() }},
	{"quit-running", "one-down", nil, func(d *driver) { d.toExecute().pass(2 * time.Second); d.press("q") }},
}

func drill(f *fake) { f.drill, f.prod = true, false }

// sizes of the golden views.
var sizes = []struct{ w, h int }{{60, 20}, {80, 24}, {120, 40}, {200, 50}}

// TestGoldenViews compares every screen in every state with what was looked at
// and found good. go test ./ui -run Golden -golden-update writes them anew: look at
// the diff before committing it.
func TestGoldenViews(t *testing.T) {
	for _, v := range views {
		for _, lang := range []string{"en", "ru"} {
			t.Run(v.name+"/"+lang, func(t *testing.T) {
				var b strings.Builder
				d := drive(t, lang, v.scenario, 80, 24, v.set)
				v.go_(d)
				for _, s := range sizes {
					d.update(tea.WindowSizeMsg{Width: s.w, Height: s.h})
					view := d.m.render()
					checkFits(t, view, s.w, s.h)
					fmt.Fprintf(&b, "=== %dx%d\n%s\n", s.w, s.h, trimmed(view))
				}
				d.m.s.T.ASCII = true
				d.update(tea.WindowSizeMsg{Width: 80, Height: 24})
				view := d.m.render()
				checkFits(t, view, 80, 24)
				fmt.Fprintf(&b, "=== 80x24 ASCII\n%s\n", trimmed(view))
				compare(t, filepath.Join("testdata", v.name+"."+lang+".txt"), b.String())
			})
		}
	}
}

// TestColours compares one screen with its styles, in colour and without.
func TestColours(t *testing.T) {
	for _, colour := range []bool{true, false} {
		d := drive(t, "en", "one-down", 80, 24, nil)
		d.toDiagnose()
		d.m.s.T.Colour = colour
		d.m.s.T.Set(true)
		view := d.m.render()
		if !colour && strings.Contains(view, "38;2;") {
			t.Error("a colour is left although colour is off")
		}
		name := "colour"
		if !colour {
			name = "nocolour"
		}
		compare(t, filepath.Join("testdata", name+".ansi"), strings.ReplaceAll(view, "\x1b", "␛")+"\n")
	}
}

func trimmed(view string) string {
	lines := strings.Split(ansi.Strip(view), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func compare(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./ui -run Golden -golden-update writes it)", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; it is now:\n%s", path, got)
	}
}

// checkFits makes sure that a view fits its terminal.
func checkFits(t testing.TB, view string, w, h int) {
	t.Helper()
	lines := strings.Split(view, "\n")
	if len(lines) > h {
		t.Fatalf("%d lines at %dx%d:\n%s", len(lines), w, h, ansi.Strip(view))
	}
	for i, l := range lines {
		if n := ansi.StringWidth(l); n > w {
			t.Fatalf("line %d has %d cells at %dx%d: %q", i, n, w, h, ansi.Strip(l))
		}
	}
}
