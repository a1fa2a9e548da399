package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// Exec is what a step's functions act through. It is valid while the function
// that got it runs, and may be used from several goroutines.
type Exec struct {
	run   *Run
	stage string
	step  *Step
	phase phase

	mu     sync.Mutex
	closed bool
	begun  int             // commands beyond Read that were sent
	open   []string        // those whose end was not seen
	lost   map[string]bool // nodes whose connection is not to be trusted
}

var errExecOver = errors.New("the step's function is over, its Exec cannot be used any more")

// Run runs a command that the step declared, on a node, and waits for its end.
// c is the command as declared: slots @{name} are filled here. A status other
// than zero is a *remote.ExitError. Other errors: ErrUndeclared, ErrSlot,
// ErrJournal (nothing was sent), and those of remote.Conn.Run.
func (x *Exec) Run(ctx context.Context, node string, c remote.Command) (remote.Result, error) {
	filled, res, err := x.command(ctx, node, c)
	if err != nil {
		return res, err
	}
	if err := res.Check(node, filled); err != nil {
		var exit *remote.ExitError
		if errors.As(err, &exit) {
			exit.Result.Stderr = []byte(x.redactor(filled).text(string(res.Stderr)))
		}
		return res, err
	}
	return res, nil
}

// Try is Run for a command whose exit status is an answer: a status other than
// zero is in the Result and no error.
func (x *Exec) Try(ctx context.Context, node string, c remote.Command) (remote.Result, error) {
	_, res, err := x.command(ctx, node, c)
	return res, err
}

// command runs one command. One that surely did not start, because its
// connection had broken meanwhile, is sent once more over a fresh one.
func (x *Exec) command(ctx context.Context, node string, c remote.Command) (remote.Command, remote.Result, error) {
	filled, err := x.admit(node, c)
	if err != nil {
		return c, remote.Result{}, err
	}
	j := x.job(node, c)
	res, err := x.sendJob(ctx, node, filled, remote.Streams{}, j)
	if errors.Is(err, remote.ErrNotStarted) && ctx.Err() == nil {
		res, err = x.sendJob(ctx, node, filled, remote.Streams{}, j)
	}
	for ctx.Err() == nil && surelyNotRun(err) && x.allowedAgain(ctx, node, err) {
		res, err = x.sendJob(ctx, node, filled, remote.Streams{}, j)
	}
	return filled, res, err
}

// allowedAgain waits, where a node refused root's rights, until the operator
// says that it grants them again. Only that node waits: its step is unchanged,
// and those of the others go on (faults.md, 22).
func (x *Exec) allowedAgain(ctx context.Context, node string, why error) bool {
	if !errors.Is(why, remote.ErrPrivilege) || x.run.asker == nil {
		return false
	}
	text := msg.Raw(firstLine(remote.Clean(why.Error())))
	var said interface{ Message() msg.Msg }
	if errors.As(why, &said) {
		text = said.Message()
	}
	x.jobNote(node, msg.M("engine.sudo-waits", "node", node))
	_, err := x.run.asker.Ask(ctx, Question{Kind: "sudo", Node: node, Text: text})
	return err == nil
}

// admit is the gate: nothing reaches a node without passing here.
func (x *Exec) admit(node string, c remote.Command) (remote.Command, error) {
	if x.run == nil {
		return c, errExecOver
	}
	declared, err := x.step.declared(x.phase, node, c)
	if err != nil {
		return c, err
	}
	if x.run.dry && c.Effect != remote.Read {
		return c, fmt.Errorf("%w: %s: a dry run only reads", ErrUndeclared, c.Short())
	}
	if err := c.Validate(); err != nil {
		return c, err
	}
	filled, err := fill(c, x.Value)
	if err != nil {
		return c, err
	}
	filled.Secrets = slices.Concat(filled.Secrets, declared.Secrets)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return c, errExecOver
	}
	return filled, nil
}

// send sends a command that has passed the gate. Streams that are given take
// the output instead of the pane.
func (x *Exec) send(ctx context.Context, node string, c remote.Command, s remote.Streams) (remote.Result, error) {
	return x.sendJob(ctx, node, c, s, nil)
}

// sendJob is send of a command that runs detached when there is a job for it.
func (x *Exec) sendJob(ctx context.Context, node string, c remote.Command, s remote.Streams, j *job) (remote.Result, error) {
	conn, err := x.conn(ctx, node)
	if err != nil {
		return remote.Result{}, &notSentError{fmt.Errorf("connecting to %s: %w", node, err)}
	}
	start, err := x.announce(node, c, j)
	if err != nil {
		return remote.Result{}, err
	}
	p := x.run.panes[node]
	out := newLineWriter(p, LineOut, c, x.redactor(c))
	errs := newLineWriter(p, LineErr, c, x.redactor(c))
	streams := s
	if s.Stdout == nil {
		streams.Stdout = out
	}
	streams.Stderr = errs
	ended := x.begin(c)
	var res remote.Result
	if j != nil {
		res, err = x.follow(ctx, conn, node, c, streams, j)
	} else {
		res, err = x.wire(ctx, conn, node, c, streams)
	}
	ended(err)
	var cutOut, cutErr bool
	if s.Stdout == nil {
		res.Stdout, cutOut = out.flush()
	}
	res.Stderr, cutErr = errs.flush()
	res.Truncated = cutOut || cutErr
	x.report(ctx, node, c, j, start, res, err)
	if err != nil {
		if j == nil || !j.over { // otherwise the node has answered
			x.distrust(ctx, node, err)
		}
		err = fmt.Errorf("%s: %s: %w", node, c.Short(), err)
		if surelyNotRun(err) {
			err = &notSentError{err}
		}
		return res, err
	}
	return res, nil
}

// wire is the one place where what was admitted goes over the wire, in whatever
// it is wrapped there.
func (x *Exec) wire(ctx context.Context, conn remote.Conn, node string, c remote.Command, s remote.Streams) (remote.Result, error) {
	timed, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return x.run.sendFenced(timed, conn, node, c, s)
}

// notSentError marks the error of a command that surely was not run.
type notSentError struct{ error }

func (e *notSentError) Unwrap() error { return e.error }

// announce journals and shows that a command is about to be sent. Quiet
// commands that only read leave no trace. A command that may change something
// is not sent when that cannot be journalled.
func (x *Exec) announce(node string, c remote.Command, j *job) (seq uint64, err error) {
	if c.Quiet && c.Effect == remote.Read {
		return 0, nil
	}
	line := x.redactor(c).safe(c.Line())
	e := Event{Type: CommandStart, Stage: x.stage, Step: x.step.ID, Node: node, Line: clip(line), Effect: c.Effect}
	if j != nil {
		e.Job = j.key
	}
	seq, err = x.run.emit(e)
	if err != nil && c.Effect != remote.Read {
		return seq, err
	}
	if !c.Quiet {
		p := x.run.panes[node]
		short := firstLine(line)
		if c.Summary != "" {
			short = firstLine(x.redactor(c).safe(c.Summary))
		}
		p.command(line, short, eachArg(c.Brief, x.redactor(c).safe))
	}
	return seq, nil
}

func (x *Exec) report(ctx context.Context, node string, c remote.Command, j *job, start uint64, res remote.Result, err error) {
	x.run.feed.touch(node, x.run.now())
	if j != nil && j.over {
		x.run.book.close(j.key)
	}
	if start == 0 {
		return
	}
	e := Event{Type: CommandEnd, Stage: x.stage, Step: x.step.ID, Node: node, Effect: c.Effect, Ref: start}
	if j != nil && j.over {
		e.Job = j.key
	}
	switch {
	case err == nil:
		e.Exit = &res.Exit
	case errors.Is(context.Cause(ctx), errAccompanied):
		e.Error = errAccompanied.Error()
	case surelyNotRun(err):
		e.Error = clip(x.redactor(c).safe(err.Error()))
	default:
		e.Error, e.Outcome = clip(x.redactor(c).safe(err.Error())), OutcomeUnknown
	}
	// An error here is kept by the run, which stops at its next boundary: the
	// command has ended and its result must reach the step all the same.
	_, _ = x.run.emit(e)
}

// redactor knows the secrets of the step and of the command.
func (x *Exec) redactor(c remote.Command) redactor {
	return newRedactor(append(x.step.secrets(), c)...)
}

// begin counts a command as open until its end is known, also when the
// transport panics.
func (x *Exec) begin(c remote.Command) (ended func(error)) {
	if c.Effect == remote.Read {
		return func(error) {}
	}
	line := c.Line()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.begun++
	x.open = append(x.open, line)
	return func(err error) {
		x.mu.Lock()
		defer x.mu.Unlock()
		if err != nil && !surelyNotRun(err) {
			return
		}
		if i := slices.Index(x.open, line); i >= 0 {
			x.open = slices.Delete(x.open, i, i+1)
		}
		if err != nil {
			x.begun--
		}
	}
}

// surelyNotRun reports whether an error of a connection proves that nothing
// was run. An error that says nothing of the kind proves nothing.
func surelyNotRun(err error) bool {
	if errors.Is(err, remote.ErrOutcomeUnknown) {
		return false
	}
	for _, sure := range []error{remote.ErrNotStarted, remote.ErrUnreachable, remote.ErrHostKeyUnknown,
		remote.ErrHostKeyChanged, remote.ErrAuth, remote.ErrPrivilege, remote.ErrDeclined, ErrLocked,
		context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, sure) {
			return true
		}
	}
	return false
}

// conn gives the connection to a node; a fresh one when the last is not to be
// trusted.
func (x *Exec) conn(ctx context.Context, node string) (remote.Conn, error) {
	x.mu.Lock()
	lost := x.lost[node]
	delete(x.lost, node)
	x.mu.Unlock()
	conns := x.run.conns
	if conns == nil {
		return nil, fmt.Errorf("%w: this run has no connections", remote.ErrNotStarted)
	}
	if again, ok := conns.(Reconnector); ok && lost {
		return again.Reconnect(ctx, node)
	}
	return conns.Conn(ctx, node)
}

func (x *Exec) distrust(ctx context.Context, node string, err error) {
	if errors.Is(context.Cause(ctx), errAccompanied) {
		return // we ended the command ourselves
	}
	if !errors.Is(err, remote.ErrOutcomeUnknown) && !errors.Is(err, remote.ErrNotStarted) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.lost == nil {
		x.lost = map[string]bool{}
	}
	x.lost[node] = true
}

// over ends the Exec with its function.
func (x *Exec) over() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
}

// unsettled reports what is not known after Do failed: how many commands
// beyond Read were sent, and which of them did not end before our eyes.
func (x *Exec) unsettled() (begun int, open []string, lost map[string]bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.begun, slices.Clone(x.open), maps.Clone(x.lost)
}

// Set gives a slot its value and journals it, so that a resumed run has it.
// ErrSlot for a name that is none, and for a value with control characters or
// of more than 8 KiB.
func (x *Exec) Set(name, value string) error {
	if x.run == nil {
		return errExecOver
	}
	if err := checkValue(name, value); err != nil {
		return err
	}
	if old, ok := x.run.values.get(name); ok && old == value {
		return nil
	}
	_, err := x.run.emit(Event{Type: ValueSet, Stage: x.stage, Step: x.step.ID, Node: x.step.Node, Name: name, Value: value})
	if err != nil {
		return err
	}
	x.run.values.set(name, value)
	return nil
}

// Value is what a slot was set to.
func (x *Exec) Value(name string) (string, bool) {
	if x.run == nil {
		return "", false
	}
	return x.run.values.get(name)
}

// Note says something about progress, in the pane of the step's node and in
// the feed. It is not journalled.
func (x *Exec) Note(m msg.Msg) { x.note(Note, m) }

// Warn says that something is odd without being wrong. It is journalled, and
// reports show it.
func (x *Exec) Warn(m msg.Msg) { x.note(Warning, m) }

func (x *Exec) note(t EventType, m msg.Msg) {
	if x.run == nil || m.Zero() {
		return
	}
	// What cannot be journalled stops the run at the next boundary.
	_, _ = x.run.emit(Event{Type: t, Stage: x.stage, Step: x.step.ID, Node: x.step.Node, Text: m})
	if p := x.run.panes[x.step.Node]; p != nil {
		p.note(m)
	}
}

// Refresh collects all facts anew. Guards do not look at the facts meanwhile.
func (x *Exec) Refresh(ctx context.Context) error {
	if x.run == nil {
		return errExecOver
	}
	return x.run.refresh(ctx, 0, nil)
}
