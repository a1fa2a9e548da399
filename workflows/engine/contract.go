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
)

// Approval is what the operator typed before a run.
type Approval struct {
	// Confirm is the cluster's name, for a plan that destroys.
	Confirm string `json:"confirm"`
	// Overrides are the phrases typed for overridable blocks, by guard ID.
	Overrides map[string]string `json:"overrides,omitempty"`
}

// Conns gives the connection to a node. It may connect again when the last
// connection broke.
type Conns interface {
	Conn(ctx context.Context, node string) (remote.Conn, error)
}

// Exec is what a step's functions act through; see exec.go.
type Exec struct{}
