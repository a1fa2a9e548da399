package ui

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// driver is Bubble Tea for tests: commands run one after the other, and time
// goes on only when a test says so.
type driver struct {
	t      testing.TB
	m      *model
	f      *fake
	now    time.Time
	timers []armed
	sent   []tea.Msg
	quit   bool
}

// armed is what a timer command answers: the driver fires it later.
type armed struct {
	due time.Time
	fn  func(time.Time) tea.Msg
}

func drive(t testing.TB, lang, scenario string, w, h int, set func(*fake)) *driver {
	t.Helper()
	d := &driver{t: t, now: epoch}
	d.f = newFake(lang, scenario, func() time.Time { return d.now })
	if set != nil {
		set(d.f)
	}
	d.m = newModel(d.f, look{lang: lang, colour: true}, world{
		now: func() time.Time { return d.now },
		after: func(wait time.Duration, fn func(time.Time) tea.Msg) tea.Cmd {
			return func() tea.Msg { return armed{due: d.now.Add(wait), fn: fn} }
		},
		do:   func(work func(context.Context) tea.Msg) tea.Cmd { return func() tea.Msg { return work(t.Context()) } },
		send: func(m tea.Msg) { d.sent = append(d.sent, m) },
	})
	_ = d.m.View() // the first view comes before anything else
	d.run(d.m.Init())
	d.update(tea.WindowSizeMsg{Width: w, Height: h})
	return d
}

// run executes a command and everything that follows from it.
func (d *driver) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	m := cmd()
	for len(d.sent) > 0 { // progress comes before the answer
		s := d.sent[0]
		d.sent = d.sent[1:]
		d.update(s)
	}
	switch m := m.(type) {
	case nil:
	case tea.BatchMsg:
		for _, c := range m {
			d.run(c)
		}
	case armed:
		d.timers = append(d.timers, m)
	case tea.QuitMsg:
		if d.m.filter(d.m, m) == tea.Msg(m) {
			d.quit = true
		}
	default:
		if d.f.hold != "" && fmt.Sprintf("%T", m) == d.f.hold {
			return // this answer never comes
		}
		d.update(m)
	}
}

func (d *driver) update(m tea.Msg) {
	_, cmd := d.m.Update(m)
	d.run(cmd)
}

// pass lets time go on, firing timers when they are due.
func (d *driver) pass(wait time.Duration) {
	end := d.now.Add(wait)
	for {
		sort.SliceStable(d.timers, func(i, j int) bool { return d.timers[i].due.Before(d.timers[j].due) })
		if len(d.timers) == 0 || d.timers[0].due.After(end) {
			d.now = end
			return
		}
		next := d.timers[0]
		d.timers = d.timers[1:]
		d.now = next.due
		if m := next.fn(d.now); m != nil {
			d.update(m)
		}
	}
}

// press types keys by name: "enter", "esc", "space", "ctrl+l", or a letter.
func (d *driver) press(names ...string) {
	for _, n := range names {
		d.update(key(n))
		d.pass(50 * time.Millisecond)
	}
}

// write types a text letter by letter.
func (d *driver) write(s string) {
	for _, r := range s {
		d.update(key(string(r)))
	}
}

var named = map[string]rune{
	"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft,
	"right": tea.KeyRight, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "home": tea.KeyHome, "end": tea.KeyEnd,
	"backspace": tea.KeyBackspace, "delete": tea.KeyDelete,
}

func key(name string) tea.KeyPressMsg {
	if name == "space" || name == " " {
		return tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
	}
	if rest, ok := strings.CutPrefix(name, "ctrl+"); ok {
		return tea.KeyPressMsg{Code: []rune(rest)[0], Mod: tea.ModCtrl}
	}
	if rest, ok := strings.CutPrefix(name, "shift+"); ok {
		return tea.KeyPressMsg{Code: named[rest], Mod: tea.ModShift}
	}
	if code, ok := named[name]; ok {
		return tea.KeyPressMsg{Code: code}
	}
	return tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
}

// screen is what is shown, without styles.
func (d *driver) screen() string { return ansi.Strip(d.m.render()) }

func (d *driver) shows(parts ...string) {
	d.t.Helper()
	flat := strings.Join(strings.Fields(d.screen()), " ")
	for _, p := range parts {
		if !strings.Contains(flat, p) {
			d.t.Errorf("the screen does not show %q:\n%s", p, d.screen())
		}
	}
}

func (d *driver) hides(parts ...string) {
	d.t.Helper()
	flat := strings.Join(strings.Fields(d.screen()), " ")
	for _, p := range parts {
		if strings.Contains(flat, p) {
			d.t.Errorf("the screen shows %q:\n%s", p, d.screen())
		}
	}
}

// toDiagnose and the others go on to a screen by the keys.
func (d *driver) toDiagnose() *driver { d.pass(2 * time.Second); return d }
func (d *driver) toChoose() *driver   { d.toDiagnose().press("enter"); return d }
func (d *driver) toReview() *driver   { d.toChoose().press("enter"); return d }

func (d *driver) toExecute() *driver {
	d.toReview().press("enter")
	d.write(d.f.Cluster().Name)
	d.press("enter")
	return d
}
