package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// inside runs fn as the Do of a step that declares the commands for n1.
func inside(t *testing.T, l *local, effect remote.Effect, commands []remote.Command, fn func(ctx context.Context, x *Exec) error) (*Run, Result) {
	t.Helper()
	step := Step{ID: "step", Node: "n1", Effect: effect, Commands: onNode("n1", commands...),
		Probe:  func(context.Context, *Exec) (Probed, error) { return NotDone, nil },
		Do:     fn,
		Verify: func(context.Context, *Exec) error { return nil },
	}
	return run(t, options(l, build(t, testBuilder("demo").Stage("a", msg.Raw("A"), step))))
}

func TestUndeclaredCommandsAreRefused(t *testing.T) {
	declared := sh(remote.Change, leave, "fine")
	for name, c := range map[string]struct {
		node  string
		alter func(*remote.Command)
	}{
		"another node":     {"n2", func(*remote.Command) {}},
		"another argument": {"n1", func(c *remote.Command) { c.Argv[len(c.Argv)-1] = "evil" }},
		"one more":         {"n1", func(c *remote.Command) { c.Argv = append(c.Argv, "evil") }},
		"another stdin":    {"n1", func(c *remote.Command) { c.Stdin = "evil" }},
		"another env":      {"n1", func(c *remote.Command) { c.Env = []string{"EVIL=1"} }},
		"another effect":   {"n1", func(c *remote.Command) { c.Effect = remote.Read }},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLocal(t)
			_, res := inside(t, l, remote.Change, []remote.Command{declared}, func(ctx context.Context, x *Exec) error {
				cmd := declared
				cmd.Argv = slices.Clone(declared.Argv)
				c.alter(&cmd)
				_, err := x.Run(ctx, c.node, cmd)
				return err
			})
			if !errors.Is(res.Err, ErrUndeclared) || res.Outcome != OutcomeFailed {
				t.Errorf("%s: %v", res.Outcome, res.Err)
			}
			if ran := l.ran(); len(ran) > 0 {
				t.Errorf("it was sent: %v", ran)
			}
		})
	}
}

func TestExecIsOverWithItsFunction(t *testing.T) {
	l := newLocal(t)
	c := sh(remote.Change, leave, "x")
	var kept *Exec
	inside(t, l, remote.Change, []remote.Command{c}, func(_ context.Context, x *Exec) error { kept = x; return nil })
	if _, err := kept.Run(t.Context(), "n1", c); err == nil || len(l.ran()) > 0 {
		t.Errorf("a step that is over ran a command: %v", err)
	}
	var zero Exec
	if _, err := zero.Run(t.Context(), "n1", c); err == nil {
		t.Error("an Exec of nobody ran a command")
	}
}

func TestSlotsStayData(t *testing.T) {
	for _, value := range []string{
		"plain", "two words", "$(touch pwned)", "`touch pwned`", "; touch pwned", "a' 'b", `a"b`, "@{other}",
		"*", "~", "--flag-inside", "Ünïcode", "a=b,c=https://h:2380",
	} {
		l := newLocal(t)
		c := sh(remote.Change, `printf '%s|%s|%s' "$1" "$V" "$(cat)" > got`, "x@{value}y")
		c.Env, c.Stdin = []string{"V=@{value}"}, "in @{value}"
		_, res := inside(t, l, remote.Change, []remote.Command{c}, func(ctx context.Context, x *Exec) error {
			if err := errors.Join(x.Set("value", value), x.Set("other", "OTHER")); err != nil {
				return err
			}
			_, err := x.Run(ctx, "n1", c)
			return err
		})
		if res.Outcome != OutcomeDone {
			t.Fatalf("%q: %v", value, res.Err)
		}
		want := "x" + value + "y|" + value + "|in " + value
		if got := l.read(t, "n1", "got"); got != want {
			t.Errorf("%q came as %q, want %q", value, got, want)
		}
		if l.read(t, "n1", "pwned") != "" {
			t.Errorf("%q was run", value)
		}
	}
}

func TestValuesThatAreNoDataAreRefused(t *testing.T) {
	l := newLocal(t)
	inside(t, l, remote.Change, nil, func(_ context.Context, x *Exec) error {
		for _, v := range []string{"a\nb", "a\x00b", "a\rb", "\x1b[31m", "a\u202eb", "bad \xff utf8", strings.Repeat("x", maxValue+1)} {
			if err := x.Set("v", v); !errors.Is(err, ErrSlot) {
				t.Errorf("%.20q was taken: %v", v, err)
			}
		}
		for _, name := range []string{"", "A", "a b", "a}", "-a", "@{a}", strings.Repeat("a", 65)} {
			if err := x.Set(name, "v"); !errors.Is(err, ErrSlot) {
				t.Errorf("the name %q was taken: %v", name, err)
			}
		}
		if _, ok := x.Value("v"); ok {
			t.Error("a refused value was kept")
		}
		return nil
	})
}

func TestSlotsThatCannotBeFilled(t *testing.T) {
	for name, c := range map[string]struct {
		command remote.Command
		value   string
	}{
		"nobody has set it":  {sh(remote.Change, leave, "@{missing}"), "x"},
		"it would be option": {sh(remote.Change, leave, "@{value}"), "-rf"},
	} {
		l := newLocal(t)
		_, res := inside(t, l, remote.Change, []remote.Command{c.command}, func(ctx context.Context, x *Exec) error {
			if err := x.Set("value", c.value); err != nil {
				return err
			}
			_, err := x.Run(ctx, "n1", c.command)
			return err
		})
		if !errors.Is(res.Err, ErrSlot) || len(l.ran()) > 0 || res.Changed {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

func TestSecretsAreNowhere(t *testing.T) {
	const secret = "hunter2-hunter2"
	l := newLocal(t)
	// A declared command that held the secret would be refused, so it comes
	// from the node's own file.
	c := sh(remote.Change, `cat secret; cat secret >&2; exit 4`)
	c.Secrets = []string{secret}
	l.write(t, "n1", "secret", "x"+secret+"y\n")
	r, res := inside(t, l, remote.Change, []remote.Command{c}, func(ctx context.Context, x *Exec) error {
		got, err := x.Run(ctx, "n1", c)
		if string(got.Stdout) != "x"+secret+"y\n" {
			t.Errorf("the step got %q", got.Stdout)
		}
		return err
	})
	lines, _ := r.Output("n1", 0, 0)
	shown := ""
	for _, line := range lines {
		shown += line.Text + "\n"
	}
	if !strings.Contains(shown, "x***y") {
		t.Errorf("the pane shows %q", shown)
	}
	for what, text := range map[string]string{
		"pane": shown, "error": res.Err.Error(),
		"journal":    readFile(t, r.Dir()+"/journal.jsonl"),
		"transcript": readFile(t, r.Dir()+"/transcript-n1.log"),
		"plan":       readFile(t, r.Dir()+"/plan.json"),
	} {
		if strings.Contains(text, secret) {
			t.Errorf("the secret is in the %s", what)
		}
	}
}

func FuzzFill(f *testing.F) {
	f.Add("a@{x}b", "v")
	f.Add("@{x}", "-v")
	f.Add("@{x}@{x}", "@{x}")
	f.Fuzz(func(t *testing.T, arg, value string) {
		c := remote.Command{Argv: []string{"prog", arg}, Effect: remote.Read, Timeout: 1}
		if checkSlots(c) != nil || checkValue("x", value) != nil {
			return
		}
		got, err := fill(c, func(string) (string, bool) { return value, true })
		if err != nil {
			return
		}
		if len(got.Argv) != 2 || got.Argv[0] != "prog" {
			t.Errorf("%q", got.Argv)
		}
		if strings.HasPrefix(got.Argv[1], "-") && !strings.HasPrefix(arg, "-") {
			t.Errorf("%q with %q became an option", arg, value)
		}
	})
}
