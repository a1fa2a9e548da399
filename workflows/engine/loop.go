package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// stepEnd is how one step ended. The zero value is a good end.
type stepEnd struct {
	step    *Step
	outcome Outcome // empty: well, or not begun because the run halts
	err     error
	changed bool // may have changed something
	halted  bool // not begun
	again   bool // surely not done, and nothing of it runs: to be done once more
}

// stageRun is a stage while it runs.
type stageRun struct {
	id     string
	nodes  []string    // that its steps run on
	failed atomic.Bool // a step did not end well: nothing new begins
}

// main runs the stages and closes the run.
func (r *Run) main(ctx context.Context) {
	ends, err := protect("the run loop", func() ([]stepEnd, error) { return r.stages(ctx) })
	r.finish(r.conclude(ends, err))
}

// stages runs one stage after the other. The steps' ends are those of all
// stages up to the first that did not end well; the error is why the run
// halted without a step's fault.
func (r *Run) stages(ctx context.Context) ([]stepEnd, error) {
	var all []stepEnd
	for i := range r.plan.Stages {
		stage := &r.plan.Stages[i]
		if r.stageFinished(stage) && !r.inDoubt(i) {
			continue
		}
		if err := r.boundary(ctx); err != nil {
			return all, err
		}
		if _, err := r.emit(Event{Type: StageStarted, Stage: stage.ID, Text: stage.Title}); err != nil {
			return all, err
		}
		ends := r.stage(ctx, stage)
		all = append(all, ends...)
		failed := slices.ContainsFunc(ends, func(e stepEnd) bool { return e.outcome != "" })
		halted := slices.ContainsFunc(ends, func(e stepEnd) bool { return e.halted })
		switch {
		case failed:
			return all, nil
		case halted:
			if err := r.halted(ctx); err != nil {
				return all, err
			}
			return all, fmt.Errorf("stage %s was not finished", stage.ID)
		}
		if _, err := r.emit(Event{Type: StageDone, Stage: stage.ID}); err != nil {
			return all, err
		}
	}
	return all, nil
}

// inDoubt reports whether a finished stage is asked again, because what it began
// may have ended since, and nobody saw it go on.
func (r *Run) inDoubt(i int) bool {
	if r.dry || i+1 == len(r.plan.Stages) || r.stageFinished(&r.plan.Stages[i+1]) {
		return false
	}
	return slices.ContainsFunc(r.plan.Stages[i].Steps, func(s Step) bool { return s.Recheck != nil })
}

func (r *Run) stageFinished(stage *Stage) bool {
	for i := range stage.Steps {
		if !r.state.Step(stage.Steps[i].ID).Status.Finished() {
			return false
		}
	}
	return slices.Contains(r.state.StagesDone, stage.ID)
}

// stage runs the steps of a stage: those of one node in order, the nodes at
// once. After a failure what runs may end, and nothing new begins.
func (r *Run) stage(ctx context.Context, stage *Stage) []stepEnd {
	ends := make([]stepEnd, len(stage.Steps))
	var nodes []string
	byNode := map[string][]int{}
	for i := range stage.Steps {
		step := &stage.Steps[i]
		ends[i] = stepEnd{step: step, halted: true}
		if len(byNode[step.Node]) == 0 {
			nodes = append(nodes, step.Node)
		}
		byNode[step.Node] = append(byNode[step.Node], i)
	}
	running := &stageRun{id: stage.ID, nodes: nodes}
	var wg sync.WaitGroup
	for _, node := range nodes {
		wg.Go(func() {
			for _, i := range byNode[node] {
				// Until it returns, the step counts as failed: that is what
				// is left when a function ends the goroutine.
				ends[i] = stepEnd{step: &stage.Steps[i], outcome: OutcomeUnknown, changed: true,
					err: errors.New("the step's goroutine ended without a result")}
				ok := false
				func() {
					defer func() {
						if !ok {
							running.failed.Store(true)
						}
					}()
					ends[i] = r.step(ctx, running, &stage.Steps[i])
					ok = ends[i].outcome == "" && !ends[i].halted
				}()
				if !ok {
					return
				}
			}
		})
	}
	wg.Wait()
	return ends
}

// step takes one step through the loop: probe, guards, intent, do, verify,
// result.
func (r *Run) step(ctx context.Context, stage *stageRun, step *Step) (end stepEnd) {
	end.step = step
	if r.settled(step) {
		return end
	}
	defer func() {
		if p := recover(); p != nil {
			end = r.fail(stage, stepEnd{step: step, outcome: OutcomeUnknown, changed: step.Effect != remote.Read,
				err: &PanicError{In: "step " + step.ID, Value: p}})
		}
	}()
	halt := func() bool { return stage.failed.Load() || r.halted(ctx) != nil }
	if halt() {
		return stepEnd{step: step, halted: true}
	}
	began := r.now()
	probed, end := r.probeFirst(ctx, stage, step)
	if end.outcome != "" || probed == Done {
		return end
	}
	if r.dry {
		return r.dryStep(stage, step)
	}
	for last := false; ; last = true {
		if err := r.guard(ctx, stage, step, began); err != nil {
			return r.fail(stage, stepEnd{step: step, outcome: r.failureOutcome(ctx, err), err: err})
		}
		if halt() {
			return stepEnd{step: step, halted: true}
		}
		if step.Do == nil {
			break
		}
		end := r.act(ctx, stage, step, last)
		if end.outcome != "" || end.halted {
			return end
		}
		if !end.again {
			break
		}
		began = r.now()
	}
	return r.prove(ctx, stage, step)
}

// settled reports whether the step is done, and nothing of it can have ended
// since.
func (r *Run) settled(step *Step) bool {
	return r.state.Step(step.ID).Status.Finished() && (step.Recheck == nil || r.dry)
}

// probeFirst asks reality whether the step is done already, or still.
func (r *Run) probeFirst(ctx context.Context, stage *stageRun, step *Step) (Probed, stepEnd) {
	end := stepEnd{step: step}
	before := r.state.Step(step.ID)
	if before.Status.Finished() {
		probed, err := r.probe(ctx, stage, step, step.Recheck, nil)
		switch {
		case err != nil || probed == Unknown:
			// The steps that follow find out.
			return Done, end
		case probed == Done:
			if _, err := r.emit(Event{Type: StepSkipped, Stage: stage.id, Step: step.ID, Node: step.Node}); err != nil {
				end.outcome, end.err = OutcomeStopped, err
			}
		}
		return probed, end
	}
	if step.Probe == nil {
		return NotDone, end
	}
	probed, err := r.probe(ctx, stage, step, step.Probe, nil)
	if r.dry && (err != nil || probed == Unknown) {
		// What the steps before would have made is not there, so a probe may
		// well not know.
		return NotDone, end
	}
	switch {
	case err != nil:
		end.err, end.outcome = err, r.failureOutcome(ctx, err)
		if before.Status == StatusUnknown {
			end.outcome = OutcomeUnknown
		}
		return probed, r.fail(stage, end)
	case probed == Done:
		if _, err := r.emit(Event{Type: StepSkipped, Stage: stage.id, Step: step.ID, Node: step.Node}); err != nil {
			end.outcome, end.err = OutcomeStopped, err
		}
	case probed == Unknown && step.Effect != remote.Read:
		end.outcome = OutcomeUnknown
		end.err = errors.New("the probe cannot tell whether the step is done")
		return probed, r.fail(stage, end)
	}
	return probed, end
}

// probe asks a step's Probe or Recheck, once more over fresh connections when
// one broke meanwhile, and journals the answer.
func (r *Run) probe(ctx context.Context, stage *stageRun, step *Step, ask func(context.Context, *Exec) (Probed, error), lost map[string]bool) (Probed, error) {
	probed, err := Unknown, error(nil)
	for try := 0; try < 2; try++ {
		x := &Exec{run: r, stage: stage.id, step: step, phase: inProbe, lost: maps.Clone(lost)}
		probed, err = protect("probe of step "+step.ID, func() (Probed, error) {
			defer x.over()
			return ask(ctx, x)
		})
		_, _, lost = x.unsettled()
		if err == nil || ctx.Err() != nil || !broken(err) {
			break
		}
	}
	if err == nil && probed != Done && probed != NotDone && probed != Unknown {
		err = fmt.Errorf("the probe answered %q", probed)
	}
	e := Event{Type: StepProbed, Stage: stage.id, Step: step.ID, Node: step.Node, Probed: probed}
	if err != nil {
		e.Probed, e.Error = Unknown, r.safe(step, err)
		err = fmt.Errorf("probing: %w", err)
	}
	if _, errEmit := r.emit(e); errEmit != nil && err == nil {
		err = errEmit
	}
	return e.Probed, err
}

// broken reports whether an error is one of a connection that may be better
// the next time.
func broken(err error) bool {
	return errors.Is(err, remote.ErrOutcomeUnknown) || errors.Is(err, remote.ErrNotStarted) || errors.Is(err, remote.ErrPrivilege)
}

// guard makes sure of the lease and asks the step's guards on fresh facts: for a
// step that destroys, on some that were collected since the step began, when all
// that this node did before was over.
func (r *Run) guard(ctx context.Context, stage *stageRun, step *Step, began time.Time) error {
	if step.Effect != remote.Read {
		if err := r.held.Check(ctx); err != nil {
			return fmt.Errorf("the lease: %w", err)
		}
		maxAge := FreshFor
		if step.Effect == remote.Destroy {
			maxAge = 0
		}
		if err := r.refreshSince(ctx, maxAge, began, stage.nodes); err != nil {
			return fmt.Errorf("collecting fresh facts: %w", err)
		}
	}
	findings, err := r.ask(step.Guards)
	r.emitFindings(stage.id, step, findings)
	if err != nil {
		return err
	}
	return refusal(step.ID, findings)
}

// act journals the intent and does the step. When a command's end was not
// seen, reality is asked once. last says that it is not to be done once more.
func (r *Run) act(ctx context.Context, stage *stageRun, step *Step, last bool) stepEnd {
	end := stepEnd{step: step}
	if _, err := r.emit(Event{Type: StepIntent, Stage: stage.id, Step: step.ID, Node: step.Node,
		Effect: step.Effect, Text: step.Title}); err != nil {
		end.outcome, end.err = OutcomeStopped, err
		return r.fail(stage, end)
	}
	if step.Effect == remote.Destroy && !r.mirror.elsewhere(ctx, step.Node) {
		_, _ = r.emit(Event{Type: Warning, Stage: stage.id, Step: step.ID, Node: step.Node, Text: msg.M("engine.mirror-behind")})
	}
	x := &Exec{run: r, stage: stage.id, step: step, phase: inDo}
	_, err := protect("do of step "+step.ID, func() (struct{}, error) {
		defer x.over()
		return struct{}{}, step.Do(ctx, x)
	})
	if err == nil {
		return end
	}
	begun, open, lost := x.unsettled()
	end.err = err
	end.outcome = r.failureOutcome(ctx, err)
	end.changed = step.Effect != remote.Read && !(begun == 0 && nothingSent(err))
	if !doubtful(step, begun, open, err) {
		return r.fail(stage, end)
	}
	if ctx.Err() != nil || step.Probe == nil {
		if step.Effect != remote.Read {
			end.outcome = OutcomeUnknown
		}
		return r.fail(stage, end)
	}
	end.again = !last && len(open) == 1 && errors.Is(err, remote.ErrJobGone)
	return r.settle(ctx, stage, end, lost)
}

// doubtful reports whether nobody saw how Do ended: a command's end was not
// seen, or a deadline cut off something that the engine did not send.
func doubtful(step *Step, begun int, open []string, err error) bool {
	if len(open) > 0 || errors.Is(err, remote.ErrOutcomeUnknown) {
		return true
	}
	timedOut := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	return step.Effect != remote.Read && begun == 0 && timedOut && !nothingSent(err)
}

// nothingSent reports whether an error proves that Do did not come to act.
func nothingSent(err error) bool {
	var sent *notSentError
	return !errors.Is(err, remote.ErrOutcomeUnknown) &&
		(errors.As(err, &sent) || errors.Is(err, ErrUndeclared) || errors.Is(err, ErrSlot) || errors.Is(err, ErrJournal))
}

// settle asks reality, over fresh connections, what became of a step. One that
// was cut off on its node and is not done may be done again where the end says
// so: that is how a run goes on after the node was started anew.
func (r *Run) settle(ctx context.Context, stage *stageRun, end stepEnd, lost map[string]bool) stepEnd {
	again := end.again
	end.again = false
	probed, err := r.probe(ctx, stage, end.step, end.step.Probe, lost)
	switch {
	case err != nil:
		end.outcome, end.err = OutcomeUnknown, errors.Join(end.err, err)
	case probed == Done:
		return stepEnd{step: end.step}
	case probed == NotDone && again:
		return stepEnd{step: end.step, again: true}
	case probed == NotDone:
		end.outcome = OutcomeStopped
	default:
		end.outcome = OutcomeUnknown
	}
	return r.fail(stage, end)
}

// prove verifies the step and journals its result.
func (r *Run) prove(ctx context.Context, stage *stageRun, step *Step) stepEnd {
	end := stepEnd{step: step, changed: step.Effect != remote.Read}
	if step.Verify != nil {
		var lost map[string]bool
		var err error
		for try := 0; try < 2; try++ {
			x := &Exec{run: r, stage: stage.id, step: step, phase: inVerify, lost: lost}
			_, err = protect("verify of step "+step.ID, func() (struct{}, error) {
				defer x.over()
				return struct{}{}, step.Verify(ctx, x)
			})
			_, _, lost = x.unsettled()
			if err == nil || ctx.Err() != nil || !broken(err) {
				break
			}
		}
		if err != nil {
			end.err, end.outcome = fmt.Errorf("verifying: %w", err), r.failureOutcome(ctx, err)
			if broken(err) && ctx.Err() == nil && step.Effect != remote.Read {
				// It was done, and what came of it was not seen.
				end.outcome = OutcomeUnknown
			}
			return r.fail(stage, end)
		}
	}
	if _, err := r.emit(Event{Type: StepDone, Stage: stage.id, Step: step.ID, Node: step.Node, Effect: step.Effect}); err != nil {
		end.outcome, end.err = OutcomeStopped, err
	}
	return end
}

// dryStep says what would run.
func (r *Run) dryStep(stage *stageRun, step *Step) stepEnd {
	findings, err := r.ask(step.Guards)
	r.emitFindings(stage.id, step, findings)
	if err != nil {
		return r.fail(stage, stepEnd{step: step, outcome: OutcomeFailed, err: err})
	}
	_, _ = r.emit(Event{Type: WouldRun, Stage: stage.id, Step: step.ID, Node: step.Node, Effect: step.Effect, Text: step.Title})
	for _, c := range step.Commands {
		red := newRedactor(step.secrets()...)
		_, _ = r.emit(Event{Type: WouldRun, Stage: stage.id, Step: step.ID, Node: c.Node,
			Effect: c.Command.Effect, Line: clip(red.safe(c.Command.Line()))})
	}
	return stepEnd{step: step}
}
