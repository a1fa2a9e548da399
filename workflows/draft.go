package workflows

import (
	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/etcdops"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/workflows/engine"
)

// draft is a plan while a procedure writes it. It keeps the guards apart from
// the stages: where a command cannot even be made (no env file, a data
// directory that is no path), the guards say so in a sentence, and the plan is
// shown refused, without stages.
type draft struct {
	*engine.Builder
	w      *world
	stages []engine.Stage
}

// Stage adds a stage; one without steps is left out.
func (d *draft) Stage(id string, title msg.Msg, steps ...engine.Step) {
	d.stages = append(d.stages, engine.Stage{ID: id, Title: title, Steps: steps})
}

// finish builds the plan. A plan that a guard blocks for good has no stages.
func (d *draft) finish() (engine.Plan, error) {
	refused, err := d.BuildRefused()
	if err != nil {
		return engine.Plan{}, err
	}
	final := false
	for i, f := range refused.Guards {
		phrase := d.w.request.Overrides[f.ID]
		refused.Guards[i].Overridden = f.Override != "" && phrase == f.Override
		final = final || f.Result == engine.Block && f.Override == ""
	}
	if final {
		return refused, nil
	}
	if d.w.err != nil {
		return engine.Plan{}, d.w.err
	}
	for _, s := range d.stages {
		d.Builder.Stage(s.ID, s.Title, s.Steps...)
	}
	plan, err := d.Build()
	if err != nil {
		return engine.Plan{}, err
	}
	plan.Guards = refused.Guards
	return plan, nil
}

// host gives the command builders for a node, on planning-time facts.
func (w *world) host(node string) etcdops.Host {
	h, err := w.base.Facts.Host(node)
	w.note(err)
	return h
}

// on places a command on a node. An error of its builder makes the plan fail,
// unless a guard has a better word for it.
func (w *world) on(node string, c remote.Command, err error) engine.NodeCommand {
	w.note(err)
	return engine.NodeCommand{Node: node, Command: c}
}

// note keeps the first error of planning. Steps that run at once ask for a host
// too: theirs was good when the plan was made, so nothing is written then.
func (w *world) note(err error) {
	if err != nil && w.err == nil {
		w.err = err
	}
}
