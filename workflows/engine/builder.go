package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// TagLayout is how a plan's tag is written from the time of planning (UTC).
const TagLayout = "20060102-150405"

// Builder collects a plan from the top of its runbook to the bottom. Its
// methods return it, so that calls can be chained; what is wrong is said by
// Build.
type Builder struct {
	plan  Plan
	input any
	basis any
}

// NewPlan begins a plan. An empty tag is made from now; a plan that is built
// again (apply, resume) passes the tag of the first one.
func NewPlan(procedure, cluster, environment, tag string, now time.Time) *Builder {
	now = now.UTC()
	if tag == "" {
		tag = now.Format(TagLayout)
	}
	return &Builder{plan: Plan{
		Schema: PlanSchema, Procedure: procedure, Cluster: cluster,
		Environment: environment, Tag: tag, CreatedAt: now,
	}}
}

// Title is the plan in one line ("Rejoin etcd2 on master-2").
func (b *Builder) Title(m msg.Msg) *Builder { b.plan.Title = m; return b }

// Estimate is how long the run takes as a rule; it is kept in whole seconds.
func (b *Builder) Estimate(d time.Duration) *Builder {
	b.plan.Estimate = Seconds(d.Round(time.Second) / time.Second)
	return b
}

// Kept says what happens to the data.
func (b *Builder) Kept(m msg.Msg) *Builder { b.plan.Kept = m; return b }

// Lost adds what will be lost.
func (b *Builder) Lost(m ...msg.Msg) *Builder { b.plan.Lost = append(b.plan.Lost, m...); return b }

// NoReturn names the stage after which there is no way back, and why.
func (b *Builder) NoReturn(stageID string, why msg.Msg) *Builder {
	b.plan.NoReturnStage, b.plan.NoReturn = stageID, why
	return b
}

// NoReturnCosts names the stage after which going back is possible, but costs
// what is said.
func (b *Builder) NoReturnCosts(stageID string, what msg.Msg) *Builder {
	b.plan.NoReturnCosts = true
	return b.NoReturn(stageID, what)
}

// WayBack says how the run is taken back before that.
func (b *Builder) WayBack(m msg.Msg) *Builder { b.plan.WayBack = m; return b }

// Undoes names the run that this plan takes back, and the last event of its
// journal.
func (b *Builder) Undoes(run string, seq uint64) *Builder {
	b.plan.Undoes, b.plan.UndoesSeq = run, seq
	return b
}

// Input is what was asked for, as data (JSON) that the procedure can read
// back.
func (b *Builder) Input(v any) *Builder { b.input = v; return b }

// Basis is the facts that the plan rests on, as data (JSON).
func (b *Builder) Basis(v any) *Builder { b.basis = v; return b }

// Identity is the digest of what must not change between plan and apply.
func (b *Builder) Identity(digest string) *Builder { b.plan.Identity = digest; return b }

// Nodes sets the order of the panes; nodes of steps that are not named here
// follow in the order of their first step.
func (b *Builder) Nodes(names ...string) *Builder {
	b.plan.Nodes = append(b.plan.Nodes, names...)
	return b
}

// FactsAt is when the facts that the plan was made from were collected.
func (b *Builder) FactsAt(t time.Time) *Builder { b.plan.FactsAt = t; return b }

// Refresh is how fresh facts are collected. The engine never calls it twice at
// once, nor while a guard looks at the facts.
func (b *Builder) Refresh(fn func(ctx context.Context, nodes []string) error) *Builder {
	b.plan.Refresh = fn
	return b
}

// Guards adds rules that must hold before the run begins.
func (b *Builder) Guards(guards ...Guard) *Builder {
	b.plan.Checks = append(b.plan.Checks, guards...)
	return b
}

// Stage adds a stage; one without steps is left out.
func (b *Builder) Stage(id string, title msg.Msg, steps ...Step) *Builder {
	if len(steps) > 0 {
		b.plan.Stages = append(b.plan.Stages, Stage{ID: id, Title: title, Steps: slices.Clone(steps)})
	}
	return b
}

// Build checks the plan against the rules of the engine, evaluates its guards
// and computes its hash. A guard that blocks is no error: the plan shows it,
// and Start refuses. Every error wraps ErrInvalidPlan.
func (b *Builder) Build() (Plan, error) {
	return b.build(b.plan.Stages, false)
}

// BuildRefused builds the plan without its stages, for a procedure whose
// guards block so that its steps cannot even be written down. Start refuses
// such a plan: with ErrRefused when a guard blocks, as invalid otherwise.
func (b *Builder) BuildRefused() (Plan, error) {
	return b.build(nil, true)
}

func (b *Builder) build(stages []Stage, refused bool) (Plan, error) {
	p := b.plan
	p.Stages = stages
	if refused {
		p.NoReturn, p.NoReturnStage, p.NoReturnCosts, p.WayBack = msg.Msg{}, "", false, msg.Msg{}
	}
	p.Stages, p.Checks = slices.Clone(p.Stages), slices.Clone(p.Checks)
	p.Lost = slices.Clone(p.Lost)
	var err error
	if p.Input, err = json.Marshal(b.input); err != nil {
		return Plan{}, fmt.Errorf("%w: input: %w", ErrInvalidPlan, err)
	}
	if p.Basis, err = json.Marshal(b.basis); err != nil {
		return Plan{}, fmt.Errorf("%w: basis: %w", ErrInvalidPlan, err)
	}
	p.Nodes = p.nodes()
	if err := p.validate(refused); err != nil {
		return Plan{}, err
	}
	if p.Guards, err = evaluate(p.Checks); err != nil {
		return Plan{}, fmt.Errorf("%w: %w", ErrInvalidPlan, err)
	}
	p.Hash, err = HashOf(p)
	return p, err
}

// nodes is every node that takes part, each once, in order.
func (p Plan) nodes() []string {
	all := []string{}
	add := func(name string) {
		if name != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	for _, n := range p.Nodes {
		add(n)
	}
	for _, stage := range p.Stages {
		for _, step := range stage.Steps {
			add(step.Node)
			for _, c := range slices.Concat(step.Commands, step.Checks) {
				add(c.Node)
			}
		}
	}
	return all
}

// Destroys reports whether the plan has a step of effect Destroy, which means
// that the cluster's name must be typed before it runs.
func (p Plan) Destroys() bool { return slices.ContainsFunc(p.Stages, Stage.Destroys) }

// Blocked are the findings of the plan's guards that forbid to run it, unless
// what they name is typed.
func (p Plan) Blocked() []Finding {
	var all []Finding
	for _, f := range p.Guards {
		if f.Stops() {
			all = append(all, f)
		}
	}
	return all
}

// NoReturnAt is the number of the stage, from 1, after which there is no way
// back (or only one that costs); 0 when there is none.
func (p Plan) NoReturnAt() int {
	if p.NoReturnStage == "" {
		return 0
	}
	return 1 + slices.IndexFunc(p.Stages, func(s Stage) bool { return s.ID == p.NoReturnStage })
}

// Step finds a step and its stage by the step's ID.
func (p Plan) Step(id string) (stage *Stage, step *Step) {
	for i := range p.Stages {
		for j := range p.Stages[i].Steps {
			if p.Stages[i].Steps[j].ID == id {
				return &p.Stages[i], &p.Stages[i].Steps[j]
			}
		}
	}
	return nil, nil
}

// CheckFresh refuses a stored plan when the one that was built again from its
// input and from fresh facts would do something else: ErrPlanStale.
func CheckFresh(stored, rebuilt Plan) error {
	if stored.Hash == "" || stored.Hash != rebuilt.Hash {
		return fmt.Errorf("%w: plan %.12s, now %.12s", ErrPlanStale, stored.Hash, rebuilt.Hash)
	}
	return nil
}

// evaluate asks every guard. A guard that panics or answers nonsense is an
// error: it proves nothing, so nothing may rest on it.
func evaluate(guards []Guard) ([]Finding, error) {
	findings := make([]Finding, 0, len(guards))
	var errs []error
	for _, g := range guards {
		f, err := protect("guard "+g.ID, func() (Finding, error) { return g.Check(), nil })
		switch {
		case err != nil:
		case f.Result != Pass && f.Result != Warn && f.Result != Block:
			err = fmt.Errorf("guard %s: result %q is none of pass, warn, block", g.ID, f.Result)
		case f.Overridden:
			err = fmt.Errorf("guard %s: only the operator overrides", g.ID)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if f.ID == "" {
			f.ID = g.ID
		}
		if f.Title.Zero() {
			f.Title = g.Title
		}
		findings = append(findings, f)
	}
	return findings, errors.Join(errs...)
}

// rank orders the effects.
func rank(e remote.Effect) int {
	switch e {
	case remote.Read:
		return 1
	case remote.Change:
		return 2
	case remote.Destroy:
		return 3
	}
	return 0
}
