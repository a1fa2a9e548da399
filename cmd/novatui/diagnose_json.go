package main

import (
	"slices"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/workflows/engine"
)

// diagnoseSchema is the version of the JSON of `novatui diagnose -o json`.
const diagnoseSchema = "novatui/diagnose/v1"

// diagnoseJSON is that JSON: the contract in docs/architecture.md. Texts are
// in the chosen language; everything that a program decides by is not.
type diagnoseJSON struct {
	Schema      string           `json:"schema"`
	Cluster     string           `json:"cluster"`
	Environment string           `json:"environment"`
	CollectedAt string           `json:"collected_at"`
	TookMillis  int64            `json:"took_ms"`
	State       string           `json:"state"`
	Headline    string           `json:"headline"`
	Quorum      etcdops.Quorum   `json:"quorum"`
	Members     []memberJSON     `json:"members"`
	Nodes       []nodeJSON       `json:"nodes"`
	Causes      []causeJSON      `json:"causes"`
	Recommended recommendedJSON  `json:"recommended"`
	Procedures  []procedureJSON  `json:"procedures"`
	Snapshots   []snapshotOnNode `json:"snapshots"`
}

type memberJSON struct {
	Name         string `json:"name"`
	Node         string `json:"node"`
	ID           string `json:"id"`
	State        string `json:"state"`
	Why          string `json:"why"`
	Healthy      bool   `json:"healthy"`
	Leader       bool   `json:"leader"`
	Learner      bool   `json:"learner"`
	Version      string `json:"version"`
	Revision     int64  `json:"revision"`
	RaftTerm     uint64 `json:"raft_term"`
	RaftIndex    uint64 `json:"raft_index"`
	RaftApplied  uint64 `json:"raft_applied_index"`
	DBSizeBytes  int64  `json:"db_size_bytes"`
	DBInUseBytes int64  `json:"db_size_in_use_bytes"`
	Hash         string `json:"hash"`
	HashRevision int64  `json:"hash_revision"`
	Error        string `json:"error"`
	ClusterID    string `json:"cluster_id"`
	Lag          int64  `json:"lag"`
}

type nodeJSON struct {
	Name      string `json:"name"`
	Address   string `json:"address"`
	Reachable bool   `json:"reachable"`
	ErrorKind string `json:"error_kind,omitempty"`
	Error     string `json:"error,omitempty"`
	Unit      string `json:"unit,omitempty"`
	Active    string `json:"active,omitempty"`
	Sub       string `json:"sub,omitempty"`
	Restarts  int    `json:"restarts"`
	FreeBytes int64  `json:"free_bytes"`
	SkewMS    int64  `json:"skew_ms"`
}

type causeJSON struct {
	ID         string             `json:"id"`
	Title      string             `json:"title"`
	Node       string             `json:"node"`
	Confidence string             `json:"confidence"`
	Evidence   []etcdops.Evidence `json:"evidence"`
	Why        string             `json:"why"`
	Do         []string           `json:"do"`
	DoNot      []string           `json:"do_not"`
}

type recommendedJSON struct {
	Procedure string   `json:"procedure"`
	Nodes     []string `json:"nodes"`
	Why       string   `json:"why"`
	Unsafe    bool     `json:"unsafe"`
}

type procedureJSON struct {
	Name    string      `json:"name"`
	Verdict string      `json:"verdict"`
	Nodes   []string    `json:"nodes"`
	Why     string      `json:"why"`
	Guards  []guardJSON `json:"guards"`
}

type guardJSON struct {
	ID       string `json:"id"`
	Result   string `json:"result"`
	Reason   string `json:"reason"`
	Fact     string `json:"fact,omitempty"`
	Override string `json:"override,omitempty"`
}

// snapshotOnNode is a snapshot file as it was found; what is in it is looked at
// when a plan is made.
type snapshotOnNode struct {
	Node      string `json:"node"`
	Path      string `json:"path"`
	SizeBytes int64  `json:"size_bytes"`
	// Taken is what its name says, else when the file was last written.
	Taken time.Time `json:"taken"`
}

// membersAsJSON joins verdict and facts, member by member.
func membersAsJSON(f etcdops.Facts, v etcdops.Verdict, pr *msg.Printer) []memberJSON {
	members := make([]memberJSON, 0, len(v.Members))
	for _, m := range v.Members {
		j := memberJSON{
			Name: m.Member.Name, Node: m.Node, ID: m.Member.ID,
			State: string(m.State), Why: pr.S(m.Why),
			Healthy: m.Healthy, Leader: m.Leader, Learner: m.Member.Learner,
			Lag: m.Lag,
		}
		if n, ok := f.NodeByName(m.Node); ok {
			e := n.Endpoint
			if j.Name == "" {
				j.Name = n.Env.Name()
			}
			j.Version, j.ClusterID = e.Version, e.ClusterID
			if j.Version == "" {
				j.Version = n.Versions.Etcd
			}
			j.Revision, j.RaftTerm, j.RaftIndex, j.RaftApplied = e.Revision, e.RaftTerm, e.RaftIndex, e.Applied
			j.DBSizeBytes, j.DBInUseBytes = e.DBSize, e.DBSizeInUse
			j.Hash = e.Hash
			if j.Hash != "" {
				j.HashRevision = f.HashRevision
			}
			j.Error = memberError(n)
		}
		members = append(members, j)
	}
	return members
}

// memberError is the first thing that went wrong on the way to a member.
func memberError(n etcdops.NodeFacts) string {
	for _, e := range []string{n.Error, n.Endpoint.Error, n.Endpoint.HealthError} {
		if e != "" {
			return oneLine(e)
		}
	}
	return ""
}

func nodesAsJSON(f etcdops.Facts) []nodeJSON {
	nodes := make([]nodeJSON, 0, len(f.Nodes))
	for _, n := range f.Nodes {
		nodes = append(nodes, nodeJSON{
			Name: n.Node, Address: n.Address, Reachable: n.Reachable,
			ErrorKind: n.ErrorKind, Error: oneLine(n.Error),
			Unit: n.Unit.Name, Active: n.Unit.Active, Sub: n.Unit.Sub, Restarts: n.Unit.Restarts,
			FreeBytes: n.Data.FreeBytes, SkewMS: n.Host.SkewMillis,
		})
	}
	return nodes
}

func causesAsJSON(causes []etcdops.Cause, pr *msg.Printer) []causeJSON {
	out := make([]causeJSON, 0, len(causes))
	for _, c := range causes {
		j := causeJSON{
			ID: c.ID, Title: pr.S(c.Title), Node: c.Node, Confidence: string(c.Confidence),
			Evidence: c.Evidence, Why: pr.S(c.Why), Do: texts(pr, c.Do), DoNot: texts(pr, c.DoNot),
		}
		if j.Evidence == nil {
			j.Evidence = []etcdops.Evidence{}
		}
		out = append(out, j)
	}
	return out
}

func guardsAsJSON(findings []engine.Finding, pr *msg.Printer) []guardJSON {
	out := make([]guardJSON, 0, len(findings))
	for _, g := range findings {
		out = append(out, guardJSON{
			ID: g.ID, Result: string(g.Result), Reason: pr.S(g.Reason),
			Fact: oneLine(g.Fact), Override: g.Override,
		})
	}
	return out
}

// snapshotsAsJSON lists the snapshots of all nodes, newest first.
func snapshotsAsJSON(f etcdops.Facts) []snapshotOnNode {
	out := []snapshotOnNode{}
	for _, n := range f.Nodes {
		for _, s := range n.Snapshots {
			taken := s.TakenAt
			if taken.IsZero() {
				taken = s.Modified
			}
			out = append(out, snapshotOnNode{Node: n.Node, Path: s.Path, SizeBytes: s.SizeBytes, Taken: taken})
		}
	}
	slices.SortStableFunc(out, func(a, b snapshotOnNode) int { return b.Taken.Compare(a.Taken) })
	return out
}

// texts are messages in one language; never nil, so that JSON has a list.
func texts(pr *msg.Printer, messages []msg.Msg) []string {
	out := make([]string, 0, len(messages))
	for _, m := range messages {
		out = append(out, pr.S(m))
	}
	return out
}
