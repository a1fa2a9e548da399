// Package remote is the contract between novatui and the machines it works on:
// what a node is, what a command is, what running it may answer, and what a
// connection must be able to do. It holds no transport; remote/ssh has the real
// one and remote/remotetest a strict scripted one.
//
// The contract in short: a command is an argument vector, never a shell line
// put together from strings; everything has a deadline; output is bounded; and
// when a connection is lost while a command runs, the answer is "outcome
// unknown" (ErrOutcomeUnknown), never a guess.
package remote

import (
	"context"
	"io"
	"net"
	"path"
	"time"

	"github.com/novatui/novatui/assets/msg"
)

// Node is one machine of the cluster, as the operator named it.
type Node struct {
	// Name is unique within the cluster file ("master-1").
	Name string `json:"name"`
	// Address is a host name, an IP address or an alias of ssh_config.
	Address string `json:"address"`
	// Port is the SSH port; 0 means ssh_config's, or 22.
	Port int `json:"port,omitempty"`
	// User is the SSH user; empty means ssh_config's, or the local user.
	User string `json:"user,omitempty"`
	// Jump is an ssh destination (user@host:port, several with commas) to go
	// through; empty means ssh_config's ProxyJump, "none" means directly.
	Jump string `json:"jump,omitempty"`
	// IdentityFiles are the private keys to offer, instead of ssh_config's and
	// of what else the agent holds; the agent may sign for them.
	IdentityFiles []string `json:"identity_files,omitempty"`
	// KnownHosts are the known_hosts files to check against instead of the
	// user's and the system's.
	KnownHosts []string `json:"known_hosts,omitempty"`
	// Sudo says how commands get root: auto (as they are for uid 0, otherwise
	// through sudo -n), never.
	Sudo string `json:"sudo,omitempty"`
	// Root is the folder that stands for / on this node. It is empty on real
	// hosts; every node of a lab has its own.
	Root string `json:"root,omitempty"`
}

// Path places an absolute path of the node's file system below its Root. What
// the node itself names (a path read from its env file) is already complete
// and must not be passed through here.
func (n Node) Path(p string) string {
	if n.Root == "" {
		return p
	}
	return path.Join(n.Root, p)
}

// Result is what a command that ran to its end answered.
type Result struct {
	// Exit is the exit status; 128+n when signal n ended it.
	Exit int `json:"exit"`
	// Signal is the name of the signal that ended it ("KILL"), if one did.
	Signal string `json:"signal,omitempty"`
	// Stdout and Stderr hold at most Command.MaxOutput bytes each. They are
	// empty when Streams took the output instead.
	Stdout []byte `json:"-"`
	Stderr []byte `json:"-"`
	// Truncated says that output beyond the limit was thrown away.
	Truncated bool `json:"truncated,omitempty"`
	// Duration is the wall time from the request to the exit status.
	Duration time.Duration `json:"duration"`
}

// Streams connects a command to readers and writers. A nil Stdout or Stderr
// collects into the Result. A non-nil writer receives everything, unbounded;
// the Result then holds a bounded copy of Stderr only.
type Streams struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Tee, when not nil, receives a copy of stdout and stderr as they arrive,
	// in order of arrival. It must not block.
	Tee io.Writer
}

// Conn is one open, authenticated connection to a node. Its methods may be
// called from several goroutines at once.
type Conn interface {
	Node() Node
	// Run runs one command and waits for its end. The error is nil whenever
	// the command ran to an exit status, also a non-zero one (see
	// Result.Check). Otherwise errors.Is tells: ErrNotStarted (it surely did
	// not run), ErrOutcomeUnknown (it was started, its end was not seen),
	// context.DeadlineExceeded or context.Canceled (both wrapped together with
	// ErrOutcomeUnknown when the command had been started).
	Run(ctx context.Context, c Command, s Streams) (Result, error)
	// Dial opens a connection to addr as seen from the node (direct-tcpip).
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
	// Alive reports when the last byte or keepalive answer arrived.
	Alive() time.Time
	// Close ends the connection; running commands end with ErrOutcomeUnknown.
	Close() error
}

// Transport opens connections.
type Transport interface {
	// Connect connects and authenticates. progress, which may be nil, is told
	// each phase as it starts. Errors match one of the sentinels below.
	Connect(ctx context.Context, n Node, progress func(Phase)) (Conn, error)
}

// Phase is a step on the way to an open connection, for the screen.
type Phase string

// The phases of Connect, in order.
const (
	PhaseResolve   Phase = "resolve"
	PhaseTCP       Phase = "tcp"
	PhaseHostKey   Phase = "host-key"
	PhaseAuth      Phase = "auth"
	PhasePrivilege Phase = "privilege"
	PhaseReady     Phase = "ready"
)

// Question is something a transport must ask the operator.
type Question struct {
	// Kind is host-key, passphrase, password or code; or sudo, of an engine:
	// sudo was refused and nothing was run, and a yes tries again.
	Kind string
	// Node is the node's name.
	Node string
	// Host is the address as dialled.
	Host string
	// Fingerprint is the SHA256 fingerprint of an unknown host key.
	Fingerprint string
	// KeyType is the type of an unknown host key ("ssh-ed25519").
	KeyType string
	// Subject is the key file of a passphrase, or the server's own prompt
	// (cleaned of terminal escapes).
	Subject string
	// Text says why sudo was refused.
	Text msg.Msg
	// Secret says that the answer must not be echoed.
	Secret bool
}

// Asker answers questions. It returns ErrDeclined when there is nobody to ask
// or the operator says no; an empty answer or end of input is a no.
type Asker interface {
	Ask(ctx context.Context, q Question) (string, error)
}
