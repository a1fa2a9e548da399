package ssh

import (
	"context"
	"errors"
	"strings"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// Run runs one command; see remote.Conn. The deadline counts from the moment
// the session is open; waiting for one of the connection's sessions and opening
// it has deadlines of its own. With a Streams.Stdin that blocks in Read, one
// such Read may outlive Run: it ends when the caller closes its reader.
func (c *Conn) Run(ctx context.Context, cmd remote.Command, s remote.Streams) (remote.Result, error) {
	if err := cmd.Validate(); err != nil {
		return remote.Result{}, c.notStarted(msg.M("ssh.bad-command", "error", raw(err)), err)
	}
	script, err := commandScript(c.mark, cmd, c.sudo)
	if err != nil {
		return remote.Result{}, c.notStarted(msg.M("ssh.bad-command", "error", raw(err)), err)
	}
	if s.Stdin == nil && cmd.Stdin != "" {
		s.Stdin = strings.NewReader(cmd.Stdin)
	}
	return c.runScript(ctx, script, cmd.Timeout, limitOf(cmd), s)
}

func limitOf(c remote.Command) int {
	if c.MaxOutput > 0 {
		return c.MaxOutput
	}
	return remote.DefaultMaxOutput
}

// runScript runs a shell script, which prints the marker, in a session of its
// own.
func (c *Conn) runScript(ctx context.Context, script string, timeout time.Duration, limit int, s remote.Streams) (remote.Result, error) {
	line, err := shellLine(script)
	if err != nil {
		return remote.Result{}, c.notStarted(msg.M("ssh.bad-command", "error", raw(err)), err)
	}
	ch, reqs, release, err := c.openSession(ctx, timeout)
	if err != nil {
		return remote.Result{}, err
	}
	x := newExecution(c, ch, limit, s)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return x.run(ctx, line, reqs, release)
}

// openSession waits for a free session and opens it. A node that refuses one
// (MaxSessions) is asked again until the deadline: others may end meanwhile.
func (c *Conn) openSession(ctx context.Context, timeout time.Duration) (xssh.Channel, <-chan *xssh.Request, func(), error) {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	release, err := c.acquire(ctx, c.sessions)
	if err != nil {
		return nil, nil, nil, c.sessionError(caller, err)
	}
	ctx, cancel = context.WithTimeout(ctx, c.opts.Timeouts.Session)
	defer cancel()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		ch, reqs, err := c.open(ctx, "session", nil, release)
		if err == nil {
			return ch, reqs, release, nil
		}
		var refused *xssh.OpenChannelError
		if !errors.As(err, &refused) {
			// Either the connection is over, or an open that nobody answered
			// holds its place until somebody does.
			return nil, nil, nil, c.sessionError(caller, err)
		}
		if !sleep(ctx, wait) {
			release()
			return nil, nil, nil, c.sessionError(caller, err)
		}
	}
}

// sessionError is always "not started"; with the caller's own context error
// where that is the reason.
func (c *Conn) sessionError(caller context.Context, err error) error {
	switch {
	case caller.Err() != nil:
		err = caller.Err()
	case c.Err() != nil:
		err = c.Err()
	}
	return c.notStarted(msg.M("ssh.no-session", "error", raw(err)), err)
}
