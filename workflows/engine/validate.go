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

// problems collects what is wrong, so that all of it is said at once.
type problems struct {
	prefix string
	errs   []error
}

func (p *problems) unless(ok bool, format string, args ...any) {
	if !ok {
		p.errs = append(p.errs, fmt.Errorf(p.prefix+format, args...))
	}
}

func (p *problems) add(err error) {
	if err != nil {
		p.errs = append(p.errs, fmt.Errorf(p.prefix+"%w", err))
	}
}

// validate checks every rule that the run loop and the gate rely on. A refused
// plan has no stages.
func (p Plan) validate(refused bool) error {
	var all problems
	all.unless(p.Schema == PlanSchema, "schema %q is not %s", p.Schema, PlanSchema)
	all.unless(procedureName.MatchString(p.Procedure), "procedure %q is no name", p.Procedure)
	all.unless(tagName.MatchString(p.Tag), "tag %q cannot be part of a file's name", p.Tag)
	all.unless(p.Cluster != "" && !hasControl(p.Cluster), "cluster %q is no name", p.Cluster)
	all.unless(refused || len(p.Stages) > 0, "no stage has a step")
	for _, n := range p.Nodes {
		all.unless(isFileName(n), "node %q is no name", n)
	}
	stages, steps := map[string]bool{}, map[string]bool{}
	for _, stage := range p.Stages {
		all.unless(isID(stage.ID) && !stages[stage.ID], "stage %q: the ID is empty, unprintable or used twice", stage.ID)
		stages[stage.ID] = true
		for i := range stage.Steps {
			step := &stage.Steps[i]
			all.unless(isID(step.ID) && !steps[step.ID], "step %q: the ID is empty, unprintable or used twice", step.ID)
			steps[step.ID] = true
			all.errs = append(all.errs, step.validate()...)
		}
	}
	all.unless(p.NoReturnStage == "" || stages[p.NoReturnStage], "no way back after stage %q, which is not there", p.NoReturnStage)
	all.guards(p.Checks)
	if len(all.errs) > 0 {
		return fmt.Errorf("%w: %s: %w", ErrInvalidPlan, p.Procedure, errors.Join(all.errs...))
	}
	return nil
}

func (p *problems) guards(guards []Guard) {
	for _, g := range guards {
		p.unless(g.ID != "" && g.Check != nil, "guard %q has no ID or no check", g.ID)
	}
}

func isID(s string) bool { return s != "" && !hasControl(s) }

func (s *Step) validate() []error {
	all := problems{prefix: "step " + strings.ReplaceAll(s.ID, "%", "%%") + ": "}
	all.add(s.validateFunctions())
	all.unless(isFileName(s.Node), "node %q is no name", s.Node)
	for _, c := range s.Commands {
		all.add(checkCommand(c))
		all.unless(rank(c.Command.Effect) <= rank(s.Effect), "effect is %s, but %q is %s",
			s.Effect, c.Command.Short(), c.Command.Effect)
	}
	for _, c := range s.Checks {
		all.add(checkCommand(c))
		all.unless(c.Command.Effect == remote.Read, "a check must only read, %q is %s",
			c.Command.Short(), c.Command.Effect)
	}
	all.guards(s.Guards)
	return all.errs
}

func (s *Step) validateFunctions() error {
	switch {
	case rank(s.Effect) == 0:
		return fmt.Errorf("effect %q is none of read, change, destroy", s.Effect)
	case s.Effect != remote.Read && (s.Probe == nil || s.Do == nil || s.Verify == nil):
		return errors.New("what changes anything must have Probe, Do and Verify (a plan read from a file has none: build it again)")
	case s.Effect == remote.Read && s.Do == nil && s.Verify == nil:
		return errors.New("has neither Do nor Verify (a plan read from a file has none: build it again)")
	}
	return nil
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
	for _, v := range c.Brief.Args {
		if s, ok := v.(string); ok {
			parts = append(parts, s)
		}
	}
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
