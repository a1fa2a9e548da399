package workflows

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// wasUp reports whether systemd ran a unit, or kept trying to.
func wasUp(u etcdops.UnitFacts) bool {
	return u.Active == "active" || u.Active == "activating" || u.Active == "reloading"
}

// setRestoredAside renames what the run had put into place. It looks first whose
// data lie there: as long as the old ones never left their place (they are not
// aside), nothing was put there and nothing is moved.
func (w *world) setRestoredAside(node string) engine.Step {
	h, tag := w.host(node), w.undone.Request.Tag
	s := engine.Step{
		ID: "restored-aside/" + node, Node: node, Effect: remote.Destroy,
		Title: msg.M("step.restored-aside.title", "node", node), Why: msg.M("step.restored-aside.why"), IfItFails: msg.M("step.restored-aside.fail"),
		Guards: []engine.Guard{
			w.guard("stopped-first", stoppedFirst(node)),
			w.guard("data-dir-sane", dataDirSane([]string{node})),
			w.guard("identity", w.identityHolds([]string{node})),
		},
	}
	dirs := h.StateDirs()
	var paths []string
	for _, d := range dirs {
		mine := etcdops.AsidePath(d, w.request.Tag)
		paths = append(paths, d.Actual(), etcdops.AsidePath(d, tag), mine+".part")
		move, err := h.MoveAside(d, w.request.Tag)
		s.Commands = append(s.Commands, w.on(node, move, err))
	}
	stat, err := h.Stat(paths...)
	stat.Quiet = true
	s.Checks = []engine.NodeCommand{w.on(node, stat, err)}
	// left are the directories that still hold restored data, by index.
	left := func(ctx context.Context, x *engine.Exec) ([]int, error) {
		found, err := w.stat(ctx, x, node, stat)
		if err != nil {
			return nil, err
		}
		var which []int
		for i, d := range dirs {
			place, old, half := found[paths[3*i]], found[paths[3*i+1]], found[paths[3*i+2]]
			restored := wasFree(d) || old.Exists()
			if restored && (place.Exists() && !place.Empty || half.Exists()) {
				which = append(which, i)
			}
		}
		return which, nil
	}
	s.Probe = func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
		which, err := left(ctx, x)
		switch {
		case err != nil:
			return engine.Unknown, err
		case len(which) > 0:
			return engine.NotDone, nil
		}
		return engine.Done, nil
	}
	s.Do = func(ctx context.Context, x *engine.Exec) error {
		which, err := left(ctx, x)
		if err != nil {
			return err
		}
		for _, i := range which {
			if _, err := x.Run(ctx, node, s.Commands[i].Command); err != nil {
				return err
			}
		}
		return nil
	}
	s.Verify = func(ctx context.Context, x *engine.Exec) error { return verified(s.Probe(ctx, x)) }
	return s
}

// moveBack renames the old data into their place again. It is of effect Destroy
// although nothing is deleted, as moveAside is: whose data the node starts with is
// decided here, and asked for by the cluster's name. A directory that was there and empty is made again, one that was not there stays away.
func (w *world) moveBack(node string) []engine.Step {
	h, tag := w.host(node), w.undone.Request.Tag
	s := engine.Step{
		ID: "back/" + node, Node: node, Effect: remote.Destroy,
		Title: msg.M("step.back.title", "node", node), Why: msg.M("step.back.why"), IfItFails: msg.M("step.back.fail"),
		Guards: []engine.Guard{
			w.guard("stopped-first", stoppedFirst(node)),
			w.guard("identity", w.identityHolds([]string{node})),
		},
	}
	var dirs []etcdops.DirFacts
	var paths []string
	for _, d := range h.StateDirs() {
		switch {
		case !d.Exists || d.Empty && d.MountPoint:
			continue
		case d.Empty:
			mk, err := h.MakeDir(d.Actual(), h.DataOwner())
			s.Commands = append(s.Commands, w.on(node, mk, err))
		default:
			back, err := h.MoveBack(d, tag)
			s.Commands = append(s.Commands, w.on(node, back, err))
		}
		dirs = append(dirs, d)
		paths = append(paths, d.Actual(), etcdops.AsidePath(d, tag), etcdops.AsidePath(d, tag)+".part")
	}
	if len(dirs) == 0 {
		return nil
	}
	stat, err := h.Stat(paths...)
	stat.Quiet = true
	s.Checks = []engine.NodeCommand{w.on(node, stat, err)}
	s.Probe = func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
		found, err := w.stat(ctx, x, node, stat)
		if err != nil {
			return engine.Unknown, err
		}
		for i, d := range dirs {
			place, old, half := found[paths[3*i]], found[paths[3*i+1]], found[paths[3*i+2]]
			switch {
			case old.Exists() || half.Exists(), d.Empty && !place.Exists():
				return engine.NotDone, nil
			case !place.Exists() || !d.Empty && place.HasMember != d.HasMember:
				return engine.Unknown, fmt.Errorf("the old data of %s are neither in %s nor in %s", node, place.Path, old.Path)
			}
		}
		return engine.Done, nil
	}
	s.Do = runAll(s.Commands)
	s.Verify = func(ctx context.Context, x *engine.Exec) error { return verified(s.Probe(ctx, x)) }
	return []engine.Step{s}
}

// proveBack looks at all nodes at once before the first unit is let go: what each
// move proved for itself must hold everywhere.
func (w *world) proveBack() engine.Step {
	return engine.Step{
		ID: "data-back", Node: nodesOf(w.undone.Facts)[0], Effect: remote.Read,
		Title: msg.M("guard.old-data-back.title"), Why: msg.M("step.data-back.why"), IfItFails: msg.M("step.back.fail"),
		Do: func(ctx context.Context, x *engine.Exec) error {
			if err := x.Refresh(ctx); err != nil {
				return err
			}
			if said := w.oldDataBack(w.now()); said.result != engine.Pass {
				return msg.Error{Msg: said.reason}
			}
			return nil
		},
	}
}

// envBack puts the env file back as it was, byte for byte; the one that the run
// wrote stays beside it.
func (w *world) envBack(node string) engine.Step {
	h := w.host(node)
	back, err := h.EnvBack(w.undone.Request.Tag, w.request.Tag)
	sums, sumsErr := h.FileSHA256(h.EnvFile())
	sums.Quiet = true
	asBefore := func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
		r, err := x.Run(ctx, node, sums)
		if err != nil {
			return engine.Unknown, err
		}
		found, err := etcdops.ParseSums(r.Stdout)
		if err != nil {
			return engine.Unknown, fmt.Errorf("looking at the env file of %s: %w", node, err)
		}
		if found[h.EnvFile()].SHA256 == w.node(node).Env.SHA256 {
			return engine.Done, nil
		}
		return engine.NotDone, nil
	}
	return engine.Step{
		ID: "env-back/" + node, Node: node, Effect: remote.Change,
		Title: msg.M("step.env-back.title", "path", h.EnvFile()), Why: msg.M("step.env-back.why"), IfItFails: msg.M("step.env.fail"),
		Commands: []engine.NodeCommand{w.on(node, back, err)},
		Checks:   []engine.NodeCommand{w.on(node, sums, sumsErr)},
		Guards:   []engine.Guard{w.guard("env-ours", w.envOurs), w.guard("identity", w.identityHolds([]string{node}))},
		Probe:    asBefore,
		Do: func(ctx context.Context, x *engine.Exec) error {
			_, err := x.Run(ctx, node, back)
			return err
		},
		Verify: func(ctx context.Context, x *engine.Exec) error { return verified(asBefore(ctx, x)) },
	}
}

// unitAsBefore gives the unit its state of before the run: let go where the run
// held it down, started where systemd ran it or kept trying to, stopped where
// it was down. No step where the run did not touch the unit. A member whose log
// was gone is let go and not started: it kept failing only because another one
// told it that it belongs to a cluster already, and where that one is slower to
// come up it founds an empty cluster of the same identity (seen in the lab, etcd
// 3.7; facts-etcd, pitfall 39a).
func (w *world) unitAsBefore(node string) []engine.Step {
	h, u := w.host(node), w.undone
	was := w.node(node).Unit
	held, restarted := u.begun("stop/"+node), u.begun("restart/"+node)
	if !held && !restarted {
		return nil
	}
	if w.stoppedForGood(node) {
		was.Active = "inactive"
	}
	show := quiet(h.ShowUnit())
	s := engine.Step{
		ID: "unit/" + node, Node: node, Effect: remote.Change,
		Title: msg.M("step.unit-down.title", "node", node), Why: msg.M("step.unit.why"), IfItFails: msg.M("step.unit.fail"),
		Checks: []engine.NodeCommand{w.on(node, show, nil)},
		Guards: []engine.Guard{
			w.guard("rollback-possible", w.rollbackPossible),
			w.guard("old-data-back", w.oldDataBack),
			w.guard("rollback-healthy", w.rollbackHealthy),
			w.guard("identity", w.identityHolds([]string{node})),
		},
	}
	switch {
	case wasUp(was):
		s.Title = msg.M("step.unit-up.title", "node", node)
	case w.stoppedForGood(node):
		s.Title = msg.M("step.unit-gone.title", "node", node)
		s.Why = msg.M("step.unit-gone.why")
	}
	commands := unitCommands(h, was, held)
	if held && w.stoppedForGood(node) {
		// Where the run died before it came to stop it, it still tries to start,
		// and the one that turns it away may be stopped.
		commands = append([]remote.Command{h.StopUnit()}, commands...)
	}
	if len(commands) == 0 {
		return nil // it was down and masked before
	}
	for _, c := range commands {
		s.Commands = append(s.Commands, w.on(node, c, nil))
	}
	asBefore := func(unit etcdops.UnitFacts) bool { return unit.Masked() == was.Masked() && wasUp(unit) == wasUp(was) }
	s.Probe = func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
		unit, err := w.unit(ctx, x, node, show)
		switch {
		case err != nil:
			return engine.Unknown, err
		case asBefore(unit):
			return engine.Done, nil
		}
		return engine.NotDone, nil
	}
	s.Do = runAll(s.Commands)
	s.Verify = func(ctx context.Context, x *engine.Exec) error {
		ctx, cancel := context.WithTimeout(ctx, unitLimit)
		defer cancel()
		return x.Poll(ctx, lookEvery, msg.M("wait.unit", "node", node, "state", was.Active), func(ctx context.Context) (bool, error) {
			unit, err := w.unit(ctx, x, node, show)
			// What did not work before may end as soon as it is started.
			again := wasUp(was) && unit.Active == "failed" && unit.Masked() == was.Masked()
			return asBefore(unit) || again, err
		})
	}
	return []engine.Step{s}
}

// stoppedForGood reports whether a rollback does not start the unit again,
// although systemd kept trying to: the member's log was gone.
func (w *world) stoppedForGood(node string) bool {
	n := w.node(node)
	return wasUp(n.Unit) && n.Data.Error == "" && withoutLog(n)
}

// unitCommands lead back to a unit as it was. held: the run held it down;
// otherwise it restarted it.
func unitCommands(h etcdops.Host, was etcdops.UnitFacts, held bool) []remote.Command {
	var commands []remote.Command
	if held && (!was.Masked() || wasUp(was)) {
		commands = append(commands, h.Release())
	}
	switch {
	case wasUp(was) && held && was.Masked():
		return append(commands, h.ResetFailed(), h.StartNoBlock(), h.HoldDown())
	case wasUp(was):
		return append(commands, h.ResetFailed(), h.StartNoBlock())
	case !held:
		return append(commands, h.StopUnit())
	}
	return commands
}

// proveAsBefore ends every rollback: it waits until everything that the run had
// changed is seen to be as it was, and every member that was healthy is. It
// says nothing better of the cluster than was true before.
func (w *world) proveAsBefore() engine.Step {
	return engine.Step{
		ID: "prove", Node: nodesOf(w.undone.Facts)[0], Effect: remote.Read,
		Title: msg.M("step.prove-before.title"), Why: msg.M("step.prove-before.why"), IfItFails: msg.M("step.prove-before.fail"),
		Do: func(ctx context.Context, x *engine.Exec) error {
			ctx, cancel := context.WithTimeout(ctx, proveLimit)
			defer cancel()
			var held []msg.Msg
			var missing msg.Msg
			err := x.Poll(ctx, lookEvery, msg.M("step.prove-before.title"), func(ctx context.Context) (bool, error) {
				if err := x.Refresh(ctx); err != nil {
					return false, err
				}
				f, v := w.now()
				held, missing = w.asBefore(f, v)
				return missing.Zero(), nil
			})
			if err != nil && !missing.Zero() {
				x.Note(missing)
				return fmt.Errorf("not proved: %w: %w", msg.Error{Msg: missing}, err)
			}
			return errors.Join(err, keepProofs(x, held))
		},
	}
}

// asBefore compares facts with those that the run began with: what holds, and
// the first thing that does not.
func (w *world) asBefore(f etcdops.Facts, v etcdops.Verdict) (held []msg.Msg, missing msg.Msg) {
	u := w.undone
	for _, node := range u.nodes() {
		if m := w.nodeAsBefore(f, node); !m.Zero() {
			return nil, m
		}
	}
	if len(u.on("aside")) > 0 {
		held = append(held, msg.M("proof.rollback.data", "nodes", u.on("aside")))
	} else {
		held = append(held, msg.M("proof.rollback.data-untouched"))
	}
	held = append(held, msg.M("proof.rollback.env"), msg.M("proof.rollback.units"))
	down := slices.DeleteFunc(u.on("stop"), func(node string) bool {
		n, _ := f.NodeByName(node)
		return !w.stoppedForGood(node) || wasUp(n.Unit)
	})
	if len(down) > 0 {
		held = append(held, msg.M("proof.rollback.not-started", "nodes", down))
	}
	members, missing := w.membersAsBefore(f, v)
	return append(held, members...), missing
}

// membersAsBefore: who was healthy is, in the same cluster, and who was not is
// named.
func (w *world) membersAsBefore(f etcdops.Facts, v etcdops.Verdict) (held []msg.Msg, missing msg.Msg) {
	u := w.undone
	var up, down []string
	for _, was := range u.Verdict.Members {
		if was.Node == "" {
			continue
		}
		now, _ := f.NodeByName(was.Node)
		then := w.node(was.Node)
		switch {
		case was.Healthy && !now.Endpoint.Healthy && !was.Member.Learner:
			return nil, msg.M("proof.rollback.not-healthy", "member", w.label(was.Node))
		case was.Healthy && then.Endpoint.ClusterID != now.Endpoint.ClusterID:
			return nil, msg.M("proof.two-clusters", "ids", []string{then.Endpoint.ClusterID, now.Endpoint.ClusterID})
		case now.Endpoint.Healthy:
			up = append(up, w.label(was.Node))
		default:
			down = append(down, w.label(was.Node))
		}
	}
	if u.Verdict.Quorum.Holds {
		if !v.Quorum.Holds {
			return nil, msg.M("proof.rollback.no-quorum")
		}
		if !slices.Equal(memberIDs(f), memberIDs(u.Facts)) {
			return nil, msg.M("proof.members-differ", "have", memberNames(f.Members))
		}
		held = append(held, msg.M("proof.rollback.membership"))
	}
	if len(up) > 0 {
		held = append(held, msg.M("proof.rollback.up", "names", up))
	}
	if len(down) > 0 {
		held = append(held, msg.M("proof.rollback.down", "names", down))
	}
	return held, msg.Msg{}
}

func memberIDs(f etcdops.Facts) []string {
	var ids []string
	for _, m := range f.Members {
		ids = append(ids, m.ID)
	}
	slices.Sort(ids)
	return ids
}

// nodeAsBefore says what on a node is not as it was, if anything.
func (w *world) nodeAsBefore(f etcdops.Facts, node string) msg.Msg {
	u, was := w.undone, w.node(node)
	n, _ := f.NodeByName(node)
	differs := func(what string) msg.Msg { return msg.M("proof.rollback."+what, "node", node) }
	// A member that systemd tries again and again may have written a database of
	// its own into a directory that was empty, until the run stopped it: what was
	// there must be there. A WAL it writes only once it belongs to a cluster, as
	// what was restored does.
	same := func(then, now bool) bool { return then == now || now && wasUp(was.Unit) }
	data := same(was.Data.Exists, n.Data.Exists) && same(was.Data.HasMember, n.Data.HasMember) &&
		same(was.Data.HasDB, n.Data.HasDB) && was.WAL.HasWAL == n.WAL.HasWAL
	switch {
	case !n.Reachable:
		return differs("unreachable")
	case !data || slices.Contains(n.Asides, etcdops.AsidePath(was.Data, u.Request.Tag)):
		return differs("data-differ")
	case n.Env.SHA256 != was.Env.SHA256:
		return differs("env-differs")
	case n.Unit.Masked() != was.Unit.Masked():
		return differs("unit-differs")
	case !wasUp(was.Unit) && wasUp(n.Unit):
		return differs("unit-differs")
	}
	return msg.Msg{}
}
