package engine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

const (
	// maxLine is where a line without an end is cut, in bytes.
	maxLine = 64 << 10
	// maxTranscript is how much output of one command a transcript takes, in
	// bytes; a command that prints without end must not fill the disk.
	maxTranscript = 32 << 20
	// progressEvery thins lines that overwrite themselves (carriage return)
	// in the pane; the transcript has them all.
	progressEvery = 500 * time.Millisecond
)

// pane is where everything goes that is said on a node: its transcript and
// its part of the Feed.
type pane struct {
	node string
	feed *Feed
	now  func() time.Time

	mu   sync.Mutex
	path string // of the transcript; empty: none is written
	file *os.File
	err  error // the first error of writing; the run stops at the next boundary
}

// shown is one line on its way into the pane.
type shown struct {
	kind  LineKind
	text  string
	where place
}

// place says where a line goes.
type place int

const (
	everywhere place = iota
	transcriptOnly
	feedOnly
)

func transcriptPath(dir, node string) string {
	return filepath.Join(dir, "transcript-"+node+".log")
}

// write appends lines to the transcript in one go and to the Feed.
func (p *pane) write(lines ...shown) {
	if len(lines) == 0 {
		return
	}
	at := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	stamp := at.UTC().Format("2006-01-02T15:04:05.000Z ")
	for _, l := range lines {
		if l.where != feedOnly {
			b.WriteString(stamp)
			b.WriteString(mark(l.kind))
			b.WriteString(strings.ReplaceAll(l.text, "\n", "\n\t"))
			b.WriteByte('\n')
		}
		if l.where != transcriptOnly {
			p.feed.line(OutputLine{Time: at, Node: p.node, Kind: l.kind, Text: l.text})
		}
	}
	p.append(b.String())
}

// command begins what a command writes: its line in the transcript, its short
// form in the Feed.
func (p *pane) command(line, short string, brief msg.Msg) {
	p.write(shown{LineCommand, line, transcriptOnly})
	p.feed.line(OutputLine{Time: p.now(), Node: p.node, Kind: LineCommand, Text: short, Msg: brief})
}

// note puts our own words into the pane; they are not part of the transcript,
// which is in no language.
func (p *pane) note(m msg.Msg) {
	p.feed.line(OutputLine{Time: p.now(), Node: p.node, Kind: LineNote, Msg: m})
}

func mark(k LineKind) string {
	switch k {
	case LineCommand:
		return "$ "
	case LineErr:
		return "! "
	case LineNote:
		return "# "
	case LineOut, LineGap:
	}
	return "  "
}

func (p *pane) append(s string) {
	if p.path == "" || p.err != nil || s == "" {
		return
	}
	if p.file == nil {
		f, err := os.OpenFile(p.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			p.err = fmt.Errorf("opening a transcript: %w", err)
			return
		}
		p.file = f
	}
	if _, err := p.file.WriteString(s); err != nil {
		p.err = fmt.Errorf("writing a transcript: %w", err)
	}
}

// failure is the first error of writing the transcript.
func (p *pane) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *pane) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return nil
	}
	err := errors.Join(p.file.Sync(), p.file.Close())
	p.file = nil
	return err
}

// redactor replaces secrets, also each line of one that has several, because
// output is shown line by line.
type redactor struct {
	command remote.Command
	longest int
}

func newRedactor(commands ...remote.Command) redactor {
	var r redactor
	for _, c := range commands {
		for _, secret := range c.Secrets {
			for _, part := range append([]string{secret}, strings.Split(secret, "\n")...) {
				part = strings.TrimSuffix(part, "\r")
				// A very short line of a longer secret would blacken
				// everything and hide nothing.
				if part != secret && len(part) < 4 || part == "" {
					continue
				}
				r.command.Secrets = append(r.command.Secrets, part)
				r.longest = max(r.longest, len(part))
			}
		}
	}
	return r
}

func (r redactor) text(s string) string { return r.command.Redact(s) }

// safe is text that may be journalled and shown.
func (r redactor) safe(s string) string { return remote.Clean(r.text(s)) }

// cut finds where a line without an end may be cut, at most at limit: not in
// the middle of a secret nor of a character. buf is longer than limit by more
// than the longest secret.
func (r redactor) cut(buf []byte, limit int) int {
	at := limit
	for at > limit-utf8.UTFMax && at > 0 && !utf8.RuneStart(buf[at]) {
		at--
	}
	for moved := true; moved; {
		moved = false
		for _, secret := range r.command.Secrets {
			from, to := max(0, at-len(secret)+1), min(len(buf), at+len(secret)-1)
			if i := bytes.Index(buf[from:to], []byte(secret)); i >= 0 && from+i > 0 {
				at, moved = from+i, true
			}
		}
	}
	return at
}

// lineWriter takes one stream of a command's output apart into lines, and
// keeps the first bytes for the Result.
type lineWriter struct {
	pane   *pane
	kind   LineKind
	redact redactor
	quiet  bool // keep only

	mu        sync.Mutex
	kept      []byte
	keep      int
	truncated bool
	buf       []byte
	scanned   int // of buf, up to where no end of line was found
	seen      int // bytes that went to the transcript
	cut       bool
	progress  string // the last overwritten line, when it was not shown
	shownAt   time.Time
}

func newLineWriter(p *pane, kind LineKind, c remote.Command, r redactor) *lineWriter {
	keep := c.MaxOutput
	if keep <= 0 {
		keep = remote.DefaultMaxOutput
	}
	return &lineWriter{pane: p, kind: kind, redact: r, keep: keep, quiet: c.Quiet}
}

// Write never fails: what goes wrong with a transcript stops the run at its
// next boundary, not a command in the middle.
func (w *lineWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if room := w.keep - len(w.kept); room >= len(b) {
		w.kept = append(w.kept, b...)
	} else {
		w.kept = append(w.kept, b[:room]...)
		w.truncated = true
	}
	if w.quiet {
		w.pane.feed.touch(w.pane.node, w.pane.now())
		return len(b), nil
	}
	w.buf = append(w.buf, b...)
	w.pane.write(w.lines(nil)...)
	return len(b), nil
}

// lines takes complete lines out of the buffer.
func (w *lineWriter) lines(out []shown) []shown {
	for {
		// No further than a line may be long: what lies behind is looked at
		// when its turn comes.
		window := w.buf[w.scanned:min(len(w.buf), maxLine+w.redact.longest+1)]
		i := lineEnd(window)
		switch {
		case i < 0 && len(w.buf) <= maxLine+w.redact.longest:
			w.scanned = len(w.buf)
			return out
		case i < 0:
			at := w.redact.cut(w.buf, maxLine)
			out = w.line(out, w.buf[:at])
			w.drop(at)
			continue
		}
		end := w.scanned + i
		if w.buf[end] == '\n' {
			out = w.line(out, w.buf[:end])
			w.drop(end + 1)
			continue
		}
		if end+1 == len(w.buf) { // a newline may follow
			w.scanned = end
			return out
		}
		text := w.buf[:end]
		if w.buf[end+1] == '\n' {
			out = w.line(out, text)
			w.drop(end + 2)
			continue
		}
		out = w.overwritten(out, text)
		w.drop(end + 1)
	}
}

// lineEnd is where the first carriage return or newline is, -1 if nowhere.
func lineEnd(b []byte) int {
	newline := bytes.IndexByte(b, '\n')
	if newline >= 0 {
		b = b[:newline]
	}
	if i := bytes.IndexByte(b, '\r'); i >= 0 {
		return i
	}
	return newline
}

func (w *lineWriter) drop(n int) {
	w.buf = w.buf[n:]
	w.scanned = 0
}

func (w *lineWriter) line(out []shown, text []byte) []shown {
	s := w.redact.safe(string(text))
	if s == "" && w.progress != "" {
		// A progress line that was ended by a bare newline: show how it ended.
		out = append(out, shown{w.kind, w.progress, feedOnly})
		w.progress = ""
		return out
	}
	w.progress = ""
	w.seen += len(text) + 1
	if w.seen <= maxTranscript {
		return append(out, shown{w.kind, s, everywhere})
	}
	if !w.cut {
		w.cut = true
		out = append(out, shown{LineNote, fmt.Sprintf("more than %d MiB of output: the rest is not kept", maxTranscript>>20), transcriptOnly})
	}
	return append(out, shown{w.kind, s, feedOnly})
}

func (w *lineWriter) overwritten(out []shown, text []byte) []shown {
	if len(text) == 0 {
		return out
	}
	s := w.redact.safe(string(text))
	w.seen += len(text) + 1
	l := shown{w.kind, s, transcriptOnly}
	w.progress = s
	if at := w.pane.now(); at.Sub(w.shownAt) >= progressEvery {
		l.where, w.shownAt, w.progress = everywhere, at, ""
	}
	if w.seen > maxTranscript {
		if l.where == transcriptOnly {
			return out
		}
		l.where = feedOnly
	}
	return append(out, l)
}

// flush ends the last line, which may have no newline, and returns what was
// kept for the Result.
func (w *lineWriter) flush() (kept []byte, truncated bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.quiet {
		rest := bytes.TrimSuffix(w.buf, []byte("\r"))
		var out []shown
		if len(rest) > 0 || w.progress != "" {
			out = w.line(nil, rest)
		}
		w.pane.write(out...)
		w.buf = nil
	}
	return w.kept, w.truncated
}
