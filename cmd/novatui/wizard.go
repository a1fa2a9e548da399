package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/term"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/inventory"
	"github.com/novatui/novatui/ui"
)

// wizard opens the wizard on the cluster of the command line.
func (p *program) wizard(ctx context.Context) error {
	if _, err := p.outputFormat(""); err != nil {
		return err
	}
	if err := p.needsTerminal(); err != nil {
		return err
	}
	cluster, err := p.inventory()
	if err != nil {
		return err
	}
	return p.openWizard(ctx, cluster, "")
}

// needsTerminal refuses to start the wizard where it could not be seen or
// answered, and says what to use instead.
func (p *program) needsTerminal() error {
	out, ok := p.stdout.(*os.File)
	if !ok || p.stdin == nil || !term.IsTerminal(int(out.Fd())) || !term.IsTerminal(int(p.stdin.Fd())) {
		return usagef("without one: novatui diagnose, plan, apply", "the wizard needs a terminal")
	}
	if p.getenv("TERM") == "dumb" {
		return usagef("without one: novatui diagnose, plan, apply", "the wizard needs a terminal that can place its cursor (TERM is dumb)")
	}
	return nil
}

// openWizard shows the wizard on a cluster until the operator leaves it. A run
// that is still going then is stopped at the next boundary and waited for.
func (p *program) openWizard(ctx context.Context, cluster inventory.Cluster, drill string) error {
	questions := newQuestionDesk()
	var warnings quietly
	s := p.newSession(cluster, questions, warnings.add)
	defer s.close()
	d := newDesk(s, questions, drill)
	err := ui.Run(ctx, d, ui.Options{
		Lang: p.language(), NoColor: p.colourless(), Env: p.env, Input: p.stdin, Output: p.stdout,
	})
	for _, w := range warnings.all() {
		p.say("%s: %s", w.node, p.msgs().S(w.text))
	}
	if err != nil && interruptedBy(ctx) == "" {
		err = fmt.Errorf("the wizard: %w", err)
	}
	return errors.Join(err, d.settle())
}

// quietly keeps the transport's warnings while the screen belongs to the
// wizard.
type quietly struct {
	mu       sync.Mutex
	warnings []warning
}

type warning struct {
	node string
	text msg.Msg
}

func (q *quietly) add(node string, text msg.Msg) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.warnings = append(q.warnings, warning{node, text})
}

func (q *quietly) all() []warning {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.warnings
}
