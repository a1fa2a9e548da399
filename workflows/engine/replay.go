package engine

import (
	"slices"
	"time"

	"github.com/novatui/novatui/remote"
)

// Status is what is known of a step.
type Status string

// The states of a step. A step whose intent is journalled and whose result is
// not is StatusUnknown: only reality can tell.
const (
	StatusPending Status = "pending"
	StatusDone    Status = "done"
	StatusSkipped Status = "skipped" // it was done already
	StatusNotDone Status = "not-done"
	StatusFailed  Status = "failed"
	StatusUnknown Status = "unknown"
)

// Finished reports whether the step needs nothing more.
func (s Status) Finished() bool { return s == StatusDone || s == StatusSkipped }

// StepState is what the events say of one step.
type StepState struct {
	Status         Status
	Started, Ended time.Time
	Error          string
	// Runs is how often Do was begun.
	Runs int
}

// State is what the events of a run add up to.
type State struct {
	Run, Hash, Version string
	Approval           Approval
	Started, Updated   time.Time
	Ended              time.Time // zero while it runs, or after a crash
	Outcome            Outcome   // empty while it runs, or after a crash
	Error              string
	// Stage is the last stage that was begun; StagesDone those that ended well.
	Stage      string
	StagesDone []string
	Steps      map[string]StepState
	Values     map[string]string
	// JobsOver are the keys of the jobs whose end was seen (Event.Job).
	JobsOver map[string]bool
	// Changed says that something may have been changed.
	Changed bool
	// Begun says that a step's Do was begun, of whatever effect.
	Begun   bool
	Resumes int
	LastSeq uint64
}

// Step is the state of a step, pending when no event names it.
func (s State) Step(id string) StepState {
	if st, ok := s.Steps[id]; ok {
		return st
	}
	return StepState{Status: StatusPending}
}

// Unknown are the steps whose outcome is not known, sorted.
func (s State) Unknown() []string {
	var all []string
	for id, st := range s.Steps {
		if st.Status == StatusUnknown {
			all = append(all, id)
		}
	}
	slices.Sort(all)
	return all
}

// Replay adds events up. It is a pure function and takes any events: what
// makes no sense changes nothing.
func Replay(events []Event) State {
	s := State{Steps: map[string]StepState{}, Values: map[string]string{}, JobsOver: map[string]bool{}}
	intent := map[string]remote.Effect{}
	for _, e := range events {
		s.LastSeq = max(s.LastSeq, e.Seq)
		if !e.Time.IsZero() {
			s.Updated = e.Time
		}
		s.run(e)
		s.step(e, intent)
	}
	for id, effect := range intent {
		if s.Steps[id].Status == StatusUnknown && effect != remote.Read {
			s.Changed = true
		}
	}
	return s
}

// run takes in what an event says of the run as a whole.
func (s *State) run(e Event) {
	switch e.Type {
	case RunStarted:
		s.Run, s.Hash, s.Version, s.Started = e.Run, e.Hash, e.Version, e.Time
		s.approve(e.Approval)
	case RunResumed:
		s.Resumes++
		s.Version = e.Version
		s.Outcome, s.Error, s.Ended = "", "", time.Time{}
		s.approve(e.Approval)
	case StageStarted:
		s.Stage = e.Stage
	case StageDone:
		if !slices.Contains(s.StagesDone, e.Stage) {
			s.StagesDone = append(s.StagesDone, e.Stage)
		}
	case ValueSet:
		if checkValue(e.Name, e.Value) == nil {
			s.Values[e.Name] = e.Value
		}
	case CommandStart:
		s.Changed = s.Changed || e.Effect == remote.Change || e.Effect == remote.Destroy
	case CommandEnd:
		if e.Job != "" {
			s.JobsOver[e.Job] = true
		}
	case RunStopped, RunDone:
		s.Outcome, s.Error, s.Ended = e.Outcome, e.Error, e.Time
	case StepProbed, StepSkipped, StepIntent, StepDone, StepFailed, GuardChecked,
		Note, Warning, WouldRun, Paused, Continued:
	}
}

func (s *State) approve(a *Approval) {
	if a == nil {
		return
	}
	if a.Confirm != "" {
		s.Approval.Confirm = a.Confirm
	}
	for id, phrase := range a.Overrides {
		if s.Approval.Overrides == nil {
			s.Approval.Overrides = map[string]string{}
		}
		s.Approval.Overrides[id] = phrase
	}
}

// step takes in what an event says of its step.
func (s *State) step(e Event, intent map[string]remote.Effect) {
	if e.Step == "" {
		return
	}
	st := s.Step(e.Step)
	switch e.Type {
	case StepProbed:
		// What was intended and not finished stays unknown until a probe
		// has an answer.
		if e.Probed == NotDone && !st.Status.Finished() {
			st.Status = StatusNotDone
		}
	case StepSkipped, StepDone:
		if e.Type == StepSkipped && st.Status.Finished() {
			return // asked again, and still so
		}
		st = st.finished(e)
		// A step that is found done was done by whoever intended it, if this
		// run did.
		s.Changed = s.Changed || rank(intent[e.Step]) > 1
	case StepIntent:
		s.Begun = true
		intent[e.Step] = e.Effect
		st = StepState{Status: StatusUnknown, Started: e.Time, Runs: st.Runs + 1}
	case StepFailed:
		st.Status, st.Ended, st.Error = StatusFailed, e.Time, e.Error
		if e.Outcome == OutcomeUnknown {
			st.Status = StatusUnknown
		}
		s.Changed = s.Changed || e.Changed
	case RunStarted, RunResumed, StageStarted, StageDone, GuardChecked, CommandStart, CommandEnd,
		ValueSet, Note, Warning, WouldRun, Paused, Continued, RunStopped, RunDone:
		return
	}
	s.Steps[e.Step] = st
}

func (st StepState) finished(e Event) StepState {
	st.Status, st.Ended, st.Error = StatusDone, e.Time, ""
	if e.Type == StepSkipped {
		st.Status = StatusSkipped
	} else if st.Started.IsZero() {
		st.Started = e.Time
	}
	return st
}
