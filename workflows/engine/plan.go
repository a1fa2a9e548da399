// Package engine plans and runs procedures made of stages and steps, and knows
// nothing of etcd. A plan is data that can be shown, hashed, stored and
// compared; the functions beside the data (guards, probes, actions) are put
// back by building the same plan again.
//
// The promise of the run loop: what was declared is what runs; every change is
// journalled before and after; an intent without a result is unknown and is
// answered by probing reality; any error stops the run at a known place.
package engine

import (
	"context"
	"encoding/json"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// PlanSchema is the version of a plan's JSON.
const PlanSchema = "novatui/plan/v1"

// Plan is a procedure, made concrete for one cluster at one moment.
type Plan struct {
	Schema      string `json:"schema"`
	Procedure   string `json:"procedure"`
	Cluster     string `json:"cluster"`
	Environment string `json:"environment"`
	// Tag names everything that this plan leaves behind (set-aside folders,
	// snapshots, tokens): UTC time of planning, "20261103-140314".
	Tag       string    `json:"tag"`
	CreatedAt time.Time `json:"created_at"`
	// Input and Basis are the procedure's own (workflows): what was asked for,
	// and the facts that the plan was made from. A resume builds the plan
	// again from exactly these.
	Input json.RawMessage `json:"input"`
	Basis json.RawMessage `json:"basis"`
	// Identity is a digest of what must not have changed between plan and
	// apply (membership, who is healthy, env files, …); part of Hash.
	Identity string `json:"identity"`
	// Hash covers procedure, cluster, tag, input, identity, and every step
	// with its commands.
	Hash string `json:"hash"`

	Title    msg.Msg `json:"title"`
	Estimate Seconds `json:"estimate_seconds"`
	// Undoes is the ID of the run that this plan takes back; empty for a plan
	// that goes forward. UndoesSeq is the number of the last event in that
	// run's journal when the plan was made.
	Undoes    string `json:"undoes,omitempty"`
	UndoesSeq uint64 `json:"undoes_seq,omitempty"`
	// Kept says what happens to data ("Nothing is deleted: …"), Lost what will
	// be lost, NoReturn why there is no way back after the stage it names.
	Kept          msg.Msg   `json:"kept"`
	Lost          []msg.Msg `json:"lost,omitempty"`
	NoReturn      msg.Msg   `json:"no_return,omitzero"`
	NoReturnStage string    `json:"no_return_stage,omitempty"` // ID of the stage
	// NoReturnCosts: there is a way back after that stage, but it costs what
	// NoReturn says.
	NoReturnCosts bool `json:"no_return_costs,omitempty"`
	// WayBack is one sentence on how the run is taken back until then.
	WayBack msg.Msg `json:"way_back,omitzero"`

	Nodes  []string  `json:"nodes"`  // every node that takes part, for the panes
	Guards []Finding `json:"guards"` // as they stood when the plan was made
	Stages []Stage   `json:"stages"`

	// FactsAt is when the facts behind it were collected; zero counts as never.
	FactsAt time.Time `json:"-"`
	// Refresh collects fresh facts for the guards (nil: nothing to refresh).
	// The run loop calls it before a step that changes anything when the last
	// call is older than FreshFor, and before each that destroys. nodes are
	// those whose machines must be looked at anew; the others' etcd is asked
	// as well, their machines only when nodes is nil, which means everything.
	Refresh func(ctx context.Context, nodes []string) error `json:"-"`
	// Checks are the plan's guards as functions, in the order of Guards.
	Checks []Guard `json:"-"`
}

// FreshFor is how long facts may be used for a decision (guard fresh-facts).
const FreshFor = 30 * time.Second

// Seconds is a duration in whole seconds in JSON.
type Seconds int

// Stage is a group of steps that run at once on several nodes; the next stage
// begins when all have ended well. Steps of the same node run in order.
type Stage struct {
	ID    string  `json:"id"`
	Title msg.Msg `json:"title"`
	Steps []Step  `json:"steps"`
}

// Destroys reports whether a step of the stage has the effect Destroy.
func (s Stage) Destroys() bool {
	for _, step := range s.Steps {
		if step.Effect == remote.Destroy {
			return true
		}
	}
	return false
}

// Step is the smallest thing that is journalled.
type Step struct {
	ID     string        `json:"id"` // unique within the plan: "stop/master-2"
	Title  msg.Msg       `json:"title"`
	Why    msg.Msg       `json:"why"`
	Node   string        `json:"node"` // whose pane it belongs to
	Effect remote.Effect `json:"effect"`
	// Commands is everything that Do may run; Checks what Probe and Verify may
	// run (Read only). The gate refuses anything else.
	Commands []NodeCommand `json:"commands"`
	Checks   []NodeCommand `json:"checks,omitempty"`
	// IfItFails tells the operator what a failure here means.
	IfItFails msg.Msg `json:"if_it_fails,omitzero"`

	// Guards are evaluated on fresh facts right before Do.
	Guards []Guard `json:"-"`
	// Probe asks reality whether the step is done already. A step that changes
	// anything must have one; for a Read step nil means "run it".
	Probe func(ctx context.Context, x *Exec) (Probed, error) `json:"-"`
	// Recheck, where it is not nil, asks whether what the step brought about
	// still holds, because it can end by itself (a service that was started). A
	// resumed run asks it of a step that is done, unless the stage after the
	// step's own was finished too, and does the step again when it answers
	// NotDone.
	Recheck func(ctx context.Context, x *Exec) (Probed, error) `json:"-"`
	// Do does it. Verify proves that it worked; nil only for Read steps.
	Do     func(ctx context.Context, x *Exec) error `json:"-"`
	Verify func(ctx context.Context, x *Exec) error `json:"-"`
}

// NodeCommand is a command with the node it runs on.
type NodeCommand struct {
	Node    string         `json:"node"`
	Command remote.Command `json:"command"`
}

// Probed is what a probe found.
type Probed string

// The answers of a probe.
const (
	Done    Probed = "done"
	NotDone Probed = "not-done"
	Unknown Probed = "unknown"
)

// GuardResult is pass, warn or block.
type GuardResult string

// The results of a guard.
const (
	Pass  GuardResult = "pass"
	Warn  GuardResult = "warn"
	Block GuardResult = "block"
)

// Guard is a rule that must hold before anything is changed.
type Guard struct {
	ID    string
	Title msg.Msg
	// Check looks at the facts as they are now. It never changes anything.
	Check func() Finding
}

// Finding is what a guard said.
type Finding struct {
	ID     string      `json:"id"`
	Title  msg.Msg     `json:"title"`
	Result GuardResult `json:"result"`
	// Reason is one sentence; Fact is what it rests on.
	Reason msg.Msg `json:"reason"`
	Fact   string  `json:"fact,omitempty"`
	// Override is what must be typed to go on all the same; empty: a block
	// that nothing overrides.
	Override string `json:"override,omitempty"`
	// Overridden says that exactly that was typed.
	Overridden bool `json:"overridden,omitempty"`
}

// Stops reports whether the finding forbids to go on.
func (f Finding) Stops() bool { return f.Result == Block && !f.Overridden }
