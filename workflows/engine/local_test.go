package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// local is a cluster whose nodes are folders of this machine: a command runs
// as a real process in its node's folder.
type local struct {
	dir string

	mu sync.Mutex
	// intercept, when not nil, may answer in place of the process.
	intercept func(node string, c remote.Command) (handled bool, res remote.Result, err error)
	// broken nodes answer nothing until they are connected to again.
	broken   map[string]bool
	fresh    int
	commands []string
}

func newLocal(t testing.TB) *local {
	t.Helper()
	return &local{dir: t.TempDir(), broken: map[string]bool{}}
}

func (l *local) Conn(_ context.Context, node string) (remote.Conn, error) {
	dir := filepath.Join(l.dir, node)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &localConn{local: l, node: node, dir: dir}, nil
}

func (l *local) Reconnect(ctx context.Context, node string) (remote.Conn, error) {
	l.mu.Lock()
	l.fresh++
	delete(l.broken, node)
	l.mu.Unlock()
	return l.Conn(ctx, node)
}

// ran are the command lines that were sent, "node: line".
func (l *local) ran() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.commands...)
}

// evidence are the lines that steps have left on a node.
func (l *local) evidence(t testing.TB, node string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(l.dir, node, "evidence"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

type localConn struct {
	local     *local
	node, dir string
}

func (c *localConn) Node() remote.Node { return remote.Node{Name: c.node} }
func (c *localConn) Alive() time.Time  { return time.Now() }
func (c *localConn) Close() error      { return nil }
func (c *localConn) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, remote.ErrUnreachable
}

func (c *localConn) Run(ctx context.Context, cmd remote.Command, s remote.Streams) (remote.Result, error) {
	c.local.mu.Lock()
	c.local.commands = append(c.local.commands, c.node+": "+cmd.Line())
	intercept, broken := c.local.intercept, c.local.broken[c.node]
	c.local.mu.Unlock()
	if broken {
		return remote.Result{}, fmt.Errorf("%w: the connection is gone", remote.ErrNotStarted)
	}
	if intercept != nil {
		if handled, res, err := intercept(c.node, cmd); handled {
			return res, err
		}
	}
	return c.process(ctx, cmd, s)
}

func (c *localConn) process(ctx context.Context, cmd remote.Command, s remote.Streams) (remote.Result, error) {
	if err := ctx.Err(); err != nil {
		return remote.Result{}, err
	}
	var out, errs bytes.Buffer
	p := exec.Command(cmd.Argv[0], cmd.Argv[1:]...)
	p.Dir, p.Env = c.dir, append(os.Environ(), cmd.Env...)
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.Stdout, p.Stderr = &out, &errs
	if s.Stdout != nil {
		p.Stdout = s.Stdout
	}
	if s.Stderr != nil {
		p.Stderr = s.Stderr
	}
	stdin, err := p.StdinPipe()
	if err != nil {
		return remote.Result{}, err
	}
	if err := p.Start(); err != nil {
		return remote.Result{}, fmt.Errorf("%w: %w", remote.ErrNotStarted, err)
	}
	began := time.Now()
	go func() {
		in := s.Stdin
		if in == nil {
			in = strings.NewReader(cmd.Stdin)
		}
		if _, err := io.Copy(stdin, in); err == nil {
			_ = stdin.Close()
		}
	}()
	ended := make(chan error, 1)
	go func() { ended <- p.Wait() }()
	select {
	case err = <-ended:
	case <-ctx.Done():
		_ = syscall.Kill(-p.Process.Pid, syscall.SIGKILL)
		<-ended
		return remote.Result{}, fmt.Errorf("%w: %w", remote.ErrOutcomeUnknown, ctx.Err())
	}
	res := remote.Result{Stdout: out.Bytes(), Stderr: errs.Bytes(), Duration: time.Since(began)}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		res.Exit = exit.ExitCode()
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			res.Exit, res.Signal = 128+int(ws.Signal()), ws.Signal().String()
		}
	} else if err != nil {
		return res, fmt.Errorf("%w: %w", remote.ErrOutcomeUnknown, err)
	}
	return res, nil
}

// sh is a command of a shell script with arguments.
func sh(effect remote.Effect, script string, args ...string) remote.Command {
	return remote.Command{
		Argv: append([]string{"/bin/sh", "-c", script, "sh"}, args...), Effect: effect, Timeout: 20 * time.Second,
	}
}

func onNode(node string, commands ...remote.Command) []NodeCommand {
	var out []NodeCommand
	for _, c := range commands {
		out = append(out, NodeCommand{Node: node, Command: c})
	}
	return out
}

const leave = `echo "$1" >> evidence`

// evident is a step that appends a line to its node's evidence, which its
// probe looks for. Doing it twice shows.
func evident(node, id string, effect remote.Effect, line string) Step {
	do := sh(effect, leave, line)
	check := sh(remote.Read, `[ -e evidence ] && grep -qxF -e "$1" evidence`, line)
	check.Quiet = true
	probe := func(ctx context.Context, x *Exec) (Probed, error) {
		res, err := x.Try(ctx, node, check)
		switch {
		case err != nil:
			return Unknown, err
		case res.Exit == 0:
			return Done, nil
		}
		return NotDone, nil
	}
	return Step{
		ID: id, Title: msg.Raw(id), Why: msg.Raw("to see it"), Node: node, Effect: effect,
		Commands: onNode(node, do), Checks: onNode(node, check),
		Probe: probe,
		Do: func(ctx context.Context, x *Exec) error {
			_, err := x.Run(ctx, node, do)
			return err
		},
		Verify: func(ctx context.Context, x *Exec) error {
			if p, err := probe(ctx, x); err != nil || p != Done {
				return fmt.Errorf("no evidence of %s: %w", id, errors.Join(err, errNoEvidence))
			}
			return nil
		},
	}
}

var errNoEvidence = errors.New("not there")

const testTag = "20261103-140314"

func testBuilder(procedure string) *Builder {
	return NewPlan(procedure, "nova-test", "lab", testTag, time.Now()).
		Title(msg.Raw("a test")).Input(map[string]any{"node": "n2"}).Basis([]string{"fact"}).Identity("digest")
}

func build(t testing.TB, b *Builder) Plan {
	t.Helper()
	p, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// demo is a plan with all kinds of steps: at once on three nodes, several on
// one node, a slot that one step fills and another uses, one that destroys,
// one that only verifies.
func demo() *Builder {
	ident := sh(remote.Read, `echo "id-$1"`, "7")
	learn := Step{
		ID: "learn/n1", Node: "n1", Effect: remote.Read, Title: msg.Raw("learn"),
		Commands: onNode("n1", ident),
		Do: func(ctx context.Context, x *Exec) error {
			res, err := x.Run(ctx, "n1", ident)
			if err != nil {
				return err
			}
			return x.Set("member-id", strings.TrimSpace(string(res.Stdout)))
		},
	}
	count := sh(remote.Read, `wc -l < evidence`)
	prove := Step{
		ID: "prove", Node: "n1", Effect: remote.Read, Title: msg.Raw("prove"),
		Checks: append(onNode("n1", count), onNode("n2", count)...),
		Verify: func(ctx context.Context, x *Exec) error {
			for node, want := range map[string]string{"n1": "2", "n2": "3"} {
				res, err := x.Run(ctx, node, count)
				if err != nil {
					return err
				}
				if got := strings.TrimSpace(string(res.Stdout)); got != want {
					return fmt.Errorf("%s: %s lines, want %s", node, got, want)
				}
			}
			return nil
		},
	}
	return testBuilder("demo").
		Stage("learn", msg.Raw("Learn"), learn).
		Stage("stop", msg.Raw("Stop"),
			evident("n1", "stop/n1", remote.Change, "stop"),
			evident("n2", "stop/n2", remote.Change, "stop"),
			evident("n3", "stop/n3", remote.Change, "stop")).
		Stage("move", msg.Raw("Move"), evident("n2", "move/n2", remote.Destroy, "move @{member-id}")).
		Stage("start", msg.Raw("Start"),
			evident("n1", "start/n1", remote.Change, "start"),
			evident("n2", "start/n2", remote.Change, "start"),
			evident("n3", "start/n3", remote.Change, "start"),
			evident("n3", "enable/n3", remote.Change, "enable")).
		Stage("prove", msg.Raw("Prove"), prove)
}

var demoEvidence = map[string]string{
	"n1": "stop start", "n2": "stop move id-7 start", "n3": "stop start enable",
}

func checkEvidence(t testing.TB, l *local, want map[string]string) {
	t.Helper()
	for node, lines := range want {
		if got := strings.Join(l.evidence(t, node), " "); got != lines {
			t.Errorf("%s has the evidence %q, want %q", node, got, lines)
		}
	}
}

func options(l *local, p Plan) Options {
	return Options{
		Plan: p, Conns: l, Dir: filepath.Join(l.dir, "runs"), Version: "test",
		Approval: Approval{Confirm: "nova-test"},
	}
}

// start starts a run that the test's end waits for.
func start(t testing.TB, o Options) *Run {
	t.Helper()
	r, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Abort(); r.Wait() })
	return r
}

func run(t testing.TB, o Options) (*Run, Result) {
	t.Helper()
	r := start(t, o)
	return r, r.Wait()
}

func events(r *Run) []Event {
	all, _ := r.Feed().Since(0, 0)
	return all
}

// story is what happened, one word a piece: "type" or "type:step".
func story(events []Event, types ...EventType) string {
	var out []string
	for _, e := range events {
		for _, t := range types {
			if e.Type == t {
				s := string(e.Type)
				if e.Step != "" {
					s += ":" + e.Step
				}
				out = append(out, s)
			}
		}
	}
	return strings.Join(out, " ")
}

// watch calls fn with each event of the type, of the step (any for "").
func watch(t EventType, step string, fn func()) func(Event) {
	return func(e Event) {
		if e.Type == t && (step == "" || e.Step == step) {
			fn()
		}
	}
}

func (l *local) write(t testing.TB, node, name, content string) {
	t.Helper()
	dir := filepath.Join(l.dir, node)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// read is a node's file, empty if it is not there.
func (l *local) read(t testing.TB, node, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(l.dir, node, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
