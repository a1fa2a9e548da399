package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/ui/backend"
)

// maxProvenLag is how many raft entries a member may be behind the most
// advanced one and still count as caught up: what a busy API server writes
// between two questions asked one after the other.
const maxProvenLag = 1000

// prove turns fresh facts into the proofs of a report, one claim each
// (procedures.md §3, "Prove it"). What could not be looked at is unproved,
// never proved by silence.
func prove(f etcdops.Facts, v etcdops.Verdict) []backend.Proof {
	proofs := []backend.Proof{
		proveMembers(f, v),
		proveSame(f, "leader", func(e etcdops.EndpointFacts) string { return e.LeaderID }),
		proveSame(f, "cluster-id", func(e etcdops.EndpointFacts) string { return e.ClusterID }),
		proveHash(f),
		proveCaughtUp(f, v),
		proveNoAlarm(f),
	}
	if slices.ContainsFunc(f.Nodes, func(n etcdops.NodeFacts) bool { return n.Readyz.Asked }) {
		proofs = append(proofs, proveAPI(f))
	}
	return proofs
}

func newProof(id string, result backend.ProofResult, detail msg.Msg, evidence []string) backend.Proof {
	return backend.Proof{Title: msg.M("report.proof." + id), Result: result, Detail: detail, Evidence: evidence}
}

// proveMembers: every member of the membership is started, a voter, and
// healthy through its own endpoint.
func proveMembers(f etcdops.Facts, v etcdops.Verdict) backend.Proof {
	healthy, evidence := 0, []string{}
	for _, m := range v.Members {
		if m.Healthy && !m.Member.Learner {
			healthy++
		}
		line := fmt.Sprintf("%s %s: %s", m.Node, m.Member.Name, m.State)
		if n, ok := f.NodeByName(m.Node); ok && n.Endpoint.HealthError != "" {
			line += ": " + oneLine(n.Endpoint.HealthError)
		}
		evidence = append(evidence, line)
	}
	detail := msg.M("report.detail.members", "healthy", healthy, "all", len(v.Members))
	result := backend.Disproved
	if healthy == len(v.Members) && healthy > 0 && v.State == etcdops.ClusterHealthy {
		result = backend.Proved
	}
	return newProof("members", result, detail, evidence)
}

// proveSame: all endpoints give one and the same answer.
func proveSame(f etcdops.Facts, id string, value func(etcdops.EndpointFacts) string) backend.Proof {
	seen, evidence, silent := map[string]bool{}, []string{}, false
	last := ""
	for _, n := range f.Nodes {
		if !n.Endpoint.Answers {
			silent = true
			evidence = append(evidence, n.Node+": no answer")
			continue
		}
		last = value(n.Endpoint)
		seen[last] = true
		evidence = append(evidence, n.Node+": "+oneLine(last))
	}
	switch {
	case len(seen) > 1 || seen[""]:
		return newProof(id, backend.Disproved, msg.M("report.detail.differ", "n", len(seen)), evidence)
	case silent || len(seen) == 0:
		return newProof(id, backend.Unproved, msg.M("report.detail.silent"), evidence)
	}
	return newProof(id, backend.Proved, msg.M("report.detail.same", "value", last), evidence)
}

// proveHash: the hash over all keys at one revision is the same everywhere.
func proveHash(f etcdops.Facts) backend.Proof {
	seen, evidence, missing := map[string]bool{}, []string{}, false
	for _, n := range f.Nodes {
		if n.Endpoint.Hash == "" {
			missing = true
			evidence = append(evidence, n.Node+": no hash")
			continue
		}
		seen[n.Endpoint.Hash] = true
		evidence = append(evidence, fmt.Sprintf("%s: hash %s at revision %d", n.Node, n.Endpoint.Hash, f.HashRevision))
	}
	switch {
	case len(seen) > 1:
		return newProof("hash", backend.Disproved, msg.M("report.detail.differ", "n", len(seen)), evidence)
	case missing || len(seen) == 0 || f.HashRevision == 0:
		return newProof("hash", backend.Unproved, msg.M("report.detail.no-hash"), evidence)
	}
	return newProof("hash", backend.Proved, msg.M("report.detail.hash", "revision", f.HashRevision), evidence)
}

// proveCaughtUp: no member is far behind the most advanced one.
func proveCaughtUp(f etcdops.Facts, v etcdops.Verdict) backend.Proof {
	worst, evidence, unknown := int64(0), []string{}, len(v.Members) == 0
	for _, m := range v.Members {
		n, _ := f.NodeByName(m.Node)
		if m.Lag < 0 || !n.Endpoint.Answers {
			unknown = true
			evidence = append(evidence, m.Node+": not known")
			continue
		}
		worst = max(worst, m.Lag)
		evidence = append(evidence, fmt.Sprintf("%s: revision %d, applied %d, %d behind",
			m.Node, n.Endpoint.Revision, n.Endpoint.Applied, m.Lag))
	}
	detail := msg.M("report.detail.lag", "lag", worst)
	switch {
	case worst > maxProvenLag:
		return newProof("caught-up", backend.Disproved, detail, evidence)
	case unknown:
		return newProof("caught-up", backend.Unproved, msg.M("report.detail.silent"), evidence)
	}
	return newProof("caught-up", backend.Proved, detail, evidence)
}

// proveNoAlarm: no member has raised an alarm or reports an error.
func proveNoAlarm(f etcdops.Facts) backend.Proof {
	var alarms, evidence []string
	asked := len(f.Nodes) > 0
	for _, n := range f.Nodes {
		asked = asked && n.Endpoint.Answers
		raised := slices.Concat(n.Endpoint.Alarms, n.Endpoint.Errors)
		alarms = append(alarms, raised...)
		if len(raised) > 0 {
			evidence = append(evidence, n.Node+": "+oneLine(strings.Join(raised, ", ")))
		}
	}
	switch {
	case len(alarms) > 0:
		return newProof("alarms", backend.Disproved, msg.M("report.detail.alarms", "alarms", alarms), evidence)
	case !asked:
		return newProof("alarms", backend.Unproved, msg.M("report.detail.silent"), evidence)
	}
	return newProof("alarms", backend.Proved, msg.M("report.detail.no-alarm"), evidence)
}

// proveAPI: the Kubernetes API is ready on every node that has one to ask.
func proveAPI(f etcdops.Facts) backend.Proof {
	asked, ready, evidence := 0, 0, []string{}
	for _, n := range f.Nodes {
		if !n.Readyz.Asked {
			continue
		}
		asked++
		if n.Readyz.OK {
			ready++
		}
		evidence = append(evidence, n.Node+": "+oneLine(n.Readyz.Answer))
	}
	result := backend.Disproved
	if ready == asked {
		result = backend.Proved
	}
	return newProof("api", result, msg.M("report.detail.api", "ready", ready, "all", asked), evidence)
}

// allProved reports whether every claim was proved.
func allProved(proofs []backend.Proof) bool {
	return len(proofs) > 0 && !slices.ContainsFunc(proofs, func(p backend.Proof) bool { return p.Result != backend.Proved })
}
