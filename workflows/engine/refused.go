package engine

import (
	"encoding/json"
	"fmt"
)

// BuildRefused evaluates the guards alone: a plan without stages, to show why
// a request is refused when its commands cannot even be made. It cannot be
// started.
func (b *Builder) BuildRefused() (Plan, error) {
	p := b.plan
	p.Stages, p.NoReturnStage = nil, ""
	var err error
	if p.Input, err = json.Marshal(b.input); err != nil {
		return Plan{}, fmt.Errorf("%w: input: %w", ErrInvalidPlan, err)
	}
	if p.Basis, err = json.Marshal(b.basis); err != nil {
		return Plan{}, fmt.Errorf("%w: basis: %w", ErrInvalidPlan, err)
	}
	p.Nodes = p.nodes()
	if p.Guards, err = evaluate(p.Checks); err != nil {
		return Plan{}, fmt.Errorf("%w: %w", ErrInvalidPlan, err)
	}
	return p, nil
}
