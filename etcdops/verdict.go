package etcdops

import "github.com/novatui/novatui/assets/msg"

// MemberState is the state of one member (procedures §1).
type MemberState string

// The states of a member.
const (
	StateHealthy      MemberState = "healthy"
	StateLearner      MemberState = "learner"
	StateUnstarted    MemberState = "unstarted"
	StateStarting     MemberState = "starting" // activating, also between restarts
	StateFailed       MemberState = "failed"
	StateStopped      MemberState = "stopped"
	StateNotAnswering MemberState = "not-answering" // active, but silent
	StateNoQuorum     MemberState = "no-quorum"     // answers, sound as far as seen, but has no leader
	StateRemoved      MemberState = "removed"
	StateUnreachable  MemberState = "unreachable" // its host does not answer
	StateWrongCluster MemberState = "wrong-cluster"
	StateInconsistent MemberState = "inconsistent" // its data differ from the majority's
	StateUnknown      MemberState = "unknown"
)

// ClusterState is the state of the whole (the JSON contract's "state").
type ClusterState string

// The states of a cluster.
const (
	ClusterHealthy    ClusterState = "healthy"
	ClusterDegraded   ClusterState = "degraded"
	ClusterQuorumLost ClusterState = "quorum-lost"
	ClusterSplit      ClusterState = "split"
	ClusterNotFormed  ClusterState = "not-formed"
)

// Quorum counts voters: Needed is ⌊Voters/2⌋+1.
type Quorum struct {
	Voters  int  `json:"voters"`
	Healthy int  `json:"healthy"`
	Needed  int  `json:"needed"`
	Holds   bool `json:"holds"`
}

// Confidence is how sure a cause is.
type Confidence string

// The three degrees of confidence.
const (
	Certain  Confidence = "certain"
	Likely   Confidence = "likely"
	Possible Confidence = "possible"
)

// Evidence is what a claim rests on: one line of a source.
type Evidence struct {
	Source string `json:"source"` // log, peers, etcdctl, unit; facts: env, disk, certs, ports, status
	Node   string `json:"node,omitempty"`
	Line   int    `json:"line,omitempty"` // within the source, from 1
	Text   string `json:"text"`           // already cleaned
}

// Cause is one thing that is wrong, with the ids of the cases' list
// (db-corrupt, cert-expired, …, unknown).
type Cause struct {
	ID         string     `json:"id"`
	Node       string     `json:"node"` // empty: the cluster as a whole
	Confidence Confidence `json:"confidence"`
	Evidence   []Evidence `json:"evidence"`
	Why        msg.Msg    `json:"why"`
	Do         []msg.Msg  `json:"do"`
	DoNot      []msg.Msg  `json:"do_not"`
	// Title is the cause in two or three words ("broken database file").
	Title msg.Msg `json:"title"`
	// Data says that the cause is broken, lost or foreign data of this member:
	// what alone justifies destroying it.
	Data bool `json:"data"`
	// Outside says that the cause lies outside the data (certificates, disk,
	// permission, port, …): rejoin and restore would not help.
	Outside bool `json:"outside"`
}

// Procedure is a recommended or possible way to act.
type Procedure string

// The procedures; the first and the last are not executed by novatui.
const (
	ProcedureNone     Procedure = "none"
	ProcedureRestart  Procedure = "restart"
	ProcedureRejoin   Procedure = "rejoin"
	ProcedureRestore  Procedure = "restore"
	ProcedureSalvage  Procedure = "salvage"
	ProcedureFixCause Procedure = "fix-cause"
	// ProcedureRollback takes a run of one of the others back.
	ProcedureRollback Procedure = "rollback"
)

// MemberVerdict is one member, judged.
type MemberVerdict struct {
	Member  Member      `json:"member"`
	Node    string      `json:"node"`
	State   MemberState `json:"state"`
	Healthy bool        `json:"healthy"`
	Leader  bool        `json:"leader"`
	Why     msg.Msg     `json:"why"`
	// Sound says that its data are believed to be whole: never on silence
	// alone. SoundKnown is false where nothing is known.
	Sound      bool `json:"sound"`
	SoundKnown bool `json:"sound_known"`
	// Lag is how many raft entries it is behind the most advanced member; -1
	// where unknown.
	Lag int64 `json:"lag"`
}

// Recommendation is what to do now.
type Recommendation struct {
	Procedure Procedure `json:"procedure"`
	Nodes     []string  `json:"nodes"`
	Why       msg.Msg   `json:"why"`
	// Unsafe says that the evidence does not carry any choice (procedures §2,
	// last row): Procedure is then none.
	Unsafe bool `json:"unsafe"`
}

// Verdict is the judgement over Facts. diagnosis makes it; it is pure data.
type Verdict struct {
	State       ClusterState    `json:"state"`
	Quorum      Quorum          `json:"quorum"`
	Members     []MemberVerdict `json:"members"`
	Causes      []Cause         `json:"causes"` // best first
	Recommended Recommendation  `json:"recommended"`
	// Headline is the one sentence for the top of the screen; Second may add
	// the cause.
	Headline msg.Msg `json:"headline"`
	Second   msg.Msg `json:"second"`
}

// MemberOn finds the verdict on the member of a node.
func (v Verdict) MemberOn(node string) (MemberVerdict, bool) {
	for _, m := range v.Members {
		if m.Node == node && node != "" {
			return m, true
		}
	}
	return MemberVerdict{}, false
}

// CausesOn lists the causes on a node, best first.
func (v Verdict) CausesOn(node string) []Cause {
	var causes []Cause
	for _, c := range v.Causes {
		if c.Node == node {
			causes = append(causes, c)
		}
	}
	return causes
}
