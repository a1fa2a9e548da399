package diagnosis

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/etcdops"
)

// alone makes a node serve an empty cluster of its own.
func alone(f *etcdops.Facts, i int) {
	e := &f.Nodes[i-1].Endpoint
	e.ClusterID, e.Healthy, e.LeaderID, e.MemberID = "1933c456561ccf3a", true, "b00b", "b00b"
	e.Revision, e.RaftIndex, e.Applied, e.RaftTerm, e.Hash = 1, 4, 4, 2, ""
	e.OwnMembers = []etcdops.Member{{ID: "b00b", Name: f.Nodes[i-1].Env.Name(), PeerURLs: f.Nodes[i-1].Env.PeerURLs()}}
}

// TestMemberStates has every state of procedures §1, on the second of three.
func TestMemberStates(t *testing.T) {
	for _, c := range []struct {
		name        string
		breakIt     func(f *etcdops.Facts)
		want        etcdops.MemberState
		sound, know bool
	}{
		{"healthy", func(*etcdops.Facts) {}, etcdops.StateHealthy, true, true},
		{"learner", func(f *etcdops.Facts) {
			f.Members[1].Learner = true
			e := &f.Nodes[1].Endpoint
			e.Learner, e.Healthy, e.HealthError = true, false, "etcdserver: rpc not supported for learner"
		}, etcdops.StateLearner, true, true},
		{"unstarted", func(f *etcdops.Facts) {
			f.Members[1].Name = ""
			empty(stopped(f, 2))
		}, etcdops.StateUnstarted, false, false},
		{"starting", func(f *etcdops.Facts) { down(f, 2, "activating", "start", "success", "", 0, 0) }, etcdops.StateStarting, false, false},
		{"retrying", func(f *etcdops.Facts) { weird(f, 2) }, etcdops.StateStarting, false, false},
		{"failed", func(f *etcdops.Facts) { killLooped(f, 2) }, etcdops.StateFailed, true, true},
		{"stopped", func(f *etcdops.Facts) { stopped(f, 2) }, etcdops.StateStopped, true, true},
		{"stopped, data gone", func(f *etcdops.Facts) { empty(stopped(f, 2)) }, etcdops.StateStopped, false, true},
		{"stopped, data not readable", func(f *etcdops.Facts) { stopped(f, 2).Data.Error = "permission denied" }, etcdops.StateStopped, false, false},
		{"silent", func(f *etcdops.Facts) { silent(f, 2) }, etcdops.StateNotAnswering, false, false},
		{"suspended", func(f *etcdops.Facts) { hung(f, 2) }, etcdops.StateNotAnswering, true, true},
		{"reads fail", func(f *etcdops.Facts) {
			f.Nodes[1].Endpoint.Healthy, f.Nodes[1].Endpoint.HealthError = false, "context deadline exceeded"
		}, etcdops.StateNotAnswering, false, false},
		{"no quorum", func(f *etcdops.Facts) { stopped(f, 1); stopped(f, 3); noLeader(f) }, etcdops.StateNoQuorum, true, true},
		{"no quorum, still naming the old leader", func(f *etcdops.Facts) {
			stopped(f, 1)
			stopped(f, 3)
			noLeader(f)
			f.Nodes[1].Endpoint.LeaderID = "a001"
		}, etcdops.StateNoQuorum, true, true},
		{"removed", func(f *etcdops.Facts) {
			journal(crashing(f, 2), 77, saysRunning, saysRemoved)
			f.Members = slices.Delete(f.Members, 1, 2)
		}, etcdops.StateRemoved, false, true},
		{"unreachable", func(f *etcdops.Facts) { unreachable(f, 2) }, etcdops.StateUnreachable, false, false},
		{"unreachable by SSH, etcd well", func(f *etcdops.Facts) {
			e := f.Nodes[1].Endpoint
			unreachable(f, 2)
			e.Via = "master-1"
			f.Nodes[1].Endpoint = e
		}, etcdops.StateHealthy, true, true},
		{"wrong cluster", func(f *etcdops.Facts) { alone(f, 2) }, etcdops.StateWrongCluster, false, true},
		{"inconsistent", func(f *etcdops.Facts) { f.Nodes[1].Endpoint.Hash = "bad" }, etcdops.StateInconsistent, false, true},
		{"nothing known of the unit", func(f *etcdops.Facts) {
			n := silent(f, 2)
			n.Unit, n.Running = etcdops.UnitFacts{}, nil
		}, etcdops.StateUnknown, false, false},
		{"waiting for quorum", func(f *etcdops.Facts) {
			stopped(f, 1)
			stopped(f, 3)
			n := down(f, 2, "activating", "start", "success", "", 0, 0)
			n.Unit.MainPID = 1002
			journal(n, 1002, saysRunning, saysElection)
			noLeader(f)
		}, etcdops.StateStarting, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := cluster(3)
			c.breakIt(&f)
			v := Diagnose(f)
			m, ok := v.MemberOn("master-2")
			if !ok || m.State != c.want || m.Sound != c.sound || m.SoundKnown != c.know {
				t.Errorf("got %s sound=%v known=%v, want %s sound=%v known=%v\n%s",
					m.State, m.Sound, m.SoundKnown, c.want, c.sound, c.know, describe(v))
			}
			if m.Healthy != (m.State == etcdops.StateHealthy) {
				t.Errorf("healthy=%v in state %s", m.Healthy, m.State)
			}
			checkWords(t, v)
		})
	}
}

// TestSplit: an empty cluster of one beside the others is named, and the
// membership is the real cluster's even where the facts carry the other one's.
func TestSplit(t *testing.T) {
	for _, c := range []verdictCase{
		{"one came up alone, quorum holds", brokenBy(3, func(f *etcdops.Facts) { alone(f, 2) }),
			split, "cluster-id-mismatch master-2", rejoin, "master-2", false},
		{"one came up alone, a survivor without quorum", brokenBy(3, func(f *etcdops.Facts) {
			wiped(f, 1)
			noLeader(f)
			alone(f, 2)
			e := f.Nodes[1].Endpoint
			f.Members, f.MembersFrom = e.OwnMembers, "linearizable"
			f.Members[0].Node = "master-2"
		}), split, "cluster-id-mismatch master-2", salvage, "master-3", false},
		{"each in a cluster of its own", brokenBy(2, func(f *etcdops.Facts) {
			alone(f, 1)
			alone(f, 2)
			f.Nodes[1].Endpoint.ClusterID = "77"
		}), split, "quorum-lost", none, "", true},
		{"the lone one is the newer", brokenBy(3, func(f *etcdops.Facts) {
			alone(f, 2)
			f.Nodes[1].Endpoint.Revision = 400000
		}), split, "cluster-id-mismatch master-2", none, "", true},
		{"two leaders in one term", brokenBy(3, func(f *etcdops.Facts) { f.Nodes[2].Endpoint.LeaderID = "a003" }),
			split, "", none, "", true},
		{"leader changed between two questions", brokenBy(3, func(f *etcdops.Facts) {
			f.Nodes[2].Endpoint.LeaderID, f.Nodes[2].Endpoint.RaftTerm = "a003", 6
		}), healthy, "", none, "", false},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, c) })
	}
}

// TestOutsideCauses: nothing outside the data leads to a rejoin or a restore.
func TestOutsideCauses(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		name, cause string
		breakIt     func(n *etcdops.NodeFacts)
	}{
		{"expired certificate", "cert-expired", func(n *etcdops.NodeFacts) {
			n.Certs = []etcdops.CertFacts{{Path: "/p.pem", Use: "peer", NotBefore: when.AddDate(-1, 0, 0), NotAfter: when.Add(-time.Hour), KeyMatches: &yes}}
		}},
		{"certificate of tomorrow", "cert-expired", func(n *etcdops.NodeFacts) {
			n.Certs = []etcdops.CertFacts{{Path: "/p.pem", Use: "server", NotBefore: when.Add(time.Hour), NotAfter: when.AddDate(1, 0, 0)}}
		}},
		{"key of another certificate", "cert-bad", func(n *etcdops.NodeFacts) {
			n.Certs = []etcdops.CertFacts{{Path: "/p.pem", Use: "peer", NotBefore: when.Add(-time.Hour), NotAfter: when.AddDate(1, 0, 0), KeyMatches: &no}}
		}},
		{"other authority", "cert-bad", func(n *etcdops.NodeFacts) {
			n.Certs = []etcdops.CertFacts{{Path: "/p.pem", Use: "peer", NotBefore: when.Add(-time.Hour), NotAfter: when.AddDate(1, 0, 0), ChainOK: &no}}
		}},
		{"certificate missing", "cert-bad", func(n *etcdops.NodeFacts) {
			n.Certs = []etcdops.CertFacts{{Path: "/p.pem", Use: "peer", Error: "missing"}}
		}},
		{"disk full", "disk-full", func(n *etcdops.NodeFacts) { n.Data.FreeBytes = 4096 }},
		{"no inodes", "disk-full", func(n *etcdops.NodeFacts) { n.Data.FreeInodes = 0 }},
		{"WAL's disk full", "disk-full", func(n *etcdops.NodeFacts) { n.WAL.FreeBytes = 0 }},
		{"owner root", "permission", func(n *etcdops.NodeFacts) { n.Data.Owner = "root" }},
		{"port held", "port-in-use", func(n *etcdops.NodeFacts) {
			n.Ports[1] = etcdops.PortFact{Port: 2380, Use: "peer", Listening: true, PID: 9, Process: "haproxy"}
		}},
		{"port held by another etcd", "port-in-use", func(n *etcdops.NodeFacts) {
			n.Ports[1] = etcdops.PortFact{Port: 2380, Use: "peer", Listening: true, PID: 9, Process: "etcd"}
			n.Unit.Active, n.Unit.Sub = "failed", "failed"
		}},
		{"port held by another etcd, while it is tried again", "port-in-use", func(n *etcdops.NodeFacts) {
			n.Ports[1] = etcdops.PortFact{Port: 2380, Use: "peer", Listening: true, PID: 9, Process: "etcd"}
			journal(n, 2002, saysRunning, saysPort)
		}},
		{"env file missing", "bad-config", func(n *etcdops.NodeFacts) { n.Env = etcdops.EnvFacts{Path: "/etc/etcd.env"} }},
		{"env file broken", "bad-config", func(n *etcdops.NodeFacts) { n.Env.Error = "line 3: not an assignment" }},
		{"unit unknown", "bad-config", func(n *etcdops.NodeFacts) {
			n.Unit.Load, n.Unit.Active, n.Unit.Sub, n.Unit.ExitCode, n.Unit.Result = "not-found", "inactive", "dead", "", "success"
		}},
		{"out of memory", "oom-killed", func(n *etcdops.NodeFacts) {
			n.Unit.Result, n.Unit.ExitCode, n.Unit.ExitStatus = "oom-kill", "killed", 9
			n.OOM = []string{"Out of memory: Killed process 1002 (etcd)"}
		}},
		{"masked", "stopped-by-supervisor", func(n *etcdops.NodeFacts) {
			n.Unit.Active, n.Unit.Sub, n.Unit.UnitFile = "inactive", "dead", "masked"
		}},
		{"clock off", "clock-skew", func(n *etcdops.NodeFacts) { n.Host.SkewMillis, n.Host.SkewErrorMillis = 30000, 20 }},
	} {
		for _, withBadData := range []bool{false, true} {
			name := c.name
			if withBadData {
				name += ", and the log says that the db is broken"
			}
			t.Run(name, func(t *testing.T) {
				f := cluster(3)
				n := crashing(&f, 2)
				if withBadData {
					journal(n, 2002, saysRunning, saysBadDB)
				}
				c.breakIt(n)
				v := Diagnose(f)
				if len(v.Causes) == 0 || !slices.ContainsFunc(v.CausesOn("master-2"), func(o etcdops.Cause) bool { return o.ID == c.cause }) {
					t.Errorf("%s is not among the causes\n%s", c.cause, describe(v))
				}
				if !withBadData && v.Causes[0].ID != c.cause {
					t.Errorf("the best cause is %s\n%s", v.Causes[0].ID, describe(v))
				}
				if p := v.Recommended.Procedure; p != fixCause {
					t.Errorf("recommended %s\n%s", p, describe(v))
				}
				if len(OutsideCauses(v, "master-2")) == 0 {
					t.Error("no cause outside the data for the guard")
				}
				checkWords(t, v)
			})
		}
	}
}

// TestHealthyWithFaults: what hurts later is named while all is well, and what
// etcd lives with is not made a procedure of.
func TestHealthyWithFaults(t *testing.T) {
	for _, c := range []verdictCase{
		{"expired", brokenBy(3, func(f *etcdops.Facts) {
			f.Nodes[1].Certs = []etcdops.CertFacts{{Path: "/p.pem", Use: "peer", NotAfter: when.Add(-time.Hour)}}
		}), healthy, "cert-expired master-2", fixCause, "master-2", false},
		{"clock", brokenBy(3, func(f *etcdops.Facts) { f.Nodes[1].Host.SkewMillis = 5000 }), healthy, "clock-skew master-2", none, "", false},
		{"operator's clock", brokenBy(3, func(f *etcdops.Facts) {
			for i := range f.Nodes {
				f.Nodes[i].Host.SkewMillis = 60000
			}
		}), healthy, "", none, "", false},
		{"quota", brokenBy(3, func(f *etcdops.Facts) { f.Nodes[1].Endpoint.Alarms = []string{"NOSPACE"} }),
			degraded, "nospace-alarm master-2", fixCause, "master-2", false},
		{"alarm CORRUPT on the odd one", brokenBy(3, func(f *etcdops.Facts) {
			corruptAlarm(f, 2)
			f.Nodes[1].Endpoint.Hash = "bad"
		}), degraded, "data-inconsistent master-2", rejoin, "master-2", false},
		{"alarm CORRUPT, equal hashes", brokenBy(3, func(f *etcdops.Facts) { corruptAlarm(f, 2) }),
			degraded, "data-inconsistent master-2", none, "", true},
		{"hashes at different compactions", brokenBy(3, func(f *etcdops.Facts) {
			f.Nodes[1].Endpoint.Hash, f.Nodes[1].Endpoint.CompactRevision = "other", 299000
		}), healthy, "", none, "", false},
		{"two against two", brokenBy(4, func(f *etcdops.Facts) {
			f.Nodes[0].Endpoint.Hash, f.Nodes[1].Endpoint.Hash = "bad", "bad"
		}), healthy, "data-inconsistent", none, "", true},
		{"ssh to one fails", brokenBy(3, func(f *etcdops.Facts) {
			e := f.Nodes[1].Endpoint
			unreachable(f, 2)
			f.Nodes[1].Endpoint = e
		}), healthy, "", fixCause, "master-2", false},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, c) })
	}
}

// corruptAlarm: etcd refuses requests on every member then.
func corruptAlarm(f *etcdops.Facts, i int) {
	f.Nodes[i-1].Endpoint.Alarms = []string{"CORRUPT"}
	for k := range f.Nodes {
		f.Nodes[k].Endpoint.Healthy, f.Nodes[k].Endpoint.HealthError = false, "rpc error: etcdserver: corrupt cluster"
	}
}

// TestHistory: what a later start got over is not a cause of today's trouble.
func TestHistory(t *testing.T) {
	for _, c := range []struct {
		name      string
		breakIt   func(f *etcdops.Facts)
		cause     string
		procedure etcdops.Procedure
	}{
		{"broken hours ago, served since, stopped now", func(f *etcdops.Facts) {
			n := stopped(f, 2)
			journal(n, 11, saysRunning, saysBadDB)
			journal(n, 12, saysRunning, saysServing)
		}, "stopped-by-supervisor", restart},
		{"broken hours ago, served since, fails unknown now", func(f *etcdops.Facts) {
			n := crashing(f, 2)
			journal(n, 11, saysRunning, saysBadDB)
			journal(n, 12, saysRunning, saysServing)
			journal(n, 13, saysRunning, saysWeird)
		}, "unknown", none},
		{"broken a moment ago, the next start has only begun", func(f *etcdops.Facts) {
			n := crashing(f, 2)
			journal(n, 11, saysRunning, saysServing)
			journal(n, 12, saysRunning, saysBadDB)
			journal(n, 13, saysRunning)
		}, "db-corrupt", rejoin},
		{"broken, then its data were read and it waits", func(f *etcdops.Facts) {
			n := silent(f, 2)
			n.Unit.SinceSeconds = 5
			journal(n, 12, saysRunning, saysBadDB)
			journal(n, 1002, saysRunning, saysElection)
		}, "", none},
		{"looks for its peers for a day beside a quorum", func(f *etcdops.Facts) {
			journal(silent(f, 2), 1002, saysRunning, saysElection)
		}, "unknown", restart},
		{"lost its WAL once, it is back", func(f *etcdops.Facts) {
			n := crashing(f, 2)
			journal(n, 12, saysRunning, saysBoot)
		}, "unknown", none},
		{"the last exit was a kill, not the error before it", func(f *etcdops.Facts) {
			n := killLooped(f, 2)
			journal(n, 12, saysRunning, saysBadDB)
			journal(n, 13, saysRunning)
		}, "unknown", restart},
		{"removed once, a member again under another id", func(f *etcdops.Facts) {
			n := stopped(f, 2)
			journal(n, 12, saysRunning, saysRemoved)
		}, "stopped-by-supervisor", restart},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := cluster(3)
			c.breakIt(&f)
			v := Diagnose(f)
			best := ""
			if len(v.Causes) > 0 {
				best = v.Causes[0].ID
			}
			if best != c.cause || v.Recommended.Procedure != c.procedure {
				t.Errorf("got %q, %s; want %q, %s\n%s", best, v.Recommended.Procedure, c.cause, c.procedure, describe(v))
			}
		})
	}
}

// TestGuardsAgree: the functions for guards say what the verdict says.
func TestGuardsAgree(t *testing.T) {
	f := cluster(3)
	empty(stopped(&f, 2))
	f.Nodes[2].Endpoint.Hash = "bad"
	f.Nodes[0].Endpoint.Hash = "c0ffee"
	v := Diagnose(f)
	if q := QuorumOf(f); q != v.Quorum || q.Voters != 3 || q.Needed != 2 {
		t.Errorf("quorum %+v, in the verdict %+v", q, v.Quorum)
	}
	var names []string
	for _, m := range HealthyVoters(f) {
		names = append(names, m.Name)
	}
	if len(names) != v.Quorum.Healthy {
		t.Errorf("healthy voters %v, quorum %+v", names, v.Quorum)
	}
	if !LogGone(f, "master-2") || LogGone(f, "master-1") || LogGone(f, "nowhere") {
		t.Error("log-gone is wrong")
	}
	if sound, isKnown := IsSound(v, "master-2"); sound || !isKnown {
		t.Errorf("master-2: sound=%v known=%v", sound, isKnown)
	}
	if len(DataCauses(v, "master-2")) != 1 || len(OutsideCauses(v, "master-2")) != 0 {
		t.Errorf("causes on master-2: %v", v.CausesOn("master-2"))
	}
	if odd, undecided := OddOnes(f); len(odd) != 0 || strings.Join(undecided, " ") != "master-1 master-3" {
		t.Errorf("odd %v, undecided %v", odd, undecided)
	}
	if id, others := ClusterID(f); id != theCluster || len(others) != 0 {
		t.Errorf("cluster %q, others %v", id, others)
	}
}

// TestRebooted: a host that went down under etcd is no reason for more than a
// restart.
func TestRebooted(t *testing.T) {
	f := cluster(3)
	n := down(&f, 2, "inactive", "dead", "success", "", 0, 0)
	n.Host.UptimeSeconds = 120
	journal(n, 12, saysRunning, saysServing)
	v := Diagnose(f)
	if v.Causes[0].ID != "host-crash" || v.Recommended.Procedure != restart {
		t.Error(describe(v))
	}
	if sound, isKnown := IsSound(v, "master-2"); sound || isKnown {
		t.Error("what a crash left of the data is not known before a start")
	}
}
