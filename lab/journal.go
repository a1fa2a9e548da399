package lab

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bounds of a node's journal. The oldest entries go first.
const (
	journalEntries = 20000
	journalBytes   = 24 << 20
)

// entry is one line of a node's journal.
type entry struct {
	Seq        uint64
	Time       time.Time
	Mono       uint64 // microseconds since the machine's boot
	Priority   int
	Identifier string // SYSLOG_IDENTIFIER
	PID        int
	Unit       string // _SYSTEMD_UNIT: who wrote it
	About      string // UNIT: which unit systemd wrote it about
	Message    string
}

// journal is a node's journal, in memory: it lives as long as the supervisor,
// which is the node's boot.
type journal struct {
	host, machineID, bootID string
	uid                     int

	mu      sync.Mutex
	entries []entry
	bytes   int
	seq     uint64
	changed chan struct{} // closed at every new entry
}

func newJournal(host, machineID, bootID string, uid int) *journal {
	return &journal{host: host, machineID: machineID, bootID: bootID, uid: uid, changed: make(chan struct{})}
}

func (j *journal) add(e entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq++
	e.Seq, e.Time, e.Mono = j.seq, time.Now(), monotonicMicros()
	j.entries = append(j.entries, e)
	j.bytes += len(e.Message)
	for len(j.entries) > journalEntries || j.bytes > journalBytes && len(j.entries) > 1 {
		j.bytes -= len(j.entries[0].Message)
		j.entries = j.entries[1:]
	}
	close(j.changed)
	j.changed = make(chan struct{})
}

// since returns the entries after a sequence number and a channel that is
// closed when there are more.
func (j *journal) since(seq uint64) ([]entry, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first := len(j.entries)
	for first > 0 && j.entries[first-1].Seq > seq {
		first--
	}
	return append([]entry(nil), j.entries[first:]...), j.changed
}

// last is the sequence number of the newest entry.
func (j *journal) last() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.seq
}

// find returns the newest entry after seq whose message holds text.
func (j *journal) find(seq uint64, text string) (entry, bool) {
	entries, _ := j.since(seq)
	for i := len(entries) - 1; i >= 0; i-- {
		if strings.Contains(entries[i].Message, text) {
			return entries[i], true
		}
	}
	return entry{}, false
}

// cursor is a position in the form of sd_journal_get_cursor.
func (j *journal) cursor(e entry) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(e.Message))
	return fmt.Sprintf("s=%s;i=%x;b=%s;m=%x;t=%x;x=%x", j.machineID, e.Seq, j.bootID, e.Mono,
		e.Time.UnixMicro(), h.Sum64())
}

// parseCursor finds the sequence number in a cursor of this journal.
func (j *journal) parseCursor(s string) (uint64, bool) {
	var seq uint64
	ours, found := false, false
	for _, part := range strings.Split(s, ";") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "s":
			ours = value == j.machineID
		case "i":
			n, err := strconv.ParseUint(value, 16, 64)
			seq, found = n, err == nil
		}
	}
	return seq, ours && found
}
