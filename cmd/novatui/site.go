package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows"
	"github.com/novatui/novatui/workflows/engine"
)

// site is the session as a procedure meets it (workflows.Site).
type site struct{ *session }

var _ workflows.Site = site{}

// Collect asks etcd everywhere, and the given nodes for everything; the first
// time, and with nodes nil, all of them.
func (s site) Collect(ctx context.Context, prev etcdops.Facts, nodes []string) (etcdops.Facts, error) {
	s.mu.Lock()
	looked := s.looked
	s.mu.Unlock()
	if !looked || nodes == nil {
		return s.collect(ctx)
	}
	return s.keep(s.collector.CollectNodes(ctx, prev, nodes))
}

// Status asks for the states of units and endpoints only. The first time it
// asks for everything: a run that is resumed begins with the facts of its plan,
// and of those the collector knows neither certificates nor URLs.
func (s site) Status(ctx context.Context, prev etcdops.Facts) (etcdops.Facts, error) {
	s.mu.Lock()
	looked := s.looked
	s.mu.Unlock()
	if !looked {
		return s.collect(ctx)
	}
	f, err := s.collector.Status(ctx, prev)
	if err != nil {
		return f, fmt.Errorf("asking for the state of etcd: %w", err)
	}
	return f, nil
}

// Inspect looks into a snapshot file on a node. A file that cannot be read is
// told in the answer, so that the guard snapshot-sound can say what is wrong;
// the error is for a node that cannot be asked.
func (s site) Inspect(ctx context.Context, f etcdops.Facts, node, path string, known []workflows.Inspected) (workflows.Inspected, error) {
	h, err := f.Host(node)
	if err != nil {
		return workflows.Inspected{}, fmt.Errorf("%w: %w", workflows.ErrRequest, err)
	}
	in := workflows.Inspected{Node: node, Path: path, Archive: etcdops.IsArchive(path)}
	for _, found := range h.Facts.Snapshots {
		if found.Path == path {
			in.Modified = found.Modified
		}
	}
	conn, err := s.Conn(ctx, node)
	if err != nil {
		return in, err
	}
	if same, ok := seenBefore(ctx, h, conn, path, known); ok {
		same.Node, same.Path, same.Archive, same.Modified = in.Node, in.Path, in.Archive, in.Modified
		return same, nil
	}
	seen, err := h.InspectSnapshot(ctx, conn, path, f.CollectedAt.UTC().Format(engine.TagLayout))
	var failed *remote.ExitError
	if errors.As(err, &failed) {
		in.Error = remote.Clean(err.Error())
		return in, nil
	}
	if err != nil {
		return in, fmt.Errorf("looking into a snapshot on %s: %w", node, err)
	}
	in.SizeBytes, in.SHA256 = seen.PathBytes, seen.PathSHA256
	in.ContentBytes, in.ContentSHA256, in.Hash, in.EtcdSum = seen.SizeBytes, seen.SHA256, seen.Hash, seen.EtcdSum
	in.PeerURLs = seen.PeerURLs
	// A database file has whole pages; the sha256 behind a saved snapshot makes
	// its length 32 more than that.
	in.CopiedDB = seen.SizeBytes > 0 && seen.SizeBytes%512 == 0
	in.Error = seen.InfoError
	if seen.Info != nil {
		in.Revision, in.TotalKeys, in.Version = seen.Info.Revision, seen.Info.TotalKeys, seen.Info.Version
	}
	return in, nil
}

// seenBefore finds the file among what was looked into before, by its sha256.
// Whatever keeps it from being compared, the look itself will tell.
func seenBefore(ctx context.Context, h etcdops.Host, conn remote.Conn, path string, known []workflows.Inspected) (workflows.Inspected, bool) {
	if len(known) == 0 {
		return workflows.Inspected{}, false
	}
	sum, err := h.SumFile(ctx, conn, path)
	if err != nil {
		return workflows.Inspected{}, false
	}
	i := slices.IndexFunc(known, func(k workflows.Inspected) bool {
		return k.SHA256 == sum.SHA256 && k.SizeBytes == sum.SizeBytes && k.Error == "" && k.Archive == etcdops.IsArchive(path)
	})
	if i < 0 {
		return workflows.Inspected{}, false
	}
	return known[i], true
}

// CountKeys counts the users' keys through a node's endpoint, at a revision.
func (s site) CountKeys(ctx context.Context, node string, revision int64) (int64, error) {
	f, _, err := s.lastFacts(ctx)
	if err != nil {
		return 0, err
	}
	n, ok := f.NodeByName(node)
	if !ok {
		return 0, fmt.Errorf("counting keys: no node %q", node)
	}
	return s.collector.CountKeys(ctx, n, revision)
}
