package backend

import (
	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/workflows"
	"github.com/novatui/novatui/workflows/engine"
)

// ClusterInfo is what the cluster file says.
type ClusterInfo struct {
	Name        string
	Environment string // production, staging or lab
	Nodes       []NodeInfo
	Platform    string
	// Drill is the name of the drill, empty outside one; DrillGoal says what
	// is to be reached.
	Drill     string
	DrillGoal msg.Msg
	// StateDir is where runs, reports and saved files are.
	StateDir string
}

// NodeInfo is one node of the cluster file.
type NodeInfo struct{ Name, Address string }

// ConnectError is why a node could not be connected to. Kind is one of
// etcdops.NodeFacts.ErrorKind: unreachable, host-key-unknown,
// host-key-changed, auth, privilege, timeout, probe.
type ConnectError struct {
	Kind string
	Err  error
}

// Error is the text of the cause.
func (e *ConnectError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// Question is something that a transport asks the operator.
type Question struct {
	engine.Question
	// Reply takes the answer; ok is false when the operator declines. It is
	// called exactly once, from a tea.Cmd, unless Gone is closed first.
	Reply func(answer string, ok bool)
	// Gone, when not nil, is closed as soon as nobody waits for the answer any
	// more (the connection's deadline has passed): the prompt then goes away.
	Gone <-chan struct{}
}

// Answer gives the answer.
func (q Question) Answer(s string) { q.Reply(s, true) }

// Decline says no.
func (q Question) Decline() { q.Reply("", false) }

// Assessed is one procedure, judged for the facts as they are.
type Assessed = workflows.Assessed

// The verdicts on a procedure: Confirm can be done after a typed override,
// Blocked cannot.
const (
	Allowed = workflows.Allowed
	Confirm = workflows.Confirm
	Blocked = workflows.Blocked
)

// PlanRequest is what the operator chose. Snapshot is a path on SnapshotNode,
// and empty where the procedure needs none. Run is what a rollback takes back.
type PlanRequest struct {
	Procedure    etcdops.Procedure
	Nodes        []string
	Snapshot     string
	SnapshotNode string
	Run          string
}

// ProofResult says what a proof showed.
type ProofResult string

// The results of a proof. Unproved is neither: it could not be checked.
const (
	Proved    ProofResult = "proved"
	Disproved ProofResult = "disproved"
	Unproved  ProofResult = "unproved"
)

// Proof is one thing that the report claims, or does not.
type Proof struct {
	Title    msg.Msg
	Result   ProofResult
	Detail   msg.Msg
	Evidence []string // what it rests on: commands and their output
}

// Change is what was done to a node.
type Change struct {
	Node string
	Text msg.Msg
}

// Todo is what remains; with a Procedure it can be started from the report. Run
// is what a rollback would take back.
type Todo struct {
	Text      msg.Msg
	Procedure etcdops.Procedure
	Nodes     []string
	Run       string `json:",omitempty"`
}

// File is where something lies. Node is empty for the operator's machine.
type File struct {
	Title msg.Msg
	Node  string
	Path  string
}

// Cleanup is a command that may be run later by hand, never by us.
type Cleanup struct {
	Node string
	Line string
}

// Report is the end of a run.
type Report struct {
	Path     string // of the Markdown file
	Markdown string
	// Proved says that every proof succeeded.
	Proved bool
	// StillDown names members that are not healthy and that the run was not
	// about; with any, Proved does not mean that the cluster is healthy.
	StillDown []string
	Headline  msg.Msg
	Proofs    []Proof
	Changes   []Change
	Lost      []msg.Msg // empty: nothing
	Todo      []Todo
	Files     []File
	Cleanup   []Cleanup
}
