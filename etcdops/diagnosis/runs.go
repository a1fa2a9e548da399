package diagnosis

import (
	"slices"
	"strings"
	"time"

	"github.com/novatui/novatui/etcdops"
)

// A run is what one etcd process wrote from its start to its end, with what
// systemd said about it.
type run struct {
	pid    int
	lines  []line
	served int  // index of the line that says it serves clients; -1
	loaded bool // it read its data and found them whole
	spoke  bool // etcd itself wrote at least one line
	banner bool // etcd introduced itself
}

// pause is longer than any restart loop waits, and about as long as a person
// takes between two tries.
const pause = 10 * time.Minute

// apart reports whether a longer time passed between two runs.
func apart(a, b run) bool {
	end, begin := a.lines[len(a.lines)-1].at, b.lines[0].at
	return !end.IsZero() && !begin.IsZero() && begin.Sub(end) > pause
}

// maxRuns is how many failed starts in a row are read together.
const maxRuns = 6

// readJournal parses a journal and puts it into the order in which it
// happened: lines may come shuffled, but each knows its time and number.
func readJournal(journal []etcdops.LogLine) []line {
	lines := make([]line, 0, len(journal))
	for _, l := range journal {
		lines = append(lines, parseLine(l))
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.n - b.n })
	for i := range lines {
		// A line without a time (a panic's) happened when the one before it did.
		if lines[i].at.IsZero() && i > 0 {
			lines[i].at = lines[i-1].at
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return a.at.Compare(b.at) })
	return lines
}

// splitRuns cuts a journal into the processes that wrote it: a new pid, etcd's
// first words, or systemd saying that it starts the unit begin a new one.
func splitRuns(lines []line) []run {
	var runs []run
	cur := run{served: -1}
	for _, l := range lines {
		if cur.endsBefore(l) && len(cur.lines) > 0 {
			runs = append(runs, cur)
			cur = run{served: -1}
		}
		cur.take(l)
	}
	if len(cur.lines) > 0 {
		runs = append(runs, cur)
	}
	return runs
}

// endsBefore reports whether a line belongs to another process than the run's.
func (r *run) endsBefore(l line) bool {
	switch {
	case l.from == fromSystemd:
		return startsUnit(l.msg)
	case l.from != fromEtcd:
		return false
	case l.pid != 0 && r.pid != 0:
		return l.pid != r.pid
	}
	return l.pid == 0 && r.banner && isBanner(l)
}

// take adds a line and what it says about the run.
func (r *run) take(l line) {
	if l.from == fromEtcd {
		r.spoke = true
		if r.pid == 0 {
			r.pid = l.pid
		}
		r.banner = r.banner || isBanner(l)
		if hasServed(l) {
			r.served = len(r.lines)
		}
		r.loaded = r.loaded || hasLoaded(l)
	}
	r.lines = append(r.lines, l)
}

// startsUnit matches systemd's words when it runs the process: not "Started",
// which comes when a notify unit is ready, in the middle of its output.
func startsUnit(msg string) bool { return strings.HasPrefix(msg, "Starting ") }

// isBanner matches etcd's introduction: "Running: " (3.5 and later), "starting
// an etcd server" says nothing new in those; "etcd Version:" up to 3.4.
func isBanner(l line) bool {
	return strings.HasPrefix(l.msg, "Running: ") || strings.HasPrefix(l.msg, "etcd Version:")
}

// hasServed matches the words with which etcd says that it takes requests;
// it says so only after it has joined its cluster.
func hasServed(l line) bool {
	return strings.Contains(l.msg, "ready to serve client requests") ||
		strings.Contains(l.msg, "published local member to cluster through raft") ||
		strings.HasPrefix(l.msg, "published {Name:")
}

// hasLoaded matches raft at work: the member has read its database and its
// WAL, found both whole, and talks to its peers.
func hasLoaded(l line) bool {
	return strings.Contains(l.msg, "is starting a new election at term") ||
		strings.Contains(l.msg, "became pre-candidate at term") ||
		strings.Contains(l.msg, "elected leader") && strings.Contains(l.msg, "at term")
}

// current keeps the runs of the trouble that is on now: the newest one in
// which etcd spoke, and those before it up to the last that had served. What a
// later start got over is history, however loud, and so is what lies before a
// pause that no restart loop makes.
func current(runs []run) []run {
	last := len(runs) - 1
	for last >= 0 && !runs[last].spoke {
		last--
	}
	if last < 0 {
		return runs
	}
	first := last
	for first > 0 && last-first+1 < maxRuns && runs[first].served < 0 && !apart(runs[first-1], runs[first]) {
		first--
	}
	return runs[first:]
}
