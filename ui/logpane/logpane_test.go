package logpane

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/ui/theme"
	"github.com/novatui/novatui/workflows/engine"
)

func say(m msg.Msg) string { return msg.New("en").S(m) }

func lines(from, n int) []engine.OutputLine {
	out := make([]engine.OutputLine, n)
	for i := range out {
		out[i] = engine.OutputLine{Seq: uint64(from + i), Kind: engine.LineOut, Time: time.Unix(int64(from+i), 0), Text: fmt.Sprintf("line %d", from+i)}
	}
	return out
}

func shown(p *Pane, w, h int) []string {
	out := p.View(theme.New(false, false), w, h)
	for i := range out {
		out[i] = ansi.Strip(out[i])
	}
	return out
}

func TestFollowsTheEnd(t *testing.T) {
	p := New(say)
	p.Append(lines(1, 100))
	if got := shown(p, 20, 3); strings.Join(got, "|") != "line 98|line 99|line 100" {
		t.Fatalf("shows %q", got)
	}
	p.Append(lines(101, 1))
	if got := shown(p, 20, 3); got[2] != "line 101" {
		t.Fatalf("did not follow: %q", got)
	}
}

func TestReadingIsNotPulledAway(t *testing.T) {
	p := New(say)
	p.Append(lines(1, 100))
	shown(p, 20, 3)
	p.Scroll(-10)
	before := shown(p, 20, 3)
	p.Append(lines(101, 50))
	if after := shown(p, 20, 3); strings.Join(after, "|") != strings.Join(before, "|") {
		t.Fatalf("moved from %q to %q", before, after)
	}
	p.Follow(true)
	if got := shown(p, 20, 3); got[2] != "line 150" {
		t.Fatalf("shows %q", got)
	}
}

func TestScrollingToTheEndFollowsAgain(t *testing.T) {
	p := New(say)
	p.Append(lines(1, 20))
	shown(p, 20, 5)
	p.Scroll(-3)
	shown(p, 20, 5)
	if p.Following() {
		t.Fatal("still follows after scrolling up")
	}
	p.Scroll(3)
	if !p.Following() {
		t.Fatal("does not follow at the end")
	}
}

func TestScrollbackIsBounded(t *testing.T) {
	p := New(say)
	for i := range 40 {
		p.Append(lines(i*1000, 1000))
		if p.Len() > Keep+Keep/4+1000 {
			t.Fatalf("holds %d lines", p.Len())
		}
	}
	p.Home()
	if got := shown(p, 20, 2)[0]; got == "line 0" || got == "" {
		t.Fatalf("the oldest line is %q", got)
	}
}

func TestSearch(t *testing.T) {
	p := New(say)
	p.Append(lines(1, 100))
	p.Append([]engine.OutputLine{{Kind: engine.LineErr, Text: "Error: unhealthy cluster"}})
	p.Append(lines(101, 100))
	shown(p, 40, 5)
	if !p.Search("UNHEALTHY") {
		t.Fatal("not found")
	}
	if got := strings.Join(shown(p, 40, 5), "|"); !strings.Contains(got, "unhealthy") {
		t.Fatalf("the hit is not in view: %q", got)
	}
	if p.Search("no such thing") {
		t.Fatal("found what is not there")
	}
	if !p.Search("") || p.Query() != "" {
		t.Fatal("an empty search does not end it")
	}
}

func TestGapsAndNotesAreInWords(t *testing.T) {
	p := New(say)
	p.Append([]engine.OutputLine{{Kind: engine.LineGap, Missing: 12}, {Kind: engine.LineNote, Msg: msg.M("common.yes")}, {Kind: engine.LineCommand, Text: "etcdctl version"}})
	got := strings.Join(shown(p, 60, 3), "|")
	if got != "… 12 lines, see the transcript|yes|$ etcdctl version" {
		t.Fatalf("shows %q", got)
	}
}

func TestHostileLinesFit(t *testing.T) {
	p := New(say)
	p.Append([]engine.OutputLine{{Text: "\x1b[2J\ttab\r世界" + strings.Repeat("é", 300) + "\u202e\ufe0f"}})
	for w := range 30 {
		for _, l := range p.View(theme.New(true, false), w, 2) {
			if n := ansi.StringWidth(l); n > w {
				t.Fatalf("%d cells at width %d: %q", n, w, l)
			}
		}
	}
	p.Sideways(4)
	shown(p, 10, 2)
}

func BenchmarkView(b *testing.B) {
	p := New(say)
	for i := range 10 {
		p.Append(lines(i*1000, 1000))
	}
	t := theme.New(true, false)
	b.ReportAllocs()
	for b.Loop() {
		p.View(t, 120, 40)
	}
}
