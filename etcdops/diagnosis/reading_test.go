package diagnosis

import (
	"bufio"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/etcdops"
)

// sample is what a really broken etcd wrote: testdata/NAME.log, made by
// TestMakeSamples. Its first lines say how.
type sample struct {
	name, how, want, exit string
	wal                   bool
	lines, peer           []string
}

func readSample(t testing.TB, path string) sample {
	t.Helper()
	s := sample{name: strings.TrimSuffix(filepath.Base(path), ".log")}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	scan := bufio.NewScanner(f)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		text := scan.Text()
		key, value, _ := strings.Cut(strings.TrimPrefix(text, "# "), ": ")
		switch {
		case !strings.HasPrefix(text, "# "):
			s.lines = append(s.lines, text)
		case key == "how":
			s.how = value
		case key == "want" || key == "want:": // an empty value has no blank after it
			s.want = value
		case key == "exit":
			s.exit = value
		case key == "wal":
			s.wal = value == "true"
		}
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return s
}

func samples(t testing.TB) []sample {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.log")
	if err != nil || len(paths) < 40 {
		t.Fatalf("%d samples in testdata: %v", len(paths), err)
	}
	var list []sample
	for _, path := range paths {
		if strings.HasSuffix(path, ".peer.log") {
			continue
		}
		s := readSample(t, path)
		if peer := strings.TrimSuffix(path, ".log") + ".peer.log"; fileExists(peer) {
			s.peer = readSample(t, peer).lines
		}
		list = append(list, s)
	}
	return list
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// facts puts a sample onto the second of three members, the others healthy.
func (s sample) facts() etcdops.Facts {
	f := cluster(3)
	var n *etcdops.NodeFacts
	pid := 2002
	switch s.exit {
	case "running":
		n = silent(&f, 2)
		pid = n.Unit.MainPID
	case "signal: terminated":
		n = stopped(&f, 2)
	case "signal: killed":
		n = killLooped(&f, 2)
	default:
		n = crashing(&f, 2)
		if _, err := fmt.Sscanf(s.exit, "exit status %d", &n.Unit.ExitStatus); err != nil {
			n.Unit.ExitStatus = 1
		}
	}
	journal(n, pid, s.lines...)
	if !s.wal {
		n.Data.HasWAL, n.WAL.HasWAL = false, false
		n.Data.DBBytes = 20 << 10
	}
	id, clusterID := "", theCluster
	for _, l := range readJournal(n.Journal) {
		if v := l.field("local-member-id"); v != "" && v != "0" {
			id = v
			if v := l.field("cluster-id"); v != "" && v != "0" {
				clusterID = v
			}
		}
	}
	if id != "" {
		f.Members[1].ID = id
	}
	switch s.want {
	case "removed-member":
		f.Members = append(f.Members[:1:1], f.Members[2])
	case "cluster-id-mismatch":
		alone(&f, 2)
	}
	if kd := known().kinds[s.want]; !s.wal && !kd.Data && s.want != "" {
		f.Members[1].Name = "" // a member that was added and never came up
	}
	for i := range f.Nodes {
		if f.Nodes[i].Endpoint.Answers && s.want != "cluster-id-mismatch" {
			f.Nodes[i].Endpoint.ClusterID = clusterID
		}
	}
	journal(&f.Nodes[0], 1001, s.peer...)
	return f
}

// TestSamples reads what really broken members wrote.
func TestSamples(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			f := s.facts()
			v := Diagnose(f)
			checkWords(t, v)
			best := ""
			if causes := v.CausesOn("master-2"); len(causes) > 0 {
				best = causes[0].ID
			}
			destroys := v.Recommended.Procedure == rejoin || v.Recommended.Procedure == restore
			if s.want == "" {
				// Nothing of its own is wrong, or nothing that one log can tell.
				if destroys && s.wal || s.wal && best != "" && best != "unknown" && best != "network-partition" {
					t.Errorf("%s\n%s", s.how, describe(v))
				}
				return
			}
			if best != s.want {
				t.Errorf("%s: best cause %q, want %q\n%s", s.how, best, s.want, describe(v))
			}
			if known().kinds[s.want].Data != destroys {
				t.Errorf("%s: recommended %s\n%s", s.how, v.Recommended.Procedure, describe(v))
			}
			for _, c := range v.CausesOn("master-2") {
				for _, e := range c.Evidence {
					if e.Source == "log" && (e.Line < 1 || e.Line > len(s.lines)) {
						t.Errorf("evidence of %s names line %d of %d", c.ID, e.Line, len(s.lines))
					}
				}
			}
		})
	}
}

// TestRealEtcd breaks real members now and reads what they say: the samples
// cannot have grown out of date without this failing.
func TestRealEtcd(t *testing.T) {
	if testing.Short() {
		t.Skip("starts etcd several times")
	}
	for _, sc := range scenarios {
		if !sc.live {
			continue
		}
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			m := sc.do(t)
			s := sample{name: sc.name, how: sc.how, want: sc.want, exit: exitOf(m), wal: m.hasWAL(), lines: m.output()}
			f := s.facts()
			v := Diagnose(f)
			best := ""
			// A busy machine makes every etcd complain of its disk a little.
			if causes := v.CausesOn("master-2"); len(causes) > 0 && (sc.want != "" || weight(causes[0].Confidence) > 1) {
				best = causes[0].ID
			}
			if best != sc.want {
				t.Errorf("%s: best cause %q, want %q\n%s", sc.how, best, sc.want, describe(v))
			}
		})
	}
}

// TestMutations: dropping and shuffling lines, mixing in a healthy member's,
// and more members being down may make an answer weaker. It never becomes one
// that destroys data where it was none.
func TestMutations(t *testing.T) {
	noise := readSample(t, "testdata/healthy.log").lines
	tried := 0
	try := func(t *testing.T, before etcdops.Procedure, f etcdops.Facts, what string) {
		t.Helper()
		tried++
		after := Diagnose(f)
		p := after.Recommended.Procedure
		if (p == rejoin || p == restore || p == salvage) && before != rejoin && before != restore && before != salvage {
			t.Fatalf("%s: %s became %s\n%s", what, before, p, describe(after))
		}
	}
	bases := map[string]func() etcdops.Facts{}
	for _, s := range samples(t) {
		bases[s.name] = s.facts
		// The same trouble, two days after a data fault that was got over.
		bases[s.name+" after an old incident"] = func() etcdops.Facts {
			f := s.facts()
			n := &f.Nodes[1]
			now := n.Journal
			n.Journal = nil
			journal(n, 90, saysRunning, saysBadDB)
			journal(n, 91, saysRunning, saysServing)
			for i := range n.Journal {
				n.Journal[i].Time = n.Journal[i].Time.Add(-48 * time.Hour)
			}
			old := len(n.Journal)
			for _, l := range now {
				l.N += old
				n.Journal = append(n.Journal, l)
			}
			return f
		}
	}
	for _, name := range slices.Sorted(maps.Keys(bases)) {
		base := bases[name]
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(2026, uint64(len(name))))
			before := Diagnose(base()).Recommended.Procedure
			for range 7 {
				f := base()
				n := &f.Nodes[1]
				for i := len(n.Journal) - 1; i >= 0; i-- {
					if rng.IntN(3) == 0 {
						n.Journal = append(n.Journal[:i], n.Journal[i+1:]...)
					}
				}
				try(t, before, f, "lines dropped")
				f = base()
				n = &f.Nodes[1]
				rng.Shuffle(len(n.Journal), func(i, k int) { n.Journal[i], n.Journal[k] = n.Journal[k], n.Journal[i] })
				try(t, before, f, "lines shuffled")
				f = base()
				n = &f.Nodes[1]
				for range 10 {
					at := rng.IntN(len(n.Journal) + 1)
					l := etcdops.LogLine{N: at + 1, Unit: "etcd", PID: n.Unit.MainPID, Text: noise[rng.IntN(len(noise))]}
					if at < len(n.Journal) {
						l.Time, l.PID = n.Journal[at].Time, n.Journal[at].PID
					}
					n.Journal = append(n.Journal[:at:at], append([]etcdops.LogLine{l}, n.Journal[at:]...)...)
				}
				try(t, before, f, "healthy lines mixed in")
				f = base()
				n = &f.Nodes[1]
				for i := range n.Journal {
					if text := n.Journal[i].Text; rng.IntN(4) == 0 && len(text) > 0 {
						n.Journal[i].Text = text[:rng.IntN(len(text))]
					}
				}
				try(t, before, f, "lines cut")
				f = base()
				down := []func(f *etcdops.Facts, i int) *etcdops.NodeFacts{stopped, killLooped, hung, weird}[rng.IntN(4)]
				down(&f, 3)
				if rng.IntN(2) == 0 {
					stopped(&f, 1)
				}
				noLeader(&f)
				try(t, before, f, "more members down")
			}
		})
	}
	if tried < 2000 {
		t.Errorf("only %d mutations", tried)
	}
}

// TestEveryMutationOfTheClusterStaysSafe drops facts instead of lines: what is
// not known any more must not make anything look broken.
func TestForgettingFactsIsSafe(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	break3 := []func(f *etcdops.Facts, i int){
		func(f *etcdops.Facts, i int) { stopped(f, i) }, func(f *etcdops.Facts, i int) { killLooped(f, i) },
		func(f *etcdops.Facts, i int) { hung(f, i) }, func(f *etcdops.Facts, i int) { weird(f, i) },
		func(f *etcdops.Facts, i int) { silent(f, i) }, unreachable, func(*etcdops.Facts, int) {}, func(*etcdops.Facts, int) {},
	}
	for round := range 4000 {
		f := cluster(3 + 2*rng.IntN(2))
		for i := 1; i <= len(f.Nodes); i++ {
			break3[rng.IntN(len(break3))](&f, i)
		}
		up := 0
		for _, n := range f.Nodes {
			if n.Endpoint.Answers {
				up++
			}
		}
		if up <= len(f.Nodes)/2 {
			noLeader(&f)
		}
		for i := range f.Nodes {
			n := &f.Nodes[i]
			switch rng.IntN(8) {
			case 0:
				n.Unit = etcdops.UnitFacts{}
			case 1:
				n.Data, n.WAL = etcdops.DirFacts{}, etcdops.DirFacts{}
			case 2:
				n.Data.Error, n.Data.HasWAL, n.WAL.HasWAL = "permission denied", false, false
			case 3:
				n.Env = etcdops.EnvFacts{}
			case 4:
				n.Running = nil
			case 5:
				n.Endpoint.OwnMembers, n.Endpoint.Hash = nil, ""
			}
		}
		if rng.IntN(4) == 0 {
			f.Members, f.MembersFrom = nil, ""
		}
		v := Diagnose(f)
		if p := v.Recommended.Procedure; p == rejoin || p == restore {
			t.Fatalf("round %d: %s without any sign of broken data\n%s", round, p, describe(v))
		}
		if v.Quorum.Needed != v.Quorum.Voters/2+1 {
			t.Fatalf("round %d: %+v", round, v.Quorum)
		}
		checkWords(t, v)
	}
}

func BenchmarkDiagnose(b *testing.B) {
	lines := readSample(b, "testdata/stopped.log").lines
	f := cluster(5)
	for i := range f.Nodes {
		for len(f.Nodes[i].Journal) < 200 {
			journal(&f.Nodes[i], 1001+i, lines[:min(len(lines), 200-len(f.Nodes[i].Journal))]...)
		}
	}
	badDB(&f, 2)
	b.ReportAllocs()
	for b.Loop() {
		Diagnose(f)
	}
}
