package engine

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/novatui/novatui/remote"
)

// Names that become parts of file and folder names, here and on the nodes.
var (
	procedureName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
	tagName       = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$`)
)

// validate checks every rule that the run loop and the gate rely on. All that
// is wrong is said at once. A refused plan has no stages.
func (p Plan) validate(refused bool) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if p.Schema != PlanSchema {
		fail("schema %q is not %s", p.Schema, PlanSchema)
	}
	if !procedureName.MatchString(p.Procedure) {
		fail("procedure %q is no name", p.Procedure)
	}
	if !tagName.MatchString(p.Tag) {
		fail("tag %q cannot be part of a file's name", p.Tag)
	}
	if p.Cluster == "" || hasControl(p.Cluster) {
		fail("cluster %q is no name", p.Cluster)
	}
	if len(p.Stages) == 0 && !refused {
		fail("no stage has a step")
	}
	for _, n := range p.Nodes {
		if !isFileName(n) {
			fail("node %q is no name", n)
		}
	}
	stages, steps := map[string]bool{}, map[string]bool{}
	for _, stage := range p.Stages {
		if stage.ID == "" || hasControl(stage.ID) || stages[stage.ID] {
			fail("stage %q: the ID is empty, unprintable or used twice", stage.ID)
		}
		stages[stage.ID] = true
		for i := range stage.Steps {
			step := &stage.Steps[i]
			if step.ID == "" || hasControl(step.ID) || steps[step.ID] {
				fail("step %q: the ID is empty, unprintable or used twice", step.ID)
			}
			steps[step.ID] = true
			errs = append(errs, step.validate()...)
		}
	}
	if p.NoReturnStage != "" && !stages[p.NoReturnStage] {
		fail("no way back after stage %q, which is not there", p.NoReturnStage)
	}
	for _, g := range p.Checks {
		if g.ID == "" || g.Check == nil {
			fail("guard %q has no ID or no check", g.ID)
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%w: %s: %w", ErrInvalidPlan, p.Procedure, errors.Join(errs...))
	}
	return nil
}

func (s *Step) validate() []error {
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("step "+s.ID+": "+format, args...))
	}
	switch {
	case rank(s.Effect) == 0:
		fail("effect %q is none of read, change, destroy", s.Effect)
	case s.Effect != remote.Read && (s.Probe == nil || s.Do == nil || s.Verify == nil):
		fail("what changes anything must have Probe, Do and Verify (a plan read from a file has none: build it again)")
	case s.Effect == remote.Read && s.Do == nil && s.Verify == nil:
		fail("has neither Do nor Verify (a plan read from a file has none: build it again)")
	}
	if !isFileName(s.Node) {
		fail("node %q is no name", s.Node)
	}
	for _, c := range s.Commands {
		if err := checkCommand(c); err != nil {
			fail("%w", err)
		} else if rank(c.Command.Effect) > rank(s.Effect) {
			fail("effect is %s, but %q is %s", s.Effect, c.Command.Short(), c.Command.Effect)
		}
	}
	for _, c := range s.Checks {
		if err := checkCommand(c); err != nil {
			fail("%w", err)
		} else if c.Command.Effect != remote.Read {
			fail("a check must only read, %q is %s", c.Command.Short(), c.Command.Effect)
		}
	}
	if s.Undo != nil {
		for _, c := range s.Undo.Commands {
			if err := checkCommand(c); err != nil {
				fail("undo: %w", err)
			}
		}
	}
	for _, g := range s.Guards {
		if g.ID == "" || g.Check == nil {
			fail("guard %q has no ID or no check", g.ID)
		}
	}
	return errs
}

// checkCommand checks a declared command: it can be sent, it survives the JSON
// of a plan, its slots are well-formed, and no secret stands in it (a plan is
// stored and shown).
func checkCommand(nc NodeCommand) error {
	c := nc.Command
	if !isFileName(nc.Node) {
		return fmt.Errorf("command %q: node %q is no name", c.Short(), nc.Node)
	}
	if err := c.Validate(); err != nil {
		return err
	}
	parts := slices.Concat(c.Argv, c.Env, []string{c.Stdin, c.Summary})
	for _, s := range parts {
		if !utf8.ValidString(s) {
			return fmt.Errorf("command %q holds bytes that are not UTF-8", c.Argv[0])
		}
		for _, secret := range c.Secrets {
			if secret != "" && strings.Contains(s, secret) {
				return fmt.Errorf("command %q holds one of its secrets", c.Argv[0])
			}
		}
	}
	return checkSlots(c)
}

// isFileName reports whether a name can be a part of a file's name and of a
// line on the screen.
func isFileName(s string) bool {
	return s != "" && len(s) <= 128 && s[0] != '.' && s[0] != '-' &&
		!strings.ContainsAny(s, `/\`) && !hasControl(s)
}

// hasControl reports whether text holds anything that does not print as
// itself: control and format characters, line separators, broken UTF-8.
func hasControl(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
	}) || strings.ContainsRune(s, utf8.RuneError)
}
