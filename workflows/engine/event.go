package engine

import (
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// EventSchema is the version of the events' JSON (NDJSON of apply and resume,
// and the lines of the journal).
const EventSchema = "novatui/event/v1"

// EventType says what happened.
type EventType string

// The events of a run. Those marked J are written to the journal and synced
// to disk before the run goes on (commands of effect Read are written at once
// and synced with the next event: no resume depends on them); all are in the
// Feed. A dry run has no journal.
const (
	RunStarted   EventType = "run-started"   // J
	RunResumed   EventType = "run-resumed"   // J
	StageStarted EventType = "stage-started" // J
	StageDone    EventType = "stage-done"    // J
	StepProbed   EventType = "step-probed"   // J; Probed says what was found
	StepSkipped  EventType = "step-skipped"  // J; done already
	GuardChecked EventType = "guard"         // J when it warned, blocked or was overridden
	StepIntent   EventType = "step-intent"   // J; right before Do
	CommandStart EventType = "command"       // J; Line is redacted
	CommandEnd   EventType = "command-end"   // J; Exit, or Error and Outcome; Ref
	StepDone     EventType = "step-done"     // J; verified
	StepFailed   EventType = "step-failed"   // J; Error, Outcome
	ValueSet     EventType = "value"         // J; a slot was filled
	Note         EventType = "note"          // progress in words, not journalled
	Warning      EventType = "warning"       // J; Text: something odd that stops nothing
	WouldRun     EventType = "would-run"     // dry run: a step, or with Line a command of it
	Paused       EventType = "paused"        // at a boundary, on request
	Continued    EventType = "continued"
	RunStopped   EventType = "run-stopped" // J; Outcome, Error
	RunDone      EventType = "run-done"    // J; every stage done and proved
)

// Outcome is how a step or a run ended when it did not end well; it decides
// the exit status.
type Outcome string

// The outcomes, with the exit status of the contract.
const (
	OutcomeDone        Outcome = "done"        // 0
	OutcomeFailed      Outcome = "failed"      // 1: nothing known to have changed
	OutcomeRefused     Outcome = "refused"     // 3: by a guard, nothing changed
	OutcomeStopped     Outcome = "stopped"     // 4: part-way, resumable
	OutcomeLocked      Outcome = "locked"      // 5: another run holds the cluster
	OutcomeUnknown     Outcome = "unknown"     // 6: a step's outcome is not known
	OutcomeInterrupted Outcome = "interrupted" // 130: by the operator; resumable
)

// Event is one thing that happened in a run.
type Event struct {
	Seq   uint64    `json:"seq"`
	Time  time.Time `json:"time"`
	Type  EventType `json:"type"`
	Run   string    `json:"run,omitempty"`
	Stage string    `json:"stage,omitempty"`
	Step  string    `json:"step,omitempty"`
	Node  string    `json:"node,omitempty"`
	// Line is a command line, redacted; Exit its status.
	Line string `json:"line,omitempty"`
	Exit *int   `json:"exit,omitempty"`
	// Probed, Outcome, Finding: see the types.
	Probed  Probed   `json:"probed,omitempty"`
	Outcome Outcome  `json:"outcome,omitempty"`
	Finding *Finding `json:"finding,omitempty"`
	// Name and Value of a slot.
	Name  string `json:"name,omitempty"`
	Value string `json:"value,omitempty"`
	// Effect is that of a command, or of a step (step-intent).
	Effect remote.Effect `json:"effect,omitempty"`
	// Ref is, in command-end, the Seq of the command event it belongs to.
	Ref uint64 `json:"ref,omitempty"`
	// Job is, in command, the key under which the node runs it in a session of
	// its own; in command-end it says that the key is used up: its end was seen.
	Job string `json:"job,omitempty"`
	// Changed says, in step-failed, that the step may have changed something.
	Changed bool `json:"changed,omitempty"`
	// Schema, Hash (of the plan), Version (of the program), Approval and
	// DryRun are in run-started and run-resumed.
	Schema   string    `json:"schema,omitempty"`
	Hash     string    `json:"hash,omitempty"`
	Version  string    `json:"version,omitempty"`
	Approval *Approval `json:"approval,omitempty"`
	DryRun   bool      `json:"dry_run,omitempty"`
	// Text is for people; Error the raw error.
	Text  msg.Msg `json:"text,omitzero"`
	Error string  `json:"error,omitempty"`
}

// OutputLine is a line of a node's pane.
type OutputLine struct {
	Seq  uint64    `json:"seq"` // within its node
	Time time.Time `json:"time"`
	Node string    `json:"node"`
	Kind LineKind  `json:"kind"`
	Text string    `json:"text"` // cleaned of terminal escapes
	// Msg is the text of a LineNote, where Text is empty then, and of a
	// LineCommand that has its short form as a message.
	Msg msg.Msg `json:"msg,omitzero"`
	// Missing is how many lines a LineGap stands for.
	Missing uint64 `json:"missing,omitempty"`
}

// LineKind tells commands from output.
type LineKind string

// The kinds of lines.
const (
	LineCommand LineKind = "command" // "$ …"
	LineOut     LineKind = "out"
	LineErr     LineKind = "err"
	LineNote    LineKind = "note" // ours, in words: Msg
	LineGap     LineKind = "gap"  // Missing lines are only in the transcript
)
