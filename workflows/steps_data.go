package workflows

import (
	"context"
	"fmt"
	"strings"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// asideSuffix ends the names of what this plan sets aside.
func (w *world) asideSuffix() string { return ".novatui-" + w.request.Tag }

// aside is where a node's data directory goes.
func (w *world) aside(node string) string {
	return etcdops.AsidePath(w.node(node).Data, w.request.Tag)
}

// moveAside renames the data directory (and a separate WAL directory). It is
// of effect Destroy although nothing is deleted: from here on the member
// cannot go on where it was.
func (w *world) moveAside(node string) engine.Step {
	h := w.host(node)
	var paths []string
	s := engine.Step{
		ID: "aside/" + node, Node: node, Effect: remote.Destroy,
		Title: msg.M("step.aside.title", "node", node), Why: msg.M("step.aside.why"), IfItFails: msg.M("step.aside.fail"),
		Guards: []engine.Guard{
			w.guard("stopped-first", stoppedFirst(node)),
			w.guard("data-dir-sane", dataDirSane([]string{node})),
			w.guard("identity", w.identityHolds([]string{node})),
		},
	}
	for _, d := range h.StateDirs() {
		paths = append(paths, d.Actual(), etcdops.AsidePath(d, w.request.Tag))
		move, err := h.MoveAside(d, w.request.Tag)
		s.Commands = append(s.Commands, w.on(node, move, err))
	}
	stat, err := h.Stat(paths...)
	stat.Quiet = true
	s.Checks = []engine.NodeCommand{w.on(node, stat, err)}
	s.Probe = func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
		found, err := w.stat(ctx, x, node, stat)
		if err != nil {
			return engine.Unknown, err
		}
		for i := 0; i < len(paths); i += 2 {
			// An aside of this plan's tag can only be ours: what lies in the
			// old place beside it was put there later.
			source, aside := found[paths[i]], found[paths[i+1]]
			if source.Exists() && !source.Empty && !aside.Exists() {
				return engine.NotDone, nil
			}
		}
		return engine.Done, nil
	}
	s.Do = runAll(s.Commands)
	s.Verify = func(ctx context.Context, x *engine.Exec) error { return verified(s.Probe(ctx, x)) }
	return s
}

// makeDataDir makes the data directory again, empty, with the owner, mode and
// label of the old one. A mount point is there already.
func (w *world) makeDataDir(node string) engine.Step {
	h := w.host(node)
	s := engine.Step{
		ID: "dir/" + node, Node: node, Effect: remote.Change,
		Title: msg.M("step.dir.title", "node", node), Why: msg.M("step.dir.why"), IfItFails: msg.M("step.dir.fail"),
	}
	var paths []string
	for _, d := range h.StateDirs() {
		paths = append(paths, d.Actual())
		if d.MountPoint {
			continue
		}
		mk, err := h.MakeDir(d.Actual(), h.DataOwner())
		s.Commands = append(s.Commands, w.on(node, mk, err))
	}
	stat, err := h.Stat(paths...)
	stat.Quiet = true
	s.Checks = []engine.NodeCommand{w.on(node, stat, err)}
	s.Probe = func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
		found, err := w.stat(ctx, x, node, stat)
		if err != nil {
			return engine.Unknown, err
		}
		for _, p := range paths {
			d := found[p]
			// A member/ inside means that etcd came up in it already.
			if !d.HasMember && (!d.Exists() || !sameOwner(d, h.DataOwner())) {
				return engine.NotDone, nil
			}
		}
		return engine.Done, nil
	}
	s.Do = runAll(s.Commands)
	s.Verify = func(ctx context.Context, x *engine.Exec) error { return verified(s.Probe(ctx, x)) }
	return s
}

func sameOwner(d etcdops.PathStat, o etcdops.Owner) bool {
	return d.Owner == o.User && d.Group == o.Group && strings.TrimLeft(d.Mode, "0") == strings.TrimLeft(o.Mode, "0")
}

// writeRejoinEnv points the member at the cluster that it joins, with exactly
// the initial cluster that member add answered.
func (w *world) writeRejoinEnv(node string) engine.Step {
	return w.writeEnv(node, "env-rejoin", map[string]string{
		"ETCD_INITIAL_CLUSTER_STATE": "existing",
		"ETCD_INITIAL_CLUSTER":       "@{" + slotCluster + "}",
	})
}

// writeRestoreEnv describes the new cluster: state new, all members, a token
// of its own.
func (w *world) writeRestoreEnv(node string) engine.Step {
	return w.writeEnv(node, "env-restore", w.restoreEnv())
}

// restoreEnv is what a restore writes into every env file.
func (w *world) restoreEnv() map[string]string {
	return map[string]string{
		"ETCD_INITIAL_CLUSTER_STATE": "new",
		"ETCD_INITIAL_CLUSTER":       w.wholeCluster(),
		"ETCD_INITIAL_CLUSTER_TOKEN": w.freshToken(),
	}
}

func (w *world) writeEnv(node, id string, values map[string]string) engine.Step {
	h := w.host(node)
	set, err := h.SetEnv(values, w.request.Tag)
	check, checkErr := h.CheckEnv(values)
	asItShould := func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
		r, err := x.Try(ctx, node, check)
		switch {
		case err != nil:
			return engine.Unknown, err
		case r.Exit == 0:
			return engine.Done, nil
		case r.Exit == etcdops.ExitDiffers:
			return engine.NotDone, nil
		}
		return engine.Unknown, r.Check(node, check)
	}
	return engine.Step{
		ID: "env/" + node, Node: node, Effect: remote.Change,
		Title: msg.M("step."+id+".title", "path", h.EnvFile()), Why: msg.M("step." + id + ".why"), IfItFails: msg.M("step.env.fail"),
		Commands: []engine.NodeCommand{w.on(node, set, err)},
		Checks:   []engine.NodeCommand{w.on(node, check, checkErr)},
		Guards:   []engine.Guard{w.guard("identity", w.identityHolds([]string{node}))},
		Probe:    asItShould,
		Do: func(ctx context.Context, x *engine.Exec) error {
			_, err := x.Run(ctx, node, set)
			return err
		},
		Verify: func(ctx context.Context, x *engine.Exec) error { return verified(asItShould(ctx, x)) },
	}
}

// wholeCluster is the initial cluster of a full restore: every node's member
// by its own env file.
func (w *world) wholeCluster() string {
	var parts []string
	for _, n := range w.base.Facts.Nodes {
		for _, url := range n.Env.PeerURLs() {
			parts = append(parts, n.Env.Name()+"="+url)
		}
	}
	return strings.Join(parts, ",")
}

// freshToken is a cluster token that no member of the old cluster has: with
// the old token and unchanged peer URLs the restored cluster would get the old
// cluster's id, and a stale member would join it (measured, facts-etcd 17).
func (w *world) freshToken() string {
	old := ""
	for _, n := range w.base.Facts.Nodes {
		if old == "" {
			old = n.Env.Token()
		}
	}
	if old == "" {
		old = "etcd-cluster"
	}
	base, _, _ := strings.Cut(old, "-novatui-")
	return base + "-novatui-" + w.request.Tag
}

// stat describes paths on a node.
func (w *world) stat(ctx context.Context, x *engine.Exec, node string, stat remote.Command) (map[string]etcdops.PathStat, error) {
	r, err := x.Run(ctx, node, stat)
	if err != nil {
		return nil, err
	}
	found, err := etcdops.ParseStat(r.Stdout)
	if err != nil {
		return nil, fmt.Errorf("looking at the directories of %s: %w", node, err)
	}
	return found, nil
}

// runAll runs commands one after the other, each on its node.
func runAll(commands []engine.NodeCommand) func(context.Context, *engine.Exec) error {
	return func(ctx context.Context, x *engine.Exec) error {
		for _, c := range commands {
			if _, err := x.Run(ctx, c.Node, c.Command); err != nil {
				return err
			}
		}
		return nil
	}
}
