package remotetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/remote"
)

// recorder is a testing.TB that keeps what a double complains about.
type recorder struct {
	testing.TB
	errs  []string
	after []func()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errs = append(r.errs, fmt.Sprintf(format, args...))
}
func (r *recorder) Cleanup(f func()) { r.after = append(r.after, f) }
func (r *recorder) Helper()          {}

func (r *recorder) end() string {
	for _, f := range r.after {
		f()
	}
	return strings.Join(r.errs, "\n")
}

func command(argv ...string) remote.Command {
	return remote.Command{Argv: argv, Effect: remote.Read, Timeout: time.Second}
}

func TestScriptIsStrict(t *testing.T) {
	for name, c := range map[string]struct {
		script func(*Conn)
		run    []remote.Command
		want   string
	}{
		"as expected":  {func(c *Conn) { c.Expect("a"); c.Expect("b", "1") }, []remote.Command{command("a"), command("b", "1")}, ""},
		"missing":      {func(c *Conn) { c.Expect("a") }, nil, `the script expected "a" 1 more times`},
		"unexpected":   {func(*Conn) {}, []remote.Command{command("a")}, "unexpected command a\nthe script has next: nothing more"},
		"wrong order":  {func(c *Conn) { c.Expect("a"); c.Expect("b") }, []remote.Command{command("b")}, "unexpected command b\nthe script has next: a"},
		"any order":    {func(c *Conn) { c.AnyOrder().Expect("a"); c.Expect("b") }, []remote.Command{command("b"), command("a")}, ""},
		"other effect": {func(c *Conn) { c.Expect("a").Effect(remote.Change) }, []remote.Command{command("a")}, "has the effect read, the script wants change"},
		"other env":    {func(c *Conn) { c.Expect("a").Env("X=1") }, []remote.Command{command("a")}, "has the environment"},
		"other stdin":  {func(c *Conn) { c.Expect("a").Stdin("x") }, []remote.Command{command("a")}, "as standard input"},
		"several":      {func(c *Conn) { c.Expect("a").Times(2) }, []remote.Command{command("a"), command("a")}, ""},
		"too few":      {func(c *Conn) { c.Expect("a").Times(2) }, []remote.Command{command("a")}, "1 more times"},
		"no deadline":  {func(*Conn) {}, []remote.Command{{Argv: []string{"a"}, Effect: remote.Read}}, "has no deadline"},
	} {
		r := &recorder{TB: t}
		conn := NewConn(r, remote.Node{Name: "n1"})
		c.script(conn)
		for _, cmd := range c.run {
			_, _ = conn.Run(context.Background(), cmd, remote.Streams{})
		}
		if got := r.end(); got != c.want && (c.want == "" || !strings.Contains(got, c.want)) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestScriptAnswers(t *testing.T) {
	c := NewConn(t, remote.Node{Name: "n1"})
	c.Expect("a").Stdout("output").Stderr("error").Exit(3)
	cmd := command("a")
	cmd.MaxOutput = 3
	var tee bytes.Buffer
	r, err := c.Run(context.Background(), cmd, remote.Streams{Tee: &tee})
	if err != nil || string(r.Stdout) != "out" || string(r.Stderr) != "err" || r.Exit != 3 || !r.Truncated || tee.String() != "outputerror" {
		t.Errorf("got %+v, %v, %q", r, err, tee.String())
	}
	c.Expect("b").Fail(remote.ErrOutcomeUnknown)
	if _, err := c.Run(context.Background(), command("b"), remote.Streams{}); !errors.Is(err, remote.ErrOutcomeUnknown) {
		t.Errorf("got %v", err)
	}
	tr := NewTransport(t, c).Fail("n2", remote.ErrAuth)
	var last remote.Phase
	got, err := tr.Connect(context.Background(), c.Node(), func(p remote.Phase) { last = p })
	if err != nil || got != c || last != remote.PhaseReady {
		t.Errorf("got %v, %v, %v", got, err, last)
	}
	if _, err := tr.Connect(context.Background(), remote.Node{Name: "n2"}, nil); !errors.Is(err, remote.ErrAuth) {
		t.Errorf("got %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Run(context.Background(), command("a"), remote.Streams{}); !errors.Is(err, remote.ErrNotStarted) {
		t.Errorf("got %v", err)
	}
}
