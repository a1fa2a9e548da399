package suite_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/novatui/novatui/e2e/suite"
)

// TestRestoreBesideWriters: API servers write as soon as etcd answers. The proof
// of a restore speaks of the data that it restored, and does not fail for what
// was written since.
func TestRestoreBesideWriters(t *testing.T) {
	t.Parallel()
	w := quick(t)
	named(t, "lose-all").Break(t, w)
	plan := suite.Plan(t, w, suite.Diagnose(t, w))
	ctx, cancel := context.WithCancel(t.Context())
	wrote := 0
	var writer sync.WaitGroup
	writer.Go(func() {
		for ctx.Err() == nil {
			wrote += w.writeOn(ctx, wrote)
		}
	})
	suite.Apply(t, w, nil, plan)
	cancel()
	writer.Wait()
	if wrote == 0 {
		t.Error("nothing was written before the proof")
	}
	t.Logf("%d keys written", wrote)
}

// writeOn writes new keys through the first node, from the n-th on, until a write
// fails, and tells how many it wrote. Each call dials anew: a client that was
// refused would wait longer and longer.
func (w *labWorld) writeOn(ctx context.Context, n int) (wrote int) {
	c, err := w.client(w.nodes[0])
	if err != nil {
		return 0
	}
	defer func() { _ = c.Close() }()
	for {
		one, end := context.WithTimeout(ctx, 500*time.Millisecond)
		_, err := c.Put(one, fmt.Sprintf("/registry/events/new/%d", n+wrote), "written since")
		end()
		if err != nil {
			return wrote
		}
		wrote++
	}
}
