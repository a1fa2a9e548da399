package workflows

import (
	"fmt"
	"strings"
	"time"

	"github.com/novatui/novatui/etcdops"
)

// factsOf builds the facts of a cluster of n nodes that are all healthy, as
// Collect would: the tests then break what they are about.
func factsOf(n int) (etcdops.Facts, etcdops.Verdict) {
	f := etcdops.Facts{
		Config: etcdops.Config{
			Cluster: "nova-test", Environment: "lab", Platform: "systemd", Unit: "etcd.service",
			EnvFile: "/etc/etcd.env", BinDir: "/opt/etcd",
		},
		CollectedAt: time.Date(2026, 11, 3, 14, 3, 14, 0, time.UTC), MembersFrom: "linearizable", HashRevision: 1000,
	}
	v := etcdops.Verdict{
		State:  etcdops.ClusterHealthy,
		Quorum: etcdops.Quorum{Voters: n, Healthy: n, Needed: n/2 + 1, Holds: true},
	}
	var parts []string
	for i := 1; i <= n; i++ {
		parts = append(parts, fmt.Sprintf("etcd%d=https://10.0.0.%d:2380", i, i))
	}
	for i := 1; i <= n; i++ {
		node, name := fmt.Sprintf("master-%d", i), fmt.Sprintf("etcd%d", i)
		m := etcdops.Member{
			ID: fmt.Sprintf("%x", 0xa0+i), Name: name, Node: node,
			PeerURLs:   []string{fmt.Sprintf("https://10.0.0.%d:2380", i)},
			ClientURLs: []string{fmt.Sprintf("https://10.0.0.%d:2379", i)},
		}
		f.Members = append(f.Members, m)
		v.Members = append(v.Members, etcdops.MemberVerdict{
			Member: m, Node: node, State: etcdops.StateHealthy, Healthy: true, Leader: i == 1, Sound: true, SoundKnown: true,
		})
		f.Nodes = append(f.Nodes, nodeFacts(i, m, strings.Join(parts, ",")))
	}
	return f, v
}

func nodeFacts(i int, m etcdops.Member, initial string) etcdops.NodeFacts {
	return etcdops.NodeFacts{
		Node: m.Node, Address: fmt.Sprintf("10.0.0.%d", i), Reachable: true,
		Host: etcdops.HostFacts{MachineID: fmt.Sprintf("machine%d", i), BootID: fmt.Sprintf("boot%d", i)},
		Unit: etcdops.UnitFacts{Name: "etcd.service", Load: "loaded", Active: "active", Sub: "running", MainPID: 100 + i},
		Env: etcdops.EnvFacts{Path: "/etc/etcd.env", Exists: true, SHA256: "e", Values: map[string]string{
			"ETCD_NAME": m.Name, "ETCD_DATA_DIR": "/var/lib/etcd/data", "ETCD_INITIAL_CLUSTER": initial,
			"ETCD_INITIAL_CLUSTER_STATE": "new", "ETCD_INITIAL_CLUSTER_TOKEN": "k8s_etcd",
			"ETCD_INITIAL_ADVERTISE_PEER_URLS": m.PeerURLs[0], "ETCD_ADVERTISE_CLIENT_URLS": m.ClientURLs[0],
			"ETCD_LISTEN_CLIENT_URLS": m.ClientURLs[0], "ETCD_LISTEN_PEER_URLS": m.PeerURLs[0],
			"ETCDCTL_CACERT": "/etc/ssl/ca.pem", "ETCDCTL_CERT": "/etc/ssl/c.pem", "ETCDCTL_KEY": "/etc/ssl/k.pem",
		}},
		Versions: etcdops.ToolVersions{Etcd: "3.7.3", Etcdctl: "3.7.3", Etcdutl: "3.7.3"},
		Data: etcdops.DirFacts{
			Path: "/var/lib/etcd/data", Exists: true, Owner: "etcd", Group: "etcd", Mode: "0700",
			HasMember: true, HasDB: true, HasWAL: true, FreeBytes: 100 << 30, FreeInodes: -1,
		},
		WAL: etcdops.DirFacts{Path: "/var/lib/etcd/data/member/wal", Exists: true, HasWAL: true},
		Endpoint: etcdops.EndpointFacts{
			ClientURL: m.ClientURLs[0], Asked: true, Answers: true, Healthy: true, ClusterID: "c1", MemberID: m.ID,
			LeaderID: "a1", Version: "3.7.3", RaftTerm: 5, Applied: 5000, RaftIndex: 5000, Revision: 1000,
			DBSize: 20 << 20, Hash: "12345678",
		},
	}
}

// down makes a node's member fail with a cause; an empty cause: it is stopped.
func down(f *etcdops.Facts, v *etcdops.Verdict, i int, cause etcdops.Cause) {
	n := &f.Nodes[i]
	n.Unit.Active, n.Unit.Sub, n.Unit.MainPID = "failed", "failed", 0
	n.Endpoint = etcdops.EndpointFacts{ClientURL: n.Endpoint.ClientURL, Asked: true, Error: "connection refused"}
	m := &v.Members[i]
	m.State, m.Healthy, m.Leader = etcdops.StateFailed, false, false
	if cause.ID != "" {
		cause.Node = n.Node
		v.Causes = append(v.Causes, cause)
		m.Sound = !cause.Data
	}
	v.Quorum.Healthy--
	v.Quorum.Holds = v.Quorum.Healthy >= v.Quorum.Needed
	v.State = etcdops.ClusterDegraded
	if v.Quorum.Holds {
		return
	}
	v.State = etcdops.ClusterQuorumLost
	for j := range f.Nodes {
		if f.Nodes[j].Endpoint.Answers {
			f.Nodes[j].Endpoint.Healthy, f.Nodes[j].Endpoint.LeaderID = false, ""
			v.Members[j].State, v.Members[j].Healthy, v.Members[j].Leader = etcdops.StateNoQuorum, false, false
		}
	}
}

var brokenDB = etcdops.Cause{ID: "db-corrupt", Confidence: etcdops.Certain, Data: true}
