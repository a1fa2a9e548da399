package ssh

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/novatui/novatui/remote"
)

// questions puts questions to the operator one at a time, whatever number of
// nodes is being connected to: parallel prompts for codes and touches answered
// each other in Teleport (#15497).
type questions struct {
	asker remote.Asker
	turn  chan struct{}

	mu       sync.Mutex
	count    int
	declined map[string]int // key of a question → count when it was declined
}

func newQuestions(a remote.Asker) *questions {
	return &questions{asker: a, turn: make(chan struct{}, 1), declined: map[string]int{}}
}

func (q *questions) possible() bool { return q.asker != nil }

// inquiry is one question with what belongs to it.
type inquiry struct {
	remote.Question
	// key is the same for questions that one answer settles.
	key string
	// settled, which may be nil, is called once it is this question's turn:
	// when it returns true, an earlier answer has settled this one too, and
	// nothing is asked.
	settled func() bool
	// use, which may be nil, takes the answer before the next question's turn,
	// so that what it brings about can settle that one.
	use func(answer string) error
}

// put asks one question. One that waited while the same question was declined
// is declined as well.
func (q *questions) put(ctx context.Context, w *watchdog, i inquiry) (answer string, asked bool, err error) {
	if q.asker == nil {
		return "", false, remote.ErrDeclined
	}
	w.pause()
	defer w.resume()
	since := q.tick("")
	select {
	case q.turn <- struct{}{}:
		defer func() { <-q.turn }()
	case <-ctx.Done():
		return "", false, context.Cause(ctx)
	}
	if ctx.Err() != nil {
		return "", false, context.Cause(ctx)
	}
	if i.settled != nil && i.settled() {
		return "", false, nil
	}
	q.mu.Lock()
	no := q.declined[i.key] > since
	q.mu.Unlock()
	if no {
		return "", false, remote.ErrDeclined
	}
	answer, err = q.asker.Ask(ctx, i.Question)
	if ctx.Err() != nil {
		return "", true, context.Cause(ctx)
	}
	if err != nil || answer == "" {
		q.tick(i.key)
		return "", true, remote.ErrDeclined
	}
	if i.use != nil {
		err = i.use(answer)
	}
	if errors.Is(err, remote.ErrDeclined) {
		q.tick(i.key)
	}
	return answer, true, err
}

// tick counts; with a key it notes that this question was declined now.
func (q *questions) tick(declined string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count++
	if declined != "" {
		q.declined[declined] = q.count
	}
	return q.count
}

// saysYes reports whether the answer to a host key is a clear yes: the word, or
// the fingerprint itself as OpenSSH takes it too.
func saysYes(answer, fingerprint string) bool {
	answer = strings.TrimSpace(answer)
	if answer == fingerprint {
		return true
	}
	switch strings.ToLower(answer) {
	case "yes", "y", "да", "д":
		return true
	}
	return false
}
