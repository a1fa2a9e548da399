package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

func twoStages() *Builder {
	return testBuilder("demo").
		Stage("a", msg.Raw("A"), evident("n1", "first", remote.Change, "first")).
		Stage("b", msg.Raw("B"), evident("n1", "second", remote.Change, "second"), evident("n1", "third", remote.Change, "third"))
}

// during runs the plan and does something when the step's intent is journalled.
func during(t *testing.T, l *local, step string, do func(*Run)) (*Run, Result) {
	t.Helper()
	ready := make(chan struct{})
	var r *Run
	o := options(l, build(t, twoStages()))
	o.OnEvent = watch(StepIntent, step, func() { <-ready; do(r) })
	r = start(t, o)
	close(ready)
	return r, r.Wait()
}

func TestStopEndsAtTheNextStep(t *testing.T) {
	l := newLocal(t)
	r, res := during(t, l, "second", func(r *Run) { r.Stop(); r.Stop(); r.Pause() })
	if res.Outcome != OutcomeInterrupted || !errors.Is(res.Err, ErrInterrupted) || res.FailedStep != nil {
		t.Fatalf("result %+v", res)
	}
	checkEvidence(t, l, map[string]string{"n1": "first second"})

	r2, err := Resume(t.Context(), options(l, build(t, twoStages())), r.ID())
	if err != nil {
		t.Fatal(err)
	}
	if res := r2.Wait(); res.Outcome != OutcomeDone {
		t.Fatal(res.Err)
	}
	checkEvidence(t, l, map[string]string{"n1": "first second third"})
	all := events(r2)
	from := r2.Feed().FirstSeq()
	if all[from-1].Type != RunResumed && !strings.Contains(story(all, RunResumed), "run-resumed") {
		t.Errorf("the feed of a resumed run: first %d", from)
	}
	if got := story(all, StepIntent); got != "step-intent:first step-intent:second step-intent:third" {
		t.Error(got)
	}
}

func TestPauseHoldsBeforeTheNextStage(t *testing.T) {
	l := newLocal(t)
	paused := make(chan struct{})
	o := options(l, build(t, twoStages()))
	ready := make(chan struct{})
	var r *Run
	o.OnEvent = func(e Event) {
		switch e.Type {
		case StepIntent:
			<-ready
			if e.Step == "first" {
				r.Pause()
				r.Pause()
			}
		case Paused:
			close(paused)
		default:
		}
	}
	r = start(t, o)
	close(ready)
	<-paused
	checkEvidence(t, l, map[string]string{"n1": "first"})
	if !r.Pausing() {
		t.Error("the run does not say that it pauses")
	}
	select {
	case <-r.Done():
		t.Fatal("the run did not wait")
	default:
	}
	r.Continue()
	if res := r.Wait(); res.Outcome != OutcomeDone {
		t.Fatal(res.Err)
	}
	if got := story(events(r), Paused, Continued, StageDone); got != "stage-done paused continued stage-done" {
		t.Error(got)
	}
}

func TestStopEndsAPause(t *testing.T) {
	l := newLocal(t)
	ready := make(chan struct{})
	var r *Run
	o := options(l, build(t, twoStages()))
	o.OnEvent = func(e Event) {
		switch {
		case e.Type == StepIntent:
			<-ready
			r.Pause()
		case e.Type == Paused:
			r.Stop()
		}
	}
	r = start(t, o)
	close(ready)
	if res := r.Wait(); res.Outcome != OutcomeInterrupted {
		t.Fatalf("%+v", res)
	}
	checkEvidence(t, l, map[string]string{"n1": "first"})
}

// TestAbortSaysWhatIsUnknown cuts off a command that changes something.
func TestAbortSaysWhatIsUnknown(t *testing.T) {
	for _, c := range []struct {
		name    string
		effect  remote.Effect
		outcome Outcome
	}{
		{"while something changes", remote.Change, OutcomeUnknown},
		{"while something is read", remote.Read, OutcomeInterrupted},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLocal(t)
			hang := sh(c.effect, `echo begun; sleep 60`)
			step := Step{ID: "hang", Node: "n1", Effect: c.effect, Commands: onNode("n1", hang),
				Probe:  func(context.Context, *Exec) (Probed, error) { return NotDone, nil },
				Do:     func(ctx context.Context, x *Exec) error { _, err := x.Run(ctx, "n1", hang); return err },
				Verify: func(context.Context, *Exec) error { return nil },
			}
			r := start(t, options(l, build(t, testBuilder("demo").Stage("a", msg.Raw("A"), step))))
			var next uint64
			for seen := false; !seen; {
				changed := r.Feed().Changed()
				var lines []OutputLine
				lines, next = r.Output("n1", next, 0)
				for _, line := range lines {
					seen = seen || line.Text == "begun"
				}
				if !seen {
					select {
					case <-changed:
					case <-r.Done():
						t.Fatal(r.Wait().Err)
					}
				}
			}
			r.Abort()
			res := r.Wait()
			if res.Outcome != c.outcome || (len(res.Unknown) == 1) != (c.outcome == OutcomeUnknown) {
				t.Fatalf("result %+v", res)
			}
			if got := res.Outcome.ExitStatus(); got != map[Outcome]int{OutcomeUnknown: 6, OutcomeInterrupted: 130}[c.outcome] {
				t.Errorf("exit status %d", got)
			}
		})
	}
}

func TestEndOfTheContextAborts(t *testing.T) {
	l := newLocal(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := options(l, build(t, twoStages()))
	o.OnEvent = watch(StageDone, "", cancel)
	r, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if res := r.Wait(); res.Outcome != OutcomeInterrupted || !errors.Is(res.Err, context.Canceled) {
		t.Errorf("result %+v", res)
	}
	checkEvidence(t, l, map[string]string{"n1": "first"})
}

func TestPanicOfOnEventStopsTheRun(t *testing.T) {
	l := newLocal(t)
	o := options(l, build(t, twoStages()))
	o.OnEvent = watch(StepDone, "first", func() { panic("viewer") })
	_, res := run(t, o)
	if res.Outcome != OutcomeStopped {
		t.Errorf("result %+v", res)
	}
	checkEvidence(t, l, map[string]string{"n1": "first"})
}
