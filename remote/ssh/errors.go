package ssh

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// Error is why a connection was not made. It matches one sentinel of package
// remote, and the context's error when that ended the attempt.
type Error struct {
	// Node is the node's name, Phase what was being done.
	Node  string
	Phase remote.Phase
	// Kind is the sentinel; nil when the attempt was cancelled.
	Kind error
	// Text says what happened and what to do.
	Text msg.Msg
	// Err is the cause, if there is one.
	Err error
}

// Error is the text in English, with the node's name before it.
func (e *Error) Error() string { return msg.New("en").S(e.Message()) }

// Message is the text for any language, with the node's name before it.
func (e *Error) Message() msg.Msg {
	return msg.M("ssh.at-node", "node", e.Node, "text", e.Text)
}

// Unwrap gives the sentinel and the cause.
func (e *Error) Unwrap() []error {
	var all []error
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			all = append(all, err)
		}
	}
	return all
}

// phaseTimeout is the cause of an attempt that its phase's deadline ended.
type phaseTimeout struct {
	phase remote.Phase
	limit time.Duration
}

func (e *phaseTimeout) Error() string {
	return fmt.Sprintf("no progress in phase %s within %s", e.phase, e.limit)
}

// phaseName is a phase as a sentence has it.
func phaseName(p remote.Phase) msg.Msg { return msg.M("ssh.phase-" + string(p)) }

// seconds prints a limit without needless digits.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3g", d.Seconds()) }

// raw is text of libraries and servers as an argument of a message.
func raw(err error) msg.Msg { return msg.Raw(oneLine(err.Error())) }

// oneLine cleans text of the other side and bounds it to what fits a sentence.
func oneLine(s string) string {
	const most = 300
	b := []rune(remote.Clean(s))
	for i, r := range b {
		if r == '\n' || r == '\t' {
			b[i] = ' '
		}
	}
	if len(b) > most {
		b = append(b[:most], '…')
	}
	return string(b)
}

// dropped reports whether an error means that the other end went away, rather
// than that it said no.
func dropped(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, io.ErrClosedPipe)
}
