package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

const (
	// confirmedFor is how long a lease that was confirmed is not asked for again.
	confirmedFor = time.Second
	// giveBackPatience bounds how long the end of a run waits for nodes that do
	// not answer.
	giveBackPatience = 3 * time.Second
)

// nodeHeld is a NodeLease that was acquired. One goroutine renews it; Release
// waits for it and for every question that is still open.
type nodeHeld struct {
	lease     NodeLease
	local     Held
	missing   []string // nodes that could not be asked when it was acquired
	problem   error
	takenFrom *LockedError

	cancel context.CancelFunc
	ctx    context.Context //nolint:containedctx // that of the goroutines, which end with Release
	wg     sync.WaitGroup

	mu        sync.Mutex
	record    leaseRecord
	taken     map[string]bool // nodes that are ours, as far as we know
	nodes     map[string]bool // nodes that were ever ours: what changes them is fenced
	confirmed time.Time
	lost      error
}

func (h *nodeHeld) start() {
	h.confirmed = time.Now()
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.wg.Go(func() {
		tick := time.NewTicker(h.lease.every())
		defer tick.Stop()
		for {
			select {
			case <-h.ctx.Done():
				return
			case <-tick.C:
				h.renew()
			}
		}
	})
}

// renew renews the lease everywhere. Only when a majority has just said that it
// is still ours is it taken where it could not be before: a run that slept and
// lost the cluster must not find a node that was free all the time.
func (h *nodeHeld) renew() {
	h.mu.Lock()
	token := h.record.Token
	var ours, missing []string
	for _, node := range h.lease.Nodes {
		switch {
		case h.taken[node]:
			ours = append(ours, node)
		case !h.nodes[node]:
			missing = append(missing, node)
		}
	}
	h.mu.Unlock()
	record := h.encoded()
	answers := ask(h.ctx, ours, func(ctx context.Context, node string) (LeaseSeen, error) {
		return h.lease.Keeper.Renew(ctx, node, token, record)
	})
	if yes, _ := h.judge(answers); yes < h.lease.majority() {
		return
	}
	for _, a := range ask(h.ctx, missing, func(ctx context.Context, node string) (LeaseSeen, error) {
		return h.lease.Keeper.Take(ctx, node, token, record, "")
	}) {
		if a.err == nil && a.seen.Token == token {
			h.mu.Lock()
			h.taken[a.node], h.nodes[a.node] = true, true
			h.mu.Unlock()
		}
	}
}

// judge counts who says that the lease is ours and who says that it is not. It
// is lost for good when those that remain are no majority.
func (h *nodeHeld) judge(answers []answer) (yes, no int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var theirs []answer
	for _, a := range answers {
		switch {
		case a.err != nil:
		case a.seen.Token == h.record.Token:
			yes++
		default:
			no++
			delete(h.taken, a.node)
			theirs = append(theirs, a)
		}
	}
	if yes >= h.lease.majority() {
		h.confirmed = time.Now()
	}
	if len(h.taken) < h.lease.majority() && h.lost == nil {
		lost := h.lease.locked(theirs)
		if lost == nil {
			lost = &LockedError{}
		}
		lost.Lost = true
		h.lost = lost
	}
	return yes, no
}

// Check implements Held: the local lock, and a majority of the nodes. What was
// confirmed within the last second is not asked again.
func (h *nodeHeld) Check(ctx context.Context) error {
	if err := h.local.Check(ctx); err != nil {
		return err
	}
	h.mu.Lock()
	lost, since := h.lost, time.Since(h.confirmed)
	// The clock that Since takes may stand still while the machine sleeps.
	if wall := time.Now().Round(0).Sub(h.confirmed.Round(0)); wall.Abs() > since {
		since = wall.Abs()
	}
	var nodes []string
	for _, node := range h.lease.Nodes {
		if h.taken[node] {
			nodes = append(nodes, node)
		}
	}
	h.mu.Unlock()
	switch {
	case lost != nil:
		return lost
	case since < confirmedFor:
		return nil
	}
	// A majority is enough: a node that hangs does not hold up the step.
	asked, cancel := context.WithCancel(h.ctx)
	defer cancel()
	answered := make(chan answer, len(nodes))
	for _, node := range nodes {
		h.wg.Go(func() { answered <- askOne(asked, node, h.lease.Keeper.Look) })
	}
	var all []answer
	yes := 0
	for range nodes {
		select {
		case <-ctx.Done():
			return fmt.Errorf("asking for the lease: %w", context.Cause(ctx))
		case a := <-answered:
			all = append(all, a)
			if a.err == nil && a.seen.Token == h.token() {
				yes++
			}
		}
		if yes >= h.lease.majority() {
			break
		}
	}
	h.judge(all)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.lost != nil:
		return h.lost
	case yes < h.lease.majority():
		return msg.Error{Msg: msg.M("engine.lease-unsure", "n", yes, "of", len(h.lease.Nodes), "need", h.lease.majority())}
	}
	return nil
}

func (h *nodeHeld) token() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.record.Token
}

// Release implements Held.
func (h *nodeHeld) Release() error {
	h.cancel()
	h.wg.Wait()
	return errors.Join(h.giveBack(), h.local.Release())
}

// giveBack gives the lease back on every node that may have it: also where the
// answer was lost when it was taken. Where it cannot be given back, it becomes
// stale.
func (h *nodeHeld) giveBack() error {
	ctx, cancel := context.WithTimeout(context.Background(), giveBackPatience)
	defer cancel()
	var errs []error
	for _, a := range ask(ctx, h.lease.Nodes, func(ctx context.Context, node string) (LeaseSeen, error) {
		return h.lease.Keeper.Release(ctx, node, h.record.Token)
	}) {
		if a.err != nil && h.nodes[a.node] {
			errs = append(errs, fmt.Errorf("the lease on %s: %w", a.node, a.err))
		}
	}
	return errors.Join(errs...)
}

// doing says what goes into the lease's record when it is renewed.
func (h *nodeHeld) doing(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.record.Doing = what
}

// notes are what the journal should say of how the lease was acquired.
func (h *nodeHeld) notes() []msg.Msg {
	var all []msg.Msg
	if from := h.takenFrom; from != nil {
		all = append(all, msg.M("engine.lease-taken-over", "owner", from.Holder.Owner, "host", from.Holder.Host,
			"run", from.Holder.Run, "seconds", int(from.Age.Seconds()), "doing", from.Doing))
	}
	if len(h.missing) > 0 {
		all = append(all, msg.M("engine.lease-missing", "nodes", h.missing, "n", len(h.missing)))
	}
	return all
}

// fenced gives the command as it must be sent to the node: where the lease was
// taken, the node itself compares it first.
func (h *nodeHeld) fence(node string, c remote.Command) (remote.Command, bool) {
	h.mu.Lock()
	token, ours := h.record.Token, h.nodes[node]
	h.mu.Unlock()
	if !ours {
		return c, false
	}
	return h.lease.Keeper.Fence(node, token, c), true
}

// fencedHeld is a Held that the nodes know of.
type fencedHeld interface {
	fence(node string, c remote.Command) (remote.Command, bool)
	fencedOff(ctx context.Context, node string, res remote.Result, stderr []byte) error
	doing(what string)
	notes() []msg.Msg
}

// fencedOff is the error of a command that its node did not run, because the
// lease there is no longer ours; nil if it was run.
func (h *nodeHeld) fencedOff(ctx context.Context, node string, res remote.Result, stderr []byte) error {
	if !h.lease.Keeper.Fenced(res, stderr) {
		return nil
	}
	lost := &LockedError{Lost: true}
	if a := askOne(ctx, node, h.lease.Keeper.Look); a.err == nil {
		h.judge([]answer{a})
		if theirs := h.lease.locked([]answer{a}); theirs != nil {
			lost, lost.Lost = theirs, true
		}
	}
	return lost
}

// sendFenced runs a command on a node. One that changes something is not run by
// the node when the lease there is no longer ours.
func (r *Run) sendFenced(ctx context.Context, conn remote.Conn, node string, c remote.Command, s remote.Streams) (remote.Result, error) {
	held, ok := r.held.(fencedHeld)
	if !ok || c.Effect == remote.Read {
		return conn.Run(ctx, c, s)
	}
	wrapped, fenced := held.fence(node, c)
	if !fenced {
		return conn.Run(ctx, c, s)
	}
	head := &headWriter{to: s.Stderr}
	if s.Stderr != nil {
		s.Stderr = head
	}
	res, err := conn.Run(ctx, wrapped, s)
	if err == nil {
		stderr := res.Stderr
		if s.Stderr != nil {
			stderr = head.head.Bytes()
		}
		err = held.fencedOff(ctx, node, res, stderr)
	}
	return res, err
}

// headWriter keeps the first bytes of what goes through it.
type headWriter struct {
	to   io.Writer
	head bytes.Buffer
}

func (w *headWriter) Write(p []byte) (int, error) {
	if room := 256 - w.head.Len(); room > 0 {
		w.head.Write(p[:min(room, len(p))])
	}
	return w.to.Write(p)
}
