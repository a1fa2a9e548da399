package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

func TestFeedGivesEveryEventOnce(t *testing.T) {
	f := newFeed([]string{"n1"})
	for i := uint64(1); i <= 10; i++ {
		f.event(Event{Seq: i * 2}) // numbers of a journal have gaps
	}
	var got []uint64
	var next uint64
	for {
		var events []Event
		events, next = f.Since(next, 3)
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			got = append(got, e.Seq)
		}
	}
	if fmt.Sprint(got) != "[2 4 6 8 10 12 14 16 18 20]" || next != 21 {
		t.Errorf("%v, next %d", got, next)
	}
}

func TestFeedMarksTheGapOfASlowReader(t *testing.T) {
	f := newFeed([]string{"n1"})
	add := func(n int) {
		for range n {
			f.line(OutputLine{Node: "n1", Kind: LineOut, Text: "x", Time: time.Now()})
		}
	}
	add(10)
	lines, next := f.Output("n1", 0, 4)
	if len(lines) != 4 || lines[0].Seq != 1 || next != 5 {
		t.Fatalf("%+v, next %d", lines, next)
	}
	add(feedLines + 100)
	lines, next = f.Output("n1", next, 2)
	if len(lines) != 3 || lines[0].Kind != LineGap || lines[0].Missing != 106 || lines[1].Seq != 111 || next != 113 {
		t.Fatalf("%+v, next %d", lines, next)
	}
	lines, next = f.Output("n1", next, 0)
	if len(lines) != feedLines-2 || lines[len(lines)-1].Seq != next-1 {
		t.Fatalf("%d lines, next %d", len(lines), next)
	}
	if lines, again := f.Output("n1", next, 0); len(lines) != 0 || again != next {
		t.Error("lines came twice")
	}
	if lines, _ := f.Output("nobody", 0, 0); lines != nil {
		t.Error("lines of nobody")
	}
	long := strings.Repeat("y", maxLine)
	for range 1000 {
		f.line(OutputLine{Node: "n1", Text: long})
	}
	if got := f.panes["n1"].bytes; got > feedBytes {
		t.Errorf("%d bytes are kept", got)
	}
}

// TestAReaderThatNeverReadsHoldsUpNobody: a run with much output ends although
// nobody pulls, and readers that pull while it runs see a consistent picture.
func TestReadersDoNotHoldUpARun(t *testing.T) {
	l := newLocal(t)
	var steps []Step
	for _, node := range []string{"n1", "n2", "n3"} {
		c := sh(remote.Read, `i=0; while [ $i -lt 20000 ]; do echo "line $i"; i=$((i+1)); done`)
		steps = append(steps, Step{ID: "loud/" + node, Node: node, Effect: remote.Read, Commands: onNode(node, c),
			Do: func(ctx context.Context, x *Exec) error { _, err := x.Run(ctx, node, c); return err }})
	}
	r := start(t, options(l, build(t, testBuilder("demo").Stage("a", msg.Raw("A"), steps...))))
	var wg sync.WaitGroup
	for _, node := range []string{"n1", "n2", "n3"} {
		wg.Go(func() {
			var next, expect uint64 = 0, 1
			count := func(lines []OutputLine) {
				for _, line := range lines {
					if line.Kind == LineGap {
						expect = line.Seq + 1
						continue
					}
					if line.Seq != expect {
						t.Errorf("%s: line %d, expected %d", node, line.Seq, expect)
					}
					expect++
				}
			}
			for {
				changed := r.Feed().Changed()
				var lines []OutputLine
				lines, next = r.Output(node, next, 100)
				count(lines)
				if len(lines) > 0 {
					continue
				}
				select {
				case <-changed:
				case <-r.Done():
					lines, _ = r.Output(node, next, 0)
					count(lines)
					if expect != 20002 { // the command and its lines
						t.Errorf("%s: the last line is %d", node, expect-1)
					}
					return
				}
			}
		})
	}
	wg.Wait()
	if res := r.Wait(); res.Outcome != OutcomeDone {
		t.Fatal(res.Err)
	}
	transcript := readFile(t, r.Dir()+"/transcript-n2.log")
	if n := strings.Count(transcript, "  line "); n != 20000 {
		t.Errorf("the transcript has %d lines", n)
	}
	if r.Feed().LastByte("n1").IsZero() {
		t.Error("no sign of life")
	}
}

// writeLines feeds output in pieces and returns what the pane shows and what
// is kept.
func writeLines(t *testing.T, c remote.Command, pieces ...string) (shown []string, kept string, truncated bool) {
	t.Helper()
	now := time.Now()
	p := &pane{node: "n1", feed: newFeed([]string{"n1"}), now: func() time.Time { return now }}
	w := newLineWriter(p, LineOut, c, newRedactor(c))
	for _, piece := range pieces {
		if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatalf("write: %d, %v", n, err)
		}
	}
	b, truncated := w.flush()
	lines, _ := p.feed.Output("n1", 0, 0)
	for _, line := range lines {
		shown = append(shown, line.Text)
	}
	return shown, string(b), truncated
}

func TestOutputBecomesLines(t *testing.T) {
	for name, c := range map[string]struct {
		pieces []string
		want   []string
	}{
		"lines":                  {[]string{"a\nb\n"}, []string{"a", "b"}},
		"last without newline":   {[]string{"a\nb"}, []string{"a", "b"}},
		"in pieces":              {[]string{"a", "b", "\n", "c\nd", "e\n"}, []string{"ab", "c", "de"}},
		"empty lines":            {[]string{"a\n\n\nb\n"}, []string{"a", "", "", "b"}},
		"windows":                {[]string{"a\r\nb\r\n"}, []string{"a", "b"}},
		"windows in pieces":      {[]string{"a\r", "\nb\r", "\n"}, []string{"a", "b"}},
		"progress":               {[]string{"1%\r2%\r3%\n"}, []string{"1%", "3%"}},
		"progress ends bare":     {[]string{"1%\r2%\r3%\r\n"}, []string{"1%", "3%"}},
		"progress without end":   {[]string{"1%\r2%\r", "3%\r"}, []string{"1%", "3%"}},
		"progress, empty line":   {[]string{"1%\r2%\r", "\n"}, []string{"1%", "2%"}},
		"progress cut off":       {[]string{"1%\r2%\r3"}, []string{"1%", "3"}},
		"escapes":                {[]string{"\x1b[31mred\x1b[0m\n"}, []string{"␛[31mred␛[0m"}},
		"title change":           {[]string{"\x1b]0;owned\x07\n"}, []string{"␛]0;owned␇"}},
		"bytes":                  {[]string{"\xff\xfe\n"}, []string{"\ufffd\ufffd"}},
		"bidi":                   {[]string{"a\u202eb\n"}, []string{"a\ufffdb"}},
		"nothing":                {[]string{""}, nil},
		"a character in pieces":  {[]string{"\xd0", "\x96\n"}, []string{"Ж"}},
		"only carriage returns":  {[]string{"\r\r\r"}, nil},
		"newline only":           {[]string{"\n"}, []string{""}},
		"nul":                    {[]string{"a\x00b\n"}, []string{"a␀b"}},
		"tab":                    {[]string{"a\tb\n"}, []string{"a\tb"}},
		"carriage return at end": {[]string{"abc\r"}, []string{"abc"}},
	} {
		shown, kept, _ := writeLines(t, remote.Command{}, c.pieces...)
		if fmt.Sprintf("%q", shown) != fmt.Sprintf("%q", c.want) {
			t.Errorf("%s: %q, want %q", name, shown, c.want)
		}
		if kept != strings.Join(c.pieces, "") {
			t.Errorf("%s: the step gets %q", name, kept)
		}
	}
}

func TestLinesAndResultsAreBounded(t *testing.T) {
	long := strings.Repeat("Ж", maxLine) // twice maxLine bytes
	shown, kept, truncated := writeLines(t, remote.Command{MaxOutput: 1000}, long[:100], long[100:], "\nend\n")
	if len(shown) < 3 || shown[len(shown)-1] != "end" {
		t.Fatalf("%d lines", len(shown))
	}
	if strings.Join(shown[:len(shown)-1], "") != long {
		t.Error("the pieces of a long line are not the line")
	}
	for _, line := range shown {
		if len(line) > maxLine || !utf8.ValidString(line) {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	if len(kept) != 1000 || !truncated {
		t.Errorf("%d bytes kept, truncated %t", len(kept), truncated)
	}
}

// TestSecretsAcrossCuts puts a secret around the place where a long line is
// cut, and cuts the writes anywhere.
func TestSecretsAcrossCuts(t *testing.T) {
	const secret = "correct-horse"
	c := remote.Command{Secrets: []string{secret, "line one\nline two"}}
	for shift := -len(secret) - 1; shift <= len(secret)+1; shift++ {
		text := strings.Repeat("x", maxLine+shift) + secret + strings.Repeat("y", 100) + "\n"
		for _, at := range []int{maxLine / 2, maxLine + shift + 3, len(text) - 1} {
			shown, _, _ := writeLines(t, c, text[:at], text[at:])
			all := strings.Join(shown, "")
			if strings.Contains(all, secret) || !strings.Contains(all, "***") || strings.Contains(all, "horse") {
				t.Fatalf("shift %d, cut at %d: the secret shows", shift, at)
			}
		}
	}
	if shown, _, _ := writeLines(t, c, "a line one\nb line two\n"); fmt.Sprint(shown) != "[a *** b ***]" {
		t.Errorf("a secret of two lines shows: %q", shown)
	}
}

func FuzzOutput(f *testing.F) {
	f.Add([]byte("a\r\nb\rc\n"), 3)
	f.Fuzz(func(t *testing.T, in []byte, at int) {
		if at < 0 || at > len(in) {
			return
		}
		shown, kept, _ := writeLines(t, remote.Command{}, string(in[:at]), string(in[at:]))
		if kept != string(in) {
			t.Errorf("kept %q of %q", kept, in)
		}
		for _, line := range shown {
			if strings.ContainsAny(line, "\n\r\x1b\x00") || !utf8.ValidString(line) {
				t.Errorf("shown %q", line)
			}
		}
		whole, _, _ := writeLines(t, remote.Command{}, string(in))
		if fmt.Sprint(whole) != fmt.Sprint(shown) {
			t.Errorf("the pieces matter: %q, %q", whole, shown)
		}
	})
}

func TestTranscriptOfAnEndlessCommandIsBounded(t *testing.T) {
	dir := t.TempDir()
	p := &pane{node: "n1", feed: newFeed([]string{"n1"}), now: time.Now, path: transcriptPath(dir, "n1")}
	w := newLineWriter(p, LineOut, remote.Command{}, redactor{})
	line := bytes.Repeat([]byte("z"), 1<<20)
	line[len(line)-1] = '\n'
	for range 40 {
		_, _ = w.Write(line)
	}
	w.flush()
	if err := errors.Join(p.failure(), p.close()); err != nil {
		t.Fatal(err)
	}
	if n := len(readFile(t, transcriptPath(dir, "n1"))); n < maxTranscript-1<<20 || n > maxTranscript+1<<20 {
		t.Errorf("%d bytes", n)
	}
}
