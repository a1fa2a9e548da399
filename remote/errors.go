package remote

import (
	"errors"
	"fmt"
	"strings"
)

// Sentinels that callers decide by. Every error of a Transport or a Conn wraps
// exactly one of them (context errors excepted).
var (
	// ErrUnreachable: no TCP connection, or the other end does not speak SSH
	// in time.
	ErrUnreachable = errors.New("unreachable")
	// ErrHostKeyUnknown: the host key is in no known_hosts file and was not
	// accepted.
	ErrHostKeyUnknown = errors.New("host key unknown")
	// ErrHostKeyChanged: known_hosts has another key for this host. It is
	// never overridden from within novatui.
	ErrHostKeyChanged = errors.New("host key changed")
	// ErrAuth: no key, password or code was accepted.
	ErrAuth = errors.New("authentication failed")
	// ErrPrivilege: logged in, but root's rights cannot be had. A command that
	// got this surely did not run.
	ErrPrivilege = errors.New("no root privileges")
	// ErrNotStarted: the command surely did not run.
	ErrNotStarted = errors.New("not started")
	// ErrOutcomeUnknown: the command was started and its end was not seen.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrJobGone: a command with Detach ended on its node without a status (the
	// node was started anew, somebody killed it, its time was up) and nothing of
	// it runs any more. It comes together with ErrOutcomeUnknown: what the command
	// did until then must be asked of reality.
	ErrJobGone = errors.New("the command was cut off on the node")
	// ErrDeclined: a question was answered with no, or not at all.
	ErrDeclined = errors.New("declined")
)

// ExitError is a command that ran and ended with a status other than zero.
type ExitError struct {
	Node   string
	Line   string
	Result Result
}

// Error names node, command and status, and the last line of stderr.
func (e *ExitError) Error() string {
	s := fmt.Sprintf("%s: %s: exit status %d", e.Node, e.Line, e.Result.Exit)
	if e.Result.Signal != "" {
		s = fmt.Sprintf("%s: %s: ended by signal %s", e.Node, e.Line, e.Result.Signal)
	}
	if last := lastLine(e.Result.Stderr); last != "" {
		s += ": " + last
	}
	return s
}

// Check is nil for exit status zero and an *ExitError otherwise.
func (r Result) Check(node string, c Command) error {
	if r.Exit == 0 && r.Signal == "" {
		return nil
	}
	return &ExitError{Node: node, Line: c.Short(), Result: r}
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return Clean(strings.TrimSpace(lines[len(lines)-1]))
}
