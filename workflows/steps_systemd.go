package workflows

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// How long is waited for what, and how often is looked. etcd elects within a
// second or two; a large database takes longer to open, and a learner of 8 GiB
// longer to fill.
const (
	lookEvery    = 300 * time.Millisecond
	unitLimit    = 150 * time.Second // TimeoutStopSec is 90 s by default
	healthyLimit = 3 * time.Minute
	joinLimit    = 15 * time.Minute
	addLimit     = 45 * time.Second // etcd refuses changes within 5 s of the last
	proveLimit   = 2 * time.Minute
	// tooManyRestarts of the unit while we wait for it mean that it will not
	// come up.
	tooManyRestarts = 3
)

// ErrCrashed: etcd was started and ended again.
var ErrCrashed = errors.New("etcd does not stay up")

// stopAndMask keeps the unit from starting, also after a reboot, then stops
// it, and proves that nothing of etcd is left. The guards are the procedure's
// own: between the plan and this step the cluster may have been mended by
// somebody else (a run that is resumed an hour later, a second operator), and
// then there is nothing to stop.
func (w *world) stopAndMask(node string, guards ...engine.Guard) engine.Step {
	h := w.host(node)
	stopped, err := h.ProveStopped()
	show := quiet(h.ShowUnit())
	isStopped := func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
		unit, err := w.unit(ctx, x, node, show)
		if err != nil {
			return engine.Unknown, err
		}
		proof, err := x.Try(ctx, node, stopped)
		if err != nil {
			return engine.Unknown, err
		}
		if unit.Masked() && proof.Exit == 0 {
			return engine.Done, nil
		}
		return engine.NotDone, nil
	}
	return engine.Step{
		ID: "stop/" + node, Node: node, Effect: remote.Change,
		Title: msg.M("step.stop.title", "node", node), Why: msg.M("step.stop.why"), IfItFails: msg.M("step.stop.fail"),
		Commands: []engine.NodeCommand{w.on(node, h.HoldDown(), nil), w.on(node, h.StopUnit(), nil)},
		Checks:   []engine.NodeCommand{w.on(node, show, nil), w.on(node, stopped, err)},
		Guards:   append(guards, w.guard("identity", w.identityHolds([]string{node}))),
		Probe:    isStopped,
		Do: func(ctx context.Context, x *engine.Exec) error {
			if _, err := x.Run(ctx, node, h.HoldDown()); err != nil {
				return err
			}
			_, err := x.Run(ctx, node, h.StopUnit())
			return err
		},
		Verify: func(ctx context.Context, x *engine.Exec) error {
			return verified(isStopped(ctx, x))
		},
	}
}

// proveStopped proves on all nodes at once what each stop proved for itself:
// from here on data are moved.
func (w *world) proveStopped(node string) engine.Step {
	stopped, err := w.host(node).ProveStopped()
	return engine.Step{
		ID: "stopped/" + node, Node: node, Effect: remote.Read,
		Title: msg.M("step.stopped.title", "node", node), Why: msg.M("step.stopped.why"), IfItFails: msg.M("step.stopped.fail"),
		Commands: []engine.NodeCommand{w.on(node, stopped, err)},
		Do: func(ctx context.Context, x *engine.Exec) error {
			_, err := x.Run(ctx, node, stopped)
			return err
		},
	}
}

// unmaskAndStart lets the unit start again and starts it without blocking.
func (w *world) unmaskAndStart(node string) engine.Step {
	h := w.host(node)
	return w.startStep("start", node, h.StartNoBlock(), h.Release(), h.ResetFailed())
}

// restartUnit clears the start limit and restarts the unit without blocking.
func (w *world) restartUnit(node string) engine.Step {
	h := w.host(node)
	s := w.startStep("restart", node, h.RestartNoBlock(), h.ResetFailed())
	s.Guards = append(s.Guards,
		w.guard("member-down", memberDown([]string{node})),
		w.guard("log-gone", logGone([]string{node})))
	s.Probe = func(ctx context.Context, _ *engine.Exec) (engine.Probed, error) {
		f, err := w.status(ctx)
		if err != nil {
			return engine.Unknown, err
		}
		if n, _ := f.NodeByName(node); n.Endpoint.Healthy {
			return engine.Done, nil
		}
		// Restarting a member that is down once more does no harm.
		return engine.NotDone, nil
	}
	return s
}

func (w *world) startStep(id, node string, start remote.Command, before ...remote.Command) engine.Step {
	h := w.host(node)
	show := quiet(h.ShowUnit())
	s := engine.Step{
		ID: id + "/" + node, Node: node, Effect: remote.Change,
		Title: msg.M("step."+id+".title", "node", node), Why: msg.M("step." + id + ".why"), IfItFails: msg.M("step." + id + ".fail"),
		Checks: []engine.NodeCommand{w.on(node, show, nil)},
		Guards: []engine.Guard{w.guard("identity", w.identityHolds([]string{node}))},
		Probe: func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
			unit, err := w.unit(ctx, x, node, show)
			if err != nil {
				return engine.Unknown, err
			}
			if !unit.Masked() && unit.Running() {
				return engine.Done, nil
			}
			return engine.NotDone, nil
		},
		// A unit that reached its start limit meanwhile is not started by systemd
		// any more: whoever mended the cause and resumes would wait for ever.
		Recheck: func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
			unit, err := w.unit(ctx, x, node, show)
			if err != nil {
				return engine.Unknown, err
			}
			if started(unit) {
				return engine.Done, nil
			}
			return engine.NotDone, nil
		},
		Verify: func(ctx context.Context, x *engine.Exec) error {
			return w.waitStarted(ctx, x, node, show)
		},
	}
	for _, c := range append(before, start) {
		s.Commands = append(s.Commands, w.on(node, c, nil))
	}
	commands := s.Commands
	s.Do = func(ctx context.Context, x *engine.Exec) error {
		for _, c := range commands {
			if _, err := x.Run(ctx, node, c.Command); err != nil {
				return err
			}
		}
		return nil
	}
	return s
}

// waitStarted waits until systemd has a main process for the unit. That it is
// healthy is proved by a step of its own.
func (w *world) waitStarted(ctx context.Context, x *engine.Exec, node string, show remote.Command) error {
	ctx, cancel := context.WithTimeout(ctx, unitLimit)
	defer cancel()
	var last etcdops.UnitFacts
	err := x.Poll(ctx, lookEvery, msg.M("wait.unit", "node", node, "state", "active"), func(ctx context.Context) (bool, error) {
		unit, err := w.unit(ctx, x, node, show)
		if err != nil {
			return false, err
		}
		last = unit
		if unit.Active == "failed" {
			return false, fmt.Errorf("%w: unit %s on %s is failed (%s)", ErrCrashed, unit.Name, node, unit.Result)
		}
		return started(unit), nil
	})
	if err != nil && last.Active != "" && !errors.Is(err, ErrCrashed) {
		return fmt.Errorf("unit %s on %s is %s (%s): %w", last.Name, node, last.Active, last.Sub, err)
	}
	return err
}

// started reports whether systemd has a main process for the unit.
func started(unit etcdops.UnitFacts) bool {
	return unit.MainPID > 0 && (unit.Active == "active" || unit.Active == "activating")
}

// unit asks systemd for the unit's state.
func (w *world) unit(ctx context.Context, x *engine.Exec, node string, show remote.Command) (etcdops.UnitFacts, error) {
	r, err := x.Run(ctx, node, show)
	if err != nil {
		return etcdops.UnitFacts{}, err
	}
	unit := etcdops.ParseUnit(r.Stdout, 0)
	if unit.Active == "" {
		return unit, fmt.Errorf("systemd on %s told no state of the unit", node)
	}
	return unit, nil
}

// waitHealthy waits until the member answers, has a leader and has caught up,
// and shows the unit's journal meanwhile.
func (w *world) waitHealthy(node string) engine.Step {
	s := w.waitStep("wait", node, healthyLimit, func(n etcdops.NodeFacts, f etcdops.Facts) bool {
		return n.Endpoint.Healthy && behind(f, n) <= maxLag
	})
	return s
}

// waitCaughtUp waits until the new member answers and has nearly all of the
// leader's log; a learner is never "healthy" in etcd's terms.
func (w *world) waitCaughtUp(node string) engine.Step {
	return w.waitStep("caught-up", node, joinLimit, func(n etcdops.NodeFacts, f etcdops.Facts) bool {
		return n.Endpoint.Answers && n.Endpoint.LeaderID != "" && behind(f, n) <= maxLag
	})
}

func (w *world) waitStep(id, node string, limit time.Duration, good func(etcdops.NodeFacts, etcdops.Facts) bool) engine.Step {
	h := w.host(node)
	journal := h.JournalFollow(limit)
	label := w.label(node)
	return engine.Step{
		ID: id + "/" + node, Node: node, Effect: remote.Read,
		Title: msg.M("step."+id+".title", "member", label), Why: msg.M("step." + id + ".why"), IfItFails: msg.M("step.wait.fail"),
		Commands: []engine.NodeCommand{w.on(node, journal, nil)},
		Do: func(ctx context.Context, x *engine.Exec) error {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			return x.While(ctx, node, journal, func(ctx context.Context) error {
				return w.waitGood(ctx, x, node, msg.M("wait.healthy", "member", label), good)
			})
		},
	}
}

func (w *world) waitGood(ctx context.Context, x *engine.Exec, node string, what msg.Msg, good func(etcdops.NodeFacts, etcdops.Facts) bool) error {
	before := -1
	return x.Poll(ctx, lookEvery, what, func(ctx context.Context) (bool, error) {
		f, err := w.status(ctx)
		if err != nil {
			return false, err
		}
		n, _ := f.NodeByName(node)
		if !n.Reachable {
			return false, nil // the connection may come back; the deadline decides
		}
		if before < 0 {
			before = n.Unit.Restarts
		}
		if n.Unit.Active == "failed" || n.Unit.Restarts-before >= tooManyRestarts {
			return false, fmt.Errorf("%w on %s: %s (%s), %d restarts, last exit %d", ErrCrashed, node,
				n.Unit.Active, n.Unit.Result, n.Unit.Restarts-before, n.Unit.ExitStatus)
		}
		return good(n, f), nil
	})
}

// quiet keeps a command that is asked again and again out of the panes.
func quiet(c remote.Command) remote.Command {
	c.Quiet = true
	return c
}

// maxLag is how many raft entries a member may be behind the leader and still
// count as caught up, on a cluster that is being written to.
const maxLag = 1000

// behind is how many raft entries a member's applied index is behind the most
// advanced member.
func behind(f etcdops.Facts, n etcdops.NodeFacts) uint64 {
	top := n.Endpoint.Applied
	for _, o := range f.Nodes {
		if o.Endpoint.Answers && o.Endpoint.ClusterID == n.Endpoint.ClusterID {
			top = max(top, o.Endpoint.Applied)
		}
	}
	return top - n.Endpoint.Applied
}

// verified turns a probe into a verification.
func verified(p engine.Probed, err error) error {
	if err != nil {
		return err
	}
	if p != engine.Done {
		return fmt.Errorf("what the step should have done is not there (%s)", p)
	}
	return nil
}
