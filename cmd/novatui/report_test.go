package main

import (
	"testing"

	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/ui/backend"
	"github.com/novatui/novatui/workflows/engine"
)

// TestReportDoesNotCallADegradedClusterHealthy: a run that proved what it was
// about says so, and names who is still down.
func TestReportDoesNotCallADegradedClusterHealthy(t *testing.T) {
	member := func(node, name string, healthy bool) etcdops.MemberVerdict {
		return etcdops.MemberVerdict{Node: node, Member: etcdops.Member{ID: name, Name: name}, Healthy: healthy}
	}
	all := etcdops.Verdict{Members: []etcdops.MemberVerdict{
		member("m1", "etcd1", true), member("m2", "etcd2", false), member("m3", "etcd3", true),
	}}
	of := etcdops.Verdict{Members: []etcdops.MemberVerdict{all.Members[0], all.Members[2]}}
	for _, c := range []struct {
		of   etcdops.Verdict
		want string
	}{{all, "report.headline.proved"}, {of, "report.headline.partly"}} {
		r := runReport{Report: backend.Report{Proved: true, StillDown: stillDown(c.of, all)}}
		if got := r.headline().ID; got != c.want {
			t.Errorf("with %q still down the headline is %s, want %s", r.Report.StillDown, got, c.want)
		}
	}
	if down := stillDown(of, all); len(down) != 1 || down[0] != "etcd2" {
		t.Errorf("still down: %q", down)
	}
}

// TestReportOffersNoCleanupBeforeTheProof: a run that stopped part-way names the
// copies and the old data, and no command that takes them away: they are the
// way back.
func TestReportOffersNoCleanupBeforeTheProof(t *testing.T) {
	plan := engine.Plan{Tag: "20261121-120000"}
	after := lookedAt{Known: true, Facts: etcdops.Facts{Nodes: []etcdops.NodeFacts{{
		Node: "m1", Runs: []string{"/var/lib/novatui/" + plan.Tag}, Asides: []string{"/var/lib/etcd.novatui-" + plan.Tag},
	}}}}
	for proved, want := range map[bool]int{false: 0, true: 2} {
		r := runReport{Report: backend.Report{Proved: proved}}
		r.files(t.TempDir(), plan, after)
		if got := len(r.Report.Cleanup); got != want {
			t.Errorf("proved %t: %d commands to clean up, want %d: %+v", proved, got, want, r.Report.Cleanup)
		}
		if len(r.Report.Files) < 2 {
			t.Errorf("proved %t: named are only %+v", proved, r.Report.Files)
		}
	}
}
