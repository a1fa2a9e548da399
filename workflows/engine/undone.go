package engine

import (
	"errors"
	"fmt"
	"os"

	"github.com/novatui/novatui/assets/msg"
)

// ErrRolledBack: the run was taken back by a rollback, or one of it has begun,
// so that going on with it would undo half of what the rollback did.
var ErrRolledBack = errors.New("the run was rolled back")

// RolledBackError names the rollback. It matches ErrRolledBack, and ErrRefused,
// because nothing was changed.
type RolledBackError struct {
	Run string // that was taken back
	By  string // the rollback's run
	// Done: the rollback ended well. Otherwise it is the one to go on with.
	Done bool
}

// Error names both runs.
func (e *RolledBackError) Error() string {
	return fmt.Sprintf("%v: %s by %s", ErrRolledBack, e.Run, e.By)
}

// Unwrap is ErrRolledBack and ErrRefused, and the sentence for people.
func (e *RolledBackError) Unwrap() []error {
	said := msg.M("rollback.rolling", "run", e.Run, "by", e.By)
	if e.Done {
		said = msg.M("rollback.rolled", "run", e.Run, "by", e.By)
	}
	return []error{ErrRolledBack, ErrRefused, msg.Error{Msg: said}}
}

// MarkUndone notes in a list of runs which of them a rollback in the same list
// took back or began to. Nothing is written into the folder of the run that is
// taken back: the rollback's own plan and journal say it, so that the mark is
// there as soon as the rollback has begun and can never disagree with it.
func MarkUndone(runs []RunInfo) {
	for _, by := range runs {
		if by.Undoes == "" || !by.Begun {
			continue
		}
		for i := range runs {
			if runs[i].ID != by.Undoes || runs[i].RolledBack {
				continue
			}
			runs[i].UndoneBy, runs[i].RolledBack = by.ID, by.Outcome == OutcomeDone
			runs[i].Resumable = false
		}
	}
}

// CheckUndone is a *RolledBackError when a run was taken back, or its rollback
// has begun.
func CheckUndone(dir, id string) error {
	runs, _ := Runs(dir)
	for _, r := range runs {
		if r.ID == id && r.UndoneBy != "" {
			return &RolledBackError{Run: id, By: r.UndoneBy, Done: r.RolledBack}
		}
	}
	return nil
}

// checkUndone refuses, under the lease, to go on with a run that was taken back,
// and to take a run back that does not stand where it stood when the plan was
// made: because somebody went on with it since, or another rollback has begun. A
// run that is not among those of this machine cannot be compared; the guards on
// the state of the nodes decide all the same.
func (r *Run) checkUndone(dir string, resumed bool) error {
	if resumed {
		if err := CheckUndone(dir, r.id); err != nil {
			return err
		}
	}
	if r.plan.Undoes == "" {
		return nil
	}
	_, events, err := LoadRun(dir, r.plan.Undoes)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if now := Replay(events).LastSeq; now != r.plan.UndoesSeq {
		return fmt.Errorf("%w: run %s went on meanwhile (event %d, the plan knows %d)", ErrPlanStale, r.plan.Undoes, now, r.plan.UndoesSeq)
	}
	var undone *RolledBackError
	if err := CheckUndone(dir, r.plan.Undoes); errors.As(err, &undone) && undone.By != r.id {
		return err
	}
	return nil
}
