package main

import (
	"context"
	"fmt"

	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/ui/backend"
)

// questionDesk hands the questions of the transport over to the wizard. It
// implements remote.Asker on the one side and backend's NextQuestion on the
// other, and starts no goroutine: each side waits for the other.
type questionDesk struct{ pending chan backend.Question }

func newQuestionDesk() *questionDesk {
	return &questionDesk{pending: make(chan backend.Question)}
}

type answer struct {
	text string
	ok   bool
}

// Ask implements remote.Asker. An answer that is declined or empty is
// remote.ErrDeclined; so is one that nobody takes before ctx ends.
func (d *questionDesk) Ask(ctx context.Context, q remote.Question) (string, error) {
	answered := make(chan answer, 1)
	gone := make(chan struct{})
	defer close(gone)
	question := backend.Question{
		Question: q, Gone: gone,
		Reply: func(text string, ok bool) {
			select {
			case answered <- answer{text, ok}:
			default: // answered already
			}
		},
	}
	select {
	case d.pending <- question:
	case <-ctx.Done():
		return "", fmt.Errorf("asking about %s: %w", q.Node, context.Cause(ctx))
	}
	select {
	case a := <-answered:
		if !a.ok || a.text == "" {
			return "", fmt.Errorf("%w: %s", remote.ErrDeclined, q.Host)
		}
		return a.text, nil
	case <-ctx.Done():
		return "", fmt.Errorf("asking about %s: %w", q.Node, context.Cause(ctx))
	}
}

// NextQuestion implements backend.Backend.
func (d *questionDesk) NextQuestion(ctx context.Context) (backend.Question, error) {
	select {
	case q := <-d.pending:
		return q, nil
	case <-ctx.Done():
		return backend.Question{}, fmt.Errorf("waiting for a question: %w", ctx.Err())
	}
}
