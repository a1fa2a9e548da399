package ui

import (
	"errors"
	"fmt"
	"math/rand"
	"regexp"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/ui/screens"
	"github.com/novatui/novatui/ui/text"
	"github.com/novatui/novatui/workflows/engine"
)

func unfinished(f *fake) {
	f.unfinished = []engine.RunInfo{{ID: "20261103-135500-rejoin-1", Title: f.say("Rejoin etcd2 on master-2", "Пересобрать etcd2 на master-2"),
		Stage: f.say("Set its data aside", "Отставить данные"), Started: epoch.Add(-9 * time.Minute), Ended: epoch.Add(-8 * time.Minute), Outcome: engine.OutcomeStopped, Resumable: true, Changed: true}}
}

func hostKey(f *fake) {
	q := backend.Question{Reply: func(string, bool) {}}
	q.Question = engine.Question{Kind: "host-key", Node: "master-2", Host: "172.31.100.105:22", KeyType: "ssh-ed25519", Fingerprint: "SHA256:9mEGOYwFNpLXIBKG6mUvXr7vLcG1lDmQ0cSMrJp3K7k"}
	f.questions = []backend.Question{q}
}

func sudoRefused(f *fake) {
	q := backend.Question{Reply: func(string, bool) {}}
	q.Question = engine.Question{Kind: "sudo", Node: "master-2", Text: msg.M("ssh.at-node", "node", "master-2",
		"text", msg.M("ssh.sudo-refused", "exit", 1, "said", "sudo: a password is required"))}
	f.questions = []backend.Question{q}
}

// pressed finds the key that the coach names.
var pressed = regexp.MustCompile(`(?:[Pp]ress|[Нн]ажмите) (enter|пробел|space|[a-z]\b|a\b)`)
var typed = regexp.MustCompile(`(?:type the name: |введите имя: )([a-z-]+)`)

// TestNewcomerFollowsTheScreen: a person who does only what the coach's line,
// or an open question, says must end at "proved healthy".
func TestNewcomerFollowsTheScreen(t *testing.T) {
	for _, scenario := range []string{"one-down", "quorum-lost"} {
		for _, lang := range []string{"en", "ru"} {
			for _, s := range sizes[1:] {
				t.Run(fmt.Sprintf("%s/%s/%dx%d", scenario, lang, s.w, s.h), func(t *testing.T) {
					d := drive(t, lang, scenario, s.w, s.h, drill)
					follow(t, d)
				})
			}
		}
	}
}

func follow(t *testing.T, d *driver) {
	t.Helper()
	name := ""
	for range 60 {
		d.pass(time.Second)
		if d.quit {
			if !d.f.cured {
				t.Fatal("left before the cluster was healthy")
			}
			return
		}
		flat := strings.Join(strings.Fields(d.screen()), " ")
		if _, ok := d.m.s.Overlays.Top(); ok {
			switch {
			case name != "" && strings.Contains(flat, name+","):
				d.write(name)
				name = ""
				d.press("enter")
			case strings.Contains(flat, "y: "):
				d.press("y")
			default:
				d.press("enter")
			}
			continue
		}
		if m := typed.FindStringSubmatch(flat); m != nil {
			name = m[1]
		}
		coach := flat
		for _, lead := range []string{"Drill: ", "Учения: "} {
			if i := strings.LastIndex(flat, lead); i >= 0 {
				coach, _, _ = strings.Cut(flat[i:], " ──") // the footer below says other things
			}
		}
		all := pressed.FindAllStringSubmatch(coach, -1)
		if len(all) == 0 {
			continue // it says wait, or watch
		}
		k := all[len(all)-1][1]
		if strings.Contains(coach, "enter") {
			k = "enter"
		}
		if k == "пробел" {
			k = "space"
		}
		d.press(k)
	}
	t.Fatalf("after sixty steps still at:\n%s", d.screen())
}

// TestConfirmationRefuses: nothing but the name in full starts a plan that
// destroys.
func TestConfirmationRefuses(t *testing.T) {
	for _, typed := range []string{"", "   ", "nova", "nova-pro", "NOVA-PROD", "yes", "y", "nova-prodd"} {
		d := drive(t, "en", "one-down", 80, 24, nil)
		d.toReview().press("enter")
		d.write(typed)
		d.press("enter")
		if len(d.f.approvals) != 0 || d.m.s.Running {
			t.Fatalf("%q was accepted", typed)
		}
		d.press("esc")
		d.shows("REVIEW")
	}
	for _, typed := range []string{"nova-prod", "тщмф-зкщв", " nova-prod "} {
		d := drive(t, "en", "one-down", 80, 24, nil)
		d.toReview().press("enter")
		d.write(typed)
		d.press("enter")
		if len(d.f.approvals) != 1 || d.f.approvals[0].Confirm != "nova-prod" {
			t.Fatalf("%q was not accepted: %v", typed, d.f.approvals)
		}
	}
}

// TestPlainConfirmation: a plan that destroys nothing starts with y, never
// with enter alone.
func TestPlainConfirmation(t *testing.T) {
	d := drive(t, "en", "one-down", 80, 24, nil)
	d.toChoose().press("down", "enter")
	d.shows("Restart etcd2")
	d.press("enter", "enter", "space", "n")
	if len(d.f.approvals) != 0 {
		t.Fatal("started without a yes")
	}
	d.press("enter", "н") // y on a Cyrillic layout
	if len(d.f.approvals) != 1 {
		t.Fatal("y did not start the plan")
	}
	d.pass(10 * time.Second)
	d.shows("Proved healthy")
}

// TestOverrideIsTyped: a block that can be overridden needs its own phrase
// besides the cluster's name.
func TestOverrideIsTyped(t *testing.T) {
	d := drive(t, "en", "one-down", 80, 24, nil)
	d.toChoose().press("down", "down", "enter", "enter")
	d.shows("Restore the whole cluster", "must be typed"[:0])
	d.press("enter")
	d.write("nova-prod")
	d.press("enter")
	if len(d.f.approvals) != 0 {
		t.Fatal("started without the override")
	}
	d.press("ctrl+u")
	d.write("restore anyway")
	d.press("enter")
	d.write("nova-prod")
	d.press("enter")
	if len(d.f.approvals) != 1 || d.f.approvals[0].Overrides["restore-while-quorum"] != "restore anyway" || d.f.approvals[0].Confirm != "nova-prod" {
		t.Fatalf("approvals: %+v", d.f.approvals)
	}
	want := backend.PlanRequest{Procedure: etcdops.ProcedureRestore, SnapshotNode: "master-3"}
	got := d.f.planned[len(d.f.planned)-1]
	if got.Procedure != want.Procedure || got.SnapshotNode != want.SnapshotNode || !strings.Contains(got.Snapshot, "_k8s-v1.27.11_") {
		t.Errorf("asked for %+v: the newest snapshot is master-3's", got)
	}
}

// TestBlockedProcedureCannotBePlanned: enter on it explains instead.
func TestBlockedProcedureCannotBePlanned(t *testing.T) {
	d := drive(t, "en", "one-down", 80, 24, nil)
	d.toChoose().press("down", "down", "down", "enter")
	d.shows("Guards: salvage", "quorum holds")
	if len(d.f.planned) != 0 {
		t.Error("a blocked procedure was planned")
	}
}

// TestHardBlockInPlan: a plan with a block that nothing overrides cannot be
// confirmed.
func TestHardBlockInPlan(t *testing.T) {
	d := drive(t, "en", "one-down", 80, 24, nil)
	d.toReview()
	r := d.m.s.Top().(*screens.Review)
	plan := d.f.plan2()
	plan.Guards = append(plan.Guards, d.f.finding("lease", "block", "another run holds the cluster", ""))
	*r = *screens.NewReview(d.m.s, plan, backend.PlanRequest{})
	d.shows("cannot run")
	d.press("enter")
	d.write("nova-prod")
	d.press("enter")
	if len(d.f.approvals) != 0 {
		t.Error("a blocked plan was started")
	}
}

// TestRefusedStart says so, and that nothing was changed.
func TestRefusedStart(t *testing.T) {
	for _, err := range []error{engine.ErrPlanStale, engine.ErrLocked, &engine.RefusedError{Findings: []engine.Finding{{ID: "space", Result: engine.Block, Reason: msg.Raw("no room")}}}} {
		d := drive(t, "en", "one-down", 80, 24, func(f *fake) { f.startErr = err })
		d.toExecute()
		d.shows("Not started", "Nothing was changed")
		if d.m.s.Running {
			t.Errorf("%v: the header says that a run goes on", err)
		}
		d.press("esc")
		d.shows("REVIEW", "read-only")
	}
}

// TestOverlayGrace: a prompt that opens by itself takes no key until the
// keyboard was quiet for 400 ms.
func TestOverlayGrace(t *testing.T) {
	answers := []string{}
	d := drive(t, "en", "one-down", 80, 24, func(f *fake) {
		hostKey(f)
		f.questions[0].Reply = func(a string, ok bool) { answers = append(answers, fmt.Sprint(a, ok)) }
	})
	d.shows("Unknown host key of master-2")
	for range 20 { // typing that was meant for something else
		d.update(key("y"))
		d.pass(100 * time.Millisecond)
	}
	if len(answers) != 0 {
		t.Fatal("stray typing trusted a host key")
	}
	d.pass(500 * time.Millisecond)
	d.update(key("y"))
	if len(answers) != 1 || answers[0] != "yestrue" {
		t.Fatalf("answers: %v", answers)
	}
	d.hides("Unknown host key")
}

// TestSecretsAreNotShown: nor is an empty one taken for an answer.
func TestSecretsAreNotShown(t *testing.T) {
	got := ""
	d := drive(t, "en", "one-down", 80, 24, func(f *fake) {
		q := backend.Question{Reply: func(a string, ok bool) { got = fmt.Sprint(a, ok) }}
		q.Question = engine.Question{Kind: "passphrase", Node: "master-1", Subject: "/home/ops/.ssh/id_ed25519", Secret: true}
		f.questions = []backend.Question{q}
	})
	d.pass(time.Second)
	d.press("enter")
	if got != "" {
		t.Fatal("an empty passphrase was sent")
	}
	d.write("hunter2")
	d.hides("hunter2", "*******")
	d.press("enter")
	if got != "hunter2true" {
		t.Fatalf("sent %q", got)
	}
}

// TestPromptGoesAway when nobody waits for it any more.
func TestPromptGoesAway(t *testing.T) {
	gone := make(chan struct{})
	close(gone)
	d := drive(t, "en", "one-down", 80, 24, func(f *fake) {
		hostKey(f)
		f.questions[0].Gone = gone
	})
	d.pass(time.Second)
	d.hides("Unknown host key")
}

// TestCyrillicKeys: the same keys do the same on a Russian layout.
func TestCyrillicKeys(t *testing.T) {
	for latin, cyrillic := range map[string]string{"e": "у", "r": "к", "g": "п", ":": "Ж", "q": "й", "?": ","} {
		a, b := drive(t, "en", "one-down", 80, 24, nil), drive(t, "en", "one-down", 80, 24, nil)
		before := a.toDiagnose().screen()
		a.press(latin)
		b.toDiagnose().press(cyrillic)
		if a.screen() == before {
			t.Errorf("%s does nothing", latin)
		}
		if a.screen() != b.screen() {
			t.Errorf("%s does not do what %s does:\n%s", cyrillic, latin, b.screen())
		}
	}
}

// TestLanguageSwitchesLive on every screen, without a word left behind.
func TestLanguageSwitchesLive(t *testing.T) {
	d := drive(t, "en", "one-down", 80, 24, nil)
	d.toDiagnose().shows("Recommended", "DIAGNOSE")
	d.press("L")
	d.shows("Рекомендуется", "ДИАГНОЗ", "только чтение")
	d.hides("Recommended", "evidence")
	d.press("L")
	d.shows("Recommended")
}

// TestSaving shows the path, also when it fails.
func TestSaving(t *testing.T) {
	d := drive(t, "en", "one-down", 80, 24, nil)
	d.toReview().press("s")
	d.shows("Saved: /home/ops/.local/state/novatui/plan-rejoin-20261103-140314.json")
	if len(d.f.saved) != 1 || !strings.Contains(d.f.saved[0], `"novatui/plan/v1"`) {
		t.Errorf("saved %q", d.f.saved)
	}
	d.press("enter")
	d.write("nova-prod")
	d.press("enter")
	d.pass(3 * time.Second)
	d.press("w")
	d.shows("Saved:")
	d.update(screens.Saved{Err: errors.New("no space left on device")})
	d.shows("Not saved: no space left on device")
}

// TestAnyKeysAnySize: whatever is pressed and however the terminal is resized,
// nothing panics and every line fits.
func TestAnyKeysAnySize(t *testing.T) {
	seeds, steps := 30, 100
	if testing.Short() {
		seeds = 8
	}
	all := []string{"enter", "esc", "tab", "shift+tab", "up", "down", "left", "right", "pgup", "pgdown", "home", "end", "backspace", "delete", "space",
		"ctrl+l", "ctrl+u", "ctrl+k", "ctrl+w", "ctrl+a", "ctrl+e", "ctrl+d", "ctrl+c", "1", "2", "3", "4", "9", "?", "/", ":", "z", "f", "e", "r", "w", "y", "s",
		"x", "a", "g", "n", "N", "q", "L", "h", "j", "k", "l", "й", "у", "к", "ж", "Ж", "я", "世", "🙂", "é", "́"}
	scenarios := []string{"one-down", "quorum-lost", "unreachable", "healthy", "outside"}
	for seed := range seeds {
		r := rand.New(rand.NewSource(int64(seed)))
		lang := []string{"en", "ru"}[seed%2]
		d := drive(t, lang, scenarios[seed%len(scenarios)], 80, 24, func(f *fake) {
			f.drill = seed%3 == 0
			f.ending = []string{"done", "failed", "unknown"}[seed%3]
			f.nodes = []int{3, 5, 1}[seed%3]
			if f.nodes != 3 {
				f.scenario = "healthy"
			}
			if seed%4 == 0 {
				hostKey(f)
			}
			if seed%5 == 0 {
				unfinished(f)
			}
		})
		d.m.s.T.ASCII = seed%7 == 0
		var log []string
		for range steps {
			k := all[r.Intn(len(all))]
			switch n := r.Intn(20); {
			case n < 12:
				log = append(log, k)
				d.update(key(k))
			case n == 12:
				log = append(log, "name")
				d.write(d.f.Cluster().Name)
				d.press("enter")
			case n == 13:
				d.update(tea.PasteMsg{Content: "вставка\x1b[31m\n" + d.f.Cluster().Name})
			case n == 14:
				log = append(log, "enter")
				d.press("enter")
			case n < 17:
				d.update(tea.WindowSizeMsg{Width: r.Intn(220), Height: r.Intn(70)})
			default:
				d.pass(time.Duration(r.Intn(3000)) * time.Millisecond)
			}
			if d.m.w > 0 && d.m.h > 0 {
				view := d.m.render()
				for i, l := range strings.Split(view, "\n") {
					if n := text.Width(l); n > d.m.w {
						t.Fatalf("seed %d, %dx%d: line %d has %d cells: %q\nkeys: %v", seed, d.m.w, d.m.h, i, n, l, log)
					}
				}
				if n := strings.Count(view, "\n") + 1; n > d.m.h {
					t.Fatalf("seed %d: %d lines at %dx%d\nkeys: %v", seed, n, d.m.w, d.m.h, log)
				}
			}
		}
	}
}
