package text

import (
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
)

func TestFormats(t *testing.T) {
	en, ru := New("en"), New("ru")
	for _, c := range []struct{ got, want string }{
		{Int(376222), "376 222"}, {Int(999), "999"}, {Int(-1234567), "-1 234 567"}, {Int(0), "0"},
		{en.Bytes(151_000_000), "151 MB"}, {en.Bytes(0), "0 B"}, {en.Bytes(1500), "1.5 kB"}, {ru.Bytes(1500), "1,5 кБ"}, {en.Bytes(999_999), "1.0 MB"}, {en.Bytes(2 << 40), "2.2 TB"},
		{en.Duration(8 * time.Second), "8 s"}, {en.Duration(111 * time.Second), "1 min 51 s"}, {ru.Duration(2 * time.Minute), "2 мин"},
		{en.Duration(50 * time.Hour), "2 d 2 h"}, {en.Duration(211 * 24 * time.Hour), "211 d"}, {en.Ago(482 * time.Second), "8 min ago"},
		{en.Short(300 * time.Millisecond), "0.3 s"}, {en.Short(-time.Second), "0.0 s"}, {ru.Short(12 * time.Second), "12 с"},
		{Clock(41 * time.Second), "00:41"}, {Clock(3723 * time.Second), "1:02:03"}, {Clock(-time.Second), "00:00"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestCutsFitInCells(t *testing.T) {
	for _, s := range []string{"plain", "кириллица и ещё", "世界世界世界", "🙂🙂🙂", "\x1b[31mred text\x1b[0m", "e\u0301e\u0301e\u0301", ""} {
		for w := range 12 {
			for name, got := range map[string]string{"Cut": Cut(s, w), "Left": Left(s, w), "Right": Right(s, w), "Centre": Centre(s, w)} {
				n := ansi.StringWidth(got)
				if n > w || name != "Cut" && n != w {
					t.Errorf("%s(%q, %d) has %d cells: %q", name, s, w, n, got)
				}
			}
			for _, l := range Wrap(s, w) {
				if ansi.StringWidth(l) > max(w, 2) { // a wide rune needs two
					t.Errorf("Wrap(%q, %d): %q", s, w, l)
				}
			}
		}
	}
	if got := Cut("кириллица", 5); got != "кири…" {
		t.Errorf("got %q", got)
	}
}

func TestWrapMaxEndsInAnEllipsis(t *testing.T) {
	got := WrapMax("one two three four five six", 10, 2)
	if len(got) != 2 || !strings.HasSuffix(got[1], Ellipsis) {
		t.Errorf("got %q", got)
	}
	if got := WrapMax("one two", 10, 2); len(got) != 1 {
		t.Errorf("got %q", got)
	}
}

func TestCleanLeavesNothingThatMovesTheCursor(t *testing.T) {
	got := Clean("a\x1b[2Jb\rc\td\ne\u202ef\ufe0fg\x00h")
	if got != "a␛[2Jbc  d efgh" {
		t.Errorf("got %q", got)
	}
}

func TestCompact(t *testing.T) {
	for line, want := range map[string]string{
		`{"level":"warn","ts":"2026-11-21T08:54:04Z","caller":"a.go:1","msg":"apply took too long","took":"1s","n":3}`: "warn: apply took too long  n=3  took=1s",
		`{"level":"error","msg":"failed","error":"disk full"}`:                                                         "error: failed: disk full",
		`{"level":"error","no":"message"}`:                                                                             `{"level":"error","no":"message"}`,
		"2026-11-21T09:01:16Z  info  bbolt  bbolt@v1.5.0/db.go:327  Opening db file":                                   "info: Opening db file",
		"2026-11-21T09:01:16+03:00\tinfo\tschema/membership.go:125\tTrimming":                                          "info: Trimming",
		`2026-11-21T09:52:27+0000 master-2 etcd[14299]: {"level":"info","msg":"serving"}`:                              "09:52:27 info: serving",
		"2026-11-21T09:52:27+03:00 master-2 systemd[1]: Started etcd.service.":                                         "09:52:27 systemd[1]: Started etcd.service.",
		`{"level":"broken`: `{"level":"broken`,
		"panic: failed":    "panic: failed",
	} {
		if got := Compact(line); got != want {
			t.Errorf("%s\ngives %q, want %q", line, got, want)
		}
	}
}

func TestSwitch(t *testing.T) {
	p := New("en")
	p.Switch()
	if p.Lang() != "ru" || p.T("ui.running") != "ВЫПОЛНЯЕТСЯ" {
		t.Errorf("language %s says %q", p.Lang(), p.T("ui.running"))
	}
	p.Switch()
	if p.Lang() != "en" {
		t.Errorf("language %s", p.Lang())
	}
	if p.Has("ui.no-such-thing") || !p.Has("ui.running") || p.Or("ui.no-such-thing", "as\x1bis") != "as␛is" {
		t.Error("Has or Or is wrong")
	}
}
