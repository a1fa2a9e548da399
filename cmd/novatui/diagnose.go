package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/workflows"
)

func newDiagnose(p *program) *cobra.Command {
	return &cobra.Command{
		Use:     "diagnose",
		GroupID: groupRepair,
		Short:   "Say what is wrong with the cluster; changes nothing",
		Long: `Look at every node and at etcd itself, and print the state of the cluster and of
each member, the causes with the lines that they rest on, the recommended
procedure, and what blocks the others. Nothing is changed.

A node that cannot be reached is a finding, not a failure: the exit status is 0
when the cluster could be judged, whatever the judgement. It is 1 when no node
at all could be looked at.

Output (-o): table, json (schema novatui/diagnose/v1).`,
		Example: `  novatui diagnose
  novatui diagnose --nodes ops@m1,m2,m3 --lang ru
  novatui diagnose -o json | jq -r .recommended.procedure`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return p.diagnose(cmd.Context()) },
	}
}

func (p *program) diagnose(ctx context.Context) error {
	format, err := p.outputFormat("table", "json")
	if err != nil {
		return err
	}
	s, err := p.openSession(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	facts, verdict, err := s.Diagnose(ctx)
	if err != nil {
		return err
	}
	d := p.diagnosis(facts, verdict)
	if format == "json" {
		err = writeJSON(p.stdout, d)
	} else {
		err = writeDiagnosis(p.stdout, d, p.msgs())
	}
	if err != nil {
		return err
	}
	return p.sawSomething(facts)
}

// sawSomething is an error when no node could be looked at: then nothing was
// diagnosed, however well that was printed.
func (p *program) sawSomething(f etcdops.Facts) error {
	for _, n := range f.Nodes {
		if n.Reachable {
			return nil
		}
	}
	return &hinted{errNoNode, "the reasons are above, node by node"}
}

// diagnosis puts facts, verdict and the assessment of the procedures together.
func (p *program) diagnosis(f etcdops.Facts, v etcdops.Verdict) diagnoseJSON {
	pr := p.msgs()
	d := diagnoseJSON{
		Schema: diagnoseSchema, Cluster: f.Config.Cluster, Environment: f.Config.Environment,
		CollectedAt: f.CollectedAt.UTC().Format(time.RFC3339), TookMillis: int64(f.Took),
		State: string(v.State), Headline: pr.S(v.Headline), Quorum: v.Quorum,
		Members: membersAsJSON(f, v, pr), Nodes: nodesAsJSON(f), Causes: causesAsJSON(v.Causes, pr),
		Recommended: recommendedJSON{
			Procedure: string(v.Recommended.Procedure), Nodes: v.Recommended.Nodes,
			Why: pr.S(v.Recommended.Why), Unsafe: v.Recommended.Unsafe,
		},
		Procedures: []procedureJSON{},
		Snapshots:  snapshotsAsJSON(f),
	}
	if second := pr.S(v.Second); second != "" {
		d.Headline += "\n" + second
	}
	if d.Recommended.Nodes == nil {
		d.Recommended.Nodes = []string{}
	}
	for _, a := range workflows.Assess(f, v) {
		d.Procedures = append(d.Procedures, procedureJSON{
			Name: string(a.Procedure), Verdict: a.Verdict, Nodes: a.Nodes, Why: pr.S(a.Why),
			Guards: guardsAsJSON(a.Guards, pr),
		})
	}
	return d
}
