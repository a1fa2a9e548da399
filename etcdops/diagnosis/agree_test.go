package diagnosis

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/novatui/novatui/etcdops"
)

// facts are what the nodes of a sample's cluster would have shown: the log as
// the journal of the second node, its unit's state, the peers' view as the
// first's, how many members answer, the alarms that etcdctl showed, and the
// cluster's id. Nothing is made up beyond that: what a sample does not
// carry (files, certificates, ports, disks) was not looked at, and the settings
// are those of a cluster in order. ok is false for a sample without a log of the
// member.
func (c realCase) facts() (f etcdops.Facts, ok bool) {
	total, down := 3, 1
	if c.MembersTotal != nil {
		total = *c.MembersTotal
	}
	if c.MembersDown != nil {
		down = *c.MembersDown
	}
	if len(c.Log) == 0 || total < 1 || down > total {
		return f, false
	}
	f = cluster(total)
	victim := min(2, total)
	for i := range f.Nodes {
		n := &f.Nodes[i]
		n.Data = etcdops.DirFacts{Path: "/var/lib/etcd", FreeInodes: -1, Error: "not looked at"}
		n.WAL = etcdops.DirFacts{FreeInodes: -1, Error: "not looked at"}
		n.Ports = nil
	}
	if down > 0 {
		c.unit(&f, victim)
	}
	for i, left := 1, down-1; i <= total && left > 0; i++ {
		if i != victim && (i != 1 || len(c.PeersLog) == 0 || left >= total-1) {
			unreachable(&f, i)
			left--
		}
	}
	if total-down < total/2+1 {
		noLeader(&f)
	}
	for i, l := range c.Log {
		f.Nodes[victim-1].Journal = append(f.Nodes[victim-1].Journal, etcdops.LogLine{N: i + 1, Text: l})
	}
	if victim > 1 {
		for i, l := range c.PeersLog {
			f.Nodes[0].Journal = append(f.Nodes[0].Journal, etcdops.LogLine{N: i + 1, Text: l})
		}
	}
	c.ids(&f, victim)
	for _, alarm := range []string{"NOSPACE", "CORRUPT"} {
		if strings.Contains(strings.Join(c.Etcdctl, "\n"), "alarm:"+alarm) {
			e := &f.Nodes[victim-1].Endpoint
			e.Alarms, e.Errors = append(e.Alarms, alarm), append(e.Errors, "memberID:1 alarm:"+alarm)
		}
	}
	return f, true
}

// ids gives the cluster the id that the log names.
func (c realCase) ids(f *etcdops.Facts, victim int) {
	for _, l := range readJournal(f.Nodes[victim-1].Journal) {
		if v := l.field("cluster-id"); v != "" && v != "0" {
			for i := range f.Nodes {
				if f.Nodes[i].Endpoint.Answers {
					f.Nodes[i].Endpoint.ClusterID = v
				}
			}
		}
	}
}

// unit makes a node's unit look as the sample says; where nothing is said, the
// process ended as its last lines say.
func (c realCase) unit(f *etcdops.Facts, i int) {
	s := strings.ToLower(c.UnitState)
	last := strings.Join(c.Log[max(0, len(c.Log)-6):], "\n")
	switch {
	case strings.Contains(s, "oom-kill"):
		down(f, i, "failed", "failed", "oom-kill", "killed", 9, 1)
	case strings.HasPrefix(s, "inactive"), strings.Contains(s, "exited (0)"),
		s == "" && strings.Contains(last, "signal; shutting down"), s == "" && strings.Contains(last, "signal, shutting down"):
		stopped(f, i)
	case strings.HasPrefix(s, "active"), strings.HasPrefix(s, "up "), strings.HasPrefix(s, "running"):
		silent(f, i)
	case strings.HasPrefix(s, "activating (start"):
		n := silent(f, i)
		n.Unit.Active, n.Unit.Sub = "activating", "start"
	case strings.HasPrefix(s, "failed"), strings.HasPrefix(s, "exited"):
		down(f, i, "failed", "failed", "exit-code", "exited", 1, 5)
	default:
		crashing(f, i)
	}
}

// notCarried are samples over which the two differ, and what diagnose would
// have besides that no text carries.
var notCarried = map[string]string{
	"produced-clock-cert-3.4":            "the node's clock",
	"produced-clock-cert-3.6":            "the node's clock",
	"produced-clock-cert-3.7":            "the node's clock",
	"produced-power-cut-off-3.6-systemd": "when the host booted",
	"produced-removed-running-3.4":       "the membership, which does not list it any more",
	"produced-stop-timeout-3.6-systemd":  "the unit's result, which is timeout",
	"produced-partition-no-route-3.5":    "whole lines: these were cut by journalctl's pager",
	"produced-partition-no-route-3.7":    "whole lines: these were cut by journalctl's pager",
	"produced-guard-add-3.4":             "that this log is of a member that serves, not of the one that is down",
	"produced-guard-remove-3.4":          "that this log is of a member that serves, not of the one that is down",
	"produced-cert-plain-peer-3.5":       "the addresses of the nodes, by which a peer's words find the one they are about",
}

// TestSamplesAgree compares, over everything that was really produced, what
// diagnose makes of the facts that a sample carries with what explain makes of
// its texts. Where no member is down and all answer, the facts are those of a
// healthy cluster: what explain reads there is the trouble of a client, a tool
// or a learner, and there is nothing to compare.
func TestSamplesAgree(t *testing.T) {
	files, err := filepath.Glob("testdata/samples/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	all, compared, agree, healthy := 0, 0, 0, 0
	for _, file := range files {
		for _, c := range readCases(t, file) {
			all++
			f, ok := c.facts()
			if !ok {
				continue
			}
			v, x := Diagnose(f), c.explain(t)
			p := v.Recommended.Procedure
			if (p == rejoin || p == restore) && !destroys(Remedy(c.Remedy)) {
				t.Errorf("%s: diagnose recommends %s where %s is right\n%s", c.ID, p, c.Remedy, describe(v))
			}
			if v.State == etcdops.ClusterHealthy && len(v.Causes) == 0 && x.Remedy != RemedyNone {
				healthy++
				continue
			}
			compared++
			same, why := c.agrees(v, x), notCarried[c.ID]
			switch {
			case same && why != "":
				t.Errorf("%s: both agree, though %s is not known", c.ID, why)
			case same:
				agree++
			case why == "":
				t.Errorf("%s: explain says %s, %s\n%s", c.ID, x.Causes[0].ID, x.Remedy, describe(v))
			}
		}
	}
	t.Logf("%d samples, %d with a log and a trouble of a member's: both agree on %d; %d need what no text carries; %d are of healthy members",
		all, compared, agree, len(notCarried), healthy)
	if compared < all*3/4 || compared != agree+len(notCarried) {
		t.Errorf("only %d of %d compared", compared, all)
	}
}

// family are the causes that a text tells apart by the dates in it, and facts
// by the certificates and the clock.
var family = []string{"cert-bad", "cert-expired", "clock-skew"}

// agrees: diagnose has the cause that explain puts first, or puts one first
// that is right too, or has the same fault of certificates with the same remedy.
func (c realCase) agrees(v etcdops.Verdict, x Explanation) bool {
	first := x.Causes[0].ID
	if len(v.Causes) == 0 {
		return first == "unknown" || x.Remedy == RemedyNone
	}
	if c.right(v.Causes[0].ID) || slices.ContainsFunc(v.Causes, func(o etcdops.Cause) bool { return o.ID == first }) {
		return true
	}
	return slices.Contains(family, first) && slices.Contains(family, v.Causes[0].ID) &&
		x.Remedy == RemedyFix && v.Recommended.Procedure == fixCause
}
