package diagnosis

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
)

// TestExplainAgrees reads the journals of really broken members with explain
// as diagnose reads them with facts beside: the same cause, and nothing that
// destroys data where diagnose has nothing of that kind.
func TestExplainAgrees(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			v := Diagnose(s.facts())
			in := Input{Members: 3, Down: 1, Log: []Text{{"log", strings.NewReader(strings.Join(s.lines, "\n"))}}}
			if len(s.peer) > 0 {
				in.Peers = []Text{{"peer", strings.NewReader(strings.Join(s.peer, "\n"))}}
			}
			if s.exit == "running" {
				in.UnitState = "active (running)"
			} else {
				in.UnitState = "activating (auto-restart)"
			}
			x, err := Explain(in)
			if err != nil {
				t.Fatal(err)
			}
			if s.want == "" {
				if destroys(x.Remedy) {
					t.Errorf("%s: explain says %s", s.how, x.Remedy)
				}
				return
			}
			if x.Causes[0].ID != s.want && !(s.want == "cert-expired" && x.Causes[0].ID == "clock-skew") {
				t.Errorf("%s: explain says %s, diagnose %s", s.how, x.Causes[0].ID, s.want)
			}
			p := v.Recommended.Procedure
			if destroys(x.Remedy) && p != etcdops.ProcedureRejoin && p != etcdops.ProcedureRestore {
				t.Errorf("%s: explain says %s, diagnose %s", s.how, x.Remedy, p)
			}
		})
	}
}

// TestExplainReadsForms: the same trouble in every form in which logs are copied.
func TestExplainReadsForms(t *testing.T) {
	const plain = `{"level":"panic","ts":"2026-11-03T14:00:01Z","caller":"backend/backend.go:189","msg":"failed to open database","path":"/d/member/snap/db","error":"invalid database"}`
	wide := func(big bool, s string) string {
		var b strings.Builder
		b.WriteString(map[bool]string{true: "\xfe\xff", false: "\xff\xfe"}[big])
		for _, u := range utf16.Encode([]rune(s)) {
			hi, lo := byte(u>>8), byte(u)
			if big {
				b.Write([]byte{hi, lo})
			} else {
				b.Write([]byte{lo, hi})
			}
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"as it is":          plain,
		"journalctl":        "Nov 03 14:00:01 m2 etcd[12]: " + plain,
		"journalctl iso":    "2026-11-03T14:00:01+0300 m2 etcd[12]: " + plain,
		"journalctl json":   `{"_PID":"12","SYSLOG_IDENTIFIER":"etcd","MESSAGE":` + quote(plain) + `}`,
		"docker json-file":  `{"log":` + quote(plain+"\n") + `,"stream":"stderr","time":"2026-11-03T14:00:01Z"}`,
		"cri":               "2026-11-03T14:00:01.1Z stderr F " + plain,
		"compose":           "etcd-2  | " + plain,
		"compose, coloured": "\x1b[33metcd_1  |\x1b[0m " + plain,
		"kubectl --prefix":  "[pod/etcd-m2/etcd] " + plain,
		"docker -t":         "2026-11-03T14:00:01.123456789Z " + plain,
		"windows":           plain + "\r\n",
		"utf-16":            wide(false, plain+"\r\n"),
		"utf-16, big":       wide(true, plain+"\r\n"),
		"cut off":           plain[:len(plain)-1],
		"over lines":        "{\n    \"level\": \"panic\",\n    \"msg\": \"failed to open database\",\n    \"error\": \"invalid database\"\n}\n",
		"two in a line":     `{"level":"info","msg":"opening backend"}` + plain,
		"zap console":       "2026-11-03T14:00:01Z\tPANIC\tbackend/backend.go:189\tfailed to open database\t{\"path\": \"/d\", \"error\": \"invalid database\"}",
		"other keys":        `{"severity":"fatal","message":"failed to open database","error":"invalid database"}`,
		"a long line first": `{"level":"info","msg":"` + strings.Repeat("x", 300<<10) + "\"}\n" + plain,
	} {
		t.Run(name, func(t *testing.T) {
			x, err := Explain(Input{Log: []Text{{"log", strings.NewReader(text)}}, Members: 3, Down: 1})
			if err != nil {
				t.Fatal(err)
			}
			if x.Causes[0].ID != "db-corrupt" || x.Remedy != RemedyRejoin {
				t.Errorf("%s, %s", x.Causes[0].ID, x.Remedy)
			}
		})
	}
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// TestExplainCounts: what is said again and again is shown once.
func TestExplainCounts(t *testing.T) {
	log := strings.Repeat("2026-11-03 14:00:01.000001 C | etcdmain: listen tcp 10.0.0.2:2380: bind: address already in use\n\n", 5000)
	x, err := Explain(Input{Log: []Text{{"m2.log", strings.NewReader(log)}}, Members: Unknown, Down: Unknown})
	if err != nil {
		t.Fatal(err)
	}
	e := x.Causes[0].Evidence[0]
	if x.Causes[0].ID != "port-in-use" || e.File != "m2.log" || e.Line != 1 || e.LastLine != 9999 || e.Count != 5000 {
		t.Errorf("%s: %+v", x.Causes[0].ID, e)
	}
}

// TestScanner compares the automaton with a plain search.
func TestScanner(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	word := func(n int) string {
		b := make([]byte, 1+rng.IntN(n))
		for i := range b {
			b[i] = "abcAB -"[rng.IntN(7)]
		}
		return string(b)
	}
	for range 300 {
		var literals []string
		for range 1 + rng.IntN(12) {
			if w := strings.ToLower(word(5)); !slices.Contains(literals, w) {
				literals = append(literals, w)
			}
		}
		s := newScanner(literals)
		for range 20 {
			text := word(40)
			var set litSet
			found := s.scan([]byte(text), &set)
			any := false
			for n, lit := range literals {
				want := strings.Contains(strings.ToLower(text), lit)
				any = any || want
				if set.has(n) != want {
					t.Fatalf("%q in %q: %v", lit, text, set.has(n))
				}
			}
			if found != any {
				t.Fatalf("%q: found %v", text, found)
			}
		}
	}
}

// TestExplainHasWords: every reason, cause and remedy is said in every language.
func TestExplainHasWords(t *testing.T) {
	for _, lang := range msg.Languages {
		p := msg.New(lang)
		for _, file := range caseFiles(t) {
			for _, c := range readCases(t, file) {
				x := c.explain(t)
				all := []msg.Msg{x.Verdict, x.Why}
				for _, cause := range x.Causes {
					all = append(append(append(all, cause.Title, cause.Why), cause.Do...), cause.DoNot...)
				}
				for _, m := range all {
					if s := p.S(m); s == "" || strings.Contains(s, m.ID) || strings.Contains(s, "<no value>") {
						t.Fatalf("%s: %s: %q", lang, m.ID, s)
					}
				}
			}
		}
	}
}
