// Package workflows holds novatui's procedures. Each is one file that reads
// top-down like the runbook it replaces: guards first, then the stages. The
// steps they share are in steps_*.go, the rules in guards*.go.
//
// A procedure is planned from facts and a request, as plain data with
// functions beside it. The same function builds the plan again, from the facts
// stored in the plan when a run is resumed, from fresh facts when a saved plan
// is applied; nothing else may influence it.
package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/workflows/engine"
)

// ErrRequest is a request that makes no sense as it stands (an unknown node,
// no snapshot named): a usage error, found before any guard is asked.
var ErrRequest = errors.New("bad request")

// Request is what the operator asked for. It is stored in the plan.
type Request struct {
	Procedure etcdops.Procedure `json:"procedure"`
	// Nodes to act on; a full restore and a salvage always act on all.
	Nodes []string `json:"nodes,omitempty"`
	// Snapshots are what to restore from. More than one is accepted only so
	// that different files can be refused by name (guard snapshot-same).
	Snapshots []SnapshotRef `json:"snapshots,omitempty"`
	// Run is what a rollback takes back.
	Run string `json:"run,omitempty"`
	// Tag names what the plan leaves behind; see engine.Plan.Tag.
	Tag string `json:"tag"`
	// Overrides are phrases typed for overridable blocks, by guard ID.
	Overrides map[string]string `json:"overrides,omitempty"`
}

// SnapshotRef names a snapshot file. Without a node, it is looked for on all.
type SnapshotRef struct {
	Node string `json:"node,omitempty"`
	Path string `json:"path"`
}

// Inspected is what was found in a snapshot file.
type Inspected struct {
	Node      string    `json:"node"`
	Path      string    `json:"path"`
	Archive   bool      `json:"archive"` // .tar.gz around the database
	SizeBytes int64     `json:"size_bytes"`
	SHA256    string    `json:"sha256"` // of the file as it lies there
	Modified  time.Time `json:"modified"`
	// ContentBytes, ContentSHA256 and Hash are of the plain database inside.
	ContentBytes  int64                `json:"content_bytes"`
	ContentSHA256 string               `json:"content_sha256"`
	Hash          etcdops.SnapshotHash `json:"hash"`
	// EtcdSum is the sha256 of the database that etcd appended to it, in
	// hexadecimal, where it is right.
	EtcdSum string `json:"etcd_sum,omitempty"`
	// PeerURLs are those of the members that it knows: whose snapshot it is.
	PeerURLs []string `json:"peer_urls,omitempty"`
	// CopiedDB: the content is whole 512-byte blocks, as a copied database
	// file is; a snapshot that was cut off hardly ever is.
	CopiedDB  bool   `json:"copied_db"`
	Revision  int64  `json:"revision"`
	TotalKeys int64  `json:"total_keys"`
	Version   string `json:"version,omitempty"` // storage version, from 3.6 on
	Error     string `json:"error,omitempty"`   // why it cannot be read
}

// Site is the cluster as a procedure meets it: facts, fresh facts, snapshots.
type Site interface {
	// Collect asks etcd everywhere, and the given nodes for everything; what
	// it does not ask for is as prev has it. With nodes nil it asks all nodes.
	Collect(ctx context.Context, prev etcdops.Facts, nodes []string) (etcdops.Facts, error)
	// Status asks for unit and endpoint states only, for waiting.
	Status(ctx context.Context, prev etcdops.Facts) (etcdops.Facts, error)
	// Inspect looks into a snapshot file on a node without changing it. known
	// is what was looked into before: a file with the sha256 of one of them is
	// that one, and is not unpacked and read again.
	Inspect(ctx context.Context, f etcdops.Facts, node, path string, known []Inspected) (Inspected, error)
	// CountKeys counts the user keys through a node's endpoint, as they were at
	// a revision (0: now). etcdops.ErrCompacted when it is not kept any more.
	CountKeys(ctx context.Context, node string, revision int64) (int64, error)
}

// Stored is what a plan keeps to be built again: the facts and the judgement
// it rests on, without journals, and what was found in the snapshots.
type Stored struct {
	Facts     etcdops.Facts   `json:"facts"`
	Verdict   etcdops.Verdict `json:"verdict"`
	Snapshots []Inspected     `json:"snapshots,omitempty"`
	// Undone is the run that a rollback takes back.
	Undone *Undone `json:"undone,omitempty"`
}

// Build plans a procedure on facts. The plan's guards are evaluated but not
// enforced: a plan that is blocked can still be shown.
func Build(ctx context.Context, site Site, f etcdops.Facts, v etcdops.Verdict, r Request) (engine.Plan, error) {
	return buildKnowing(ctx, site, f, v, r, Stored{})
}

// buildKnowing is Build where some is known from before: snapshots that were
// looked into, and the run that a rollback takes back.
func buildKnowing(ctx context.Context, site Site, f etcdops.Facts, v etcdops.Verdict, r Request, known Stored) (engine.Plan, error) {
	if r.Tag == "" {
		r.Tag = f.CollectedAt.UTC().Format("20060102-150405")
	}
	stored := Stored{Facts: f, Verdict: v, Undone: known.Undone}
	if r.Procedure == etcdops.ProcedureRestore {
		infos, err := inspectAll(ctx, site, f, r, known.Snapshots)
		if err != nil {
			return engine.Plan{}, err
		}
		stored.Snapshots = infos
	}
	return build(newWorld(site, stored), r)
}

// Rebuild makes the functions of a stored plan again, from its own facts: how
// a run is resumed. Guards and probes of the steps look at fresh facts.
func Rebuild(site Site, p engine.Plan) (engine.Plan, error) {
	r, stored, err := Unpack(p)
	if err != nil {
		return engine.Plan{}, err
	}
	return build(newWorld(site, stored), r)
}

// Reapply plans a stored plan again on fresh facts: how a saved plan is
// applied. It returns engine.ErrPlanStale when the result would do anything
// else than the stored plan.
func Reapply(ctx context.Context, site Site, f etcdops.Facts, v etcdops.Verdict, p engine.Plan, overrides map[string]string) (engine.Plan, error) {
	r, stored, err := Unpack(p)
	if err != nil {
		return engine.Plan{}, err
	}
	for id, phrase := range overrides {
		if r.Overrides == nil {
			r.Overrides = map[string]string{}
		}
		r.Overrides[id] = phrase
	}
	fresh, err := buildKnowing(ctx, site, f, v, r, stored)
	if err != nil {
		return engine.Plan{}, err
	}
	if fresh.Hash != p.Hash {
		return fresh, engine.ErrPlanStale
	}
	fresh.CreatedAt = p.CreatedAt
	return fresh, nil
}

// Unpack reads a plan's request and the facts that it rests on.
func Unpack(p engine.Plan) (Request, Stored, error) {
	var r Request
	var stored Stored
	if err := json.Unmarshal(p.Input, &r); err != nil {
		return r, stored, fmt.Errorf("reading the plan's input: %w", err)
	}
	if err := json.Unmarshal(p.Basis, &stored); err != nil {
		return r, stored, fmt.Errorf("reading the plan's facts: %w", err)
	}
	return r, stored, nil
}

func build(w *world, r Request) (engine.Plan, error) {
	for _, node := range r.Nodes {
		if _, ok := w.base.Facts.NodeByName(node); !ok {
			return engine.Plan{}, fmt.Errorf("%w: no node %q in cluster %s", ErrRequest, node, w.base.Facts.Config.Cluster)
		}
	}
	w.request = r
	switch r.Procedure {
	case etcdops.ProcedureRestart:
		return restart(w, r)
	case etcdops.ProcedureRejoin:
		return rejoin(w, r)
	case etcdops.ProcedureRestore:
		return restore(w, r)
	case etcdops.ProcedureSalvage:
		return salvage(w, r)
	case etcdops.ProcedureRollback:
		return rollback(w, r)
	case etcdops.ProcedureNone, etcdops.ProcedureFixCause:
		// Both are answers of diagnose, and nothing that novatui runs.
	}
	return engine.Plan{}, fmt.Errorf("%w: no procedure %q: there are restart, rejoin, restore and salvage", ErrRequest, r.Procedure)
}

// newPlan starts a plan with what all procedures have in common.
func newPlan(w *world, r Request, title msg.Msg) *draft {
	f := w.base.Facts
	b := engine.NewPlan(string(r.Procedure), f.Config.Cluster, f.Config.Environment, r.Tag, time.Now().UTC())
	b.Title(title)
	b.Nodes(nodesOf(f)...)
	// Overrides are typed at apply too and change nothing about what is done,
	// so that they are no part of what the hash covers.
	input := r
	input.Overrides = nil
	b.Input(input)
	b.Basis(w.base.stripped())
	b.Identity(identity(w.base))
	b.FactsAt(f.CollectedAt)
	b.Refresh(w.refresh)
	return &draft{Builder: b, w: w}
}

// nodesOf lists all nodes of the facts by name.
func nodesOf(f etcdops.Facts) []string {
	names := make([]string, len(f.Nodes))
	for i, n := range f.Nodes {
		names[i] = n.Node
	}
	return names
}

// inspectAll resolves the request's snapshot references and looks into each.
func inspectAll(ctx context.Context, site Site, f etcdops.Facts, r Request, known []Inspected) ([]Inspected, error) {
	if len(r.Snapshots) == 0 {
		return nil, fmt.Errorf("%w: a restore needs a snapshot: name one of those that diagnose lists", ErrRequest)
	}
	var infos []Inspected
	for _, ref := range r.Snapshots {
		holders := holdersOf(f, ref)
		if len(holders) == 0 {
			return nil, fmt.Errorf("%w: no reachable node has the snapshot %q", ErrRequest, ref.Path)
		}
		for _, node := range holders {
			info, err := site.Inspect(ctx, f, node, ref.Path, slices.Concat(known, infos))
			if err != nil {
				return nil, fmt.Errorf("looking into snapshot %s on %s: %w", ref.Path, node, err)
			}
			infos = append(infos, info)
		}
	}
	return infos, nil
}

// holdersOf lists the nodes that a reference can mean: the one it names, or
// every reachable one on which a file of that path was found.
func holdersOf(f etcdops.Facts, ref SnapshotRef) []string {
	if ref.Node != "" {
		return []string{ref.Node}
	}
	var nodes []string
	for _, n := range f.Nodes {
		has := slices.ContainsFunc(n.Snapshots, func(s etcdops.SnapshotFile) bool { return s.Path == ref.Path })
		if n.Reachable && has {
			nodes = append(nodes, n.Node)
		}
	}
	return nodes
}
