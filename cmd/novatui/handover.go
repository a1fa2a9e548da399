package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// maxFetched is how many runs are fetched from the nodes to be listed: the
// newest. Nobody leaves more than one or two unfinished.
const maxFetched = 10

// handover is what the nodes know of this cluster's runs beyond this machine.
type handover struct {
	found  map[string]engine.Found
	holder *engine.LockedError // of the cluster now
	failed map[string]error    // nodes that could not be asked
	// bad are the runs of which no copy can be used.
	bad map[string]error
}

// copyAt is a copy of a run on a node, not fetched yet.
type copyAt struct {
	node remote.Node
	etcdops.Mirrored
}

// lookElsewhere asks the given nodes for runs that this machine does not have,
// or has less of, and for who holds the cluster. only is a run to ask for;
// empty: the unfinished ones.
func (s *session) lookElsewhere(ctx context.Context, nodes []remote.Node, only string) handover {
	h := handover{found: map[string]engine.Found{}, bad: map[string]error{}}
	listed, failed := s.copies(ctx, nodes)
	h.failed = failed
	asked := slices.DeleteFunc(slices.Clone(nodes), func(n remote.Node) bool { return failed[n.Name] != nil })
	if len(asked) == 0 {
		return h
	}
	lease := s.lease(false)
	lease.Nodes = nil
	for _, n := range asked {
		lease.Nodes = append(lease.Nodes, n.Name)
	}
	h.holder, _ = lease.Holder(ctx)
	byRun := map[string][]copyAt{}
	for _, n := range asked {
		for _, m := range listed[n.Name] {
			if only == "" || m.Run == only {
				byRun[m.Run] = append(byRun[m.Run], copyAt{n, m})
			}
		}
	}
	var ids []string
	for id, at := range byRun {
		if s.wanted(id, at, only != "") {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return strings.Compare(b, a) }) // they begin with a time
	for _, id := range ids[:min(len(ids), maxFetched)] {
		found, err := s.fetch(ctx, id, byRun[id])
		if err == nil {
			err = sameCluster(found.Plan, s.cluster)
		}
		if err != nil {
			h.bad[id] = err
			continue
		}
		if h.holder != nil && h.holder.Holder.Run == id && !h.holder.Stale && !h.holder.Ours {
			found.Info.Active, found.Info.Resumable, found.Info.Outcome, found.Info.Holder = true, false, "", h.holder
		}
		h.found[id] = found
	}
	return h
}

// wanted: a run that is unknown here and not done (or asked for by its name), or
// of which the nodes know more than this machine.
func (s *session) wanted(id string, at []copyAt, named bool) bool {
	longest := slices.MaxFunc(at, func(a, b copyAt) int { return int(a.JournalBytes - b.JournalBytes) })
	size, known := engine.JournalSize(s.p.runsDir(), id)
	if known {
		return longest.JournalBytes > size
	}
	return named || longest.LastType != string(engine.RunDone)
}

// fetch reads a run's copies from its nodes and finds the newest.
func (s *session) fetch(ctx context.Context, id string, at []copyAt) (engine.Found, error) {
	copies := make([]engine.Copy, len(at))
	for i, err := range remote.Each(at, func(i int, c copyAt) error {
		copies[i].Node = c.node.Name
		var errPlan, errJournal error
		copies[i].Plan, errPlan = s.fetchFile(ctx, c, "plan.json")
		copies[i].Journal, errJournal = s.fetchFile(ctx, c, "journal.jsonl")
		return errors.Join(errPlan, errJournal)
	}) {
		if err != nil { // what is not whole is no copy
			copies[i].Plan, copies[i].Journal = nil, nil
		}
	}
	return engine.Newest(s.p.runsDir(), id, copies)
}

func (s *session) fetchFile(ctx context.Context, c copyAt, file string) ([]byte, error) {
	cmd, err := etcdops.HostAt(c.node).MirrorFetch(c.Tag, c.Run, file, engine.MaxCopy+1)
	if err != nil {
		return nil, err
	}
	conn, err := s.Conn(ctx, c.node.Name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, cmd.Timeout)
	defer cancel()
	out := &bounded{room: engine.MaxCopy + 1}
	res, err := conn.Run(ctx, cmd, remote.Streams{Stdout: out})
	if err == nil {
		err = res.Check(c.node.Name, cmd)
	}
	if err != nil {
		return nil, fmt.Errorf("fetching %s of run %s: %w", file, c.Run, err)
	}
	return out.Bytes(), nil
}

// bounded is a buffer that takes so many bytes and forgets the rest.
type bounded struct {
	bytes.Buffer
	room int
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.room - b.Len(); room > 0 {
		_, _ = b.Buffer.Write(p[:min(room, len(p))]) // a bytes.Buffer takes everything
	}
	return len(p), nil
}

// merge puts what the nodes know into a list of this machine's runs, newest
// first.
func (h handover) merge(runs []engine.RunInfo) []engine.RunInfo {
	all := slices.Clone(runs)
	for id, f := range h.found {
		i := slices.IndexFunc(all, func(r engine.RunInfo) bool { return r.ID == id })
		switch {
		case i < 0:
			all = append(all, f.Info)
		case f.Info.Events > all[i].Events && !all[i].Active:
			all[i] = f.Info
		}
	}
	slices.SortStableFunc(all, func(a, b engine.RunInfo) int { return b.Started.Compare(a.Started) })
	engine.MarkUndone(all)
	return all
}

// adopt puts a run that the nodes know better than this machine among those of
// this machine. Somebody else who is at it is named before anything is written.
func (s *session) adopt(ctx context.Context, h handover, id string, takeOver bool) error {
	f, ok := h.found[id]
	if !ok {
		return nil
	}
	if held := h.holder; held != nil && !held.Ours && (!held.Stale || !takeOver) {
		return fmt.Errorf("run %s: %w", id, held)
	}
	if err := engine.Adopt(ctx, s.p.runsDir(), f); err != nil {
		return fmt.Errorf("taking run %s from the nodes: %w", id, err)
	}
	return nil
}

// connected are the nodes that were connected to in this session.
func (s *session) connected() []remote.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.cluster.Nodes), func(n remote.Node) bool { return !s.reached[n.Name] })
}
