package chaos

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Result is how one run of the campaign ended, a line of the file that
// NOVATUI_CHAOS_RESULTS names.
type Result struct {
	World     string   `json:"world"`   // lab or hosts
	Version   string   `json:"version"` // of etcd
	Seed      uint64   `json:"seed"`
	Damage    string   `json:"damage"`
	Nodes     []int    `json:"nodes"`
	Procedure string   `json:"procedure"`
	Faults    []Struck `json:"faults"`
	// Outcome is proved, or healthy when nothing was left to repair before any
	// run was proved; empty when it never ended well.
	Outcome string `json:"outcome"`
	// Tries is how often novatui was begun to repair (apply and resume).
	Tries int `json:"tries"`
	// Exits are their exit statuses; -1 is killed.
	Exits []int `json:"exits"`
	// Seconds from the first fault, or the begin of the repair when none struck,
	// to the proof.
	Seconds float64 `json:"seconds"`
	// Broken are the promises that were not kept, in words.
	Broken []string `json:"broken"`
}

// Struck is a fault of a run and whether its moment came.
type Struck struct {
	Kind   Kind   `json:"kind"`
	At     string `json:"at"` // event:step
	Struck bool   `json:"struck"`
}

// Append adds a result to a file, in one write: other processes append too.
func Append(path string, r Result) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding a result: %w", err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the results: %w", err)
	}
	_, err = f.Write(append(line, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing a result: %w", err)
	}
	return nil
}
