package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// proofs says what has to be proved beyond a healthy cluster.
type proofs struct {
	// restored: keys and revision must be the snapshot's.
	restored bool
}

// proofSlot begins the names of the slots that hold the proofs of a run, one
// message each, in order.
const proofSlot = "proof."

// prove ends every procedure: it waits until everything that makes a cluster
// healthy is seen to hold at one moment, and keeps each proof in the journal.
// What cannot be proved is an error, never a warning.
func (w *world) prove(repaired []string, p proofs) []engine.Step {
	expected := w.expected(repaired)
	if len(expected) == 0 {
		return nil
	}
	return []engine.Step{{
		ID: "prove", Node: expected[0], Effect: remote.Read,
		Title: msg.M("step.prove.title"), Why: msg.M("step.prove.why"), IfItFails: msg.M("step.prove.fail"),
		Do: func(ctx context.Context, x *engine.Exec) error {
			ctx, cancel := context.WithTimeout(ctx, proveLimit)
			defer cancel()
			var held, missing []msg.Msg
			err := x.Poll(ctx, lookEvery, msg.M("step.prove.title"), func(ctx context.Context) (bool, error) {
				if err := x.Refresh(ctx); err != nil {
					return false, err
				}
				var err error
				held, missing, err = w.check(ctx, x, expected, p)
				return err == nil && len(missing) == 0, err
			})
			for _, m := range missing {
				x.Note(m)
			}
			if err != nil {
				if len(missing) > 0 {
					return fmt.Errorf("not proved: %w: %w", msg.Error{Msg: missing[0]}, err)
				}
				return err
			}
			return keepProofs(x, held)
		},
	}}
}

// Expected lists the nodes whose members a plan has to leave healthy: what its
// report must prove. Others were down before and were none of its business.
func Expected(p engine.Plan) ([]string, error) {
	r, stored, err := Unpack(p)
	if err != nil {
		return nil, err
	}
	repaired := r.Nodes
	if r.Procedure == etcdops.ProcedureRestore || r.Procedure == etcdops.ProcedureSalvage {
		repaired = nodesOf(stored.Facts)
	}
	return newWorld(nil, stored).expected(repaired), nil
}

// expected lists the nodes whose members must be healthy at the end: those
// repaired and those that were healthy before. Others that are down are named
// in the report and stay what they are.
func (w *world) expected(repaired []string) []string {
	var nodes []string
	for _, n := range w.base.Facts.Nodes {
		m, ok := w.base.Verdict.MemberOn(n.Node)
		up := ok && (m.Healthy || m.State == etcdops.StateNoQuorum)
		if slices.Contains(repaired, n.Node) || up {
			nodes = append(nodes, n.Node)
		}
	}
	return nodes
}

// check looks at the newest facts and tells what holds and what is missing.
func (w *world) check(ctx context.Context, x *engine.Exec, expected []string, p proofs) (held, missing []msg.Msg, err error) {
	f, _ := w.now()
	say := func(ok bool, proof, lack msg.Msg) {
		if ok {
			held = append(held, proof)
		} else {
			missing = append(missing, lack)
		}
	}
	names, lack := membersUp(f, expected)
	say(lack.Zero(), msg.M("proof.members", "n", len(names), "names", names), lack)
	leader, term, lack := oneLeader(f, expected)
	say(lack.Zero(), msg.M("proof.leader", "member", leader, "term", term), lack)
	id, lack := oneCluster(f, expected)
	say(lack.Zero(), msg.M("proof.cluster", "id", id), lack)
	say(w.membershipRight(f, expected), msg.Msg{}, msg.M("proof.members-differ", "have", memberNames(f.Members)))
	hash, lack := sameHash(f, expected)
	say(lack.Zero(), msg.M("proof.hash", "hash", hash, "revision", f.HashRevision), lack)
	alarms := raised(f)
	say(len(alarms) == 0, msg.M("proof.alarms"), msg.M("proof.alarm", "alarms", alarms))
	late, by := lagging(f, expected)
	say(late == "", msg.M("proof.lag", "n", maxLag), msg.M("proof.behind", "member", late, "n", by))
	forced := forcedNode(f)
	say(forced == "", msg.M("proof.force"), msg.M("proof.forced", "node", forced))
	if node, wanted := w.apiNotReady(f); wanted {
		say(node == "", msg.M("proof.api"), msg.M("proof.api-not-ready", "node", node))
	}
	if p.restored && len(missing) == 0 {
		proof, lack, err := w.snapshotData(ctx, x, f, expected[0])
		if err != nil {
			return held, missing, err
		}
		say(lack.Zero(), proof, lack)
	}
	if waits := w.stillDown(f, expected); len(waits) > 0 {
		held = append(held, msg.M("proof.waits", "names", waits))
	}
	return slices.DeleteFunc(held, msg.Msg.Zero), missing, nil
}

func membersUp(f etcdops.Facts, expected []string) (names []string, lack msg.Msg) {
	for _, node := range expected {
		n, _ := f.NodeByName(node)
		switch {
		case !n.Endpoint.Answers:
			return nil, msg.M("proof.no-answer", "member", memberName(f, node))
		case n.Endpoint.Learner:
			return nil, msg.M("proof.still-learner", "member", memberName(f, node))
		case !n.Endpoint.Healthy:
			return nil, msg.M("proof.not-healthy", "member", memberName(f, node))
		}
		names = append(names, memberName(f, node))
	}
	return names, msg.Msg{}
}

func oneLeader(f etcdops.Facts, expected []string) (leader string, term uint64, lack msg.Msg) {
	id := ""
	for _, node := range expected {
		n, _ := f.NodeByName(node)
		if id == "" {
			id, term = n.Endpoint.LeaderID, n.Endpoint.RaftTerm
		}
		if n.Endpoint.LeaderID != id || id == "" {
			return "", 0, msg.M("proof.two-leaders")
		}
	}
	for _, m := range f.Members {
		if m.ID == id {
			return m.Name, term, msg.Msg{}
		}
	}
	return id, term, msg.Msg{}
}

func oneCluster(f etcdops.Facts, expected []string) (id string, lack msg.Msg) {
	for _, node := range expected {
		n, _ := f.NodeByName(node)
		if id == "" {
			id = n.Endpoint.ClusterID
		}
		if n.Endpoint.ClusterID != id || id == "" {
			return "", msg.M("proof.two-clusters", "ids", []string{id, n.Endpoint.ClusterID})
		}
	}
	return id, msg.Msg{}
}

// membershipRight: the membership, confirmed by quorum or by every expected
// member, names every expected node's member once, and nobody new that is on
// none of our nodes.
func (w *world) membershipRight(f etcdops.Facts, expected []string) bool {
	if f.MembersFrom != etcdops.FromLinearizable && !allAgree(f, expected) {
		return false
	}
	seen := map[string]int{}
	for _, m := range f.Members {
		seen[m.Node]++
	}
	for _, node := range expected {
		if seen[node] != 1 {
			return false
		}
	}
	strangers := 0
	for _, m := range w.base.Facts.Members {
		if m.Node == "" {
			strangers++
		}
	}
	return seen[""] <= strangers
}

// allAgree: every expected member serves linearizable reads and has this very
// membership in its own list. etcd 3.4 has no other confirmation: its member
// list is always the own view of the member that is asked (facts-etcd).
func allAgree(f etcdops.Facts, expected []string) bool {
	ids := func(members []etcdops.Member) []string {
		var ids []string
		for _, m := range members {
			ids = append(ids, m.ID)
		}
		return slices.Sorted(slices.Values(ids))
	}
	for _, node := range expected {
		n, _ := f.NodeByName(node)
		own := n.Endpoint.OwnMembersFrom == etcdops.FromLocal && slices.Equal(ids(n.Endpoint.OwnMembers), ids(f.Members))
		if !n.Endpoint.Healthy || !own {
			return false
		}
	}
	return len(f.Members) > 0
}

func sameHash(f etcdops.Facts, expected []string) (hash string, lack msg.Msg) {
	var all []string
	for _, node := range expected {
		n, _ := f.NodeByName(node)
		if n.Endpoint.Hash == "" {
			return "", msg.M("proof.hash-missing", "member", memberName(f, node))
		}
		all = append(all, n.Endpoint.Hash)
	}
	if len(slices.Compact(slices.Sorted(slices.Values(all)))) != 1 {
		return "", msg.M("proof.hash-differs", "revision", f.HashRevision, "hashes", all)
	}
	return all[0], msg.Msg{}
}

func raised(f etcdops.Facts) []string {
	var alarms []string
	for _, n := range f.Nodes {
		for _, a := range n.Endpoint.Alarms {
			alarms = append(alarms, n.Node+" "+a)
		}
	}
	return alarms
}

func lagging(f etcdops.Facts, expected []string) (member string, by uint64) {
	for _, node := range expected {
		n, _ := f.NodeByName(node)
		if by := behind(f, n); by > maxLag {
			return memberName(f, node), by
		}
	}
	return "", 0
}

// forcedNode finds an etcd that runs with --force-new-cluster: left on, the
// next restart would drop every other member (measured).
func forcedNode(f etcdops.Facts) string {
	for _, n := range f.Nodes {
		for _, p := range n.Running {
			for _, a := range p.Argv {
				if strings.HasPrefix(a, "--force-new-cluster") && a != "--force-new-cluster=false" {
					return n.Node
				}
			}
		}
		if n.Env.Values["ETCD_FORCE_NEW_CLUSTER"] == "true" {
			return n.Node
		}
	}
	return ""
}

// apiNotReady asks for the Kubernetes API only where it was ready when the
// plan was made; elsewhere it is not ours to bring up.
func (w *world) apiNotReady(f etcdops.Facts) (node string, wanted bool) {
	for _, n := range f.Nodes {
		if !w.node(n.Node).Readyz.OK {
			continue
		}
		wanted = true
		if !n.Readyz.OK {
			return n.Node, true
		}
	}
	return "", wanted
}

// snapshotData: a restored cluster began with exactly the snapshot's keys, and
// its revision is not below the snapshot's. They are counted at the revision that
// the restore made, because API servers write as soon as etcd answers; it is the
// compacted one, which can still be read (etcd server/storage/mvcc/kvstore_txn.go:
// only what is below it is gone). The tools count users' keys since 3.6 only;
// before, only the revision is compared.
func (w *world) snapshotData(ctx context.Context, x *engine.Exec, f etcdops.Facts, node string) (proof, lack msg.Msg, err error) {
	wantKeys, wantRevision, err := snapshotNumbers(x)
	if err != nil {
		return msg.Msg{}, msg.Msg{}, err
	}
	n, _ := f.NodeByName(node)
	if n.Endpoint.Revision < wantRevision {
		return msg.Msg{}, msg.M("proof.revision-low", "have", n.Endpoint.Revision, "want", wantRevision), nil
	}
	began := wantRevision
	if n.Versions.CanBump() {
		began += etcdops.DefaultBump
	}
	keys, err := w.site.CountKeys(ctx, node, began)
	if errors.Is(err, etcdops.ErrCompacted) {
		// The API server's own compaction, every five minutes: a late resume.
		return msg.M("proof.keys-compacted", "revision", n.Endpoint.Revision), msg.Msg{}, nil
	}
	if err != nil {
		return msg.Msg{}, msg.Msg{}, fmt.Errorf("counting keys through %s: %w", node, err)
	}
	// A restore with a bumped revision leaves one empty key behind, which the
	// tools count in the next snapshot and no range over user keys returns.
	bumpedBefore := wantRevision > etcdops.DefaultBump && keys == wantKeys-1
	switch {
	case !n.Versions.CanHashKV():
		return msg.M("proof.keys-not-compared", "n", keys, "revision", n.Endpoint.Revision), msg.Msg{}, nil
	case keys != wantKeys && !bumpedBefore:
		return msg.Msg{}, msg.M("proof.keys-differ", "have", keys, "want", wantKeys), nil
	}
	return msg.M("proof.keys", "n", keys, "revision", n.Endpoint.Revision), msg.Msg{}, nil
}

func snapshotNumbers(x *engine.Exec) (keys, revision int64, err error) {
	k, _ := x.Value(slotKeys)
	r, _ := x.Value(slotRevision)
	if keys, err = strconv.ParseInt(k, 10, 64); err != nil {
		return 0, 0, fmt.Errorf("the snapshot's key count is not known: %w", err)
	}
	if revision, err = strconv.ParseInt(r, 10, 64); err != nil {
		return 0, 0, fmt.Errorf("the snapshot's revision is not known: %w", err)
	}
	return keys, revision, nil
}

// stillDown names the members that were down before and no part of this.
func (w *world) stillDown(f etcdops.Facts, expected []string) []string {
	var names []string
	for _, n := range f.Nodes {
		if !slices.Contains(expected, n.Node) && !n.Endpoint.Healthy {
			names = append(names, memberName(f, n.Node))
		}
	}
	return names
}

func memberName(f etcdops.Facts, node string) string {
	if m, ok := f.MemberOf(node); ok && m.Name != "" {
		return m.Name
	}
	return node
}

func memberNames(members []etcdops.Member) []string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = memberLabel(m)
	}
	return names
}

func keepProofs(x *engine.Exec, held []msg.Msg) error {
	for i, m := range held {
		b, err := json.Marshal(m)
		if err != nil {
			return fmt.Errorf("keeping a proof: %w", err)
		}
		if err := x.Set(fmt.Sprintf("%s%02d", proofSlot, i), string(b)); err != nil {
			return err
		}
	}
	return nil
}

// Proofs reads the proofs of a run from the values in its journal, in order.
func Proofs(values map[string]string) []msg.Msg {
	var names []string
	for name := range values {
		if strings.HasPrefix(name, proofSlot) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var held []msg.Msg
	for _, name := range names {
		var m msg.Msg
		if json.Unmarshal([]byte(values[name]), &m) == nil {
			held = append(held, m)
		}
	}
	return held
}
