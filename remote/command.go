package remote

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/novatui/novatui/assets/msg"
)

// Effect says what a command can do to the world.
type Effect string

// The three effects. Destroy is for what cannot be taken back.
const (
	Read    Effect = "read"
	Change  Effect = "change"
	Destroy Effect = "destroy"
)

// DefaultMaxOutput is how many bytes of stdout and of stderr a Result keeps
// when the command does not say.
const DefaultMaxOutput = 1 << 20

// Command is one thing to run on a node: an argument vector with what it does
// and how long it may take. It is plain data, so that a plan can show, hash
// and store it. Argv, Env and Stdin may hold slots of the form @{name} that
// the engine fills with values learnt during a run.
type Command struct {
	// Summary is a short form for narrow places ("set aside /var/lib/etcd");
	// empty means that the command line itself is short enough.
	Summary string `json:"summary,omitempty"`
	// Brief is the same as a message, for who shows it in the reader's
	// language; zero when Summary is a command line, or empty.
	Brief msg.Msg  `json:"brief,omitzero"`
	Argv  []string `json:"argv"`
	// Env are NAME=value pairs that are set for this command alone.
	Env    []string `json:"env,omitempty"`
	Effect Effect   `json:"effect"`
	// Timeout bounds the command; every command has one.
	Timeout time.Duration `json:"timeout"`
	// Stdin is literal input, short enough to be shown.
	Stdin string `json:"stdin,omitempty"`
	// Detach asks for a session of its own on the node, which outlives the
	// connection, and the program: for what is long, or must not be cut off in
	// the middle. Such a command has no input. A Conn does not look at it; who
	// sends the command sees to it (engine.Jobs).
	Detach bool `json:"detach,omitempty"`
	// MaxOutput bounds each of stdout and stderr in the Result, in bytes;
	// 0 means DefaultMaxOutput.
	MaxOutput int `json:"-"`
	// Quiet commands (probes that poll) do not go into panes and transcripts.
	Quiet bool `json:"-"`
	// Secrets are values that must never be shown: every printer replaces
	// them by ***.
	Secrets []string `json:"-"`
}

// Line is the command as a shell would need it typed, with Env in front and
// Secrets replaced. It is for people and transcripts, and it can be copied.
func (c Command) Line() string {
	parts := make([]string, 0, len(c.Env)+len(c.Argv))
	for _, e := range c.Env {
		name, value, _ := strings.Cut(e, "=")
		parts = append(parts, name+"="+Quote(value))
	}
	for _, a := range c.Argv {
		parts = append(parts, Quote(a))
	}
	return c.Redact(strings.Join(parts, " "))
}

// Short is Summary, or else the command line.
func (c Command) Short() string {
	if c.Summary != "" {
		return c.Redact(c.Summary)
	}
	return c.Line()
}

// ShortIn is Short in the language of say.
func (c Command) ShortIn(say func(msg.Msg) string) string {
	if c.Brief.Zero() {
		return c.Short()
	}
	return c.Redact(say(c.Brief))
}

// Named gives the command its short form: a message, and its English text for
// journals and errors.
func (c Command) Named(brief msg.Msg) Command {
	c.Brief, c.Summary = brief, msg.New(msg.Languages[0]).S(brief)
	return c
}

// Redact replaces every secret of the command in s by ***.
func (c Command) Redact(s string) string {
	for _, secret := range c.Secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	return s
}

// Same reports whether two commands would do the same: the gate's comparison.
func (c Command) Same(d Command) bool {
	return slices.Equal(c.Argv, d.Argv) && slices.Equal(c.Env, d.Env) &&
		c.Effect == d.Effect && c.Stdin == d.Stdin && c.Detach == d.Detach
}

// Validate reports why the command must not be sent: no argv, no effect, no
// deadline, or a byte that no shell can carry.
func (c Command) Validate() error {
	switch {
	case len(c.Argv) == 0 || c.Argv[0] == "":
		return fmt.Errorf("command without a program")
	case c.Effect != Read && c.Effect != Change && c.Effect != Destroy:
		return fmt.Errorf("command %q: effect %q is none of read, change, destroy", c.Argv[0], c.Effect)
	case c.Timeout <= 0:
		return fmt.Errorf("command %q has no deadline", c.Argv[0])
	case c.Detach && c.Stdin != "":
		return fmt.Errorf("command %q: what runs detached has no standard input", c.Argv[0])
	}
	for _, s := range slices.Concat(c.Argv, c.Env) {
		if strings.ContainsRune(s, 0) {
			return fmt.Errorf("command %q: an argument holds a NUL byte", c.Argv[0])
		}
	}
	for _, e := range c.Env {
		name, _, ok := strings.Cut(e, "=")
		if !ok || !isEnvName(name) {
			return fmt.Errorf("command %q: %q is not NAME=value", c.Argv[0], name)
		}
	}
	return nil
}

func isEnvName(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// Quote quotes one word for a POSIX shell. A word that needs no quoting is
// returned as it is; anything else goes between single quotes.
func Quote(word string) string {
	if word == "" {
		return "''"
	}
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("@%_-+=:,./", r)
	}
	if strings.IndexFunc(word, func(r rune) bool { return !safe(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
