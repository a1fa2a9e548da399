package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// pollNoteEvery is how often Poll says that it is still waiting.
const pollNoteEvery = 10 * time.Second

// Poll asks fn every so often, first at once, until it says yes, fails, or ctx
// ends, which must have a deadline. It shows what it is waiting for and how
// long. At the deadline the error is a *WaitError.
func (x *Exec) Poll(ctx context.Context, every time.Duration, what msg.Msg, fn func(ctx context.Context) (bool, error)) error {
	if x.run == nil {
		return errExecOver
	}
	if _, ok := ctx.Deadline(); !ok {
		return fmt.Errorf("waiting for %s: without a deadline", what.ID)
	}
	if every <= 0 {
		return fmt.Errorf("waiting for %s: every %v", what.ID, every)
	}
	began, shown := time.Now(), time.Time{}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ok, err := fn(ctx)
		if ok || err != nil && ctx.Err() == nil {
			return err
		}
		waited := time.Since(began)
		switch {
		case shown.IsZero():
			x.Note(msg.M("engine.waiting", "what", what))
			shown = time.Now()
		case time.Since(shown) >= pollNoteEvery:
			x.Note(msg.M("engine.still-waiting", "what", what, "seconds", int(waited.Seconds())))
			shown = time.Now()
		}
		select {
		case <-ctx.Done():
			return &WaitError{What: what, For: waited, Err: errors.Join(err, ctx.Err())}
		case <-tick.C:
		}
	}
}

// errAccompanied ends the command of While.
var errAccompanied = errors.New("ended with what it accompanied")

// While calls fn and meanwhile runs a command that only reads and does not end
// by itself (journalctl -f), so that its output is seen in the pane; when fn
// returns, the command is ended. The error is that of fn alone: when the
// command cannot be run or ends earlier, its event says so, and what fn waits
// for decides. ErrUndeclared when the step did not declare the command or it
// does more than read.
func (x *Exec) While(ctx context.Context, node string, c remote.Command, fn func(ctx context.Context) error) error {
	filled, err := x.admit(node, c)
	if err != nil {
		return err
	}
	if c.Effect != remote.Read {
		return fmt.Errorf("%w: %s: what accompanies a step must only read", ErrUndeclared, c.Short())
	}
	follow, end := context.WithCancelCause(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		// The events of the command say how it ended.
		_, _ = protect("following on "+node, func() (remote.Result, error) {
			return x.send(follow, node, filled, remote.Streams{})
		})
	}()
	defer func() {
		end(errAccompanied)
		<-over
	}()
	return fn(ctx)
}
