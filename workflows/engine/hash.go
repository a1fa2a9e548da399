package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/novatui/novatui/remote"
)

// hashed is what the hash of a plan covers: everything that decides what the
// run would do. Times, estimates, words for people, the basis and the
// findings of guards are left out, so that the same plan made a minute later
// from unchanged facts has the same hash.
type hashed struct {
	Schema    string        `json:"schema"`
	Procedure string        `json:"procedure"`
	Cluster   string        `json:"cluster"`
	Tag       string        `json:"tag"`
	Input     any           `json:"input"`
	Identity  string        `json:"identity"`
	Stages    []hashedStage `json:"stages"`
}

type hashedStage struct {
	ID    string       `json:"id"`
	Steps []hashedStep `json:"steps"`
}

type hashedStep struct {
	ID       string          `json:"id"`
	Node     string          `json:"node"`
	Effect   remote.Effect   `json:"effect"`
	Commands []hashedCommand `json:"commands"`
	Checks   []hashedCommand `json:"checks"`
}

type hashedCommand struct {
	Node    string        `json:"node"`
	Argv    []string      `json:"argv"`
	Env     []string      `json:"env"`
	Effect  remote.Effect `json:"effect"`
	Timeout time.Duration `json:"timeout"`
	Stdin   string        `json:"stdin"`
	Detach  bool          `json:"detach,omitempty"`
}

// HashOf computes the hash of a plan: SHA-256, in hex, of canonical JSON
// (fixed order of fields, sorted keys in Input).
func HashOf(p Plan) (string, error) {
	h := hashed{
		Schema: p.Schema, Procedure: p.Procedure, Cluster: p.Cluster, Tag: p.Tag, Identity: p.Identity,
	}
	if len(p.Input) > 0 {
		// Decoding and encoding again sorts the keys and drops the white
		// space that a stored plan has gained.
		d := json.NewDecoder(bytes.NewReader(p.Input))
		d.UseNumber()
		if err := d.Decode(&h.Input); err != nil {
			return "", fmt.Errorf("%w: input: %w", ErrInvalidPlan, err)
		}
	}
	for _, stage := range p.Stages {
		hs := hashedStage{ID: stage.ID}
		for _, s := range stage.Steps {
			hs.Steps = append(hs.Steps, hashedStep{
				ID: s.ID, Node: s.Node, Effect: s.Effect,
				Commands: hashedCommands(s.Commands), Checks: hashedCommands(s.Checks),
			})
		}
		h.Stages = append(h.Stages, hs)
	}
	b, err := json.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("hashing a plan: %w", err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

func hashedCommands(in []NodeCommand) []hashedCommand {
	out := make([]hashedCommand, 0, len(in))
	for _, c := range in {
		out = append(out, hashedCommand{
			Node: c.Node, Argv: append([]string{}, c.Command.Argv...), Env: append([]string{}, c.Command.Env...),
			Effect: c.Command.Effect, Timeout: c.Command.Timeout, Stdin: c.Command.Stdin, Detach: c.Command.Detach,
		})
	}
	return out
}
