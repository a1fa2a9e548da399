package engine

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// TestResumeAsksWhetherAStartStillHolds: what a done step began can end by
// itself. It is begun again while the stage after it is not finished, and left
// alone when it goes on, or when that stage had seen it go on.
func TestResumeAsksWhetherAStartStillHolds(t *testing.T) {
	plan := func() *Builder {
		service := evident("n1", "start", remote.Change, "runs")
		service.Recheck = service.Probe
		return testBuilder("demo").Stage("start", msg.Raw("start"), service).
			Stage("wait", msg.Raw("wait"), needs("ready")).
			Stage("prove", msg.Raw("prove"), needs("fine"))
	}
	for name, c := range map[string]struct {
		first []string // there when the run is begun
		ended bool     // what was begun is over when it is resumed
		want  []string
	}{
		"ended":              {nil, true, []string{"runs"}},
		"goes on":            {nil, false, []string{"runs"}},
		"was seen and ended": {[]string{"ready"}, true, nil},
		"was seen to go on":  {[]string{"ready"}, false, []string{"runs"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLocal(t)
			l.write(t, "n1", "there", "")
			for _, file := range c.first {
				l.write(t, "n1", file, "")
			}
			r, res := run(t, options(l, build(t, plan())))
			if res.Outcome != OutcomeStopped && res.Outcome != OutcomeFailed {
				t.Fatalf("got %+v", res)
			}
			if c.ended {
				if err := os.Remove(filepath.Join(l.dir, "n1", "evidence")); err != nil {
					t.Fatal(err)
				}
			}
			l.write(t, "n1", "ready", "")
			l.write(t, "n1", "fine", "")
			again, err := Resume(t.Context(), options(l, build(t, plan())), r.ID())
			if err != nil {
				t.Fatal(err)
			}
			if res := again.Wait(); res.Outcome != OutcomeDone {
				t.Fatalf("got %+v", res)
			}
			if st := Replay(events(again)).Step("start"); st.Status != StatusDone {
				t.Errorf("the start is %s", st.Status)
			}
			if got := l.evidence(t, "n1"); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// needs is a step that ends well when a file is there.
func needs(file string) Step {
	look := sh(remote.Read, `[ -e "$1" ]`, file)
	return Step{
		ID: file, Title: msg.Raw(file), Why: msg.Raw("to see it"), Node: "n1", Effect: remote.Read,
		Commands: onNode("n1", look),
		Do: func(ctx context.Context, x *Exec) error {
			_, err := x.Run(ctx, "n1", look)
			return err
		},
	}
}
