package diagnosis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
)

// The tests judge a cluster whose members are etcd1 … etcdN on master-1 …
// master-N. cluster gives it in good health; the functions below break it the
// way the facts of a really broken one look.

const theCluster = "dae05cd826ec589"

var when = time.Date(2026, 11, 3, 14, 3, 20, 0, time.UTC)

func cluster(n int) etcdops.Facts {
	f := etcdops.Facts{
		Config:      etcdops.Config{Cluster: "nova-prod", Unit: "etcd.service"},
		CollectedAt: when, MembersFrom: "linearizable", HashRevision: 301117,
	}
	var initial []string
	for i := 1; i <= n; i++ {
		initial = append(initial, fmt.Sprintf("etcd%d=https://10.0.0.%d:2380", i, i))
	}
	for i := 1; i <= n; i++ {
		node, name := fmt.Sprintf("master-%d", i), fmt.Sprintf("etcd%d", i)
		peer, client := fmt.Sprintf("https://10.0.0.%d:2380", i), fmt.Sprintf("https://10.0.0.%d:2379", i)
		id := fmt.Sprintf("%x", 0xa000+i)
		f.Members = append(f.Members, etcdops.Member{
			ID: id, Name: name, PeerURLs: []string{peer}, ClientURLs: []string{client}, Node: node,
		})
		f.Nodes = append(f.Nodes, etcdops.NodeFacts{
			Node: node, Address: fmt.Sprintf("10.0.0.%d", i), Reachable: true,
			Host: etcdops.HostFacts{Hostname: node, UptimeSeconds: 900000},
			Unit: etcdops.UnitFacts{
				Name: "etcd.service", Load: "loaded", Active: "active", Sub: "running", Result: "success",
				UnitFile: "enabled", MainPID: 1000 + i, SinceSeconds: 86400, Restart: "always", User: "etcd",
			},
			Ports: []etcdops.PortFact{
				{Port: 2379, Use: "client", Listening: true, PID: 1000 + i, Process: "etcd"},
				{Port: 2380, Use: "peer", Listening: true, PID: 1000 + i, Process: "etcd"},
			},
			Env: etcdops.EnvFacts{Path: "/etc/etcd.env", Exists: true, Values: map[string]string{
				"ETCD_NAME": name, "ETCD_DATA_DIR": "/var/lib/etcd", "ETCD_INITIAL_ADVERTISE_PEER_URLS": peer,
				"ETCD_ADVERTISE_CLIENT_URLS": client, "ETCD_INITIAL_CLUSTER": strings.Join(initial, ","),
				"ETCD_INITIAL_CLUSTER_STATE": "existing", "ETCD_INITIAL_CLUSTER_TOKEN": "nova",
			}},
			Data: etcdops.DirFacts{
				Path: "/var/lib/etcd", Exists: true, Owner: "etcd", Group: "etcd", Mode: "0700",
				HasMember: true, HasDB: true, DBBytes: 150 << 20, HasWAL: true,
				FreeBytes: 40 << 30, TotalBytes: 80 << 30, FreeInodes: 1 << 20,
			},
			WAL:     etcdops.DirFacts{Path: "/var/lib/etcd/member/wal", Exists: true, HasWAL: true, FreeBytes: 40 << 30, TotalBytes: 80 << 30, FreeInodes: 1 << 20},
			Running: []etcdops.ProcessFacts{{PID: 1000 + i, Argv: []string{"/opt/etcd/etcd"}}},
			Endpoint: etcdops.EndpointFacts{
				ClientURL: client, Asked: true, Answers: true, Healthy: true, ClusterID: theCluster, MemberID: id,
				Version: "3.7.3", LeaderID: "a001", RaftTerm: 5, RaftIndex: 376222, Applied: 376222,
				Revision: 301117, Hash: "c0ffee", CompactRevision: 300000, OwnMembers: f.Members,
			},
		})
	}
	for i := range f.Nodes {
		f.Nodes[i].Endpoint.OwnMembers = f.Members
	}
	return f
}

// silent takes the answers of a node's etcd away.
func silent(f *etcdops.Facts, i int) *etcdops.NodeFacts {
	n := &f.Nodes[i-1]
	n.Endpoint = etcdops.EndpointFacts{ClientURL: n.Endpoint.ClientURL, Asked: true, Error: "context deadline exceeded"}
	return n
}

// down makes a unit look ended; the process is gone and its ports are free.
func down(f *etcdops.Facts, i int, active, sub, result, code string, status, restarts int) *etcdops.NodeFacts {
	n := silent(f, i)
	n.Unit.Active, n.Unit.Sub, n.Unit.Result = active, sub, result
	n.Unit.ExitCode, n.Unit.ExitStatus, n.Unit.Restarts, n.Unit.MainPID = code, status, restarts, 0
	n.Running = nil
	for k := range n.Ports {
		n.Ports[k] = etcdops.PortFact{Port: n.Ports[k].Port, Use: n.Ports[k].Use}
	}
	return n
}

func stopped(f *etcdops.Facts, i int) *etcdops.NodeFacts {
	return down(f, i, "inactive", "dead", "success", "killed", 15, 0)
}

func crashing(f *etcdops.Facts, i int) *etcdops.NodeFacts {
	return down(f, i, "activating", "auto-restart", "exit-code", "exited", 2, 14)
}

func killLooped(f *etcdops.Facts, i int) *etcdops.NodeFacts {
	return down(f, i, "failed", "failed", "start-limit-hit", "killed", 9, 5)
}

func hung(f *etcdops.Facts, i int) *etcdops.NodeFacts {
	n := silent(f, i)
	n.Running[0].StoppedState = true
	return n
}

func unreachable(f *etcdops.Facts, i int) {
	n := f.Nodes[i-1]
	f.Nodes[i-1] = etcdops.NodeFacts{Node: n.Node, Address: n.Address, ErrorKind: "unreachable", Error: "dial tcp: i/o timeout"}
}

// noLeader makes the endpoints that still answer look as without quorum.
func noLeader(f *etcdops.Facts) {
	f.MembersFrom = "local"
	f.HashRevision = 0
	for i := range f.Nodes {
		if e := &f.Nodes[i].Endpoint; e.Answers {
			e.Healthy, e.HealthError, e.LeaderID, e.Hash = false, "context deadline exceeded", "", ""
			e.Errors = []string{"etcdserver: no leader"}
		}
	}
}

// empty takes a node's data away.
func empty(n *etcdops.NodeFacts) {
	n.Data.HasMember, n.Data.HasDB, n.Data.HasWAL, n.Data.DBBytes, n.Data.Empty = false, false, false, 0, true
	n.WAL.HasWAL, n.WAL.Exists = false, false
}

// journal gives a node log lines of one process, one a second.
func journal(n *etcdops.NodeFacts, pid int, lines ...string) {
	from := len(n.Journal)
	for i, text := range lines {
		n.Journal = append(n.Journal, etcdops.LogLine{
			N: from + i + 1, Time: when.Add(time.Duration(from+i-600) * time.Second), PID: pid, Unit: "etcd", Text: text,
		})
	}
}

const (
	saysRunning  = `{"level":"info","ts":"2026-11-03T14:00:00Z","caller":"etcdmain/etcd.go:63","msg":"Running: ","args":["/opt/etcd/etcd"]}`
	saysServing  = `{"level":"info","ts":"2026-11-03T14:00:00Z","caller":"embed/serve.go:139","msg":"ready to serve client requests"}`
	saysSlowDisk = `{"level":"warn","ts":"2026-11-03T14:00:00Z","caller":"wal/wal.go:805","msg":"slow fdatasync","took":"1.9s","expected-duration":"1s"}`
	saysElection = `{"level":"info","ts":"2026-11-03T14:00:00Z","logger":"raft","caller":"v3@v3.7.0/raft.go:988","msg":"a002 is starting a new election at term 5"}`
	saysBadDB    = `{"level":"panic","ts":"2026-11-03T14:00:00Z","caller":"backend/backend.go:215","msg":"failed to open database","path":"/var/lib/etcd/member/snap/db","error":"invalid database"}`
	saysBadWAL   = `{"level":"fatal","ts":"2026-11-03T14:00:00Z","caller":"etcdmain/etcd.go:157","msg":"discovery failed","error":"walpb: crc mismatch: expected: efc3b5ee computed: d5e24308: in file '0000000000000000-0000000000000000.wal' at position: 1016"}`
	saysBoot     = `{"level":"fatal","ts":"2026-11-03T14:00:00Z","caller":"etcdmain/etcd.go:157","msg":"discovery failed","error":"member a002 has already been bootstrapped"}`
	saysLostLog  = `panic: tocommit(159) is out of range [lastIndex(58)]. Was the raft log corrupted, truncated, or lost?`
	saysRemoved  = `{"level":"warn","ts":"2026-11-03T14:00:00Z","caller":"etcdserver/server.go:849","msg":"server error","error":"the member has been permanently removed from the cluster"}`
	saysPort     = `{"level":"fatal","ts":"2026-11-03T14:00:00Z","caller":"etcdmain/etcd.go:157","msg":"discovery failed","error":"listen tcp 10.0.0.2:2380: bind: address already in use"}`
	saysNoSpace  = `{"level":"fatal","ts":"2026-11-03T14:00:00Z","caller":"backend/batch_tx.go:248","msg":"failed to commit tx","error":"write /var/lib/etcd/member/snap/db: no space left on device"}`
	saysWeird    = `{"level":"fatal","ts":"2026-11-03T14:00:00Z","caller":"etcdmain/etcd.go:157","msg":"discovery failed","error":"something nobody has seen"}`
)

// badDB breaks the database of a member, and so on.
func badDB(f *etcdops.Facts, i int) *etcdops.NodeFacts {
	n := crashing(f, i)
	journal(n, 2000+i, saysRunning, saysBadDB, "panic: failed to open database")
	return n
}

func badWAL(f *etcdops.Facts, i int) *etcdops.NodeFacts {
	n := crashing(f, i)
	n.Unit.ExitStatus = 1
	journal(n, 2000+i, saysRunning, saysBadWAL)
	return n
}

func wiped(f *etcdops.Facts, i int) *etcdops.NodeFacts {
	n := crashing(f, i)
	n.Unit.ExitStatus = 1
	n.Env.Values["ETCD_INITIAL_CLUSTER_STATE"] = "new"
	empty(n)
	journal(n, 2000+i, saysRunning, strings.Replace(saysBoot, "a002", fmt.Sprintf("a00%d", i), 1))
	return n
}

func staleData(f *etcdops.Facts, i int) *etcdops.NodeFacts {
	n := crashing(f, i)
	journal(n, 2000+i, saysRunning, saysElection, saysLostLog, "", "goroutine 120 [running]:")
	return n
}

func weird(f *etcdops.Facts, i int) *etcdops.NodeFacts {
	n := crashing(f, i)
	n.Unit.ExitStatus = 1
	journal(n, 2000+i, saysRunning, saysWeird)
	return n
}

type verdictCase struct {
	name  string
	facts func() etcdops.Facts
	state etcdops.ClusterState
	// cause is the best cause, "ID node"; empty where there is none.
	cause     string
	procedure etcdops.Procedure
	nodes     string
	unsafe    bool
}

// broken makes a cluster of n and breaks it.
func brokenBy(n int, breakIt func(f *etcdops.Facts)) func() etcdops.Facts {
	return func() etcdops.Facts {
		f := cluster(n)
		breakIt(&f)
		return f
	}
}

func check(t *testing.T, c verdictCase) {
	t.Helper()
	v := Diagnose(c.facts())
	best := ""
	if len(v.Causes) > 0 {
		best = strings.TrimSpace(v.Causes[0].ID + " " + v.Causes[0].Node)
	}
	nodes := strings.Join(v.Recommended.Nodes, " ")
	if v.State != c.state || best != c.cause || v.Recommended.Procedure != c.procedure || nodes != c.nodes ||
		v.Recommended.Unsafe != c.unsafe {
		t.Errorf("got  %s, %q, %s [%s] unsafe=%v\nwant %s, %q, %s [%s] unsafe=%v\n%s",
			v.State, best, v.Recommended.Procedure, nodes, v.Recommended.Unsafe,
			c.state, c.cause, c.procedure, c.nodes, c.unsafe, describe(v))
	}
	checkWords(t, v)
}

// describe prints a verdict as a person would see it.
func describe(v etcdops.Verdict) string {
	p := msg.New("en")
	var b strings.Builder
	fmt.Fprintf(&b, "  %s\n  %s\n  quorum %+v\n", p.S(v.Headline), p.S(v.Second), v.Quorum)
	for _, m := range v.Members {
		fmt.Fprintf(&b, "  %-8s %-9s %-14s sound=%v known=%v lag=%d  %s\n",
			m.Node, m.Member.Name, m.State, m.Sound, m.SoundKnown, m.Lag, p.S(m.Why))
	}
	for _, c := range v.Causes {
		fmt.Fprintf(&b, "  %s %s (%s) data=%v outside=%v: %s\n", c.ID, c.Node, c.Confidence, c.Data, c.Outside, p.S(c.Why))
		for _, e := range c.Evidence {
			fmt.Fprintf(&b, "      %s %s:%d %.150s\n", e.Source, e.Node, e.Line, e.Text)
		}
	}
	fmt.Fprintf(&b, "  → %s %v %s\n", v.Recommended.Procedure, v.Recommended.Nodes, p.S(v.Recommended.Why))
	return b.String()
}

// checkWords makes sure that every sentence of a verdict exists in both
// languages and has all its arguments.
func checkWords(t *testing.T, v etcdops.Verdict) {
	t.Helper()
	all := []msg.Msg{v.Headline, v.Recommended.Why}
	if !v.Second.Zero() {
		all = append(all, v.Second)
	}
	for _, m := range v.Members {
		all = append(all, m.Why)
	}
	for _, c := range v.Causes {
		all = append(all, c.Title, c.Why)
		all = append(append(all, c.Do...), c.DoNot...)
	}
	for _, lang := range msg.Languages {
		p := msg.New(lang)
		for _, m := range all {
			s := p.S(m)
			if s == "" || strings.Contains(s, "<no value>") || strings.HasPrefix(s, "diagnosis.") || strings.Contains(s, "map[") {
				t.Errorf("%s: %s comes out as %q", lang, m.ID, s)
			}
		}
	}
}
