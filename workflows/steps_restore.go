package workflows

import (
	"context"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// restoreBeside restores the snapshot into a fresh directory beside the final
// one. The script knows a complete earlier try by its mark and leaves it. What
// was unpacked from an archive is compared with the plan here, before anything
// was stopped: by the sha256 that etcd appended, which the tool compares with
// the database, so that nobody else has to read it.
func (w *world) restoreBeside(b bundle, node string) engine.Step {
	h, n := w.host(node), w.node(node)
	bump := uint64(0)
	if n.Versions.CanBump() {
		bump = etcdops.DefaultBump
	}
	sum, etcdSum := "", ""
	if b.archive {
		sum = b.contentSum
		if !b.skipHash {
			etcdSum = b.found.EtcdSum
		}
	}
	restore, err := h.RestoreSnapshot(etcdops.Restore{
		Snapshot: w.dbPath(b, node), Sum: sum, EtcdSum: etcdSum, Name: n.Env.Name(), PeerURLs: n.Env.PeerURLs(),
		InitialCluster: w.wholeCluster(), Token: w.freshToken(), Bump: bump, SkipHashCheck: b.skipHash, Tag: w.request.Tag,
	})
	staging := etcdops.StagingPath(n.Data, w.request.Tag)
	stat, statErr := h.Stat(staging, staging+".ok")
	stat.Quiet = true
	prepared := func(ctx context.Context, x *engine.Exec) (engine.Probed, error) {
		found, err := w.stat(ctx, x, node, stat)
		if err != nil {
			return engine.Unknown, err
		}
		// Without its mark a staging directory is half of a restore.
		if found[staging].HasMember && found[staging+".ok"].Exists() {
			return engine.Done, nil
		}
		return engine.NotDone, nil
	}
	return engine.Step{
		ID: "prepare/" + node, Node: node, Effect: remote.Change,
		Title: msg.M("step.prepare.title", "path", staging), Why: msg.M("step.prepare.why"), IfItFails: msg.M("step.prepare.fail"),
		Commands: []engine.NodeCommand{w.on(node, restore, err)},
		Checks:   []engine.NodeCommand{w.on(node, stat, statErr)},
		Guards:   []engine.Guard{w.guard("identity", w.identityHolds([]string{node}))},
		Probe:    prepared,
		Do: func(ctx context.Context, x *engine.Exec) error {
			_, err := x.Run(ctx, node, restore)
			return err
		},
		Verify: func(ctx context.Context, x *engine.Exec) error { return verified(prepared(ctx, x)) },
	}
}

// placeRestored renames the restored directories into their place.
func (w *world) placeRestored(node string) engine.Step {
	h := w.host(node)
	s := engine.Step{
		ID: "place/" + node, Node: node, Effect: remote.Change,
		Title: msg.M("step.place.title", "node", node), Why: msg.M("step.place.why"), IfItFails: msg.M("step.place.fail"),
		Guards: []engine.Guard{w.guard("stopped-first", stoppedFirst(node)), w.guard("identity", w.identityHolds([]string{node}))},
	}
	var paths []string
	for _, d := range h.StateDirs() {
		place, err := h.PlaceRestored(d, w.request.Tag)
		s.Commands = append(s.Commands, w.on(node, place, err))
		paths = append(paths, d.Actual(), etcdops.StagingPath(d, w.request.Tag))
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
			final, staging := found[paths[i]], found[paths[i+1]]
			if staging.Exists() || !final.Exists() || final.Empty {
				return engine.NotDone, nil
			}
		}
		return engine.Done, nil
	}
	s.Do = runAll(s.Commands)
	s.Verify = func(ctx context.Context, x *engine.Exec) error { return verified(s.Probe(ctx, x)) }
	return s
}
