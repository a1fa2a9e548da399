package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/novatui/novatui/remote"
)

// While runs a command that only shows something (a journal that is followed)
// in the pane for as long as fn runs, and ends it then. What becomes of the
// command decides nothing: the answer is fn's alone. The command must be
// declared and of effect Read.
func (x *Exec) While(ctx context.Context, node string, c remote.Command, fn func(ctx context.Context) error) error {
	if c.Effect != remote.Read {
		return fmt.Errorf("%w: %s: only what reads can be followed", ErrUndeclared, c.Short())
	}
	filled, err := x.admit(node, c)
	if err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		// A panic of the transport ends the following, not the step.
		_, _ = protect("following on "+node, func() (struct{}, error) {
			x.follow(following, node, filled)
			return struct{}{}, nil
		})
	})
	defer wg.Wait()
	defer stop()
	return fn(ctx)
}

func (x *Exec) follow(ctx context.Context, node string, c remote.Command) {
	conn, err := x.run.conns.Conn(ctx, node)
	if err != nil {
		return
	}
	start, err := x.announce(node, c)
	if err != nil {
		return
	}
	p := x.run.panes[node]
	out := newLineWriter(p, LineOut, c, x.redactor(c))
	errs := newLineWriter(p, LineErr, c, x.redactor(c))
	timed, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	_, _ = conn.Run(timed, c, remote.Streams{Stdout: out, Stderr: errs})
	_, _ = out.flush()
	_, _ = errs.flush()
	// Its end is ours: no status and no error belongs to it.
	_, _ = x.run.emit(Event{Type: CommandEnd, Stage: x.stage, Step: x.step.ID, Node: node, Effect: c.Effect, Ref: start})
}
