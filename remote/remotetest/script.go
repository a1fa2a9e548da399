// Package remotetest has doubles of a node for tests: a connection that follows
// a strict script (this file), for tests of what is sent and how answers are
// read, and an SSH server inside the test (server.go) that runs real commands
// and fails in the ways that real ones do.
package remotetest

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/novatui/novatui/remote"
)

// Conn is a remote.Conn that follows a script. A command that the script does
// not expect fails the test, and so does an expected one that never came.
type Conn struct {
	t    testing.TB
	node remote.Node

	mu       sync.Mutex
	expected []*Expectation
	anyOrder bool
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	closed   bool
	commands []remote.Command
}

// NewConn makes a scripted connection to a node. The script is checked for
// completeness when the test ends.
func NewConn(t testing.TB, n remote.Node) *Conn {
	c := &Conn{t: t, node: n}
	t.Cleanup(c.checkDone)
	return c
}

// Expectation is one command of a script and its answer. Without more it
// answers with exit status 0 and no output.
type Expectation struct {
	argv   []string
	result remote.Result
	stdout string
	stderr string
	err    error
	stdin  *string
	effect remote.Effect
	env    []string
	times  int
	do     func(context.Context, remote.Command, remote.Streams) (remote.Result, error)
}

// Expect adds a command to the script, by its whole argument vector.
func (c *Conn) Expect(argv ...string) *Expectation {
	e := &Expectation{argv: argv, times: 1}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expected = append(c.expected, e)
	return e
}

// Stdout and Stderr are what the command prints.
func (e *Expectation) Stdout(s string) *Expectation { e.stdout = s; return e }

// Stderr is what the command prints on standard error.
func (e *Expectation) Stderr(s string) *Expectation { e.stderr = s; return e }

// Exit is the command's exit status.
func (e *Expectation) Exit(status int) *Expectation { e.result.Exit = status; return e }

// Signal says that a signal ended the command.
func (e *Expectation) Signal(name string, status int) *Expectation {
	e.result.Signal, e.result.Exit = name, status
	return e
}

// Fail is the error that Run returns instead of a result.
func (e *Expectation) Fail(err error) *Expectation { e.err = err; return e }

// Stdin demands this standard input.
func (e *Expectation) Stdin(s string) *Expectation { e.stdin = &s; return e }

// Effect demands that the command declares this effect.
func (e *Expectation) Effect(f remote.Effect) *Expectation { e.effect = f; return e }

// Env demands exactly these NAME=value pairs.
func (e *Expectation) Env(pairs ...string) *Expectation { e.env = pairs; return e }

// Times lets the command come n times in a row.
func (e *Expectation) Times(n int) *Expectation { e.times = n; return e }

// Do answers by a function instead.
func (e *Expectation) Do(f func(context.Context, remote.Command, remote.Streams) (remote.Result, error)) *Expectation {
	e.do = f
	return e
}

// AnyOrder lets commands come in another order than that of the script.
func (c *Conn) AnyOrder() *Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.anyOrder = true
	return c
}

// OnDial answers Dial; without it, Dial fails the test.
func (c *Conn) OnDial(f func(ctx context.Context, network, addr string) (net.Conn, error)) *Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dial = f
	return c
}

// Commands are those that were run, in order.
func (c *Conn) Commands() []remote.Command {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.commands)
}

func (c *Conn) checkDone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.expected {
		c.t.Errorf("%s: the script expected %q %d more times", c.node.Name, line(e.argv), e.times)
	}
}

func line(argv []string) string { return remote.Command{Argv: argv}.Line() }

// take finds the expectation for a command and uses it up.
func (c *Conn) take(cmd remote.Command) (*Expectation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commands = append(c.commands, cmd)
	if c.closed {
		return nil, fmt.Errorf("%s: %w: the connection is closed", c.node.Name, remote.ErrNotStarted)
	}
	i := slices.IndexFunc(c.expected, func(e *Expectation) bool { return slices.Equal(e.argv, cmd.Argv) })
	if i < 0 || i > 0 && !c.anyOrder {
		next := "nothing more"
		if len(c.expected) > 0 {
			next = line(c.expected[0].argv)
		}
		c.t.Errorf("%s: unexpected command %s\nthe script has next: %s", c.node.Name, line(cmd.Argv), next)
		return nil, fmt.Errorf("%s: %w: not in the script: %s", c.node.Name, remote.ErrNotStarted, line(cmd.Argv))
	}
	e := c.expected[i]
	if e.times--; e.times <= 0 {
		c.expected = slices.Delete(c.expected, i, i+1)
	}
	return e, nil
}

// Run answers as the script says; see remote.Conn.
func (c *Conn) Run(ctx context.Context, cmd remote.Command, s remote.Streams) (remote.Result, error) {
	if err := cmd.Validate(); err != nil {
		c.t.Errorf("%s: %v", c.node.Name, err)
		return remote.Result{}, fmt.Errorf("%w: %w", remote.ErrNotStarted, err)
	}
	if err := ctx.Err(); err != nil {
		return remote.Result{}, fmt.Errorf("%s: %w: %w", c.node.Name, remote.ErrNotStarted, err)
	}
	e, err := c.take(cmd)
	if err != nil {
		return remote.Result{}, err
	}
	if e.effect != "" && e.effect != cmd.Effect {
		c.t.Errorf("%s: %s has the effect %s, the script wants %s", c.node.Name, cmd.Line(), cmd.Effect, e.effect)
	}
	if e.env != nil && !slices.Equal(e.env, cmd.Env) {
		c.t.Errorf("%s: %s has the environment %q, the script wants %q", c.node.Name, cmd.Line(), cmd.Env, e.env)
	}
	if e.do != nil {
		return e.do(ctx, cmd, s)
	}
	return c.answer(e, cmd, s)
}

func (c *Conn) answer(e *Expectation, cmd remote.Command, s remote.Streams) (remote.Result, error) {
	if s.Stdin == nil {
		s.Stdin = strings.NewReader(cmd.Stdin)
	}
	got, err := io.ReadAll(s.Stdin)
	if err != nil {
		return remote.Result{}, fmt.Errorf("%s: %w: reading standard input: %w", c.node.Name, remote.ErrOutcomeUnknown, err)
	}
	if e.stdin != nil && string(got) != *e.stdin {
		c.t.Errorf("%s: %s was given %q as standard input, the script wants %q", c.node.Name, cmd.Line(), got, *e.stdin)
	}
	limit := cmd.MaxOutput
	if limit <= 0 {
		limit = remote.DefaultMaxOutput
	}
	r := e.result
	r.Duration = time.Millisecond
	for _, w := range []struct {
		text string
		to   io.Writer
		into *[]byte
		keep bool
	}{
		{e.stdout, s.Stdout, &r.Stdout, s.Stdout == nil}, {e.stderr, s.Stderr, &r.Stderr, true},
	} {
		for _, to := range []io.Writer{w.to, s.Tee} {
			if to == nil {
				continue
			}
			if _, err := io.WriteString(to, w.text); err != nil {
				return remote.Result{}, fmt.Errorf("%s: %w: writing output: %w", c.node.Name, remote.ErrOutcomeUnknown, err)
			}
		}
		if w.keep {
			*w.into = []byte(w.text[:min(limit, len(w.text))])
			r.Truncated = r.Truncated || len(w.text) > limit && w.to == nil
		}
	}
	if e.err != nil {
		return remote.Result{Exit: -1}, e.err
	}
	return r, nil
}

// Dial answers by OnDial's function.
func (c *Conn) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c.mu.Lock()
	dial := c.dial
	c.mu.Unlock()
	if dial == nil {
		c.t.Errorf("%s: unexpected Dial(%s, %s)", c.node.Name, network, addr)
		return nil, fmt.Errorf("%s: %w: %s", c.node.Name, remote.ErrUnreachable, addr)
	}
	return dial(ctx, network, addr)
}

// Node is the node of NewConn.
func (c *Conn) Node() remote.Node { return c.node }

// Alive is always now.
func (c *Conn) Alive() time.Time { return time.Now() }

// Err is nil until Close.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	return nil
}

// Close makes every later command fail with remote.ErrNotStarted.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

// Transport connects to scripted connections, by the node's name.
type Transport struct {
	t     testing.TB
	mu    sync.Mutex
	conns map[string]remote.Conn
	errs  map[string]error
}

// NewTransport makes a Transport. Connecting to a node that has neither a
// connection nor an error fails the test.
func NewTransport(t testing.TB, conns ...remote.Conn) *Transport {
	tr := &Transport{t: t, conns: map[string]remote.Conn{}, errs: map[string]error{}}
	for _, c := range conns {
		tr.conns[c.Node().Name] = c
	}
	return tr
}

// Fail makes connecting to a node fail with err; nil takes that back.
func (tr *Transport) Fail(node string, err error) *Transport {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.errs[node] = err
	return tr
}

// Connect hands out the connection of a node, passing through every phase.
func (tr *Transport) Connect(ctx context.Context, n remote.Node, progress func(remote.Phase)) (remote.Conn, error) {
	tr.mu.Lock()
	c, err := tr.conns[n.Name], tr.errs[n.Name]
	tr.mu.Unlock()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	if c == nil {
		tr.t.Errorf("unexpected connection to %s", n.Name)
		return nil, fmt.Errorf("%s: %w", n.Name, remote.ErrUnreachable)
	}
	if progress != nil {
		for _, p := range []remote.Phase{remote.PhaseResolve, remote.PhaseTCP, remote.PhaseHostKey, remote.PhaseAuth, remote.PhasePrivilege, remote.PhaseReady} {
			progress(p)
		}
	}
	return c, nil
}

var (
	_ remote.Conn      = (*Conn)(nil)
	_ remote.Transport = (*Transport)(nil)
)
