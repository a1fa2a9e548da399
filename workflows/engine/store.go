package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/novatui/novatui/assets/msg"
)

const (
	// maxPlan and maxJournal bound what is read from a run's folder, in bytes.
	maxPlan    = 64 << 20
	maxJournal = 256 << 20
	// minFree is how much room the disk of the runs must have, in bytes,
	// before anything is changed: the reserve and some megabytes of
	// transcript.
	minFree = 8 << 20
)

// RunInfo is a stored run in short.
type RunInfo struct {
	ID, Dir     string
	Procedure   string
	Cluster     string
	Environment string
	Title       msg.Msg
	Started     time.Time
	Ended       time.Time // zero while it runs, or after a crash
	// Outcome is empty while Active. A run that ended without saying so (a
	// crash) has OutcomeUnknown when a step's outcome is not known, otherwise
	// OutcomeStopped.
	Outcome   Outcome
	Error     string
	Stage     msg.Msg // the last stage that was begun
	Active    bool    // a process of this machine holds it
	Resumable bool
	Changed   bool
	Version   string // of the program that ran it last
	// Undoes is the run that this one takes back, UndoneBy the rollback that
	// took this one back or began to (RolledBack: it ended well).
	Undoes, UndoneBy string
	RolledBack       bool
	Begun            bool // a step of it was begun
	// Done and Left count the steps that are done and those that are not;
	// Unknown are those of which nobody knows. Events is the number of the last
	// event, which tells the longer of two copies.
	Done, Left int
	Unknown    []string
	Events     uint64
	// Nodes are those that have the newest copy; empty when this machine has it.
	// Holder is who runs it on another machine now.
	Nodes  []string
	Holder *LockedError
}

// Problem is a folder among the runs that cannot be read as one.
type Problem struct {
	Path string
	Err  error
}

// Error names the folder.
func (p Problem) Error() string { return p.Path + ": " + p.Err.Error() }

// Runs lists the runs in a folder, newest first. What cannot be read is
// reported and does not hide the rest. A folder that does not exist holds no
// runs.
func Runs(dir string) ([]RunInfo, []Problem) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, []Problem{{dir, err}}
	}
	var runs []RunInfo
	var problems []Problem
	for _, entry := range entries {
		if !entry.IsDir() || strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		info, err := loadInfo(dir, entry.Name())
		if err != nil {
			problems = append(problems, Problem{filepath.Join(dir, entry.Name()), err})
			continue
		}
		runs = append(runs, info)
	}
	slices.SortStableFunc(runs, func(a, b RunInfo) int { return b.Started.Compare(a.Started) })
	MarkUndone(runs)
	return runs, problems
}

func loadInfo(dir, id string) (RunInfo, error) {
	plan, events, err := LoadRun(dir, id)
	if err != nil {
		return RunInfo{}, err
	}
	holder, held := LocalLease{Dir: dir}.Holder(plan.Cluster)
	return infoOf(dir, id, plan, events, held && holder.Run == id), nil
}

// infoOf is a run in short, from its plan and events.
func infoOf(dir, id string, plan Plan, events []Event, active bool) RunInfo {
	s := Replay(events)
	info := RunInfo{
		ID: id, Dir: filepath.Join(dir, id), Procedure: plan.Procedure, Cluster: plan.Cluster,
		Environment: plan.Environment, Title: plan.Title, Started: s.Started, Ended: s.Ended,
		Outcome: s.Outcome, Error: s.Error, Changed: s.Changed, Version: s.Version,
		Undoes: plan.Undoes, Begun: s.Begun, Active: active, Unknown: s.Unknown(), Events: s.LastSeq,
	}
	for _, stage := range plan.Stages {
		if stage.ID == s.Stage {
			info.Stage = stage.Title
		}
		for _, step := range stage.Steps {
			switch status := s.Step(step.ID).Status; {
			case status.Finished():
				info.Done++
			case status != StatusUnknown:
				info.Left++
			}
		}
	}
	switch {
	case info.Active:
		info.Outcome = ""
	case s.Outcome == "" && len(s.Unknown()) > 0:
		info.Outcome = OutcomeUnknown
	case s.Outcome == "":
		info.Outcome = OutcomeStopped
	}
	info.Resumable = !info.Active && s.Outcome != OutcomeDone
	return info
}

// LoadRun reads the plan (data only: it must be built again before it can run)
// and the journal of a run. A torn last line is left out. Errors wrap
// ErrJournal, or os.ErrNotExist when there is no such run.
func LoadRun(dir, id string) (Plan, []Event, error) {
	plan, d, err := loadRun(dir, id)
	return plan, d.events, err
}

func loadRun(dir, id string) (Plan, decoded, error) {
	if !isFileName(id) {
		return Plan{}, decoded{}, fmt.Errorf("run %q: no such run: %w", id, os.ErrNotExist)
	}
	plan, err := loadPlan(filepath.Join(dir, id, planFile))
	if err != nil {
		return Plan{}, decoded{}, fmt.Errorf("run %s: %w", id, err)
	}
	f, err := os.Open(filepath.Join(dir, id, journalFile))
	if err != nil {
		return Plan{}, decoded{}, fmt.Errorf("run %s: %w: %w", id, ErrJournal, err)
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return Plan{}, decoded{}, fmt.Errorf("run %s: %w: %w", id, ErrJournal, err)
	}
	if st.Size() > maxJournal {
		return Plan{}, decoded{}, fmt.Errorf("run %s: %w: larger than %d bytes", id, ErrJournal, maxJournal)
	}
	d, err := decodeJournal(f)
	if err == nil {
		err = d.of(plan, id)
	}
	if err != nil {
		return Plan{}, d, fmt.Errorf("run %s: %w", id, err)
	}
	return plan, d, nil
}

// of proves that a journal is that of a run with a plan.
func (d decoded) of(plan Plan, id string) error {
	switch {
	case len(d.events) == 0:
		return fmt.Errorf("%w: it is empty, so the run never began", ErrJournal)
	case d.events[0].Run != id:
		return fmt.Errorf("%w: it belongs to run %q", ErrJournal, d.events[0].Run)
	case d.events[0].Hash != plan.Hash:
		return fmt.Errorf("%w: it belongs to another plan", ErrJournal)
	}
	return nil
}

// loadPlan reads a plan as data and proves that it is the one that was
// hashed.
func loadPlan(path string) (Plan, error) {
	f, err := os.Open(path)
	if err != nil {
		return Plan{}, fmt.Errorf("the plan: %w", err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxPlan+1))
	if err != nil {
		return Plan{}, fmt.Errorf("the plan: %w", err)
	}
	if len(b) > maxPlan {
		return Plan{}, fmt.Errorf("%w: larger than %d bytes", ErrInvalidPlan, maxPlan)
	}
	return DecodePlan(b)
}

// DecodePlan reads a plan from its JSON. It is data only: the functions come
// from building it again. Errors wrap ErrInvalidPlan: no JSON, another schema,
// or a content that does not have the hash it claims.
func DecodePlan(b []byte) (Plan, error) {
	var p Plan
	if err := json.Unmarshal(b, &p); err != nil {
		return Plan{}, fmt.Errorf("%w: %w", ErrInvalidPlan, err)
	}
	if p.Schema != PlanSchema {
		return Plan{}, fmt.Errorf("%w: schema %q is not %s", ErrInvalidPlan, p.Schema, PlanSchema)
	}
	hash, err := HashOf(p)
	if err != nil {
		return Plan{}, err
	}
	if hash != p.Hash {
		return Plan{}, fmt.Errorf("%w: its content was changed: hash %.12s, but it says %.12s", ErrInvalidPlan, hash, p.Hash)
	}
	return p, nil
}

// EncodePlan is a plan as JSON for a file, indented.
func EncodePlan(p Plan) ([]byte, error) {
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding a plan: %w", err)
	}
	return append(b, '\n'), nil
}

// prepareDir makes sure, before anything is changed, that runs can be stored:
// the folder is there and can be written, and its disk has room.
func prepareDir(dir string) error {
	if dir == "" {
		return fmt.Errorf("%w: no folder given", ErrStateDir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("%w: %w", ErrStateDir, err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrStateDir, dir, err)
	}
	if free := uint64(st.Bavail) * uint64(st.Bsize); free < minFree { //nolint:unconvert // the types differ by system
		return fmt.Errorf("%w: %s: %d KiB free, %d KiB needed", ErrStateDir, dir, free>>10, minFree>>10)
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStateDir, err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return fmt.Errorf("%w: %w", ErrStateDir, err)
	}
	return nil
}
