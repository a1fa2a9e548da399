package workflows

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/etcdops/diagnosis"
)

// world is what guards and steps look at: the facts that the plan was made
// from (base, which never change) and the newest ones.
type world struct {
	site    Site
	base    Stored
	request Request
	// undone is the run that a rollback takes back; base is then what was when
	// that run began.
	undone *Undone
	// err is the first error of a command builder; see draft.finish.
	err error

	mu      sync.Mutex
	facts   etcdops.Facts
	verdict etcdops.Verdict
}

func newWorld(site Site, base Stored) *world {
	if u := base.Undone; u != nil {
		return &world{site: site, base: Stored{Facts: u.Facts, Verdict: u.Verdict}, undone: u, facts: base.Facts, verdict: base.Verdict}
	}
	return &world{site: site, base: base, facts: base.Facts, verdict: base.Verdict}
}

// now gives the newest facts and the judgement over them.
func (w *world) now() (etcdops.Facts, etcdops.Verdict) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.facts, w.verdict
}

// refresh collects facts again: those of the given nodes and of etcd
// everywhere, or everything when nodes is nil.
func (w *world) refresh(ctx context.Context, nodes []string) error {
	prev, _ := w.now()
	f, err := w.site.Collect(ctx, prev, nodes)
	if err != nil {
		return fmt.Errorf("collecting fresh facts: %w", err)
	}
	w.set(f)
	return nil
}

// status brings unit and endpoint states up to date; for waiting loops.
func (w *world) status(ctx context.Context) (etcdops.Facts, error) {
	prev, _ := w.now()
	f, err := w.site.Status(ctx, prev)
	if err != nil {
		return f, fmt.Errorf("asking for the state of etcd: %w", err)
	}
	return f, nil
}

func (w *world) set(f etcdops.Facts) {
	v := diagnosis.Diagnose(f)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.facts, w.verdict = f, v
}

// node gives the planning-time facts of a node that the request was checked
// to know.
func (w *world) node(name string) etcdops.NodeFacts {
	n, _ := w.base.Facts.NodeByName(name)
	return n
}

// stripped leaves out what is large and decides nothing when a plan is built
// again: journals, evidence texts.
func (s Stored) stripped() Stored {
	s.Facts.Nodes = slices.Clone(s.Facts.Nodes)
	for i := range s.Facts.Nodes {
		s.Facts.Nodes[i].Journal = nil
		s.Facts.Nodes[i].OOM = nil
	}
	return s
}

// identity is a digest of what a plan relies on: the membership, who is
// healthy, which env file and data lie where. A plan applied after any of it
// changed is refused. States that flap by themselves (a unit between two
// restarts) are left out.
func identity(s Stored) string {
	h := sha256.New()
	members := slices.Clone(s.Facts.Members)
	slices.SortFunc(members, func(a, b etcdops.Member) int { return strings.Compare(a.ID, b.ID) })
	for _, m := range members {
		fmt.Fprintf(h, "member %s %q %q %t\n", m.ID, m.Name, m.PeerURLs, m.Learner)
	}
	for _, n := range s.Facts.Nodes {
		m, _ := s.Verdict.MemberOn(n.Node)
		fmt.Fprintf(h, "node %s machine %q reachable %t healthy %t env %s data %q %t %t\n",
			n.Node, n.Host.MachineID, n.Reachable, m.Healthy, n.Env.SHA256,
			n.Data.Path, n.Data.HasDB, n.Data.HasWAL)
	}
	fmt.Fprintf(h, "quorum %t\n", s.Verdict.Quorum.Holds)
	for _, i := range s.Snapshots {
		fmt.Fprintf(h, "snapshot %s\n", i.SHA256)
	}
	return hex.EncodeToString(h.Sum(nil))
}
