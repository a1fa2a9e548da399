package workflows

import (
	"testing"

	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/workflows/engine"
)

// TestWhatWasMendedMeanwhileIsNotStopped: a run may be resumed long after it
// was planned. When the cluster has come back by then, stopping it would be
// the first harm done.
func TestWhatWasMendedMeanwhileIsNotStopped(t *testing.T) {
	for name, c := range map[string]struct {
		procedure   etcdops.Procedure
		fallen      []int // when the plan was made
		now         []int // when the step comes
		step, guard string
	}{
		"rejoin, the member is healthy again": {
			procedure: etcdops.ProcedureRejoin, fallen: []int{1}, step: "stop/master-2", guard: "remove-healthy",
		},
		"rejoin, another member fell": {
			procedure: etcdops.ProcedureRejoin, fallen: []int{1}, now: []int{1, 2}, step: "stop/master-2", guard: "quorum-holds-remove",
		},
		"rejoin, as it was": {
			procedure: etcdops.ProcedureRejoin, fallen: []int{1}, now: []int{1}, step: "stop/master-2",
		},
		"restore, quorum is back": {
			procedure: etcdops.ProcedureRestore, fallen: []int{0, 1, 2}, now: []int{2}, step: "stop/master-1", guard: "restore-while-quorum",
		},
		"restore, as it was": {
			procedure: etcdops.ProcedureRestore, fallen: []int{0, 1, 2}, now: []int{0, 1, 2}, step: "stop/master-1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, v := fallen(c.fallen)
			w := newWorld(noSite{}, Stored{Facts: f, Verdict: v, Snapshots: []Inspected{goodSnapshot("master-1")}})
			r := Request{Procedure: c.procedure, Nodes: []string{"master-2"}, Tag: "20261103-140314"}
			p, err := build(w, r)
			if err != nil {
				t.Fatal(err)
			}
			w.facts, w.verdict = fallen(c.now)
			_, step := p.Step(c.step)
			if step == nil {
				t.Fatalf("no step %s", c.step)
			}
			got := ""
			for _, g := range step.Guards {
				if g.Check().Result == engine.Block {
					got += g.ID
				}
			}
			if got != c.guard {
				t.Errorf("%s is stopped by %q, want %q", c.step, got, c.guard)
			}
		})
	}
}

// fallen are the facts of three members, some of which have a broken database.
func fallen(which []int) (etcdops.Facts, etcdops.Verdict) {
	f, v := factsOf(3)
	for _, i := range which {
		down(&f, &v, i, brokenDB)
	}
	return f, v
}
