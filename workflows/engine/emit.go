package engine

import (
	"errors"
	"maps"
	"strings"
	"sync"
)

// emit numbers an event, journals it if it is of that kind, puts it into the
// feed and calls OnEvent. The error is that of the journal; the first one
// stays, and the run stops at its next boundary.
func (r *Run) emit(e Event) (seq uint64, err error) {
	r.emitting.Lock()
	defer r.emitting.Unlock()
	r.seq++
	e.Seq, e.Time, e.Run = r.seq, r.now().UTC(), r.id
	if r.journal != nil && e.journalled() {
		sync := (e.Type != CommandStart && e.Type != CommandEnd) || rank(e.Effect) > 1
		if err = r.journal.write(e, sync); err != nil && r.ioErr == nil {
			r.ioErr = err
		}
		r.mirror.grew(r.journal.size)
	}
	r.feed.event(e)
	if held, ok := r.held.(fencedHeld); ok && (e.Type == StageStarted || e.Type == StepIntent) {
		held.doing(strings.TrimSpace(e.Stage + " " + e.Step))
	}
	if r.onEvent != nil {
		_, errPanic := protect("OnEvent", func() (struct{}, error) { r.onEvent(e); return struct{}{}, nil })
		if errPanic != nil && r.ioErr == nil {
			r.ioErr = errPanic
		}
	}
	return e.Seq, err
}

// journalled tells which events are written to the journal.
func (e Event) journalled() bool {
	switch e.Type {
	case Note, WouldRun, Paused, Continued:
		return false
	case GuardChecked:
		return e.Finding == nil || e.Finding.Result != Pass
	case RunStarted, RunResumed, StageStarted, StageDone, StepProbed, StepSkipped, StepIntent,
		CommandStart, CommandEnd, StepDone, StepFailed, ValueSet, Warning, RunStopped, RunDone:
	}
	return true
}

// failure is the first error of writing journal or transcripts.
func (r *Run) failure() error {
	r.emitting.Lock()
	err := r.ioErr
	r.emitting.Unlock()
	for _, p := range r.panes {
		err = errors.Join(err, p.failure())
	}
	return err
}

// values are the slots.
type values struct {
	mu  sync.Mutex
	all map[string]string
}

func (v *values) get(name string) (string, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	value, ok := v.all[name]
	return value, ok
}

func (v *values) set(name, value string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all[name] = value
}

func (v *values) copy() map[string]string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.all)
}
