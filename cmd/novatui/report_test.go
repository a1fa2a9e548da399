package main

import (
	"testing"

	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/ui/backend"
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
