package workflows

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
)

// restoreWhileQuorum: while quorum holds, or the Kubernetes API answers, a full
// restore throws away what the cluster still has (vendor documents 000–002).
func restoreWhileQuorum(f etcdops.Facts, v etcdops.Verdict) ruling {
	if v.Quorum.Holds {
		return typed(msg.M("guard.restore-while-quorum.holds", "healthy", v.Quorum.Healthy, "needed", v.Quorum.Needed))
	}
	for _, n := range f.Nodes {
		if n.Readyz.OK {
			return typed(msg.M("guard.restore-while-quorum.api", "node", n.Node)).on("%s", n.Readyz.Answer)
		}
	}
	return pass(msg.M("guard.restore-while-quorum.pass"))
}

// newerDataExists: a member's sound data that are newer than the snapshot are
// worth more than the snapshot.
func (w *world) newerDataExists(f etcdops.Facts, v etcdops.Verdict) ruling {
	chosen, revision := len(w.base.Snapshots) > 0, int64(0)
	if chosen {
		revision = w.base.Snapshots[0].Revision
	}
	for _, m := range v.Members {
		n, _ := f.NodeByName(m.Node)
		if n.Endpoint.Answers && !chosen {
			return typed(msg.M("guard.newer-data-exists.any", "member", m.Member.Name, "node", m.Node))
		}
		if n.Endpoint.Answers && n.Endpoint.Revision > revision {
			return typed(msg.M("guard.newer-data-exists.live", "member", m.Member.Name, "node", m.Node, "ahead", n.Endpoint.Revision-revision)).
				on("revision %d on %s, %d in the snapshot", n.Endpoint.Revision, m.Node, revision)
		}
		if !n.Endpoint.Answers && m.SoundKnown && m.Sound {
			return typed(msg.M("guard.newer-data-exists.stopped", "member", m.Member.Name, "node", m.Node))
		}
	}
	return pass(msg.M("guard.newer-data-exists.pass"))
}

// snapshotSound: hash present and right (computed by us: snapshot status does
// not check it), readable, revision and keys above zero.
func (w *world) snapshotSound(etcdops.Facts, etcdops.Verdict) ruling {
	for _, s := range w.base.Snapshots {
		at := []any{"node", s.Node, "path", s.Path}
		switch {
		case s.Error != "":
			return block(msg.M("guard.snapshot-sound.unreadable", at...)).on("%s", s.Error)
		case s.Hash == etcdops.HashBad:
			return block(msg.M("guard.snapshot-sound.hash", at...))
		case s.Revision <= 0 || s.TotalKeys <= 0:
			return block(msg.M("guard.snapshot-sound.empty", at...)).on("revision %d, %d keys", s.Revision, s.TotalKeys)
		case s.Hash == etcdops.HashMissing:
			// A truncated snapshot has lost its hash too: only a file whose
			// size says that it never had one may be overridden.
			if !s.CopiedDB {
				return block(msg.M("guard.snapshot-sound.truncated", at...)).on("%d bytes", s.SizeBytes)
			}
			return typed(msg.M("guard.snapshot-sound.nohash", at...))
		}
	}
	return pass(msg.M("guard.snapshot-sound.pass"))
}

// snapshotSame: every node gets the same file. Different files give members
// that all look healthy and hold different data (measured; kubernetes#89595).
func (w *world) snapshotSame(etcdops.Facts, etcdops.Verdict) ruling {
	for _, s := range w.base.Snapshots {
		if first := w.base.Snapshots[0]; s.ContentSHA256 != first.ContentSHA256 {
			return block(msg.M("guard.snapshot-same.block", "node", s.Node, "path", s.Path, "other_node", first.Node, "other_path", first.Path)).
				on("sha256 %s / %s", s.ContentSHA256, first.ContentSHA256)
		}
	}
	return pass(msg.M("guard.snapshot-same.pass"))
}

// snapshotFits: the versions that the vendor's file name tells are one for all
// snapshots on the nodes (001 §2 binds a restore to the same patch version of
// the platform), and the etcd that wrote it is not newer than the binaries.
func (w *world) snapshotFits(f etcdops.Facts, _ etcdops.Verdict) ruling {
	for _, s := range w.base.Snapshots {
		for _, n := range f.Nodes {
			if !runs(n.Versions.Etcd, s.Version) {
				return typed(msg.M("guard.snapshot-fits.newer", "node", n.Node, "snapshot", s.Version, "etcd", n.Versions.Etcd))
			}
		}
		named, ok := etcdops.ParseSnapshotName(path.Base(s.Path))
		if !ok {
			return warn(msg.M("guard.snapshot-fits.unnamed", "path", s.Path))
		}
		for _, other := range newestSnapshots(f) {
			if other.NovaVersion != "" && (other.NovaVersion != named.NovaVersion || other.KubernetesVersion != named.KubernetesVersion) {
				return typed(msg.M("guard.snapshot-fits.platform", "path", s.Path, "newest", other.Path))
			}
		}
	}
	return pass(msg.M("guard.snapshot-fits.pass"))
}

// snapshotOurs: not of another cluster as far as can be known. A snapshot holds
// the members of the cluster that it was taken from; restored into another one
// it serves that one's API the wrong objects. Of a cluster that moved to other
// machines no address is left, therefore typed and no block for good.
func (w *world) snapshotOurs(f etcdops.Facts, _ etcdops.Verdict) ruling {
	ours := map[string]bool{}
	add := func(urls ...string) {
		for _, u := range urls {
			if p, err := url.Parse(u); err == nil && p.Host != "" {
				ours[p.Host] = true
			}
		}
	}
	for _, m := range f.Members {
		add(m.PeerURLs...)
	}
	for _, n := range f.Nodes {
		add(n.Env.PeerURLs()...)
		for pair := range strings.SplitSeq(n.Env.InitialCluster(), ",") {
			_, u, _ := strings.Cut(pair, "=")
			add(u)
		}
	}
	for _, s := range w.base.Snapshots {
		known := slices.ContainsFunc(s.PeerURLs, func(u string) bool {
			p, err := url.Parse(u)
			return err == nil && ours[p.Host]
		})
		switch {
		case len(s.PeerURLs) == 0:
			return warn(msg.M("guard.snapshot-ours.unknown", "path", s.Path))
		case !known:
			return typed(msg.M("guard.snapshot-ours.foreign", "path", s.Path, "peers", s.PeerURLs)).on("peer URLs %s", strings.Join(s.PeerURLs, ", "))
		}
	}
	return pass(msg.M("guard.snapshot-ours.pass"))
}

// runs reports whether etcd of release etcd starts on data of storage version
// stored; true where either is unknown.
func runs(etcd, stored string) bool {
	e, ok := etcdops.ParseVersion(etcd)
	s, ok2 := etcdops.ParseVersion(stored)
	return !ok || !ok2 || etcdops.RunsDataOf(e, s)
}

// newestSnapshots gives the newest vendor-named snapshot of each node: the
// best that the nodes tell of the platform's present version.
func newestSnapshots(f etcdops.Facts) []etcdops.SnapshotFile {
	var newest []etcdops.SnapshotFile
	for _, n := range f.Nodes {
		named := slices.DeleteFunc(slices.Clone(n.Snapshots), func(s etcdops.SnapshotFile) bool { return s.NovaVersion == "" })
		if len(named) > 0 {
			newest = append(newest, slices.MaxFunc(named, func(a, b etcdops.SnapshotFile) int { return a.TakenAt.Compare(b.TakenAt) }))
		}
	}
	return newest
}

// encryptionKeys: data encrypted at rest are unreadable without the API
// server's key file of that time. Where the API server's configuration cannot
// be seen the operator has to know.
func encryptionKeys(f etcdops.Facts, _ etcdops.Verdict) ruling {
	if f.Config.Readyz == "" {
		return pass(msg.M("guard.encryption-keys.none"))
	}
	return warn(msg.M("guard.encryption-keys.warn"))
}

// reconciler: something outside systemd may start what we stop.
func reconciler(f etcdops.Facts, _ etcdops.Verdict) ruling {
	for _, n := range f.Nodes {
		if n.Unit.Load == "not-found" && len(n.Running) > 0 {
			return warn(msg.M("guard.reconciler.warn", "node", n.Node, "unit", n.Unit.Name))
		}
	}
	return pass(msg.M("guard.reconciler.pass"))
}

// oldMajorityDead: nothing is restored or forced while an old majority could
// be alive. Hosts that answer are stopped and proved stopped by the procedure
// itself; one that does not answer counts as alive.
func oldMajorityDead(f etcdops.Facts, _ etcdops.Verdict) ruling {
	for _, n := range f.Nodes {
		if !n.Reachable {
			return typed(msg.M("guard.old-majority-dead.block", "node", n.Node))
		}
	}
	for _, m := range f.Members {
		if m.Node == "" {
			return typed(msg.M("guard.old-majority-dead.stranger", "member", memberLabel(m))).on("%v", m.PeerURLs)
		}
	}
	return pass(msg.M("guard.old-majority-dead.pass"))
}

// survivorAnswers: a live salvage needs a member that still runs and answers.
func survivorAnswers(node string) rule {
	return func(f etcdops.Facts, v etcdops.Verdict) ruling {
		if v.Quorum.Holds {
			return block(msg.M("guard.survivor.quorum"))
		}
		n, _ := f.NodeByName(node)
		if node == "" || !n.Endpoint.Answers {
			return block(msg.M("guard.survivor.none"))
		}
		if len(n.Endpoint.Alarms) > 0 && slices.Contains(n.Endpoint.Alarms, "CORRUPT") {
			return block(msg.M("guard.survivor.corrupt", "node", node))
		}
		return pass(msg.M("guard.survivor.pass", "node", node, "revision", n.Endpoint.Revision))
	}
}

// unreadMember: the newest data are only known when every member was read
// (facts-etcd, pitfall 13).
func unreadMembers(f etcdops.Facts, v etcdops.Verdict) ruling {
	for _, m := range v.Members {
		n, _ := f.NodeByName(m.Node)
		if !n.Endpoint.Answers && m.SoundKnown && m.Sound {
			return typed(msg.M("guard.newer-data-exists.stopped", "member", m.Member.Name, "node", m.Node))
		}
	}
	return pass(msg.M("guard.newest-read.pass"))
}
