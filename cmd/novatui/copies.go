package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// copiesPatience bounds asking the nodes which runs they have copies of.
const copiesPatience = 10 * time.Second

// copies asks the given nodes at once which runs they have copies of; an error
// a node that cannot be asked.
func (s *session) copies(ctx context.Context, nodes []remote.Node) (found map[string][]etcdops.Mirrored, failed map[string]error) {
	found, failed = map[string][]etcdops.Mirrored{}, map[string]error{}
	ctx, cancel := context.WithTimeout(ctx, copiesPatience)
	defer cancel()
	var mu sync.Mutex
	for i, err := range remote.Each(nodes, func(_ int, n remote.Node) error {
		conn, err := s.Conn(ctx, n.Name)
		if err != nil {
			return err
		}
		c := etcdops.HostAt(n).MirrorList()
		res, err := conn.Run(ctx, c, remote.Streams{})
		if err == nil {
			err = res.Check(n.Name, c)
		}
		if err != nil {
			return fmt.Errorf("asking for copies of runs: %w", err)
		}
		mu.Lock()
		defer mu.Unlock()
		found[n.Name] = etcdops.ParseMirrored(res.Stdout)
		return nil
	}) {
		if err != nil {
			failed[nodes[i].Name] = err
		}
	}
	return found, failed
}

// withCopies adds to facts the run folders that were made on the nodes after
// these were looked at: those with the copies of the plan's runs.
func (s *session) withCopies(ctx context.Context, f etcdops.Facts, plan engine.Plan) etcdops.Facts {
	found, _ := s.copies(ctx, s.cluster.Nodes)
	f.Nodes = slices.Clone(f.Nodes)
	for i := range f.Nodes {
		n := &f.Nodes[i]
		for _, m := range found[n.Node] {
			dir := etcdops.Host{Facts: *n}.RunDir(m.Tag)
			if m.Tag == plan.Tag && !slices.Contains(n.Runs, dir) {
				n.Runs = append(slices.Clone(n.Runs), dir)
			}
		}
	}
	return f
}
