package engine

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// slot is @{name}: a place in a declared command for a value that is learnt
// during the run (a member's ID, the digest of a file).
var (
	slot     = regexp.MustCompile(`@\{([a-z][a-z0-9._-]{0,63})\}`)
	slotName = regexp.MustCompile(`^[a-z][a-z0-9._-]{0,63}$`)
	dashC    = regexp.MustCompile(`^-[a-z]*c[a-z]*$`)
)

// maxValue bounds the value of a slot, in bytes. The longest that is known is
// the initial cluster of nine members.
const maxValue = 8 << 10

// shells read one of their arguments, or their stdin, as a program.
var shells = []string{"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "busybox"}

// checkSlots refuses a declared command in which the value of a slot could
// become something else than a piece of one argument: the program, a part of
// a shell's script, the name of a variable.
func checkSlots(c remote.Command) error {
	parts := slices.Concat(c.Argv, c.Env, []string{c.Stdin})
	for _, s := range parts {
		if strings.Contains(slot.ReplaceAllString(s, ""), "@{") {
			return fmt.Errorf("command %q: @{ begins no slot", c.Argv[0])
		}
	}
	if strings.Contains(c.Argv[0], "@{") {
		return fmt.Errorf("command %q: the program cannot be a slot", c.Argv[0])
	}
	for i, arg := range c.Argv {
		if !slices.Contains(shells, path.Base(arg)) {
			continue
		}
		script := slices.IndexFunc(c.Argv[i+1:], dashC.MatchString)
		switch {
		case script < 0 && strings.Contains(c.Stdin, "@{"):
			return fmt.Errorf("command %q: a slot in a script on stdin would be run as shell code", c.Argv[0])
		case script >= 0 && i+script+2 < len(c.Argv) && strings.Contains(c.Argv[i+script+2], "@{"):
			return fmt.Errorf("command %q: a slot in a script would be run as shell code; pass it as an argument", c.Argv[0])
		case script >= 0:
			return nil // what follows are the arguments of the script
		}
	}
	return nil
}

// fill puts the values into the slots of a command, once and in one pass: a
// value that looks like a slot stays text. ErrSlot when one is missing, or
// would turn an argument into an option.
func fill(c remote.Command, value func(name string) (string, bool)) (remote.Command, error) {
	var missing []string
	one := func(s string) string {
		return slot.ReplaceAllStringFunc(s, func(m string) string {
			name := slot.FindStringSubmatch(m)[1]
			v, ok := value(name)
			if !ok {
				missing = append(missing, name)
			}
			return v
		})
	}
	filled := c
	filled.Argv, filled.Env = make([]string, len(c.Argv)), make([]string, len(c.Env))
	for i, arg := range c.Argv {
		filled.Argv[i] = one(arg)
		if strings.HasPrefix(arg, "@{") && strings.HasPrefix(filled.Argv[i], "-") {
			return c, fmt.Errorf("%w: in %q the value of %s would be read as an option", ErrSlot, c.Argv[0], arg)
		}
	}
	for i, env := range c.Env {
		filled.Env[i] = one(env)
	}
	filled.Stdin = one(c.Stdin)
	filled.Summary = one(c.Summary)
	filled.Brief = eachArg(c.Brief, one)
	if len(missing) > 0 {
		slices.Sort(missing)
		return c, fmt.Errorf("%w: %q needs %s, which no step has set yet",
			ErrSlot, c.Argv[0], strings.Join(slices.Compact(missing), ", "))
	}
	return filled, nil
}

// eachArg is a message with a function applied to every argument that is text.
func eachArg(m msg.Msg, change func(string) string) msg.Msg {
	if len(m.Args) == 0 {
		return m
	}
	args := make(msg.Args, len(m.Args))
	for name, v := range m.Args {
		if s, ok := v.(string); ok {
			v = change(s)
		}
		args[name] = v
	}
	return msg.Msg{ID: m.ID, Args: args}
}

// checkValue refuses what must not be put into a slot: names that are none,
// control and format characters (so no newline and no NUL), too much.
func checkValue(name, value string) error {
	switch {
	case !slotName.MatchString(name):
		return fmt.Errorf("%w: %q is no name of a slot", ErrSlot, name)
	case len(value) > maxValue:
		return fmt.Errorf("%w: the value of %s has %d bytes, at most %d are taken", ErrSlot, name, len(value), maxValue)
	case hasControl(value):
		return fmt.Errorf("%w: the value of %s holds control characters", ErrSlot, name)
	}
	return nil
}

// phase is which function of a step is running; it decides what the gate lets
// through.
type phase string

const (
	inProbe  phase = "probe"
	inDo     phase = "do"
	inVerify phase = "verify"
)

// declared finds the command among those that the step declared for the node.
// Do may run Commands and Checks; Probe and Verify may run whatever of them
// only reads. The comparison is on the command as declared, slots unfilled.
func (s *Step) declared(ph phase, node string, c remote.Command) (remote.Command, error) {
	for _, d := range slices.Concat(s.Commands, s.Checks) {
		if d.Node != node || !d.Command.Same(c) {
			continue
		}
		if ph != inDo && c.Effect != remote.Read {
			return c, fmt.Errorf("%w: %s: %s of step %s must only read", ErrUndeclared, c.Short(), ph, s.ID)
		}
		return d.Command, nil
	}
	return c, fmt.Errorf("%w: %s on %s, step %s", ErrUndeclared, c.Short(), node, s.ID)
}
