// Package etcdops knows what etcd is: the facts about a cluster and how they
// are collected, member and status calls, the env file, snapshots, the layouts
// of a node, and the commands that a procedure is made of. It asks nodes and
// etcd through remote.Conn only and starts no goroutine.
package etcdops

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config is what the cluster file says about etcd, with every default filled in.
type Config struct {
	Cluster     string `json:"cluster"`
	Environment string `json:"environment"` // production, staging or lab
	Platform    string `json:"platform"`    // auto, systemd, kubeadm or openshift
	// Unit is the systemd unit of etcd ("etcd.service").
	Unit string `json:"unit"`
	// EnvFile and BinDir are as on a real host: a node's Root is put before them.
	EnvFile string `json:"env_file"`
	BinDir  string `json:"bin_dir"`
	// SnapshotDirs are looked through for snapshots, below a node's Root.
	SnapshotDirs []string `json:"snapshot_dirs"`
	// Readyz is the Kubernetes API's readiness URL as seen from a node; empty
	// where there is no API server to ask.
	Readyz string `json:"readyz,omitempty"`
}

// Facts is everything that is known about a cluster at one moment. It is plain
// data without secrets: a plan stores the Facts it was made from. What could
// not be learnt is absent and has an Error beside it, never a default.
type Facts struct {
	Config      Config      `json:"config"`
	CollectedAt time.Time   `json:"collected_at"` // the operator's clock
	Took        Millis      `json:"took_ms"`
	Nodes       []NodeFacts `json:"nodes"` // in the order of the cluster file
	// Members is the membership: the union of what members and data say, in
	// the order of the nodes, members without a node last.
	Members []Member `json:"members"`
	// MembersFrom says how Members was learnt: "linearizable" (quorum
	// confirmed), "local" (one member's own view), "peer" (the peer port of a
	// member without quorum), "env" (only the env files' initial cluster).
	MembersFrom string `json:"members_from"`
	// HashRevision is the revision at which the nodes' Hash was taken; 0 when
	// no common one could be asked for.
	HashRevision int64 `json:"hash_revision"`
}

// Millis is a duration in milliseconds in JSON.
type Millis int64

// Member is one member of the membership.
type Member struct {
	ID         string   `json:"id"`   // hexadecimal, as etcdctl prints it
	Name       string   `json:"name"` // empty while unstarted
	PeerURLs   []string `json:"peer_urls"`
	ClientURLs []string `json:"client_urls"`
	Learner    bool     `json:"learner"`
	// Node is the node whose env file advertises one of PeerURLs; empty when
	// none of ours does.
	Node string `json:"node"`
}

// Unstarted reports whether the member was added and never came up.
func (m Member) Unstarted() bool { return m.Name == "" }

// NodeFacts is what is known about one node and the etcd on it.
type NodeFacts struct {
	Node    string `json:"node"`
	Address string `json:"address"`
	Root    string `json:"root,omitempty"`
	// Reachable says that the probe ran on the node over SSH.
	Reachable bool `json:"reachable"`
	// ErrorKind is unreachable, host-key-unknown, host-key-changed, auth,
	// privilege, timeout or probe; Error has the details.
	ErrorKind string `json:"error_kind,omitempty"`
	Error     string `json:"error,omitempty"`

	Host      HostFacts      `json:"host"`
	Unit      UnitFacts      `json:"unit"`
	Journal   []LogLine      `json:"journal,omitempty"` // of the unit, oldest first
	OOM       []string       `json:"oom,omitempty"`     // kernel lines about etcd
	Ports     []PortFact     `json:"ports,omitempty"`
	Env       EnvFacts       `json:"env"`
	Versions  ToolVersions   `json:"versions"`
	Data      DirFacts       `json:"data"`
	WAL       DirFacts       `json:"wal"` // of the WAL, separate or inside the data directory
	Certs     []CertFacts    `json:"certs,omitempty"`
	Snapshots []SnapshotFile `json:"snapshots,omitempty"`
	Readyz    ReadyzFacts    `json:"readyz"`
	Endpoint  EndpointFacts  `json:"endpoint"`
	// Running are the command lines of etcd processes on the node.
	Running []ProcessFacts `json:"running,omitempty"`
	// Asides are earlier data directories that were set aside beside it.
	Asides []string `json:"asides,omitempty"`
	// Kept are single files that earlier runs left: env files as they were,
	// marks beside the data directory, the drop-in that held the unit down.
	Kept []string `json:"kept,omitempty"`
	// Runs are the folders that earlier runs left on the node.
	Runs []string `json:"runs,omitempty"`
}

// HostFacts identifies the machine and its clock.
type HostFacts struct {
	Hostname  string `json:"hostname"`
	MachineID string `json:"machine_id"`
	BootID    string `json:"boot_id"`
	// UptimeSeconds since the node booted.
	UptimeSeconds int64 `json:"uptime_seconds"`
	// SkewMillis is the node's clock minus the operator's, corrected by half
	// of the round trip; SkewErrorMillis is that half.
	SkewMillis      int64  `json:"skew_ms"`
	SkewErrorMillis int64  `json:"skew_error_ms"` // -1: the clock could not be read
	UID             int    `json:"uid"`           // that commands run with
	Kernel          string `json:"kernel,omitempty"`
}

// UnitFacts is systemctl show of the unit.
type UnitFacts struct {
	Name          string `json:"name"`
	Load          string `json:"load"`      // loaded, masked, not-found
	Active        string `json:"active"`    // active, activating, inactive, failed, …
	Sub           string `json:"sub"`       // running, auto-restart, dead, …
	Result        string `json:"result"`    // success, exit-code, signal, start-limit-hit, timeout, oom-kill, …
	UnitFile      string `json:"unit_file"` // enabled, disabled, masked, masked-runtime
	ExitCode      string `json:"exit_code"` // exited, killed, dumped
	ExitStatus    int    `json:"exit_status"`
	Restarts      int    `json:"restarts"`
	MainPID       int    `json:"main_pid"`
	SinceSeconds  int64  `json:"since_seconds"` // in this state; -1 unknown
	Restart       string `json:"restart"`       // the unit's Restart=
	RestartMillis int64  `json:"restart_ms"`
	User          string `json:"user,omitempty"`
	// Held: our own drop-in keeps the unit from starting (see Host.HoldDown).
	Held bool `json:"held,omitempty"`
	// EnvironmentFiles are the env files that the unit reads, where known.
	EnvironmentFiles []string `json:"environment_files,omitempty"`
}

// Running reports whether the unit's main process is up.
func (u UnitFacts) Running() bool { return u.Active == "active" && u.Sub == "running" }

// Masked reports whether systemd refuses to start the unit.
func (u UnitFacts) Masked() bool {
	return u.Load == "masked" || strings.HasPrefix(u.UnitFile, "masked") || u.Held
}

// LogLine is one line of a journal.
type LogLine struct {
	N    int       `json:"n"` // its number within what was read, from 1
	Time time.Time `json:"time"`
	PID  int       `json:"pid,omitempty"`
	Unit string    `json:"unit,omitempty"` // who wrote: etcd, systemd, kernel
	Text string    `json:"text"`
}

// PortFact says who listens on a port that etcd needs.
type PortFact struct {
	Port      int    `json:"port"`
	Use       string `json:"use"` // client, peer or metrics
	Listening bool   `json:"listening"`
	PID       int    `json:"pid,omitempty"`
	Process   string `json:"process,omitempty"`
}

// EnvFacts is the env file of etcd's unit, parsed as systemd parses it.
type EnvFacts struct {
	Path   string            `json:"path"`
	Exists bool              `json:"exists"`
	SHA256 string            `json:"sha256"`
	Values map[string]string `json:"values,omitempty"` // ETCD_* and ETCDCTL_*; passwords replaced by ***
	Error  string            `json:"error,omitempty"`
}

// Name and the other accessors give the variables that procedures rest on;
// each is empty when the file does not set it.
func (e EnvFacts) Name() string           { return e.Values["ETCD_NAME"] }
func (e EnvFacts) DataDir() string        { return e.Values["ETCD_DATA_DIR"] }
func (e EnvFacts) WALDir() string         { return e.Values["ETCD_WAL_DIR"] }
func (e EnvFacts) Token() string          { return e.Values["ETCD_INITIAL_CLUSTER_TOKEN"] }
func (e EnvFacts) State() string          { return e.Values["ETCD_INITIAL_CLUSTER_STATE"] }
func (e EnvFacts) InitialCluster() string { return e.Values["ETCD_INITIAL_CLUSTER"] }

// PeerURLs is ETCD_INITIAL_ADVERTISE_PEER_URLS, split.
func (e EnvFacts) PeerURLs() []string { return splitList(e.Values["ETCD_INITIAL_ADVERTISE_PEER_URLS"]) }

// ClientURLs is ETCD_ADVERTISE_CLIENT_URLS, split.
func (e EnvFacts) ClientURLs() []string { return splitList(e.Values["ETCD_ADVERTISE_CLIENT_URLS"]) }

// listenPorts are the ports that the file makes etcd listen on, with etcd's
// own defaults where it says nothing.
func (e EnvFacts) listenPorts() []PortFact {
	var ports []PortFact
	for _, l := range []struct{ use, list string }{
		{"client", firstOf(e.Values["ETCD_LISTEN_CLIENT_URLS"], "http://localhost:2379")},
		{"peer", firstOf(e.Values["ETCD_LISTEN_PEER_URLS"], "http://localhost:2380")},
		{"metrics", e.Values["ETCD_LISTEN_METRICS_URLS"]},
	} {
		for _, s := range splitList(l.list) {
			u, err := url.Parse(s)
			if err != nil {
				continue
			}
			n, err := strconv.Atoi(u.Port())
			known := slices.ContainsFunc(ports, func(p PortFact) bool { return p.Port == n })
			if err == nil && n > 0 && !known {
				ports = append(ports, PortFact{Port: n, Use: l.use})
			}
		}
	}
	return ports
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func splitList(s string) []string {
	var list []string
	for _, part := range strings.Split(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// ToolVersions are the versions of the binaries on the node, "3.7.3".
type ToolVersions struct {
	Etcd    string `json:"etcd,omitempty"`
	Etcdctl string `json:"etcdctl,omitempty"`
	Etcdutl string `json:"etcdutl,omitempty"`
	// Where they were found: in the configured folder, or else in PATH.
	EtcdPath    string `json:"etcd_path,omitempty"`
	EtcdctlPath string `json:"etcdctl_path,omitempty"`
	EtcdutlPath string `json:"etcdutl_path,omitempty"`
}

// DirFacts describes a data or WAL directory and the file system under it.
type DirFacts struct {
	Path string `json:"path"` // as the env file names it
	// Real is the directory itself when Path is, or leads through, a symbolic
	// link; empty when it is Path.
	Real       string `json:"real,omitempty"`
	Exists     bool   `json:"exists"`
	MountPoint bool   `json:"mount_point"`
	Owner      string `json:"owner"` // names where the node knows them, else ids
	Group      string `json:"group"`
	Mode       string `json:"mode"` // octal, "0700"
	SELinux    string `json:"selinux,omitempty"`
	SizeBytes  int64  `json:"size_bytes"`
	Empty      bool   `json:"empty"`
	HasMember  bool   `json:"has_member"` // member/ inside
	HasDB      bool   `json:"has_db"`     // member/snap/db inside
	DBBytes    int64  `json:"db_bytes"`
	HasWAL     bool   `json:"has_wal"` // at least one .wal file
	FreeBytes  int64  `json:"free_bytes"`
	TotalBytes int64  `json:"total_bytes"`
	FreeInodes int64  `json:"free_inodes"` // -1 where the file system has no count
	Device     string `json:"device"`      // of the file system, to tell whether a rename can work
	// Holders are pids with an open file inside.
	Holders []int  `json:"holders,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Actual is the directory itself, links resolved.
func (d DirFacts) Actual() string {
	if d.Real != "" {
		return d.Real
	}
	return d.Path
}

// CertFacts is one certificate file that etcd or etcdctl uses on the node.
type CertFacts struct {
	Path      string    `json:"path"`
	Use       string    `json:"use"` // server, peer, client, ca, peer-ca, client-ca
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	SANs      []string  `json:"sans,omitempty"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	// Usages are what it may be shown as: server, client; none where it says
	// nothing of that, or allows everything.
	Usages []string `json:"usages,omitempty"`
	// KeyMatches: the private key beside it belongs to it. Chain: the CA that
	// the env file names signed it.
	KeyMatches *bool  `json:"key_matches,omitempty"`
	ChainOK    *bool  `json:"chain_ok,omitempty"`
	Error      string `json:"error,omitempty"` // missing, unreadable, not PEM
}

// SnapshotFile is a snapshot (or archive of one) lying on a node.
type SnapshotFile struct {
	Node      string    `json:"node"`
	Path      string    `json:"path"`
	SizeBytes int64     `json:"size_bytes"`
	Modified  time.Time `json:"modified"`
	Archive   bool      `json:"archive"` // .tar.gz around it
	// What the vendor's name says; zero where it says nothing.
	NovaVersion       string    `json:"nova_version,omitempty"`
	KubernetesVersion string    `json:"kubernetes_version,omitempty"`
	TakenAt           time.Time `json:"taken_at"` // local time of the node that made it
}

// ReadyzFacts is what the Kubernetes API said on this node.
type ReadyzFacts struct {
	Asked  bool   `json:"asked"`
	OK     bool   `json:"ok"`
	Answer string `json:"answer,omitempty"`
}

// ProcessFacts is one running etcd process.
type ProcessFacts struct {
	PID          int      `json:"pid"`
	Argv         []string `json:"argv"`
	StoppedState bool     `json:"stopped"` // state T: suspended by a signal
}

// EndpointFacts is what etcd on this node answers through the tunnel.
type EndpointFacts struct {
	ClientURL string `json:"client_url"`
	// Asked says that the endpoint was dialled; Answers that status came back.
	Asked   bool   `json:"asked"`
	Answers bool   `json:"answers"`
	Error   string `json:"error,omitempty"`
	// Healthy: a linearizable read succeeded (what etcdctl endpoint health
	// does). A learner never is, by etcd's own definition.
	Healthy     bool   `json:"healthy"`
	HealthError string `json:"health_error,omitempty"`
	TookMillis  int64  `json:"took_ms"`

	ClusterID   string   `json:"cluster_id"`
	MemberID    string   `json:"member_id"`
	Version     string   `json:"version"`
	LeaderID    string   `json:"leader_id"` // empty: no leader
	Learner     bool     `json:"learner"`
	RaftTerm    uint64   `json:"raft_term"`
	RaftIndex   uint64   `json:"raft_index"`
	Applied     uint64   `json:"raft_applied_index"`
	Revision    int64    `json:"revision"`
	DBSize      int64    `json:"db_size_bytes"`
	DBSizeInUse int64    `json:"db_size_in_use_bytes"`
	DBSizeQuota int64    `json:"db_size_quota_bytes"`
	Errors      []string `json:"errors,omitempty"`
	Alarms      []string `json:"alarms,omitempty"` // NOSPACE, CORRUPT of this member
	// Hash at Facts.HashRevision; empty when it could not be taken.
	Hash            string `json:"hash,omitempty"`
	HashError       string `json:"hash_error,omitempty"`
	CompactRevision int64  `json:"compact_revision"`
	// OwnMembers is this member's own (serializable) member list.
	OwnMembers []Member `json:"own_members,omitempty"`
	// OwnMembersFrom is local (the client port) or peer (the peer port of a
	// member whose client port is silent; ClusterID and Version are then from
	// there too).
	OwnMembersFrom string `json:"own_members_from,omitempty"`
	// PeerAnswers says that the peer port was asked and answered.
	PeerAnswers bool `json:"peer_answers,omitempty"`
	// Via is the node through whose tunnel the endpoint was asked, when its own
	// node could not be reached.
	Via string `json:"via,omitempty"`
}

// IsLeader reports whether this endpoint leads.
func (e EndpointFacts) IsLeader() bool { return e.LeaderID != "" && e.LeaderID == e.MemberID }

// NodeByName finds a node's facts.
func (f Facts) NodeByName(name string) (NodeFacts, bool) {
	for _, n := range f.Nodes {
		if n.Node == name {
			return n, true
		}
	}
	return NodeFacts{}, false
}

// MemberOf finds the member that belongs to a node.
func (f Facts) MemberOf(node string) (Member, bool) {
	for _, m := range f.Members {
		if m.Node == node && node != "" {
			return m, true
		}
	}
	return Member{}, false
}
