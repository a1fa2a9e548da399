package workflows

import (
	"slices"
	"testing"

	"github.com/novatui/novatui/etcdops"
)

// TestRollbackStopsAMemberWithoutALog: a run may have died before it came to stop
// it. Without the one that turns it away it would found an empty cluster, so that
// a rollback stops it, before it lets the unit go, and does not start it.
func TestRollbackStopsAMemberWithoutALog(t *testing.T) {
	for name, c := range map[string]struct {
		log  bool
		want []string // the commands about the unit, in order
	}{
		"with its log":    {true, []string{"reset-failed", "start"}},
		"without its log": {false, []string{"stop"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, v := factsOf(3)
			down(&f, &v, 1, etcdops.Cause{})
			f.Nodes[1].Unit.Active = "activating"
			f.Nodes[1].WAL.HasWAL = c.log
			node := f.Nodes[1].Node
			w := newWorld(nil, Stored{Facts: f, Verdict: v, Undone: &Undone{Facts: f, Verdict: v, Begun: []string{"stop/" + node}}})
			steps := w.unitAsBefore(node)
			if len(steps) != 1 {
				t.Fatalf("%d steps", len(steps))
			}
			var got []string
			for _, cmd := range steps[0].Commands {
				if cmd.Command.Argv[0] == "systemctl" {
					got = append(got, cmd.Command.Argv[1])
				}
			}
			if first := steps[0].Commands[0].Command.Argv[0] == "systemctl"; first == c.log || !slices.Equal(got, c.want) {
				t.Errorf("systemctl %q, want %q; it is asked first: %t", got, c.want, first)
			}
		})
	}
}
