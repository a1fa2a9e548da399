package chaos

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// write is one attempt to write, and whether it was acknowledged.
type write struct {
	key, value string
	acked      bool
	cluster    uint64 // that acknowledged it
	sent, seen time.Time
}

// keyPrefix begins the keys that the writer makes; Clean of the next run takes
// them away.
const keyPrefix = "/chaos/"

// writer is an application that goes on while its cluster is repaired: one write
// after the other, through each member in turn, by turns a key that is there
// already and one of its own. What is not acknowledged within a second is not
// known.
type writer struct {
	nodes   []string
	clients map[string]*clientv3.Client
	seed    uint64
	old     []string // keys that exist, and may be written over

	mu     sync.Mutex
	fresh  bool // also makes keys
	writes []write
}

// pace is the time between two writes.
const pace = 40 * time.Millisecond

// run writes until ctx ends.
func (w *writer) run(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		w.put(ctx, i)
		after(pace, ctx.Done())
	}
}

func (w *writer) put(ctx context.Context, i int) {
	w.mu.Lock()
	fresh := w.fresh && i%2 == 0
	w.mu.Unlock()
	key := fmt.Sprintf("%s%d/%06d", keyPrefix, w.seed, i)
	if !fresh {
		key = w.old[i%len(w.old)]
	}
	a := write{key: key, value: fmt.Sprintf("chaos %d %d", w.seed, i), sent: time.Now()}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	r, err := w.clients[w.nodes[i%len(w.nodes)]].Put(ctx, a.key, a.value)
	if a.seen = time.Now(); err == nil {
		a.acked, a.cluster = true, r.Header.ClusterId
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes = append(w.writes, a)
}

// onlyOld ends the making of keys.
func (w *writer) onlyOld() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fresh = false
}

// all are the writes so far.
func (w *writer) all() []write {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]write(nil), w.writes...)
}

// look is one look at one member: whether it served a linearizable read, and of
// which cluster.
type look struct {
	node        string
	cluster     uint64
	began, seen time.Time
}

// watcher asks every member all the time which cluster it serves.
type watcher struct {
	nodes   []string
	clients map[string]*clientv3.Client

	mu    sync.Mutex
	looks []look
}

// watchEvery is the time between two looks at a member.
const watchEvery = 250 * time.Millisecond

// run looks until ctx ends.
func (w *watcher) run(ctx context.Context) {
	var all sync.WaitGroup
	for _, node := range w.nodes {
		all.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				asking, cancel := context.WithTimeout(ctx, time.Second)
				r, err := w.clients[node].Get(asking, "health", clientv3.WithCountOnly())
				cancel()
				if err == nil {
					w.mu.Lock()
					w.looks = append(w.looks, look{node, r.Header.ClusterId, began, time.Now()})
					w.mu.Unlock()
				}
				after(watchEvery, ctx.Done())
			}
		})
	}
	all.Wait()
}

// twoClusters tells what breaks promise C: a cluster that serves after another
// has served in its place. The looks of all members and the acknowledged writes
// count.
func twoClusters(looks []look, writes []write) string {
	for _, w := range writes {
		if w.acked {
			looks = append(looks, look{"a write", w.cluster, w.sent, w.seen})
		}
	}
	first, final := map[uint64]look{}, map[uint64]look{} // the earliest answer, and the latest question
	for _, l := range looks {
		if f, ok := first[l.cluster]; !ok || l.seen.Before(f.seen) {
			first[l.cluster] = l
		}
		if f, ok := final[l.cluster]; !ok || l.began.After(f.began) {
			final[l.cluster] = l
		}
	}
	var broken []string
	for old, last := range final {
		for newer, begun := range first {
			if old == newer || !first[old].seen.Before(begun.seen) {
				continue
			}
			if last.began.After(begun.seen) {
				broken = append(broken, fmt.Sprintf("cluster %x (%s) served at %s, after cluster %x (%s) had at %s",
					old, last.node, stamp(last.began), newer, begun.node, stamp(begun.seen)))
			}
		}
	}
	return strings.Join(broken, "; ")
}

func stamp(t time.Time) string { return t.Format("15:04:05.000") }
