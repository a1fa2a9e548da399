package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// untouched checks the promise of every refusal: nothing ran, nothing is
// stored, nothing is held.
func untouched(t *testing.T, l *local) {
	t.Helper()
	if ran := l.ran(); len(ran) > 0 {
		t.Errorf("it ran %v", ran)
	}
	dir := filepath.Join(l.dir, "runs")
	if left, _ := filepath.Glob(filepath.Join(dir, "[^.]*")); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	if h, held := (LocalLease{Dir: dir}).Holder("nova-test"); held {
		t.Errorf("it holds the cluster: %+v", h)
	}
}

func TestStartRefuses(t *testing.T) {
	destroys := func() *Builder {
		return testBuilder("demo").Stage("a", msg.Raw("A"), evident("n1", "s", remote.Destroy, "s"))
	}
	for name, c := range map[string]struct {
		plan     *Builder
		approval Approval
		alter    func(*Options)
		want     error
		status   int
	}{
		"no confirmation":        {destroys(), Approval{}, nil, ErrNotConfirmed, 3},
		"another name":           {destroys(), Approval{Confirm: "nova-tes"}, nil, ErrNotConfirmed, 3},
		"the name in capitals":   {destroys(), Approval{Confirm: "NOVA-TEST"}, nil, ErrNotConfirmed, 3},
		"the name with a space":  {destroys(), Approval{Confirm: "nova-test "}, nil, ErrNotConfirmed, 3},
		"a guard":                {twoStages().Guards(guardThat(Block, "")), Approval{}, nil, ErrRefused, 3},
		"a guard, nothing typed": {twoStages().Guards(guardThat(Block, "I know")), Approval{}, nil, ErrRefused, 3},
		"a guard, mistyped": {twoStages().Guards(guardThat(Block, "I know")),
			Approval{Overrides: map[string]string{"test-guard": "i know"}}, nil, ErrRefused, 3},
		"a guard without override, something typed": {twoStages().Guards(guardThat(Block, "")),
			Approval{Overrides: map[string]string{"test-guard": ""}}, nil, ErrRefused, 3},
		"an altered plan": {twoStages(), Approval{}, func(o *Options) {
			o.Plan.Stages[0].Steps[0].Commands[0].Command.Argv = []string{"true"}
		}, ErrPlanStale, 3},
		"a folder that is a file": {twoStages(), Approval{}, func(o *Options) {
			o.Dir = filepath.Join(o.Dir, "file")
			_ = os.MkdirAll(filepath.Dir(o.Dir), 0o700)
			_ = os.WriteFile(o.Dir, nil, 0o600)
		}, ErrStateDir, 1},
		"no folder": {twoStages(), Approval{}, func(o *Options) { o.Dir = "" }, ErrStateDir, 1},
		"facts that cannot be had": {twoStages().Refresh(func(context.Context, []string) error { return context.DeadlineExceeded }),
			Approval{}, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(time.Hour) } }, context.DeadlineExceeded, 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLocal(t)
			o := options(l, build(t, c.plan))
			o.Approval = c.approval
			if c.alter != nil {
				c.alter(&o)
			}
			r, err := Start(t.Context(), o)
			if r != nil || !errors.Is(err, c.want) || OutcomeOf(err).ExitStatus() != c.status {
				t.Fatalf("got %v, status %d", err, OutcomeOf(err).ExitStatus())
			}
			_ = os.Remove(filepath.Join(l.dir, "runs", "file"))
			untouched(t, l)
			if _, res := run(t, options(l, build(t, twoStages()))); res.Outcome != OutcomeDone {
				t.Errorf("the next run: %+v", res)
			}
		})
	}
}

func TestOverridesAreTypedAndRecorded(t *testing.T) {
	l := newLocal(t)
	b := twoStages().Guards(guardThat(Block, "I know"))
	o := options(l, build(t, b))
	o.Approval.Overrides = map[string]string{"test-guard": "I know"}
	r, res := run(t, o)
	if res.Outcome != OutcomeDone {
		t.Fatal(res.Err)
	}
	_, stored, err := LoadRun(o.Dir, r.ID())
	if err != nil {
		t.Fatal(err)
	}
	if s := Replay(stored); s.Approval.Overrides["test-guard"] != "I know" || s.Approval.Confirm != "nova-test" {
		t.Errorf("journalled approval %+v", s.Approval)
	}
	s := Summarize(build(t, b), stored)
	if len(s.Findings) != 1 || !s.Findings[0].Overridden {
		t.Errorf("findings %+v", s.Findings)
	}
}

// TestGuardOfAStepIsOverriddenLikeOneOfThePlan, also after a resume, without
// typing it again.
func TestGuardOfAStepIsOverridden(t *testing.T) {
	l := newLocal(t)
	plan := func() Plan {
		s := evident("n1", "second", remote.Destroy, "second")
		s.Guards = []Guard{guardThat(Block, "I know")}
		return build(t, testBuilder("demo").Stage("a", msg.Raw("A"), evident("n1", "first", remote.Change, "first")).
			Stage("b", msg.Raw("B"), s))
	}
	o := options(l, plan())
	r, res := run(t, o)
	if res.Outcome != OutcomeStopped || !errors.Is(res.Err, ErrRefused) {
		t.Fatalf("%+v", res)
	}
	o.Plan, o.Approval = plan(), Approval{Overrides: map[string]string{"test-guard": "I know"}}
	ready := make(chan struct{})
	var r2 *Run
	o.OnEvent = watch(GuardChecked, "second", func() { <-ready; r2.Stop() })
	r2, err := Resume(t.Context(), o, r.ID())
	if err != nil {
		t.Fatal(err) // the cluster's name was typed before
	}
	close(ready)
	if res := r2.Wait(); res.Outcome != OutcomeInterrupted {
		t.Fatalf("%+v", res)
	}
	o.Plan, o.Approval, o.OnEvent = plan(), Approval{}, nil
	r3, err := Resume(t.Context(), o, r.ID())
	if err != nil {
		t.Fatal(err)
	}
	if res := r3.Wait(); res.Outcome != OutcomeDone {
		t.Fatal(res.Err)
	}
}

func TestResumeRefuses(t *testing.T) {
	l := newLocal(t)
	id := stopped(t, l)
	o := options(l, build(t, twoStages()))
	for name, c := range map[string]struct {
		plan *Builder
		id   string
		want error
	}{
		"another plan":     {twoStages().Identity("the cluster changed"), id, ErrPlanStale},
		"no such run":      {twoStages(), testTag + "-demo-zzzz", os.ErrNotExist},
		"a path":           {twoStages(), "../runs/" + id, os.ErrNotExist},
		"the folder above": {twoStages(), "..", os.ErrNotExist},
		"nothing":          {twoStages(), "", os.ErrNotExist},
	} {
		o.Plan = build(t, c.plan)
		if _, err := Resume(t.Context(), o, c.id); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, held := (LocalLease{Dir: o.Dir}).Holder("nova-test"); held {
			t.Errorf("%s: the lock is held", name)
		}
	}
	if _, res, err := resume(t, l, id); err != nil || res.Outcome != OutcomeDone {
		t.Fatalf("%v %+v", err, res)
	}
	if _, _, err := resume(t, l, id); !errors.Is(err, ErrRunDone) {
		t.Errorf("a run that is done: %v", err)
	}
}

// TestPlansGuardsDecideAgainWhileNothingWasBegun: killed before the first
// intent, a run starts anew in all but name.
func TestPlansGuardsDecideAgainWhileNothingWasBegun(t *testing.T) {
	l := newLocal(t)
	result := Pass
	guarded := func() Plan {
		return build(t, twoStages().Guards(Guard{ID: "g", Check: func() Finding { return Finding{Result: result} }}))
	}
	o := options(l, guarded())
	gate := make(chan struct{})
	var r *Run
	o.OnEvent = watch(StageStarted, "", func() { <-gate; r.Stop() })
	r = start(t, o)
	close(gate)
	r.Wait()
	o.Plan, o.OnEvent = guarded(), nil
	result = Block
	if _, err := Resume(t.Context(), o, r.ID()); !errors.Is(err, ErrRefused) {
		t.Fatalf("got %v", err)
	}
	result = Pass
	r2, err := Resume(t.Context(), o, r.ID())
	if err != nil {
		t.Fatal(err)
	}
	if res := r2.Wait(); res.Outcome != OutcomeDone {
		t.Error(res.Err)
	}
}

func TestSecondRunSeesWhoHoldsTheCluster(t *testing.T) {
	l := newLocal(t)
	gate := make(chan struct{})
	o := options(l, build(t, twoStages()))
	o.OnEvent = watch(StepIntent, "first", func() { <-gate })
	r := start(t, o)
	second := options(l, build(t, twoStages()))
	_, err := Start(t.Context(), second)
	var locked *LockedError
	if !errors.Is(err, ErrLocked) || !errors.As(err, &locked) || OutcomeOf(err).ExitStatus() != 5 {
		t.Fatalf("got %v", err)
	}
	if h := locked.Holder; h.Run != r.ID() || h.PID != os.Getpid() || h.Since.IsZero() || h.Host == "" || h.Cluster != "nova-test" {
		t.Errorf("holder %+v", h)
	}
	if m := Explain(err); m.ID != "engine.locked" || !strings.Contains(msg.New("ru").S(m), r.ID()) {
		t.Errorf("explained as %+v", m)
	}
	if infos, _ := Runs(o.Dir); len(infos) != 1 || !infos[0].Active || infos[0].Resumable {
		t.Errorf("runs %+v", infos)
	}
	if _, err := Resume(t.Context(), second, r.ID()); !errors.Is(err, ErrLocked) {
		t.Errorf("resume of a run that runs: %v", err)
	}
	close(gate)
	r.Wait()
	if _, held := (LocalLease{Dir: o.Dir}).Holder("nova-test"); held {
		t.Error("the lock was not released")
	}
}

// TestSecondProcessIsLockedOut: the lock is one between processes.
func TestSecondProcessIsLockedOut(t *testing.T) {
	l := newLocal(t)
	gate := make(chan struct{})
	o := options(l, build(t, twoStages()))
	o.OnEvent = watch(StepIntent, "first", func() { <-gate })
	r := start(t, o)
	status, _, out := child(t, childEnv+"="+l.dir)
	close(gate)
	r.Wait()
	if status != 98 || !strings.Contains(out, ErrLocked.Error()) || !strings.Contains(out, r.ID()) {
		t.Errorf("status %d: %s", status, out)
	}
}

// TestLostLeaseStopsBeforeTheNextChange takes the lock file away from under a
// run, as a tidy colleague might: a second run could then lock another file.
func TestLostLeaseStopsBeforeTheNextChange(t *testing.T) {
	for name, tidy := range map[string]func(lock string) error{
		"removed":  os.Remove,
		"replaced": func(lock string) error { return errors.Join(os.Remove(lock), os.WriteFile(lock, nil, 0o600)) },
	} {
		l := newLocal(t)
		o := options(l, build(t, twoStages()))
		o.OnEvent = watch(StepDone, "first", func() {
			if err := tidy(LocalLease{Dir: o.Dir}.path("nova-test")); err != nil {
				t.Error(err)
			}
		})
		_, res := run(t, o)
		if res.Outcome != OutcomeStopped || !errors.Is(res.Err, ErrLocked) {
			t.Errorf("%s: %+v", name, res)
		}
		checkEvidence(t, l, map[string]string{"n1": "first"})
	}
}

func TestRunsTellsGoodFromBad(t *testing.T) {
	l := newLocal(t)
	dir := filepath.Join(l.dir, "runs")
	if infos, problems := Runs(dir); infos != nil || problems != nil {
		t.Error("no folder is no problem")
	}
	id := stopped(t, l)
	_, res := run(t, options(l, build(t, testBuilder("other").Stage("a", msg.Raw("A"), evident("n9", "x", remote.Change, "x")))))
	if err := os.MkdirAll(filepath.Join(dir, "never-began"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a-file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	infos, problems := Runs(dir)
	if len(infos) != 2 || infos[0].ID != res.Run || infos[1].ID != id {
		t.Fatalf("runs %+v", infos)
	}
	if len(problems) != 1 || !strings.HasSuffix(problems[0].Path, "never-began") {
		t.Errorf("problems %v", problems)
	}
	if i := infos[1]; !i.Resumable || i.Outcome != OutcomeInterrupted || !i.Changed || i.Cluster != "nova-test" || i.Procedure != "demo" || i.Stage.ID != "raw" {
		t.Errorf("info %+v", i)
	}
	if i := infos[0]; i.Resumable || i.Outcome != OutcomeDone {
		t.Errorf("info %+v", i)
	}
}

func TestStoredPlanThatWasAlteredIsRefused(t *testing.T) {
	l := newLocal(t)
	id := stopped(t, l)
	path := filepath.Join(l.dir, "runs", id, "plan.json")
	b := readFile(t, path)
	if err := os.WriteFile(path, []byte(strings.Replace(b, `"second"`, `"zzz"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := resume(t, l, id); !errors.Is(err, ErrInvalidPlan) {
		t.Errorf("got %v", err)
	}
}

func TestExitStatusOfEveryOutcome(t *testing.T) {
	for o, want := range map[Outcome]int{OutcomeDone: 0, OutcomeFailed: 1, OutcomeRefused: 3, OutcomeStopped: 4,
		OutcomeLocked: 5, OutcomeUnknown: 6, OutcomeInterrupted: 130, Outcome("?"): 1} {
		if got := o.ExitStatus(); got != want {
			t.Errorf("%s: %d", o, got)
		}
		if o != "?" {
			if text := msg.New("ru").S(o.words()); text == "" || strings.Contains(text, "engine.") {
				t.Errorf("%s: %q", o, text)
			}
		}
	}
}
