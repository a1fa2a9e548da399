package ssh

import (
	"bytes"
	"io"
	"strconv"
	"sync"
)

// maxNoise is how much of what came before the marker is kept for an error
// message, in bytes.
const maxNoise = 8 << 10

// maxPID bounds the process id that follows a marker, in bytes.
const maxPID = 32

// sink takes one output stream of a command: it drops what login scripts
// printed, keeps a bounded copy, passes everything on, and always accepts, so
// that the node is never blocked by us.
type sink struct {
	mark []byte // what the marker starts with; a process id and a newline end it
	out  io.Writer
	tee  *sharedTee
	keep int // bytes to keep

	mu        sync.Mutex
	head      []byte // what came before the marker, the last part of it
	noise     []byte // what came before the marker, the first part of it
	buf       []byte
	truncated bool
	started   bool
	marked    chan struct{} // closed by begin
	pid       int           // that the marker named
	detached  bool
	failed    error // of out
}

func newSink(mark []byte, out io.Writer, tee *sharedTee, keep int) *sink {
	return &sink{mark: mark, out: out, tee: tee, keep: keep, marked: make(chan struct{})}
}

func (s *sink) Write(p []byte) (int, error) {
	n := len(p)
	p = s.afterMark(p)
	if len(p) == 0 {
		return n, nil
	}
	s.mu.Lock()
	if s.detached {
		s.mu.Unlock()
		return n, nil
	}
	if room := s.keep - len(s.buf); room < len(p) {
		s.truncated = s.truncated || s.out == nil
		s.buf = append(s.buf, p[:max(room, 0)]...)
	} else {
		s.buf = append(s.buf, p...)
	}
	failed := s.failed
	s.mu.Unlock()
	s.tee.write(p)
	if s.out != nil && failed == nil {
		if _, err := s.out.Write(p); err != nil {
			s.mu.Lock()
			s.failed = err
			s.mu.Unlock()
			return n, err
		}
	}
	return n, nil
}

// afterMark returns what of p belongs to the command.
func (s *sink) afterMark(p []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return p
	}
	s.head = append(s.head, p...)
	if i := bytes.Index(s.head, s.mark); i >= 0 {
		pid, rest, whole := bytes.Cut(s.head[i+len(s.mark):], []byte("\n"))
		if !whole && len(pid) < maxPID {
			return nil // The rest of the line is still to come.
		}
		s.pid, _ = strconv.Atoi(string(pid)) // 0 is "not known"
		s.begin()
		return rest
	}
	// The marker may come in pieces: its length is all that has to stay.
	if cut := len(s.head) - len(s.mark) + 1; cut > 0 {
		if room := maxNoise - len(s.noise); room > 0 {
			s.noise = append(s.noise, s.head[:min(cut, room)]...)
		}
		s.head = append([]byte(nil), s.head[cut:]...)
	}
	return nil
}

// begin lets everything through from here on: the marker was seen, or there is
// none to wait for.
func (s *sink) begin() {
	s.head, s.noise, s.started = nil, nil, true
	close(s.marked)
}

// begun reports whether the marker was seen.
func (s *sink) begun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.started
}

// process is the command's process id, 0 when it is not known.
func (s *sink) process() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pid
}

// before is what came instead of the marker.
func (s *sink) before() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return nil
	}
	return append(append([]byte(nil), s.noise...), s.head...)
}

// detach makes the sink drop whatever still comes, and returns what was kept.
func (s *sink) detach() (kept []byte, truncated bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.detached = true
	return s.buf, s.truncated
}

// cut notes that the stream was left before its end.
func (s *sink) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.truncated = true
}

func (s *sink) writeError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// sharedTee lets the two streams of a command write to one writer.
type sharedTee struct {
	mu sync.Mutex
	w  io.Writer
}

func (t *sharedTee) write(p []byte) {
	if t.w == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = t.w.Write(p) // A transcript that fails must not stop a recovery.
}
