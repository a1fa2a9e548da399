package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

const (
	// LeaseRenewed is how often a lease on the nodes is renewed, LeaseStale how
	// long after that it counts as given up (k0sctl: touched every 10 s, stale
	// after 30 s).
	LeaseRenewed = 10 * time.Second
	LeaseStale   = 30 * time.Second
	// leasePatience bounds one command of the lease, connecting included: a node
	// that hangs counts as not reached.
	leasePatience = 6 * time.Second
	// leaseSchema is the version of a lease's record.
	leaseSchema = "novatui/lease/v1"
)

// LeaseSeen is what a node says of its lease.
type LeaseSeen struct {
	Token  string        // the holder's; empty: nobody holds it
	Age    time.Duration // since it was renewed, by the node's clock
	Record []byte        // what the holder wrote; it may be anything
}

// LeaseKeeper takes and gives back the lease of one node. Its methods may be
// called from several goroutines; they end with ctx.
type LeaseKeeper interface {
	Look(ctx context.Context, node string) (LeaseSeen, error)
	// Take takes it for token, if it is free, token's own, or that of over.
	Take(ctx context.Context, node, token string, record []byte, over string) (LeaseSeen, error)
	Renew(ctx context.Context, node, token string, record []byte) (LeaseSeen, error)
	Release(ctx context.Context, node, token string) (LeaseSeen, error)
	// Fence makes of a command one that the node runs only while the lease is
	// token's; Fenced tells from how it ended that it was not run.
	Fence(node, token string, c remote.Command) remote.Command
	Fenced(res remote.Result, stderr []byte) bool
}

// leaseRecord is the content of a lease.
type leaseRecord struct {
	Schema string `json:"schema"`
	Token  string `json:"token"`
	Holder
	// Seat names the folder of the runs: with the same seat, the lock there
	// proves whether the holder lives.
	Seat  string `json:"seat"`
	Doing string `json:"doing,omitempty"`
}

// NodeLease keeps others off the cluster, also those on other machines: beside
// the local lock it takes a lease on every node that can be reached, and at
// least on a majority, and renews it while the run lives.
type NodeLease struct {
	Local  LocalLease
	Keeper LeaseKeeper
	Nodes  []string
	// TakeOver takes what others hold and have not renewed for Stale.
	TakeOver bool
	// Every and Stale are LeaseRenewed and LeaseStale when they are zero.
	Every, Stale time.Duration
}

func (l NodeLease) every() time.Duration {
	if l.Every > 0 {
		return l.Every
	}
	return LeaseRenewed
}

func (l NodeLease) stale(age time.Duration) bool {
	limit := l.Stale
	if limit <= 0 {
		limit = LeaseStale
	}
	return age.Abs() >= limit // a time in the future: the clock was set back
}

func (l NodeLease) majority() int { return len(l.Nodes)/2 + 1 }

// Acquire implements Lease: the local lock first, then all nodes at once. On a
// conflict everything is given back and the error is a *LockedError. A lease
// that this very folder of runs took and whose process is dead, which the local
// lock proves, is taken over without a word; a stale one of somebody else only
// with TakeOver. ErrRefused, with words (msg.Error): too few nodes answer.
func (l NodeLease) Acquire(ctx context.Context, h Holder) (Held, error) {
	local, err := l.Local.Acquire(ctx, h)
	if err != nil {
		return nil, err
	}
	held := &nodeHeld{lease: l, local: local, taken: map[string]bool{}, nodes: map[string]bool{}}
	err = held.prepare(h)
	if err == nil {
		err = held.acquire(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, held.giveBack(), local.Release())
	}
	held.start()
	return held, nil
}

// prepare makes the record of a new lease.
func (h *nodeHeld) prepare(holder Holder) error {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return fmt.Errorf("naming the lease: %w", err)
	}
	seat, err := h.lease.Local.seat()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStateDir, err)
	}
	h.record = leaseRecord{Schema: leaseSchema, Token: hex.EncodeToString(b[:]), Holder: holder, Seat: seat}
	return nil
}

func (l LocalLease) seatFile() string { return filepath.Join(l.Dir, ".locks", "seat") }

// seat names the folder of the runs by a random number that is kept in it.
func (l LocalLease) seat() (string, error) {
	path := l.seatFile()
	b, err := os.ReadFile(path)
	if s := strings.TrimSpace(string(b)); err == nil && len(s) == 32 {
		return s, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", fmt.Errorf("naming %s: %w", path, err)
	}
	s := hex.EncodeToString(id[:])
	return s, writeFile(path, []byte(s+"\n"))
}

// answer is what one node said, or why it said nothing.
type answer struct {
	node string
	seen LeaseSeen
	err  error
}

// ask asks nodes at once and waits for all.
func ask(ctx context.Context, nodes []string, fn func(ctx context.Context, node string) (LeaseSeen, error)) []answer {
	out := make([]answer, len(nodes))
	var wg sync.WaitGroup
	for i, node := range nodes {
		wg.Go(func() { out[i] = askOne(ctx, node, fn) })
	}
	wg.Wait()
	return out
}

func askOne(ctx context.Context, node string, fn func(ctx context.Context, node string) (LeaseSeen, error)) answer {
	ctx, cancel := context.WithTimeout(ctx, leasePatience)
	defer cancel()
	seen, err := protect("the lease of "+node, func() (LeaseSeen, error) { return fn(ctx, node) })
	return answer{node, seen, err}
}

func (h *nodeHeld) acquire(ctx context.Context) error {
	answers := h.take(ctx, h.lease.Nodes, nil)
	conflicts := h.conflicts(answers)
	if len(conflicts) > 0 {
		over, locked := h.overrule(conflicts)
		if locked != nil {
			return locked
		}
		nodes := make([]string, 0, len(over))
		for node := range over {
			nodes = append(nodes, node)
		}
		if again := h.conflicts(h.take(ctx, nodes, over)); len(again) > 0 {
			_, locked := h.overrule(again)
			if locked == nil { // it changed hands, and that is not given up either
				locked = h.lease.locked(again)
			}
			return locked
		}
	}
	for _, a := range answers {
		if a.err != nil {
			h.problem = errors.Join(h.problem, fmt.Errorf("%s: %w", a.node, a.err))
		}
	}
	for _, node := range h.lease.Nodes {
		if !h.taken[node] {
			h.missing = append(h.missing, node)
		}
	}
	if len(h.taken) < h.lease.majority() {
		text := msg.M("engine.lease-too-few", "n", len(h.taken), "of", len(h.lease.Nodes),
			"nodes", strings.Join(h.missing, ", "), "need", h.lease.majority())
		return fmt.Errorf("%w (%w): %w", msg.Error{Msg: text}, ErrRefused, h.problem)
	}
	return nil
}

func (h *nodeHeld) take(ctx context.Context, nodes []string, over map[string]string) []answer {
	record := h.encoded()
	answers := ask(ctx, nodes, func(ctx context.Context, node string) (LeaseSeen, error) {
		return h.lease.Keeper.Take(ctx, node, h.record.Token, record, over[node])
	})
	for _, a := range answers {
		if a.err == nil && a.seen.Token == h.record.Token {
			h.taken[a.node], h.nodes[a.node] = true, true
		}
	}
	return answers
}

func (h *nodeHeld) encoded() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := json.Marshal(h.record)
	if err != nil {
		return []byte("{}") // it is made of strings and a time
	}
	return b
}

// conflicts are the answers of nodes that somebody else holds.
func (h *nodeHeld) conflicts(answers []answer) []answer {
	return slices.DeleteFunc(slices.Clone(answers), func(a answer) bool {
		return a.err != nil || a.seen.Token == h.record.Token
	})
}

// overrule gives, for each node in conflict, the token that may be taken over.
func (h *nodeHeld) overrule(conflicts []answer) (map[string]string, error) {
	over := map[string]string{}
	for _, a := range conflicts {
		r := recordOf(a.seen)
		dead := r.Seat == h.record.Seat && r.Host == h.record.Host && r.Cluster == h.record.Cluster && r.Seat != ""
		if !dead && (!h.lease.TakeOver || !h.lease.stale(freshest(conflicts, a.seen.Token))) {
			return nil, h.lease.locked(conflicts)
		}
		if !dead {
			h.takenFrom = &LockedError{Holder: r.Holder, Age: a.seen.Age, Doing: r.Doing}
		}
		over[a.node] = a.seen.Token
	}
	return over, nil
}

// freshest is how long ago a lease was renewed where it was renewed last.
func freshest(answers []answer, token string) time.Duration {
	age := time.Duration(-1)
	for _, a := range answers {
		if a.err == nil && a.seen.Token == token && (age < 0 || a.seen.Age.Abs() < age) {
			age = a.seen.Age.Abs()
		}
	}
	return age
}

// locked names the holder who renewed his lease last.
func (l NodeLease) locked(answers []answer) *LockedError {
	var e *LockedError
	for _, a := range answers {
		if a.err != nil || a.seen.Token == "" {
			continue
		}
		age := freshest(answers, a.seen.Token)
		if e == nil || age < e.Age {
			r := recordOf(a.seen)
			e = &LockedError{Holder: r.Holder, Age: age, Doing: r.Doing, Token: a.seen.Token, Stale: l.stale(age)}
		}
	}
	if e == nil {
		return nil
	}
	for _, a := range answers {
		if a.err == nil && a.seen.Token == e.Token {
			e.Nodes = append(e.Nodes, a.node)
		}
	}
	return e
}

// Holder looks who holds the cluster's nodes; nil when nobody does. The second
// result names the nodes that did not answer.
func (l NodeLease) Holder(ctx context.Context) (*LockedError, []string) {
	answers := ask(ctx, l.Nodes, l.Keeper.Look)
	seat, _ := os.ReadFile(l.Local.seatFile()) // without one, none is ours
	var silent []string
	for _, a := range answers {
		if a.err != nil {
			silent = append(silent, a.node)
		}
	}
	held := l.locked(answers)
	for _, a := range answers {
		if held != nil && a.err == nil && a.seen.Token == held.Token && len(seat) > 0 {
			held.Ours = held.Ours || recordOf(a.seen).Seat == strings.TrimSpace(string(seat))
		}
	}
	return held, silent
}

// Break takes a lease away from the nodes that it was seen on, for whoever is
// sure that its holder is gone. The error names the first node that failed.
func (l NodeLease) Break(ctx context.Context, seen *LockedError) error {
	for _, a := range ask(ctx, seen.Nodes, func(ctx context.Context, node string) (LeaseSeen, error) {
		return l.Keeper.Release(ctx, node, seen.Token)
	}) {
		switch {
		case a.err != nil:
			return fmt.Errorf("%s: %w", a.node, a.err)
		case a.seen.Token != "":
			return fmt.Errorf("%s: %w: it was not given up", a.node, ErrLocked)
		}
	}
	return nil
}

// recordOf reads a record as far as it is one. It comes from a node and may be
// anything: it is cleaned and cut.
func recordOf(seen LeaseSeen) leaseRecord {
	var r leaseRecord
	if json.Unmarshal(seen.Record, &r) != nil {
		r = leaseRecord{}
	}
	for _, s := range []*string{&r.Cluster, &r.Run, &r.Owner, &r.Host, &r.Doing} {
		*s = firstLine(remote.Clean(*s))
		if len(*s) > 200 {
			*s = strings.ToValidUTF8((*s)[:200], "")
		}
	}
	return r
}
