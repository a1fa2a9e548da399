package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// drainTime is how long output is waited for after a command has ended: a
// process that it left behind may hold its output open for ever.
const drainTime = 3 * time.Second

// execution is one command while it runs.
type execution struct {
	c      *Conn
	ch     xssh.Channel
	s      remote.Streams
	stdout *sink
	stderr *sink
	last   bool // is a kill itself, and is not killed

	accepted chan error    // answer to the exec request
	exited   chan struct{} // closed when an exit status or signal came
	over     chan struct{} // closed when the node closed the channel
	drained  chan struct{} // closed when both outputs ended
	broken   chan error    // a reader or writer of the caller failed
	exit     exitStatus    // written before exited is closed
}

// exitStatus is how a command ended.
type exitStatus struct {
	status int
	signal string
}

func newExecution(c *Conn, ch xssh.Channel, limit int, s remote.Streams) *execution {
	tee := &sharedTee{w: s.Tee}
	mark := []byte(c.mark.text())
	x := &execution{
		c: c, ch: ch, s: s,
		stdout:   newSink(mark, s.Stdout, tee, limit),
		stderr:   newSink(mark, s.Stderr, tee, limit),
		accepted: make(chan error, 1), exited: make(chan struct{}), over: make(chan struct{}),
		drained: make(chan struct{}), broken: make(chan error, 3),
	}
	if s.Stdout != nil {
		x.stdout.keep = 0
	}
	return x
}

var errRefused = errors.New("the node refused to run commands")

// run drives the command to its end, or gives it up.
func (x *execution) run(ctx context.Context, line string, reqs <-chan *xssh.Request, release func()) (remote.Result, error) {
	began := time.Now()
	ok := x.c.spawn(func() { defer release(); x.requests(reqs) }) &&
		x.c.spawn(x.outputs) && x.c.spawn(func() { x.start(line) })
	if !ok {
		release() // harmless when requests does it too
		return remote.Result{}, x.c.notStarted(msg.M("ssh.no-session", "error", raw(errClosed)), errClosed)
	}
	if err := x.waitAccepted(ctx); err != nil {
		return x.result(began), err
	}
	if x.s.Stdin == nil {
		_ = x.ch.CloseWrite() // If the line is gone, the wait below says so.
	} else {
		x.feed()
	}
	if err := x.waitExit(ctx); err != nil {
		x.abandon()
		return x.result(began), err
	}
	x.drain(ctx)
	r := x.result(began)
	return r, x.verdict(r)
}

// start sends the command.
func (x *execution) start(line string) {
	ok, err := x.ch.SendRequest("exec", true, xssh.Marshal(struct{ Command string }{line}))
	if err == nil && !ok {
		err = errRefused
	}
	x.accepted <- err
}

// waitAccepted waits for the answer to the exec request. A request without an
// answer may have been carried out.
func (x *execution) waitAccepted(ctx context.Context) error {
	select {
	case err := <-x.accepted:
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errRefused):
			x.close()
			return x.c.notStarted(msg.M("ssh.exec-refused"), err)
		}
		x.abandon()
		return x.unknown(err)
	case <-ctx.Done():
		x.abandon()
		return x.unknown(ctx.Err())
	case <-x.c.ended.Done():
		x.abandon()
		return x.unknown(x.c.Err())
	}
}

func (x *execution) waitExit(ctx context.Context) error {
	select {
	case <-x.exited:
		return nil
	case <-x.over:
		if x.hasExited() {
			return nil // It came in the same breath.
		}
		// When the connection is lost, the channel ends a moment before.
		if !sleep(x.c.ended, 50*time.Millisecond+time.Duration(len(x.c.links)-1)*2*hopTime) {
			return x.unknown(x.c.Err())
		}
		return x.unknown(errors.New("the node closed the session without an exit status"))
	case err := <-x.broken:
		return x.unknown(err)
	case <-ctx.Done():
		if x.hasExited() {
			return nil
		}
		return x.unknown(ctx.Err())
	case <-x.c.ended.Done():
		if x.hasExited() {
			return nil
		}
		return x.unknown(x.c.Err())
	}
}

func (x *execution) hasExited() bool { return isClosed(x.exited) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// drain waits for the rest of the output of a command that has ended.
func (x *execution) drain(ctx context.Context) {
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	select {
	case <-x.drained:
	case <-timer.C:
		x.stdout.cut()
	case <-ctx.Done():
		x.stdout.cut()
	case <-x.c.ended.Done():
		// What had arrived is still being copied.
		select {
		case <-x.drained:
		case <-timer.C:
		}
	}
	x.close()
}

// requests takes what the node says about the command.
func (x *execution) requests(reqs <-chan *xssh.Request) {
	defer close(x.over)
	seen := false
	for r := range reqs {
		status, ok := parseExit(r)
		if ok && !seen {
			seen = true
			x.exit = status
			close(x.exited)
		}
		if r.WantReply {
			_ = r.Reply(ok, nil) // The loop ends when the line is gone.
		}
	}
}

// outputs copies both streams until they end.
func (x *execution) outputs() {
	defer close(x.drained)
	errs := remote.Each([]io.Reader{x.ch, x.ch.Stderr()}, func(i int, from io.Reader) error {
		to := x.stdout
		if i == 1 {
			to = x.stderr
		}
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if n > 0 {
				if _, werr := to.Write(buf[:n]); werr != nil {
					// Go on reading: the node must not block on us.
					x.broken <- fmt.Errorf("writing output: %w", werr)
				}
			}
			if err != nil {
				return nil //nolint:nilerr // the end; how it came about is seen elsewhere
			}
		}
	})
	for _, err := range errs {
		if err != nil {
			x.c.fail(err)
		}
	}
}

// feed copies standard input. With a reader of the caller, the goroutine is not
// among those that Close waits for, because nothing but the caller can end a
// Read; it touches nothing of the connection but the channel, which refuses
// once the command has ended.
func (x *execution) feed() {
	if _, ours := x.s.Stdin.(*strings.Reader); ours {
		x.c.spawn(x.copyInput)
		return
	}
	go func() {
		defer x.c.survive()
		x.copyInput()
	}()
}

func (x *execution) copyInput() {
	_, err := io.Copy(x.ch, readOnly{x.s.Stdin})
	var failed *readError
	if errors.As(err, &failed) {
		// The command must not take what it got for all there is.
		x.broken <- failed
		return
	}
	_ = x.ch.CloseWrite() // A command that has ended needs no end of input.
}

// readOnly hides WriteTo and marks errors of the reader, which are told apart
// from those of the channel.
type readOnly struct{ r io.Reader }

func (r readOnly) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &readError{err}
	}
	return n, err
}

type readError struct{ err error }

func (e *readError) Error() string { return "reading standard input: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

func (x *execution) close() {
	x.c.spawn(func() { _ = x.ch.Close() })
}

// unknown is the error of a command whose end was not seen.
func (x *execution) unknown(reason error) error {
	return &Error{
		Node: x.c.node.Name, Phase: remote.PhaseReady, Kind: remote.ErrOutcomeUnknown,
		Text: msg.M("ssh.outcome-unknown", "error", raw(reason)), Err: reason,
	}
}

func (x *execution) result(began time.Time) remote.Result {
	r := remote.Result{Duration: time.Since(began)}
	var cutOut, cutErr bool
	r.Stdout, cutOut = x.stdout.detach()
	r.Stderr, cutErr = x.stderr.detach()
	r.Truncated = cutOut || cutErr
	r.Exit = -1 // not known
	if x.hasExited() {
		r.Exit, r.Signal = x.exit.status, x.exit.signal
	}
	return r
}

// verdict refuses the result of a session in which the command never started:
// the marker goes through the same pipe before the command's own output, so
// that its absence is proof.
func (x *execution) verdict(r remote.Result) error {
	if err := x.stdout.writeError(); err != nil {
		return x.unknown(fmt.Errorf("writing output: %w", err))
	}
	if err := x.stderr.writeError(); err != nil {
		return x.unknown(fmt.Errorf("writing output: %w", err))
	}
	if x.stdout.begun() {
		return nil
	}
	if !isClosed(x.drained) {
		return x.unknown(errors.New("its output did not arrive"))
	}
	said := strings.TrimSpace(string(x.stdout.before()) + "\n" + string(x.stderr.before()))
	err := &shellError{exit: r.Exit, said: said}
	if _, bySudo, ok := strings.Cut(said, x.c.mark.atSudo()); ok {
		err.said = strings.TrimSpace(bySudo)
		return x.c.noPrivilege(msg.M("ssh.sudo-refused", "exit", r.Exit, "said", oneLine(err.said)), err)
	}
	return x.c.notStarted(msg.M("ssh.shell", "exit", r.Exit, "said", oneLine(said)), err)
}

// shellError: the login shell, or sudo, did not run what it was given.
type shellError struct {
	exit int
	said string
}

func (e *shellError) Error() string {
	return fmt.Sprintf("nothing was run, status %d: %s", e.exit, oneLine(e.said))
}

// signals are the numbers of the signals that RFC 4254 names.
var signals = map[string]int{
	"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8, "KILL": 9,
	"SEGV": 11, "PIPE": 13, "ALRM": 14, "TERM": 15,
}

// parseExit reads exit-status and exit-signal (RFC 4254, 6.10).
func parseExit(r *xssh.Request) (exitStatus, bool) {
	switch r.Type {
	case "exit-status":
		var m struct{ Status uint32 }
		if xssh.Unmarshal(r.Payload, &m) != nil {
			return exitStatus{}, false
		}
		return exitStatus{status: int(m.Status)}, true
	case "exit-signal":
		var m struct {
			Signal     string
			CoreDumped bool
			Error      string
			Language   string
		}
		if xssh.Unmarshal(r.Payload, &m) != nil {
			return exitStatus{}, false
		}
		name := oneLine(m.Signal)
		return exitStatus{status: 128 + signals[name], signal: name}, true
	}
	return exitStatus{}, false
}
