package engine

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// copying runs one Copy from n1 to n2 in a step.
func copying(t *testing.T, l *local, read, write remote.Command, size int64) (*Run, Result) {
	t.Helper()
	step := Step{ID: "copy", Node: "n2", Effect: remote.Change,
		Commands: append(onNode("n1", read), onNode("n2", write)...),
		Probe:    func(context.Context, *Exec) (Probed, error) { return NotDone, nil },
		Do:       func(ctx context.Context, x *Exec) error { return x.Copy(ctx, "n1", read, "n2", write, size) },
		Verify:   func(context.Context, *Exec) error { return nil },
	}
	return run(t, options(l, build(t, testBuilder("demo").Stage("a", msg.Raw("A"), step))))
}

func TestCopyIsWholeOrFails(t *testing.T) {
	const size = 3<<20 + 17
	content := strings.Repeat("0123456789abcdef", size/16) + strings.Repeat("z", size%16)
	put := sh(remote.Change, `cat > part && [ "$(wc -c < part | tr -d ' ')" = "$1" ] && mv part got`, "3145745")
	for name, c := range map[string]struct {
		read, write remote.Command
		size        int64
		ok          bool
		says        string
	}{
		"whole":             {sh(remote.Read, "cat source"), put, size, true, ""},
		"whole, size open":  {sh(remote.Read, "cat source"), put, 0, true, ""},
		"read fails late":   {sh(remote.Read, "cat source; echo lost >&2; exit 7"), put, size, false, "lost"},
		"read ends early":   {sh(remote.Read, "head -c 1000 source"), put, size, false, "1000 bytes came"},
		"read has too much": {sh(remote.Read, "cat source source"), put, size, false, "more than"},
		"read is killed":    {sh(remote.Read, "head -c 1000000 source; kill -9 $$"), put, size, false, "signal"},
		"write fails":       {sh(remote.Read, "cat source"), sh(remote.Change, "head -c 10 > part; echo no room >&2; exit 5"), size, false, "no room"},
		"write never reads": {sh(remote.Read, "cat source; sleep 60"), sh(remote.Change, "exit 6"), size, false, "status 6"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLocal(t)
			l.write(t, "n1", "source", content)
			_, res := copying(t, l, c.read, c.write, c.size)
			if (res.Outcome == OutcomeDone) != c.ok {
				t.Fatalf("%s: %v", res.Outcome, res.Err)
			}
			got := l.read(t, "n2", "got")
			if c.ok && got != content || !c.ok && got != "" {
				t.Errorf("%d bytes arrived under the final name", len(got))
			}
			if !c.ok && !strings.Contains(res.Err.Error(), c.says) {
				t.Errorf("the error does not say %q: %v", c.says, res.Err)
			}
		})
	}
}

func TestCopyNeedsDeclaredCommands(t *testing.T) {
	l := newLocal(t)
	read, write := sh(remote.Read, "echo x"), sh(remote.Change, "cat > got")
	step := Step{ID: "copy", Node: "n2", Effect: remote.Change, Commands: onNode("n1", read),
		Probe:  func(context.Context, *Exec) (Probed, error) { return NotDone, nil },
		Do:     func(ctx context.Context, x *Exec) error { return x.Copy(ctx, "n1", read, "n2", write, 0) },
		Verify: func(context.Context, *Exec) error { return nil },
	}
	_, res := run(t, options(l, build(t, testBuilder("demo").Stage("a", msg.Raw("A"), step))))
	if !errors.Is(res.Err, ErrUndeclared) || len(l.ran()) > 0 {
		t.Errorf("%v, ran %v", res.Err, l.ran())
	}
}

func TestCopyEndsWithItsContext(t *testing.T) {
	l := newLocal(t)
	read, write := sh(remote.Read, "while :; do echo x; sleep 0.01; done"), sh(remote.Change, "cat > got")
	step := Step{ID: "copy", Node: "n2", Effect: remote.Change,
		Commands: append(onNode("n1", read), onNode("n2", write)...),
		Probe:    func(context.Context, *Exec) (Probed, error) { return NotDone, nil },
		Do: func(ctx context.Context, x *Exec) error {
			ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			return x.Copy(ctx, "n1", read, "n2", write, 0)
		},
		Verify: func(context.Context, *Exec) error { return nil },
	}
	_, res := run(t, options(l, build(t, testBuilder("demo").Stage("a", msg.Raw("A"), step))))
	if res.Outcome != OutcomeStopped || !errors.Is(res.Err, context.DeadlineExceeded) {
		t.Errorf("%+v", res)
	}
}

func TestPollWaitsForTheCondition(t *testing.T) {
	l := newLocal(t)
	what := msg.Raw("the condition")
	r, res := inside(t, l, remote.Change, nil, func(ctx context.Context, x *Exec) error {
		if err := x.Poll(ctx, time.Millisecond, what, func(context.Context) (bool, error) { return true, nil }); err == nil {
			t.Error("it waits without a deadline")
		}
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		err := x.Poll(short, time.Millisecond, what, func(context.Context) (bool, error) { return false, nil })
		var wait *WaitError
		if !errors.As(err, &wait) || !errors.Is(err, context.DeadlineExceeded) || Explain(err).ID != "engine.wait-timeout" {
			t.Errorf("at the deadline: %v", err)
		}
		long, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		boom := errors.New("boom")
		if err := x.Poll(long, time.Millisecond, what, func(context.Context) (bool, error) { return false, boom }); !errors.Is(err, boom) {
			t.Errorf("an error: %v", err)
		}
		n := 0
		return x.Poll(long, time.Millisecond, what, func(context.Context) (bool, error) { n++; return n == 3, nil })
	})
	if res.Outcome != OutcomeDone {
		t.Fatal(res.Err)
	}
	if story(events(r), Note) == "" {
		t.Error("nobody was told what it waits for")
	}
}

func TestWhileEndsItsCommand(t *testing.T) {
	l := newLocal(t)
	follow := sh(remote.Read, "echo followed; touch ready; sleep 60")
	change := sh(remote.Change, "sleep 60")
	r, res := inside(t, l, remote.Change, []remote.Command{follow, change}, func(ctx context.Context, x *Exec) error {
		if err := x.While(ctx, "n1", change, func(context.Context) error { return nil }); !errors.Is(err, ErrUndeclared) {
			t.Errorf("a change accompanies: %v", err)
		}
		return x.While(ctx, "n1", follow, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
			defer cancel()
			return x.Poll(ctx, time.Millisecond, msg.Raw("ready"), func(context.Context) (bool, error) {
				lines, _ := x.run.Output("n1", 0, 0)
				for _, line := range lines {
					if line.Text == "followed" {
						return true, nil
					}
				}
				return false, nil
			})
		})
	})
	if res.Outcome != OutcomeDone || len(res.Unknown) > 0 {
		t.Fatalf("%+v", res)
	}
	for _, e := range events(r) {
		if e.Type == CommandEnd && e.Outcome == OutcomeUnknown {
			t.Error("the end that we made is called unknown")
		}
	}
}

func TestSummaryTellsWhatHappened(t *testing.T) {
	l := newLocal(t)
	p := build(t, demo())
	r, _ := run(t, options(l, p))
	s := Summarize(p, events(r))
	if s.Outcome != OutcomeDone || s.Run != r.ID() || len(s.Stages) != 5 || s.Failed != "" || s.Duration <= 0 || s.Values["member-id"] != "id-7" {
		t.Fatalf("%+v", s)
	}
	for _, stage := range s.Stages {
		if stage.Status != StatusDone || stage.Started.IsZero() || stage.Ended.Before(stage.Started) {
			t.Errorf("stage %+v", stage)
		}
	}
	var changed []string
	for _, n := range s.Changed {
		changed = append(changed, n.Node, strings.Join(n.Steps, ","))
		for _, c := range n.Commands {
			if c.Exit == nil || *c.Exit != 0 || c.Ended.IsZero() || c.Effect == remote.Read {
				t.Errorf("command %+v", c)
			}
		}
	}
	if got := strings.Join(changed, " "); got != "n1 stop/n1,start/n1 n2 stop/n2,move/n2,start/n2 n3 stop/n3,start/n3,enable/n3" {
		t.Error(got)
	}

	bad := evident("n1", "second", remote.Change, "second")
	bad.Verify = func(context.Context, *Exec) error { return errors.New("boom") }
	l = newLocal(t)
	p = build(t, testBuilder("demo").Stage("a", msg.Raw("A"), evident("n1", "first", remote.Change, "first")).
		Stage("b", msg.Raw("B"), bad).Stage("c", msg.Raw("C"), evident("n1", "third", remote.Change, "third")))
	r, _ = run(t, options(l, p))
	s = Summarize(p, events(r))
	if s.Failed != "second" || s.Stages[1].Status != StatusFailed || s.Stages[2].Status != StatusPending || s.Stages[1].Steps[0].Error == "" {
		t.Errorf("%+v", s)
	}
}
