// Package backend is what the wizard needs from the program: an interface that
// cmd implements over real connections, and the data that crosses it. It holds
// no behaviour. The wizard calls every method from a tea.Cmd, never from an
// Update, so a method may block; all but Cluster take a context that ends when
// the wizard does.
package backend

import (
	"context"
	"time"

	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/workflows/engine"
)

// Backend is the program, seen from the wizard.
type Backend interface {
	// Cluster answers at once, from the cluster file.
	Cluster() ClusterInfo
	// Connect opens the connection to one node. It is called for all nodes at
	// once, and again to retry. progress, called from the same goroutine, is
	// told each phase as it starts (remote.Phase as a string). Errors are
	// *ConnectError where the kind is known.
	Connect(ctx context.Context, node string, progress func(phase string)) error
	// NextQuestion blocks until a transport asks something. It returns an
	// error when there will be no more questions.
	NextQuestion(ctx context.Context) (Question, error)
	// Collect looks at everything and judges it.
	Collect(ctx context.Context) (etcdops.Facts, etcdops.Verdict, []Assessed, error)
	// Status is the cheap look for live tables, also while a run goes.
	Status(ctx context.Context) (etcdops.Facts, error)
	// Snapshots lists what a restore could start from.
	Snapshots(ctx context.Context) ([]etcdops.SnapshotFile, error)
	// Plan makes a plan. It changes nothing.
	Plan(ctx context.Context, r PlanRequest) (engine.Plan, error)
	// Start begins to execute a plan. It returns engine.ErrRefused,
	// ErrPlanStale, ErrNotConfirmed or ErrLocked when nothing was begun.
	Start(ctx context.Context, p engine.Plan, a engine.Approval) (Run, error)
	// Unfinished lists this cluster's runs that can be resumed, newest first.
	Unfinished(ctx context.Context) ([]engine.RunInfo, error)
	// ResumeRun goes on with an unfinished run where reality says it stands.
	ResumeRun(ctx context.Context, id string) (Run, engine.Plan, error)
	// Report proves the result of a run that has ended, and writes the report.
	Report(ctx context.Context, run Run) (Report, error)
	// Save writes a new file with the mode 0600 into the state folder and
	// returns its path. An existing file is never overwritten: the name is
	// changed instead. name is a base name ("plan.json").
	Save(ctx context.Context, name string, content []byte) (path string, err error)
}

// Taker is a Backend that can take the cluster over from somebody who holds it
// and gives no sign of life.
type Taker interface {
	// TakeOver lets the next Start or ResumeRun take the lease that was seen
	// over, and answers at once.
	TakeOver(seen *engine.LockedError)
}

// Run is an execution under way or ended; FromEngine makes one of the engine's.
// No method but Wait blocks.
type Run interface {
	ID() string
	// Since returns at most limit events from the cursor on, oldest first, and
	// the next cursor. The first cursor is 0.
	Since(cursor uint64, limit int) ([]engine.Event, uint64)
	// Output is the same for the lines of one node's pane.
	Output(node string, cursor uint64, limit int) ([]engine.OutputLine, uint64)
	// LastByte is when the node last gave a sign of life, zero if never.
	LastByte(node string) time.Time
	// Pause stops before the next stage until Continue; Pausing reports
	// whether that is wanted.
	Pause()
	Continue()
	Pausing() bool
	// Stop ends the run at the next boundary; it can be resumed.
	Stop()
	// Abort ends it now: commands under way are cancelled, and their outcome
	// may be unknown.
	Abort()
	// Done is closed when the run has ended.
	Done() <-chan struct{}
	// Wait blocks until the run has ended and says how.
	Wait() engine.Result
}

// FromEngine is a run of the engine as the wizard sees it.
func FromEngine(r *engine.Run) Run { return engineRun{r} }

type engineRun struct{ *engine.Run }

func (r engineRun) Since(cursor uint64, limit int) ([]engine.Event, uint64) {
	return r.Feed().Since(cursor, limit)
}

func (r engineRun) Output(node string, cursor uint64, limit int) ([]engine.OutputLine, uint64) {
	return r.Feed().Output(node, cursor, limit)
}

func (r engineRun) LastByte(node string) time.Time { return r.Feed().LastByte(node) }
