package lab

import (
	"context"
	"fmt"
	"os"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// statusSchema is the version of Status as JSON.
const statusSchema = "novatui/lab/v1"

// Status is what a lab is doing. It is the answer of "novatui lab status -o json".
type Status struct {
	Schema      string       `json:"schema"`
	Cluster     string       `json:"cluster"`
	Dir         string       `json:"dir"`
	ClusterFile string       `json:"cluster_file"`
	Supervisor  int          `json:"supervisor_pid"`
	Nodes       []NodeStatus `json:"nodes"`
	Snapshot    SnapshotInfo `json:"snapshot"`
}

// NodeStatus is one node of a lab.
type NodeStatus struct {
	Name       string       `json:"name"`
	Member     string       `json:"member"`
	Root       string       `json:"root"`
	SSHPort    int          `json:"ssh_port"`
	ClientPort int          `json:"client_port"`
	PeerPort   int          `json:"peer_port"`
	Unit       UnitStatus   `json:"unit"`
	Faults     []FaultState `json:"faults"` // injected and not overcome: cleared when etcd comes up again
	Etcd       EtcdStatus   `json:"etcd"`
}

// UnitStatus is the node's etcd.service as systemctl show has it.
type UnitStatus struct {
	Load     string `json:"load"`
	Active   string `json:"active"`
	Sub      string `json:"sub"`
	Result   string `json:"result"`
	UnitFile string `json:"unit_file"`
	PID      int    `json:"pid"`
	Restarts int    `json:"restarts"`
}

// EtcdStatus is what the node's member answers within a second.
type EtcdStatus struct {
	// Healthy: a linearizable read through this member succeeded.
	Healthy   bool   `json:"healthy"`
	Error     string `json:"error,omitempty"`
	Answers   bool   `json:"answers"` // to Status, which needs no quorum
	MemberID  string `json:"member_id,omitempty"`
	ClusterID string `json:"cluster_id,omitempty"`
	Leader    bool   `json:"leader"`
	HasLeader bool   `json:"has_leader"`
	Learner   bool   `json:"learner"`
	Version   string `json:"version,omitempty"`
	Revision  int64  `json:"revision"`
	RaftIndex uint64 `json:"raft_index"`
	DBSize    int64  `json:"db_size_bytes"`
}

// status collects a Status, asking all members at once.
func (s *supervisor) status(ctx context.Context) Status {
	s.snapshotMu.Lock()
	snapshot := s.snapshot
	s.snapshotMu.Unlock()
	out := Status{
		Schema: statusSchema, Cluster: s.Cluster, Dir: s.Dir, ClusterFile: clusterFile(s.Dir),
		Supervisor: os.Getpid(), Snapshot: snapshot, Nodes: []NodeStatus{},
	}
	health := s.health(ctx, s.nodes)
	for i, n := range s.nodes {
		st, c := n.etcd().state()
		ns := NodeStatus{
			Name: n.Name, Member: n.Member, Root: n.Root, SSHPort: n.SSHPort, ClientPort: n.ClientPort,
			PeerPort: n.PeerPort, Faults: n.faultStates(), Etcd: health[i],
			Unit: UnitStatus{
				Load: c.Load, Active: st.Active(), Sub: st.Sub, Result: st.Result,
				UnitFile: unitFileState(n.Root, unitEtcd), PID: st.MainPID, Restarts: st.Restarts,
			},
		}
		if ns.Faults == nil {
			ns.Faults = []FaultState{}
		}
		out.Nodes = append(out.Nodes, ns)
	}
	return out
}

// health asks members at once, each for at most healthTime.
func (s *supervisor) health(ctx context.Context, nodes []*node) []EtcdStatus {
	out := make([]EtcdStatus, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer s.recovered("health check")
			out[i] = memberHealth(ctx, n.nodeInfo)
		}()
	}
	wg.Wait()
	return out
}

// memberHealth asks one member for its status and then for a linearizable read.
func memberHealth(ctx context.Context, n nodeInfo) EtcdStatus {
	var h EtcdStatus
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	c, err := dialEtcd(n)
	if err != nil {
		h.Error = err.Error()
		return h
	}
	defer c.Close()
	st, err := c.Status(ctx, n.clientURL())
	if err != nil {
		h.Error = err.Error()
		return h
	}
	h.Answers, h.Version, h.Learner, h.DBSize = true, st.Version, st.IsLearner, st.DbSize
	h.MemberID = fmt.Sprintf("%x", st.Header.MemberId)
	h.ClusterID = fmt.Sprintf("%x", st.Header.ClusterId)
	h.Leader, h.HasLeader = st.Leader == st.Header.MemberId, st.Leader != 0
	h.Revision, h.RaftIndex = st.Header.Revision, st.RaftIndex
	if _, err := c.Get(ctx, "health", clientv3.WithCountOnly()); err != nil {
		h.Error = err.Error()
		return h
	}
	h.Healthy = true
	return h
}
