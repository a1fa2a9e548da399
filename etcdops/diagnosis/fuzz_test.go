package diagnosis

import (
	"bytes"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/novatui/novatui/etcdops"
)

// What the fuzzing of each target found worth keeping lies in
// testdata/fuzz/TARGET; `go test` replays it.

// seeds are cases to begin with: all of dev.jsonl, and of every file of really
// produced samples the first few.
func seeds(tb testing.TB) []realCase {
	list := readCases(tb, "testdata/cases/dev.jsonl")
	files, err := filepath.Glob("testdata/samples/*.jsonl")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		cases := readCases(tb, file)
		list = append(list, cases[:min(3, len(cases))]...)
	}
	return list
}

// FuzzExplain: whatever is pasted, there is an answer, its evidence is safe to
// show and bounded, and files are read in pieces as in one.
func FuzzExplain(f *testing.F) {
	for _, c := range seeds(f) {
		in := c.input()
		f.Add(strings.Join(c.Log, "\n"), strings.Join(c.PeersLog, "\n"), strings.Join(c.Etcdctl, "\n"), c.UnitState,
			int8(in.Members), int8(in.Down))
	}
	f.Fuzz(func(t *testing.T, log, peers, tool, unit string, members, down int8) {
		explain := func(r func(string) io.Reader) Explanation {
			x, err := Explain(Input{
				Log: []Text{{"log", r(log)}}, Peers: []Text{{"peers", r(peers)}}, Etcdctl: []Text{{"tool", r(tool)}},
				UnitState: unit, Members: int(members), Down: int(down),
			})
			if err != nil || len(x.Causes) == 0 || !slices.Contains(remedies, x.Remedy) || x.Remedy == remedyByQuorum {
				t.Fatalf("%v, %+v", err, x)
			}
			return x
		}
		x := explain(func(s string) io.Reader { return strings.NewReader(s) })
		for _, c := range x.Causes {
			if len(c.Evidence) > maxShownLines {
				t.Errorf("%d lines of evidence", len(c.Evidence))
			}
			for _, e := range c.Evidence {
				if strings.ContainsAny(e.Text, "\x1b\r\n") || len(e.Text) > maxShown+len("…") || !utf8.ValidString(e.Text) {
					t.Errorf("shown as %q", e.Text)
				}
			}
		}
		y := explain(func(s string) io.Reader { return iotest.HalfReader(strings.NewReader(s)) })
		if x.Remedy != y.Remedy || x.Causes[0].ID != y.Causes[0].ID {
			t.Errorf("in pieces %s, %s; in one %s, %s", y.Causes[0].ID, y.Remedy, x.Causes[0].ID, x.Remedy)
		}
	})
}

// FuzzParseLine: one line of a log, in whatever form, by explain's reader and
// by diagnose's.
func FuzzParseLine(f *testing.F) {
	for _, s := range samples(f) {
		for i, l := range s.lines {
			if i%5 == 0 {
				f.Add(l)
			}
		}
	}
	for _, c := range seeds(f) {
		for i, l := range c.Log {
			if i%7 == 0 {
				f.Add(l)
			}
		}
	}
	f.Add(`Nov 21 07:00:00 master-2 etcd[12]: {"level":"fatal","msg":"cut off by the jou`)
	f.Add(`2019-05-11 03:20:18.227869 C | etcdmain: open /var/lib/etcd/member: permission denied`)
	f.Add(`2022-02-03T22:40:02.301472214Z stderr F {"msg":"x","error":{"a":["b\"]"]},"n":1.5e3,"u":"\u00`)
	f.Add("{\"msg\":\"\x1b[2J\u202e\",\"error\":\"\\")
	f.Fuzz(func(t *testing.T, text string) {
		l := parseLine(etcdops.LogLine{N: 1, Text: text})
		if len(l.text) > maxShown+len("…") || strings.ContainsAny(l.text, "\x1b\n\r") || !utf8.ValidString(l.text) {
			t.Errorf("shown as %q", l.text)
		}
		if len(l.fields) > maxFields {
			t.Errorf("%d fields", len(l.fields))
		}
		m := cluster(1)
		m.Nodes[0].Journal = []etcdops.LogLine{{N: 1, Text: text}, {N: 2, Text: text, PID: 3}}
		weird(&m, 1)
		Diagnose(m)
	})
}

// FuzzTool: the outputs of etcdctl and etcdutl, all versions and forms, and
// versions of etcd, as a flag and in a text.
func FuzzTool(f *testing.F) {
	for _, file := range caseFiles(f) {
		for _, c := range readCases(f, file) {
			for _, s := range c.Etcdctl {
				f.Add(s)
			}
		}
	}
	for _, s := range []string{"3.5.0", "v3.4.13", "3.5.0-3.5.2", "3.6", "..", "99999999999999999999.1.1", "-1.2.3", "etcd Version: 3.5.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := &said{}
		s.text.WriteString(text)
		var tool toolFacts
		tool.read(s)
		hashes := 0
		for _, list := range tool.hashes {
			hashes += len(list)
		}
		// Of each of two forms of a list at most 64 are read, and 64 ids of JSON.
		if tool.members > 3*64 || tool.healthy+tool.unhealthy > 64 || hashes > 3*16 {
			t.Errorf("%d members, %d and %d endpoints, %d hashes", tool.members, tool.healthy, tool.unhealthy, hashes)
		}
		if strings.ContainsAny(tool.noQuorum, "\x1b\r\n") {
			t.Errorf("shown as %q", tool.noQuorum)
		}
		tool.oddHash()
		checkRelease(t, text)
	})
}

// FuzzDecoded: files as Windows writes them. What it makes is UTF-8, in bounded
// size, however it is read; and what is not marked as UTF-16 stays as it is.
func FuzzDecoded(f *testing.F) {
	for _, s := range []string{"", "\xff\xfe", "\xfe\xff", "\xff\xfea\x00\n\x00", "\xfe\xff\x00a\x00\n", "\xff\xfe\x00\xd8a", "\xff\xfe\x3d\xd8\x00\xde\n\x00", "x"} {
		f.Add([]byte(s))
	}
	for _, c := range seeds(f)[:20] {
		f.Add([]byte(strings.Join(c.Log, "\r\n")))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, err := io.ReadAll(decoded(bytes.NewReader(b)))
		if err != nil || len(whole) > 3*len(b) {
			t.Fatalf("%d bytes of %d, %v", len(whole), len(b), err)
		}
		pieces, err := io.ReadAll(decoded(iotest.OneByteReader(bytes.NewReader(b))))
		if err != nil || !bytes.Equal(whole, pieces) {
			t.Fatalf("in pieces %q, in one %q, %v", pieces, whole, err)
		}
		wide := bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("\xfe\xff"))
		if wide && !utf8.Valid(whole) || !wide && !bytes.Equal(whole, b) {
			t.Errorf("%q became %q", b, whole)
		}
	})
}

func checkRelease(t *testing.T, s string) {
	r, err := parseRelease(s)
	if err == nil {
		if slices.Min(r[:]) < 0 || r.compare(release{}) < 0 || (release{}).compare(r) > 0 {
			t.Errorf("%q: %v", s, r)
		}
	}
	if sp, err := parseRange(s); err == nil && sp.from.compare(sp.to) <= 0 && !(sp.has(sp.from) && sp.has(sp.to)) {
		t.Errorf("%q: %v", s, sp)
	}
	list := &said{}
	for range maxSigns + 2 {
		list.readVersion(s)
	}
	if len(list.versions) > 1 {
		t.Errorf("%q: %v", s, list.versions)
	}
}
