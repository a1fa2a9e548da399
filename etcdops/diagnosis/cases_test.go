package diagnosis

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// realCase is one line of testdata/cases/*.jsonl (failures that users reported)
// and testdata/samples/*.jsonl (made by breaking etcd).
type realCase struct {
	ID           string   `json:"id"`
	Source       string   `json:"source"`
	Title        string   `json:"title"`
	Version      string   `json:"etcd_version"`
	Platform     string   `json:"platform"`
	UnitState    string   `json:"unit_state"`
	Log          []string `json:"log"`
	PeersLog     []string `json:"peers_log"`
	Etcdctl      []string `json:"etcdctl"`
	MembersDown  *int     `json:"members_down"`
	MembersTotal *int     `json:"members_total"`
	Cause        string   `json:"cause"`
	Also         []string `json:"also"`
	Remedy       string   `json:"remedy"`
	Why          string   `json:"why"`
	Awkward      string   `json:"awkward"`
}

// input is the case as the command line would give it: the version is left
// out, because `novatui explain` is judged without it.
func (c realCase) input() Input {
	in := Input{UnitState: c.UnitState, Members: Unknown, Down: Unknown}
	if c.MembersTotal != nil {
		in.Members = *c.MembersTotal
	}
	if c.MembersDown != nil {
		in.Down = *c.MembersDown
	}
	in.Log = []Text{{"log", strings.NewReader(strings.Join(c.Log, "\n"))}} // an empty file where there is none
	if len(c.PeersLog) > 0 {
		in.Peers = []Text{{"peers", strings.NewReader(strings.Join(c.PeersLog, "\n"))}}
	}
	for i, e := range c.Etcdctl {
		in.Etcdctl = append(in.Etcdctl, Text{fmt.Sprintf("etcdctl-%d", i+1), strings.NewReader(e)})
	}
	return in
}

func (c realCase) explain(tb testing.TB) Explanation {
	tb.Helper()
	x, err := Explain(c.input())
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

func (c realCase) right(cause string) bool { return cause == c.Cause || slices.Contains(c.Also, cause) }

func readCases(tb testing.TB, path string) []realCase {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var list []realCase
	s := bufio.NewScanner(f)
	s.Buffer(nil, 8<<20)
	for n := 1; s.Scan(); n++ {
		if len(strings.TrimSpace(s.Text())) == 0 {
			continue
		}
		var c realCase
		if err := json.Unmarshal(s.Bytes(), &c); err != nil {
			tb.Fatalf("%s:%d: %v", path, n, err)
		}
		list = append(list, c)
	}
	if err := s.Err(); err != nil {
		tb.Fatal(err)
	}
	return list
}

func caseFiles(tb testing.TB) []string {
	tb.Helper()
	var files []string
	for _, dir := range []string{"cases", "samples"} {
		list, err := filepath.Glob(filepath.Join("testdata", dir, "*.jsonl"))
		if err != nil {
			tb.Fatal(err)
		}
		files = append(files, list...)
	}
	return files
}

// least is how many answers of a hundred must be right: in every file of
// cases, and in all samples together.
const least = 92

// score counts right answers.
type score struct{ cases, causes, remedies int }

func (s *score) add(o score) {
	s.cases, s.causes, s.remedies = s.cases+o.cases, s.causes+o.causes, s.remedies+o.remedies
}

func (s score) check(t *testing.T, what string) {
	t.Helper()
	t.Logf("%s: causes %d of %d, remedies %d of %d", what, s.causes, s.cases, s.remedies, s.cases)
	if s.causes*100 < least*s.cases || s.remedies*100 < least*s.cases {
		t.Errorf("%s: less than %d in a hundred are right", what, least)
	}
}

// TestCases prints what explain says of every case beside what it should say.
func TestCases(t *testing.T) {
	var samples score
	for _, file := range caseFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			s := checkCases(t, readCases(t, file))
			if strings.Contains(file, "samples") {
				samples.add(s)
				return
			}
			s.check(t, filepath.Base(file))
		})
	}
	samples.check(t, "samples")
}

// checkCases compares the answers, and lets no case be answered with what
// destroys data where something else is right.
func checkCases(t *testing.T, cases []realCase) score {
	s, remedies := score{cases: len(cases)}, knownRemedies()
	for _, c := range cases {
		if _, ok := known().kinds[c.Cause]; !ok || !remedies[c.Remedy] {
			t.Errorf("%s: cause %q or remedy %q is not in the list", c.ID, c.Cause, c.Remedy)
		}
		x := c.explain(t)
		mark := []byte("  ")
		if c.right(x.Causes[0].ID) {
			s.causes++
		} else {
			mark[0] = 'C'
		}
		if string(x.Remedy) == c.Remedy {
			s.remedies++
		} else {
			mark[1] = 'R'
		}
		t.Logf("%s %-24s want %-24s %-22s got %-24s %-22s", mark, c.ID, c.Cause, c.Remedy, x.Causes[0].ID, x.Remedy)
		if destroys(x.Remedy) && string(x.Remedy) != c.Remedy {
			t.Errorf("%s: answered %s where %s is right", c.ID, x.Remedy, c.Remedy)
		}
		if len(x.Causes) == 0 || x.Why.Zero() || x.Verdict.Zero() {
			t.Errorf("%s: no cause or no words", c.ID)
		}
	}
	return s
}

func destroys(r Remedy) bool { return r == RemedyRejoin || r == RemedyRestore }

func knownRemedies() map[string]bool {
	m := map[string]bool{}
	for _, r := range remedies {
		m[string(r)] = r != remedyByQuorum
	}
	return m
}
