package diagnosis

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// journalBytes is the size of the journal of the benchmark: some weeks of a
// busy member.
const journalBytes = 200 << 20

// bigJournal writes a journal as a busy member writes it, with keys, times and
// durations that never repeat, and with a broken database at its end.
func bigJournal(tb testing.TB, size int) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "etcd.log")
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	written := 0
	line := func(format string, args ...any) {
		n, err := fmt.Fprintf(w, "Nov %02d %02d:%02d:%02d master-2 etcd[1002]: "+format+"\n",
			append([]any{1 + written/(8<<20)%28, rng.IntN(24), rng.IntN(60), rng.IntN(60)}, args...)...)
		if err != nil {
			tb.Fatal(err)
		}
		written += n
	}
	for written < size {
		switch rng.IntN(8) {
		case 0, 1, 2, 3:
			line(`{"level":"info","ts":"2026-11-21T08:27:49.%06dZ","caller":"traceutil/trace.go:171","msg":"trace[%d] transaction","detail":"{read_only:false; response_revision:%d; number_of_response:1; }","duration":"%d.%dms","start":"2026-11-21T08:27:49.1Z","end":"2026-11-21T08:27:49.2Z","steps":["trace[%d] 'process raft request'  (duration: %d.2ms)"],"step_count":1}`,
				rng.IntN(1e6), rng.Uint32(), rng.Uint32(), rng.IntN(300), rng.IntN(1000), rng.Uint32(), rng.IntN(300))
		case 4, 5:
			line(`{"level":"warn","ts":"2026-11-21T08:27:49.%06dZ","caller":"etcdserver/util.go:170","msg":"apply request took too long","took":"%d.%dms","expected-duration":"100ms","prefix":"read-only range ","request":"key:\"/registry/pods/ns-%x/app-%x-%x\" ","response":"range_response_count:1 size:%d"}`,
				rng.IntN(1e6), 100+rng.IntN(300), rng.IntN(1000), rng.Uint32(), rng.Uint64(), rng.Uint32(), rng.IntN(9999))
		case 6:
			line(`{"level":"info","ts":"2026-11-21T08:27:49.%06dZ","caller":"mvcc/index.go:214","msg":"compact tree index","revision":%d}`, rng.IntN(1e6), rng.Uint32())
		default:
			line(`{"level":"warn","ts":"2026-11-21T08:27:49.%06dZ","caller":"rafthttp/probing_status.go:68","msg":"prober detected unhealthy status","round-tripper-name":"ROUND_TRIPPER_RAFT_MESSAGE","remote-peer-id":"a003","rtt":"%d.1ms","error":"dial tcp 10.0.0.3:2380: connect: connection refused"}`, rng.IntN(1e6), rng.IntN(90))
		}
	}
	line(`{"level":"panic","ts":"2026-11-21T08:27:50.1Z","caller":"backend/backend.go:203","msg":"failed to open database","path":"/var/lib/etcd/member/snap/db","error":"invalid database"}`)
	if err := w.Flush(); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

func explainFile(tb testing.TB, path string) Explanation {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	x, err := Explain(Input{Log: []Text{{path, f}}, Members: 3, Down: 1})
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

// BenchmarkExplain reads 200 MB; BenchmarkGrep lets grep -E look for every
// text of the rules in the same file.
func BenchmarkExplain(b *testing.B) {
	path := bigJournal(b, journalBytes)
	b.SetBytes(journalBytes)
	b.ReportAllocs()
	for b.Loop() {
		if x := explainFile(b, path); x.Causes[0].ID != "db-corrupt" || x.Remedy != RemedyRejoin {
			b.Fatalf("%+v", x.Causes[0])
		}
	}
}

func BenchmarkGrep(b *testing.B) {
	grep, err := exec.LookPath("grep")
	if err != nil {
		b.Skip("there is no grep")
	}
	path := bigJournal(b, journalBytes)
	var words []string
	for _, r := range known().rules {
		for _, m := range r.Match {
			for _, s := range m.needs() {
				words = append(words, strings.NewReplacer("(", `\(`, ")", `\)`, "[", `\[`, "{", `\{`, "|", `\|`, "*", `\*`, ".", `\.`, "?", `\?`, "+", `\+`).Replace(literalOf(s)))
			}
		}
	}
	b.SetBytes(journalBytes)
	for b.Loop() {
		if out, err := exec.CommandContext(b.Context(), grep, "-ciE", strings.Join(words, "|"), path).CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, out)
		}
	}
}

// TestExplainIsBounded: what is kept does not grow with the text.
func TestExplainIsBounded(t *testing.T) {
	small, large := bigJournal(t, 1<<20), bigJournal(t, 16<<20)
	explainFile(t, small) // tables are made at the first call
	used := func(path string) float64 {
		return testing.AllocsPerRun(1, func() { explainFile(t, path) })
	}
	if a, b := used(small), used(large); b > 3*a+2000 {
		t.Errorf("%.0f allocations for 1 MB, %.0f for 16 MB", a, b)
	}
	if x := explainFile(t, large); x.Causes[0].ID != "db-corrupt" || x.Remedy != RemedyRejoin {
		t.Errorf("%s, %s", x.Causes[0].ID, x.Remedy)
	}
}
