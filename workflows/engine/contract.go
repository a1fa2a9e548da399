package engine

import (
	"context"
	"errors"

	"github.com/novatui/novatui/remote"
)

// Question and Asker are the transport's, for packages that must not know it.
type (
	Question = remote.Question
	Asker    = remote.Asker
)

// Errors that a caller decides by.
var (
	// ErrRefused: a guard blocks; nothing was changed. (exit status 3)
	ErrRefused = errors.New("refused by a guard")
	// ErrPlanStale: the plan rebuilt from fresh facts differs. (3)
	ErrPlanStale = errors.New("the cluster changed since this plan was made")
	// ErrNotConfirmed: a plan that destroys was not confirmed by the cluster's
	// name. (3)
	ErrNotConfirmed = errors.New("not confirmed")
	// ErrLocked: another run holds the cluster. (5)
	ErrLocked = errors.New("another run holds the cluster")
	// ErrUndeclared: a step tried to run a command that it had not declared.
	ErrUndeclared = errors.New("command was not declared by its step")
	// ErrStopped: the run stopped part-way at a known place. (4)
	ErrStopped = errors.New("stopped part-way")
	// ErrUnknown: the outcome of a step is not known. (6)
	ErrUnknown = errors.New("outcome unknown")
	// ErrInterrupted: the operator stopped or aborted the run. (130)
	ErrInterrupted = errors.New("interrupted by the operator")
	// ErrInvalidPlan: the plan breaks a rule of Build, or it is data alone
	// (read from a file) and was not built again. (1)
	ErrInvalidPlan = errors.New("invalid plan")
	// ErrStateDir: the folder of the runs cannot be written, or its disk is
	// full; nothing was changed. (1)
	ErrStateDir = errors.New("the folder of the runs cannot be used")
	// ErrJournal: a journal is damaged, too new, or cannot be written. (1, or
	// 4 when it happens during a run)
	ErrJournal = errors.New("journal")
	// ErrRunDone: there is nothing to resume. (1)
	ErrRunDone = errors.New("the run is done already")
	// ErrSlot: a slot @{name} has no value yet, or a value that must not be
	// put in its place.
	ErrSlot = errors.New("slot")
)

// Approval is what the operator typed before a run.
type Approval struct {
	// Confirm is the cluster's name, for a plan that destroys.
	Confirm string `json:"confirm"`
	// Overrides are the phrases typed for overridable blocks, by guard ID.
	Overrides map[string]string `json:"overrides,omitempty"`
	// TakeOver takes the cluster from somebody whose lease is stale; it is not
	// remembered for a resume.
	TakeOver bool `json:"take_over,omitempty"`
}

// Conns gives the connection to a node. It may connect again when the last
// connection broke; it must when the connection that it would give is closed.
type Conns interface {
	Conn(ctx context.Context, node string) (remote.Conn, error)
}

// Reconnector is a Conns that can be told that the connection it gave is no
// longer to be trusted. The engine asks for a fresh one after a command's end
// was not seen, before it probes what became of it. Other steps may still be
// using the old connection, so it must not be closed while they do.
type Reconnector interface {
	Reconnect(ctx context.Context, node string) (remote.Conn, error)
}
