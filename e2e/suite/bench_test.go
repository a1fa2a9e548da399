package suite_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/e2e/suite"
)

// BenchmarkProcedure times novatui beside the same steps typed as one shell
// script over ssh (testdata), by turns on one lab. ratio is the time of apply,
// the proof and the report included, by the script's; best-ratio is that of the
// fastest round of each; all-ratio counts diagnose and plan as well, which the
// script has no like of. Rejoin needs best-ratio: a learner whose first proposal
// arrives within the leader's snapshot waits for etcd's request timeout of 7 s
// (server.publishV3), in some rounds of both and by no doing of either.
func BenchmarkProcedure(b *testing.B) {
	if _, err := exec.LookPath("ssh"); err != nil {
		b.Skip("the scripts need ssh")
	}
	for script, name := range map[string]string{"restart": "stop", "rejoin": "corrupt-db", "restore": "lose-all"} {
		b.Run(script, func(b *testing.B) {
			w := quick(b)
			c := named(b, name)
			c.Nodes = nil
			if name != "lose-all" {
				c.Nodes = []int{1}
			}
			var all, ours, theirs time.Duration
			best, their := time.Hour, time.Hour // the fastest rounds
			for b.Loop() {
				c.Break(b, w)
				first := time.Now()
				file := suite.Plan(b, w, suite.Diagnose(b, w))
				began := time.Now()
				suite.Apply(b, w, nil, file)
				took := time.Since(began)
				ours, best = ours+took, min(best, took)
				all += time.Since(first)
				c.Break(b, w)
				began = time.Now()
				w.runbook(b, script)
				took = time.Since(began)
				theirs, their = theirs+took, min(their, took)
			}
			b.ReportMetric(ours.Seconds()/float64(b.N), "apply-s/op")
			b.ReportMetric(all.Seconds()/theirs.Seconds(), "all-ratio")
			b.ReportMetric(theirs.Seconds()/float64(b.N), "script-s/op")
			b.ReportMetric(ours.Seconds()/theirs.Seconds(), "ratio")
			b.ReportMetric(best.Seconds()/their.Seconds(), "best-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// runbook types a script of testdata.
func (w *labWorld) runbook(t testing.TB, script string) {
	t.Helper()
	archive, _, err := w.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	_, archive, _ = strings.Cut(archive, ":")
	ctx, cancel := context.WithTimeout(context.Background(), suite.Limit)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", "testdata/"+script+".sh")
	c.Env = append(os.Environ(), "LAB="+w.dir, "SNAPSHOT="+archive)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s.sh: %v\n%s", script, err, out)
	}
}

// BenchmarkDiagnose times diagnose of the lab with one dead member, the
// program's start and the connections included.
func BenchmarkDiagnose(b *testing.B) {
	w := quick(b)
	c := named(b, "stop")
	c.Break(b, w)
	for b.Loop() {
		suite.Diagnose(b, w)
	}
}

func named(t testing.TB, name string) suite.Case {
	t.Helper()
	for _, c := range suite.Cases {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no case %q", name)
	return suite.Case{}
}
