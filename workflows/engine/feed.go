package engine

import (
	"sort"
	"sync"
	"time"
)

// Bounds of what a Feed keeps of one node's output; older lines are only in
// the transcript.
const (
	feedLines = 5000
	feedBytes = 4 << 20
)

// Feed is what can be seen of a run while it goes on. Events are lossless and
// numbered; output lines are kept up to a bound per node. Readers pull at
// their own pace; nothing that a reader does or omits holds up the run.
type Feed struct {
	mu      sync.Mutex
	events  []Event
	first   uint64
	panes   map[string]*ring
	changed chan struct{} // nil until somebody asks
}

// ring holds the newest lines of one node.
type ring struct {
	lines []OutputLine
	start int // index of the oldest line that is kept
	bytes int
	next  uint64 // Seq of the next line; the first line has Seq 1
	alive time.Time
}

func newFeed(nodes []string) *Feed {
	f := &Feed{panes: make(map[string]*ring, len(nodes))}
	for _, n := range nodes {
		f.panes[n] = &ring{next: 1}
	}
	return f
}

// Since returns at most max events (all for max <= 0) from number seq on, and
// the number to ask for next. Begin with 0: a resumed run begins with what its
// journal holds.
func (f *Feed) Since(seq uint64, max int) (events []Event, next uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := sort.Search(len(f.events), func(i int) bool { return f.events[i].Seq >= seq })
	all := f.events[i:]
	if max > 0 && len(all) > max {
		all = all[:max]
	}
	if len(all) == 0 {
		return nil, seq
	}
	events = append(events, all...)
	return events, events[len(events)-1].Seq + 1
}

// FirstSeq is the number of the first event of this process; lower numbers are
// from the journal of a run that is being resumed.
func (f *Feed) FirstSeq() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first
}

// Output returns at most max lines (all for max <= 0) of a node's pane from
// number seq on, and the number to ask for next. When lines in between are no
// longer kept, the first line is a LineGap that says how many.
func (f *Feed) Output(node string, seq uint64, max int) (lines []OutputLine, next uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.panes[node]
	if r == nil {
		return nil, seq
	}
	if seq < 1 {
		seq = 1
	}
	kept := r.lines[r.start:]
	oldest := r.next - uint64(len(kept))
	if seq >= r.next {
		return nil, r.next
	}
	if seq < oldest {
		gap := OutputLine{Seq: oldest - 1, Node: node, Kind: LineGap, Missing: oldest - seq}
		if len(kept) > 0 {
			gap.Time = kept[0].Time
		}
		lines = append(lines, gap)
		seq = oldest
	}
	kept = kept[seq-oldest:]
	if max > 0 && len(kept) > max {
		kept = kept[:max]
	}
	return append(lines, kept...), seq + uint64(len(kept))
}

// LastByte is when the node's pane last saw output or the start or end of a
// command; zero if never.
func (f *Feed) LastByte(node string) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.panes[node]; r != nil {
		return r.alive
	}
	return time.Time{}
}

// Changed returns a channel that is closed at the next event or line.
func (f *Feed) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.changed
}

// wake tells those who wait. The caller holds the lock.
func (f *Feed) wake() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// history puts the journal of a resumed run in front.
func (f *Feed) history(events []Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, events...)
}

func (f *Feed) event(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == 0 {
		f.first = e.Seq
	}
	f.events = append(f.events, e)
	f.wake()
}

// touch notes a sign of life of a node that shows no line.
func (f *Feed) touch(node string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r := f.panes[node]; r != nil {
		r.alive = at
	}
}

func (f *Feed) line(l OutputLine) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.panes[l.Node]
	if r == nil {
		return
	}
	l.Seq = r.next
	r.next++
	r.alive = l.Time
	r.lines = append(r.lines, l)
	r.bytes += len(l.Text)
	for len(r.lines)-r.start > feedLines || r.bytes > feedBytes {
		r.bytes -= len(r.lines[r.start].Text)
		r.lines[r.start] = OutputLine{}
		r.start++
	}
	// Moving what is kept to the front now and then keeps the cost per line
	// constant and the memory at twice the bound.
	if r.start > feedLines {
		r.lines = append([]OutputLine(nil), r.lines[r.start:]...)
		r.start = 0
	}
	f.wake()
}
