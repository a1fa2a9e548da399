package chaos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Plan is what is read of a plan's file.
type Plan struct {
	Procedure string `json:"procedure"`
	Tag       string `json:"tag"`
	Stages    []struct {
		ID    string `json:"id"`
		Steps []struct {
			ID     string `json:"id"`
			Node   string `json:"node"`
			Effect string `json:"effect"`
		} `json:"steps"`
	} `json:"stages"`
}

// ReadPlan reads a plan's file.
func ReadPlan(file string) (Plan, error) {
	var p Plan
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		return p, fmt.Errorf("reading the plan %s: %w", file, err)
	}
	return p, nil
}

// step is a step of a plan and the number of its stage.
type step struct {
	id, effect string
	stage      int
}

// steps are all steps in order.
func (p Plan) steps() []step {
	var all []step
	for i, stage := range p.Stages {
		for _, s := range stage.Steps {
			all = append(all, step{s.ID, s.Effect, i})
		}
	}
	return all
}

// Steps are the ids of all steps, in order.
func (p Plan) Steps() []string {
	var ids []string
	for _, s := range p.steps() {
		ids = append(ids, s.id)
	}
	return ids
}

// journal is a run as its folder tells it.
type journal struct {
	dir    string
	plan   Plan
	events []Event
}

// The names of a run's files, and where runs lie below the XDG state folder.
const (
	runsBelow   = "novatui/runs"
	journalName = "journal.jsonl"
)

// journals reads all runs below a state folder, the oldest first. It knows
// nothing of novatui's own reader: a last line that is not whole is left out,
// and anything else that is no event is an error.
func journals(state string) ([]journal, error) {
	files, err := filepath.Glob(filepath.Join(state, runsBelow, "*", journalName))
	if err != nil {
		return nil, err
	}
	var all []journal
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		j := journal{dir: filepath.Dir(file)}
		lines := bytes.Split(b, []byte("\n"))
		for i, line := range lines {
			var e Event
			if i == len(lines)-1 { // behind the last newline: nothing, or a torn line
				continue
			}
			if err := json.Unmarshal(line, &e); err != nil {
				if i == len(lines)-2 && len(lines[len(lines)-1]) == 0 {
					continue // torn, with a newline
				}
				return nil, fmt.Errorf("%s: line %d of %d: %w", file, i+1, len(lines), err)
			}
			j.events = append(j.events, e)
		}
		if len(j.events) == 0 {
			continue // died before its first event: it never began
		}
		if j.plan, err = ReadPlan(filepath.Join(j.dir, "plan.json")); err != nil {
			return nil, err
		}
		all = append(all, j)
	}
	slices.SortFunc(all, func(a, b journal) int { return a.events[0].Time.Compare(b.events[0].Time) })
	return all, nil
}

// claim is what a journal says of a step.
type claim int

// The claims. A step whose intent is there without a result is unknown; so is
// one that failed.
const (
	never claim = iota
	notDone
	unknown
	done
)

// claims adds the events of a run up.
func (j journal) claims() map[string]claim {
	all := map[string]claim{}
	for _, e := range j.events {
		switch e.Type {
		case "step-probed":
			if e.Probed == "not-done" && all[e.Step] != done {
				all[e.Step] = notDone
			}
		case "step-skipped", "step-done":
			all[e.Step] = done
		case "step-intent", "step-failed":
			all[e.Step] = unknown
		}
	}
	return all
}

// begun are the steps whose intent was ever journalled.
func (j journal) begun() map[string]bool {
	all := map[string]bool{}
	for _, e := range j.events {
		if e.Type == "step-intent" {
			all[e.Step] = true
		}
	}
	return all
}

// saysDone reports whether the run ended well, as its journal has it.
func (j journal) saysDone() bool {
	says := false
	for _, e := range j.events {
		switch e.Type {
		case "run-done":
			says = true
		case "run-resumed", "run-stopped":
			says = false
		}
	}
	return says
}

// tear leaves half a line at the end of the newest journal, as a crash in the
// middle of writing does; whole says instead to damage the last line that is
// there, as a disk does that had not written it.
func tear(state string, cut int) error {
	all, err := journals(state)
	if err != nil || len(all) == 0 {
		return err
	}
	file := filepath.Join(all[len(all)-1].dir, journalName)
	if cut > 0 {
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		return os.Truncate(file, max(info.Size()-int64(cut), 1))
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(`{"seq":99999,"time":"2026-11-0`)
	return errors.Join(err, f.Close())
}

// kindOf splits "aside/master-2" into the kind of the step and its node.
func kindOf(step string) (kind, node string) {
	kind, node, _ = strings.Cut(step, "/")
	return kind, node
}
