package workflows

import (
	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/workflows/engine"
)

// Assessed is one procedure, judged for the cluster as it is.
type Assessed struct {
	Procedure etcdops.Procedure `json:"name"`
	// Nodes it would act on.
	Nodes []string `json:"nodes"`
	// Verdict is allowed, confirm (something must be typed first) or blocked.
	Verdict string `json:"verdict"`
	// Why is the one sentence that decides.
	Why    msg.Msg          `json:"why"`
	Guards []engine.Finding `json:"guards"`
}

// The verdicts of an assessment.
const (
	Allowed = "allowed"
	Confirm = "confirm"
	Blocked = "blocked"
)

// Assess judges every procedure by its guards, so that the screen can say why
// one is recommended and what speaks against the others. Guards that need a
// chosen snapshot are asked when one is chosen.
func Assess(f etcdops.Facts, v etcdops.Verdict) []Assessed {
	w := newWorld(nil, Stored{Facts: f, Verdict: v})
	down := downNodes(v)
	restartNodes, rejoinNodes := down, down
	if v.Recommended.Procedure == etcdops.ProcedureRestart {
		restartNodes = v.Recommended.Nodes
	}
	if v.Recommended.Procedure == etcdops.ProcedureRejoin {
		rejoinNodes = v.Recommended.Nodes
	}
	if len(restartNodes) == 0 {
		restartNodes = nodesOf(f)
	}
	if len(rejoinNodes) == 0 {
		rejoinNodes = nodesOf(f)
	}
	rejoinNodes = rejoinNodes[:min(1, len(rejoinNodes))]
	node := ""
	if len(rejoinNodes) > 0 {
		node = rejoinNodes[0]
	}
	survivor, _ := w.survivor()
	all := nodesOf(f)
	return []Assessed{
		assessed(etcdops.ProcedureRestart, restartNodes, w.restartGuards(restartNodes)),
		assessed(etcdops.ProcedureRejoin, rejoinNodes, w.rejoinGuards(node)),
		assessed(etcdops.ProcedureSalvage, all, w.salvageGuards(survivor.Node, all)),
		assessed(etcdops.ProcedureRestore, all, append(w.restoreGuards(all), w.guard("newer-data-exists", w.newerDataExists))),
	}
}

func assessed(p etcdops.Procedure, nodes []string, guards []engine.Guard) Assessed {
	a := Assessed{Procedure: p, Nodes: nodes, Verdict: Allowed}
	for _, g := range guards {
		finding := g.Check()
		a.Guards = append(a.Guards, finding)
		switch {
		case finding.Result == engine.Block && finding.Override == "" && a.Verdict != Blocked:
			a.Verdict, a.Why = Blocked, finding.Reason
		case finding.Result == engine.Block && a.Verdict == Allowed:
			a.Verdict, a.Why = Confirm, finding.Reason
		case finding.Result == engine.Warn && a.Why.Zero():
			a.Why = finding.Reason
		}
	}
	return a
}

// downNodes are the nodes with a member that does not do its work; a survivor
// without a quorum does what it can.
func downNodes(v etcdops.Verdict) []string {
	var nodes []string
	for _, m := range v.Members {
		if m.Node != "" && !m.Healthy && m.State != etcdops.StateNoQuorum {
			nodes = append(nodes, m.Node)
		}
	}
	return nodes
}
