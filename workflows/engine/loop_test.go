package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

func TestRunDoesEveryStepOnceAndInOrder(t *testing.T) {
	l := newLocal(t)
	r, res := run(t, options(l, build(t, demo())))
	if res.Outcome != OutcomeDone || res.Err != nil || !res.Changed {
		t.Fatalf("result %+v", res)
	}
	checkEvidence(t, l, demoEvidence)

	_, stored, err := LoadRun(filepath.Join(l.dir, "runs"), r.ID())
	if err != nil {
		t.Fatal(err)
	}
	var one []Event
	for _, e := range stored {
		if e.Step == "move/n2" {
			one = append(one, e)
		}
	}
	want := "step-probed:move/n2 step-intent:move/n2 command:move/n2 command-end:move/n2 step-done:move/n2"
	if got := story(one, StepProbed, StepIntent, CommandStart, CommandEnd, StepDone); got != want {
		t.Errorf("journal of one step\n got %s\nwant %s", got, want)
	}
	want = "stage-started stage-done"
	if got := story(stored, RunStarted, StageStarted, StageDone, RunDone); got !=
		"run-started "+strings.TrimSpace(strings.Repeat(want+" ", 5))+" run-done" {
		t.Errorf("stages: %s", got)
	}
	if !slices.ContainsFunc(stored, func(e Event) bool {
		return e.Type == CommandStart && strings.Contains(e.Line, "'move id-7'") && e.Effect == remote.Destroy
	}) {
		t.Error("the journal does not have the command with its slot filled")
	}
	b, err := os.ReadFile(filepath.Join(r.Dir(), "transcript-n1.log"))
	if err != nil || !strings.Contains(string(b), "id-7") || !strings.Contains(string(b), "$ /bin/sh -c") {
		t.Errorf("transcript: %v\n%s", err, b)
	}
	for name, mode := range map[string]os.FileMode{"plan.json": 0o600, "journal.jsonl": 0o600, "transcript-n1.log": 0o600} {
		if st, err := os.Stat(filepath.Join(r.Dir(), name)); err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", name, st, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(r.Dir(), "reserve")); left != nil {
		t.Error("the reserve was left behind")
	}
}

func TestStepsDoneAlreadyAreSkipped(t *testing.T) {
	l := newLocal(t)
	step := evident("n1", "stop/n1", remote.Change, "stop")
	p := build(t, testBuilder("demo").Stage("stop", msg.Raw("Stop"), step))
	if _, res := run(t, options(l, p)); res.Outcome != OutcomeDone {
		t.Fatal(res.Err)
	}
	r, res := run(t, options(l, p))
	if res.Outcome != OutcomeDone || res.Changed {
		t.Fatalf("result %+v", res)
	}
	if got := story(events(r), StepSkipped, StepIntent, StepDone); got != "step-skipped:stop/n1" {
		t.Error(got)
	}
	checkEvidence(t, l, map[string]string{"n1": "stop"})
}

// TestFailureStopsAtAKnownPlace lets one function of a step in the middle fail
// and looks at what the run says, and what it does not do any more.
func TestFailureStopsAtAKnownPlace(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		name     string
		alter    func(*Step)
		outcome  Outcome
		status   Status
		evidence string // of n2
	}{
		{"probe fails", func(s *Step) {
			s.Probe = func(context.Context, *Exec) (Probed, error) { return Done, boom }
		}, OutcomeStopped, StatusFailed, "first"},
		{"probe does not know", func(s *Step) {
			s.Probe = func(context.Context, *Exec) (Probed, error) { return Unknown, nil }
		}, OutcomeUnknown, StatusUnknown, "first"},
		{"probe talks nonsense", func(s *Step) {
			s.Probe = func(context.Context, *Exec) (Probed, error) { return "maybe", nil }
		}, OutcomeStopped, StatusFailed, "first"},
		{"guard blocks", func(s *Step) {
			s.Guards = []Guard{guardThat(Block, "")}
		}, OutcomeStopped, StatusFailed, "first"},
		{"guard panics", func(s *Step) {
			s.Guards = []Guard{{ID: "g", Check: func() Finding { panic("no") }}}
		}, OutcomeStopped, StatusFailed, "first"},
		{"do fails", func(s *Step) {
			s.Do = func(context.Context, *Exec) error { return boom }
		}, OutcomeStopped, StatusFailed, "first"},
		{"do panics", func(s *Step) {
			s.Do = func(context.Context, *Exec) error { panic(boom) }
		}, OutcomeStopped, StatusFailed, "first"},
		{"do exits with a status", func(s *Step) {
			fails := sh(remote.Change, "echo reason >&2; exit 3")
			s.Commands = append(s.Commands, onNode("n2", fails)...)
			s.Do = func(ctx context.Context, x *Exec) error {
				_, err := x.Run(ctx, "n2", fails)
				return err
			}
		}, OutcomeStopped, StatusFailed, "first"},
		{"verify fails", func(s *Step) {
			s.Verify = func(context.Context, *Exec) error { return boom }
		}, OutcomeStopped, StatusFailed, "first second"},
		{"verify panics", func(s *Step) {
			s.Verify = func(context.Context, *Exec) error { panic("v") }
		}, OutcomeStopped, StatusFailed, "first second"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLocal(t)
			second := evident("n2", "second", remote.Change, "second")
			c.alter(&second)
			p := build(t, testBuilder("demo").
				Stage("a", msg.Raw("A"), evident("n2", "first", remote.Change, "first")).
				Stage("b", msg.Raw("B"), second).
				Stage("c", msg.Raw("C"), evident("n2", "third", remote.Change, "third")))
			r, res := run(t, options(l, p))
			if res.Outcome != c.outcome || OutcomeOf(res.Err) != c.outcome {
				t.Errorf("outcome %s, of the error %s (%v), want %s", res.Outcome, OutcomeOf(res.Err), res.Err, c.outcome)
			}
			if res.FailedStep == nil || res.FailedStep.ID != "second" || res.FailedNode != "n2" {
				t.Errorf("failed step %+v on %q", res.FailedStep, res.FailedNode)
			}
			checkEvidence(t, l, map[string]string{"n2": c.evidence})
			_, stored, err := LoadRun(filepath.Join(l.dir, "runs"), r.ID())
			if err != nil {
				t.Fatal(err)
			}
			s := Replay(stored)
			if s.Step("second").Status != c.status || s.Step("third").Status != StatusPending || s.Outcome != c.outcome {
				t.Errorf("replayed: second %s, third %s, run %s", s.Step("second").Status, s.Step("third").Status, s.Outcome)
			}
			if (len(res.Unknown) > 0) != (c.status == StatusUnknown) {
				t.Errorf("unknown: %v", res.Unknown)
			}
		})
	}
}

func guardThat(result GuardResult, override string) Guard {
	return Guard{ID: "test-guard", Title: msg.Raw("a rule"), Check: func() Finding {
		return Finding{Result: result, Reason: msg.Raw("because"), Fact: "fact", Override: override}
	}}
}

func TestFirstStepThatFailsHasChangedNothing(t *testing.T) {
	l := newLocal(t)
	l.intercept = func(_ string, c remote.Command) (bool, remote.Result, error) {
		return c.Effect == remote.Change, remote.Result{}, remote.ErrUnreachable
	}
	_, res := run(t, options(l, build(t, testBuilder("demo").
		Stage("a", msg.Raw("A"), evident("n1", "first", remote.Change, "first")))))
	if res.Outcome != OutcomeFailed || res.Changed {
		t.Errorf("result %+v", res)
	}
}

func TestStageLetsRunningStepsEnd(t *testing.T) {
	l := newLocal(t)
	running, failed := make(chan struct{}), make(chan struct{})
	slow := evident("n1", "slow", remote.Change, "slow")
	doSlow := slow.Do
	slow.Do = func(ctx context.Context, x *Exec) error {
		close(running)
		<-failed // the other node's step has failed by now
		return doSlow(ctx, x)
	}
	bad := evident("n2", "bad", remote.Change, "bad")
	bad.Do = func(context.Context, *Exec) error { <-running; return errors.New("boom") }
	o := options(l, build(t, testBuilder("demo").Stage("a", msg.Raw("A"),
		slow, evident("n1", "next", remote.Change, "next"), bad)))
	o.OnEvent = watch(StepFailed, "bad", func() { close(failed) })
	r, res := run(t, o)
	if res.Outcome != OutcomeStopped || res.FailedStep.ID != "bad" {
		t.Fatalf("result %+v", res)
	}
	checkEvidence(t, l, map[string]string{"n1": "slow", "n2": ""})
	if got := story(events(r), StepDone, StepFailed, StageDone); got != "step-failed:bad step-done:slow" {
		t.Error(got)
	}
}

func TestNodesOfAStageRunAtOnce(t *testing.T) {
	l := newLocal(t)
	var meet sync.WaitGroup
	meet.Add(3)
	var steps []Step
	for _, node := range []string{"n1", "n2", "n3"} {
		s := evident(node, "s/"+node, remote.Change, "s")
		do := s.Do
		s.Do = func(ctx context.Context, x *Exec) error {
			meet.Done()
			meet.Wait() // ends only when all three are here at once
			return do(ctx, x)
		}
		steps = append(steps, s)
	}
	if _, res := run(t, options(l, build(t, testBuilder("demo").Stage("a", msg.Raw("A"), steps...)))); res.Outcome != OutcomeDone {
		t.Fatal(res.Err)
	}
}

// TestLostCommandIsAskedOfReality: the end of a command is not seen. What is
// true on the node decides, over a fresh connection, and nothing is redone.
func TestLostCommandIsAskedOfReality(t *testing.T) {
	for _, c := range []struct {
		name     string
		happened bool
		probeOK  bool
		outcome  Outcome
		status   Status
	}{
		{"it had happened", true, true, OutcomeDone, StatusDone},
		{"it had not", false, true, OutcomeStopped, StatusFailed},
		{"nobody can tell", true, false, OutcomeUnknown, StatusUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLocal(t)
			step := evident("n1", "stop", remote.Change, "stop")
			lost := false
			l.intercept = func(node string, cmd remote.Command) (bool, remote.Result, error) {
				if cmd.Effect == remote.Read {
					return lost && !c.probeOK, remote.Result{}, remote.ErrUnreachable
				}
				if c.happened {
					conn := &localConn{node: node, dir: filepath.Join(l.dir, node)}
					if _, err := conn.process(t.Context(), cmd, remote.Streams{}); err != nil {
						t.Error(err)
					}
				}
				lost = true
				l.mu.Lock()
				l.broken[node] = true
				l.mu.Unlock()
				return true, remote.Result{}, remote.ErrOutcomeUnknown
			}
			r, res := run(t, options(l, build(t, testBuilder("demo").Stage("a", msg.Raw("A"), step))))
			if res.Outcome != c.outcome {
				t.Fatalf("outcome %s (%v), want %s", res.Outcome, res.Err, c.outcome)
			}
			if l.fresh == 0 {
				t.Error("reality was asked over the broken connection")
			}
			if got := Replay(events(r)).Step("stop").Status; got != c.status {
				t.Errorf("step is %s", got)
			}
			if n := len(l.evidence(t, "n1")); n > 1 {
				t.Errorf("done %d times", n)
			}
		})
	}
}

func TestCommandThatWasNotStartedIsSentOnceMore(t *testing.T) {
	l := newLocal(t)
	sent := 0
	l.intercept = func(_ string, c remote.Command) (bool, remote.Result, error) {
		if c.Effect == remote.Read {
			return false, remote.Result{}, nil
		}
		sent++
		return sent == 1, remote.Result{}, remote.ErrNotStarted
	}
	plan := testBuilder("demo").Stage("a", msg.Raw("A"), evident("n1", "stop", remote.Change, "stop"))
	_, res := run(t, options(l, build(t, plan)))
	if res.Outcome != OutcomeDone || l.fresh != 1 || sent != 2 {
		t.Fatalf("%s, %d fresh connections, sent %d times: %v", res.Outcome, l.fresh, sent, res.Err)
	}
	l = newLocal(t)
	sent = 0
	l.intercept = func(_ string, c remote.Command) (bool, remote.Result, error) {
		if c.Effect != remote.Read {
			sent++
		}
		return c.Effect != remote.Read, remote.Result{}, remote.ErrNotStarted
	}
	_, res = run(t, options(l, build(t, plan)))
	if res.Outcome != OutcomeFailed || res.Changed || sent != 2 {
		t.Fatalf("%+v, sent %d times", res, sent)
	}
}

// TestProbeIsAskedAgainWhenItsConnectionBroke: a connection that went away
// between two stages is no reason to stop.
func TestProbeIsAskedAgainWhenItsConnectionBroke(t *testing.T) {
	l := newLocal(t)
	asked := 0
	l.intercept = func(_ string, c remote.Command) (bool, remote.Result, error) {
		asked++
		return asked == 1, remote.Result{}, remote.ErrOutcomeUnknown
	}
	_, res := run(t, options(l, build(t, testBuilder("demo").
		Stage("a", msg.Raw("A"), evident("n1", "stop", remote.Change, "stop")))))
	if res.Outcome != OutcomeDone || l.fresh != 1 {
		t.Fatalf("%+v, %d fresh connections", res, l.fresh)
	}
}

// TestNothingBeginsAfterAFailure: a step that was being probed when another
// node's step failed is not begun.
func TestNothingBeginsAfterAFailure(t *testing.T) {
	l := newLocal(t)
	probing, failed := make(chan struct{}), make(chan struct{})
	slow := evident("n1", "slow", remote.Change, "slow")
	probe := slow.Probe
	slow.Probe = func(ctx context.Context, x *Exec) (Probed, error) {
		close(probing)
		<-failed
		return probe(ctx, x)
	}
	bad := evident("n2", "bad", remote.Change, "bad")
	bad.Do = func(context.Context, *Exec) error { <-probing; return errors.New("boom") }
	o := options(l, build(t, testBuilder("demo").Stage("a", msg.Raw("A"), slow, bad)))
	o.OnEvent = watch(StepFailed, "bad", func() { close(failed) })
	if _, res := run(t, o); res.FailedStep == nil || res.FailedStep.ID != "bad" {
		t.Fatalf("%+v", res)
	}
	checkEvidence(t, l, map[string]string{"n1": "", "n2": ""})
}

// TestAStepCannotTalkAwayALostCommand: its function hides that a command's end
// was not seen; the engine knows.
func TestAStepCannotTalkAwayALostCommand(t *testing.T) {
	l := newLocal(t)
	step := evident("n1", "stop", remote.Change, "stop")
	do := step.Do
	step.Do = func(ctx context.Context, x *Exec) error {
		if err := do(ctx, x); err != nil {
			return errors.New("it did not work: " + err.Error())
		}
		return nil
	}
	probes := 0
	step.Probe = func(context.Context, *Exec) (Probed, error) {
		if probes++; probes > 1 {
			return Unknown, nil
		}
		return NotDone, nil
	}
	l.intercept = func(_ string, c remote.Command) (bool, remote.Result, error) {
		return c.Effect == remote.Change, remote.Result{}, remote.ErrOutcomeUnknown
	}
	_, res := run(t, options(l, build(t, testBuilder("demo").Stage("a", msg.Raw("A"), step))))
	if res.Outcome != OutcomeUnknown || probes != 2 {
		t.Errorf("%d probes, %+v", probes, res)
	}
}

// TestTransportThatPanicsLeavesItUnknown: nobody saw how the command ended.
func TestTransportThatPanicsLeavesItUnknown(t *testing.T) {
	l := newLocal(t)
	step := evident("n1", "stop", remote.Change, "stop")
	first := true
	step.Probe = func(context.Context, *Exec) (Probed, error) {
		if first {
			first = false
			return NotDone, nil
		}
		return Unknown, nil
	}
	l.intercept = func(_ string, c remote.Command) (bool, remote.Result, error) {
		if c.Effect == remote.Change {
			panic("transport")
		}
		return false, remote.Result{}, nil
	}
	_, res := run(t, options(l, build(t, testBuilder("demo").Stage("a", msg.Raw("A"), step))))
	if res.Outcome != OutcomeUnknown {
		t.Errorf("%+v", res)
	}
}

func TestDryRunChangesNothingAndSaysWhatWouldRun(t *testing.T) {
	l := newLocal(t)
	p := build(t, demo())
	o := options(l, p)
	o.DryRun, o.Approval = true, Approval{}
	r, res := run(t, o)
	if res.Outcome != OutcomeDone || res.Changed || r.Dir() != "" {
		t.Fatalf("result %+v, dir %q", res, r.Dir())
	}
	checkEvidence(t, l, map[string]string{"n1": "", "n2": "", "n3": ""})
	if _, err := os.Stat(o.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("the dry run stored something")
	}
	would := 0
	for _, e := range events(r) {
		if e.Type == WouldRun && e.Line != "" {
			would++
		}
		if e.Type == StepIntent || e.Type == CommandStart && e.Effect != remote.Read {
			t.Errorf("%s %s", e.Type, e.Line)
		}
		if e.Type == RunDone && e.Text.ID != "engine.outcome-dry" {
			t.Errorf("a dry run ends with the words %s", e.Text.ID)
		}
	}
	if declared := 9; would != declared {
		t.Errorf("%d commands would run, the plan declares %d", would, declared)
	}
}

// TestDryRunRefusesChangesFromAProbe: a probe that tries to change something
// is refused whatever it declares.
func TestProbesCannotChangeAnything(t *testing.T) {
	for _, dry := range []bool{false, true} {
		l := newLocal(t)
		s := evident("n1", "s", remote.Change, "s")
		do := s.Do
		var got error
		s.Probe = func(ctx context.Context, x *Exec) (Probed, error) {
			got = do(ctx, x)
			return Unknown, got
		}
		o := options(l, build(t, testBuilder("demo").Stage("a", msg.Raw("A"), s)))
		o.DryRun = dry
		run(t, o)
		if !errors.Is(got, ErrUndeclared) || len(l.evidence(t, "n1")) > 0 {
			t.Errorf("dry %t: %v", dry, got)
		}
	}
}
