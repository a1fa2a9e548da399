package engine

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// The files of a run's folder.
const (
	planFile    = "plan.json"
	journalFile = "journal.jsonl"
	reserveFile = "reserve"
)

const (
	// maxJournalLine bounds one line of a journal that is read, in bytes.
	maxJournalLine = 4 << 20
	// reserveSize is set aside on the disk while a run goes on, so that what
	// was done can still be journalled when the disk fills up meanwhile.
	reserveSize = 256 << 10
)

// file is what a journal needs of the file it is written to; tests put one in
// its place that fails.
type file interface {
	io.Writer
	Truncate(size int64) error
	Sync() error
	Close() error
}

func openFile(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	return f, nil
}

// journal appends events to a file, one JSON object a line.
type journal struct {
	f       file
	size    int64  // up to the end of the last whole line
	reserve string // path of the reserve; empty when it is used up
}

// openJournal opens a journal for appending behind size, which is where the
// last whole line ends; a torn line behind it is cut off.
func openJournal(dir string, size int64, open func(string) (file, error)) (*journal, error) {
	if open == nil {
		open = openFile
	}
	f, err := open(filepath.Join(dir, journalFile))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJournal, err)
	}
	j := &journal{f: f, size: size}
	if err := errors.Join(f.Truncate(size), f.Sync(), syncDir(dir)); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrJournal, err), f.Close())
	}
	reserve := filepath.Join(dir, reserveFile)
	if err := writeFile(reserve, bytes.Repeat([]byte("reserve\n"), reserveSize/8)); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrJournal, err), f.Close())
	}
	j.reserve = reserve
	return j, nil
}

// write appends an event, and syncs it to the disk when asked to. When the
// disk is full it gives up the reserve and tries once more. After an error the
// file ends with the last whole line.
func (j *journal) write(e Event, sync bool) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrJournal, e.Type, err)
	}
	line = append(line, '\n')
	err = j.append(line)
	if errors.Is(err, syscall.ENOSPC) && j.reserve != "" {
		if errRemove := os.Remove(j.reserve); errRemove == nil {
			j.reserve = ""
			err = j.append(line)
		}
	}
	if err == nil && sync {
		err = j.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("%w: writing %s: %w", ErrJournal, e.Type, err)
	}
	return nil
}

func (j *journal) append(line []byte) error {
	n, err := j.f.Write(line)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	if err != nil && n > 0 {
		err = errors.Join(err, j.f.Truncate(j.size))
	}
	if err != nil {
		return fmt.Errorf("appending a line: %w", err)
	}
	j.size += int64(n)
	return nil
}

func (j *journal) close() error {
	err := errors.Join(j.f.Sync(), j.f.Close())
	if j.reserve != "" {
		err = errors.Join(err, os.Remove(j.reserve))
	}
	return err
}

// decoded is what is in a journal.
type decoded struct {
	events []Event
	size   int64 // of the whole lines, in bytes
	torn   bool  // something behind them was left out
}

// decodeJournal reads the events of a journal. A last line that is not whole
// (no newline, or no event) was torn by a crash and is left out: what it would
// have said is asked of reality. Anything else that is not right is an error
// that wraps ErrJournal.
func decodeJournal(r io.Reader) (decoded, error) {
	var d decoded
	var bad error // what is wrong with the line before; fine only if it was the last
	br := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(br)
		atEnd := errors.Is(err, io.EOF)
		if atEnd && len(line) == 0 {
			d.torn = d.torn || bad != nil
			return d, nil
		}
		if err != nil && !atEnd {
			return d, fmt.Errorf("%w: line %d: %w", ErrJournal, n, err)
		}
		if bad != nil {
			return d, bad
		}
		if atEnd {
			d.torn = true
			return d, nil
		}
		e, problem := decodeEvent(line, d.events)
		switch {
		case errors.Is(problem, errNewer):
			return d, fmt.Errorf("%w: line %d: %w", ErrJournal, n, problem)
		case problem != nil:
			bad = fmt.Errorf("%w: line %d is damaged, and it is not the last: %w", ErrJournal, n, problem)
			continue
		}
		d.events = append(d.events, e)
		d.size += int64(len(line)) + 1
	}
}

// readLine returns a line without its newline; io.EOF with what there is when
// the input ends before a newline.
func readLine(br *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := br.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxJournalLine:
			return nil, fmt.Errorf("longer than %d bytes", maxJournalLine)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return line, fmt.Errorf("reading: %w", err)
		}
		return line[:len(line)-1], nil
	}
}

var errNewer = errors.New("written by a newer novatui")

func decodeEvent(line []byte, before []Event) (Event, error) {
	var e Event
	if err := json.Unmarshal(line, &e); err != nil {
		return e, fmt.Errorf("no event: %w", err)
	}
	if e.Schema != "" || len(before) == 0 {
		if err := checkSchema(e.Schema); err != nil {
			return e, err
		}
	}
	switch {
	case e.Type == "":
		return e, errors.New("no type")
	case len(before) == 0 && e.Type != RunStarted:
		return e, fmt.Errorf("begins with %s, not with %s", e.Type, RunStarted)
	case len(before) > 0 && e.Seq <= before[len(before)-1].Seq:
		return e, fmt.Errorf("number %d does not follow %d", e.Seq, before[len(before)-1].Seq)
	case len(before) > 0 && e.Run != before[0].Run:
		return e, fmt.Errorf("belongs to run %q", e.Run)
	}
	return e, nil
}

// checkSchema accepts the version of EventSchema and older ones.
func checkSchema(schema string) error {
	prefix, ours, _ := strings.Cut(EventSchema, "/v")
	version, ok := strings.CutPrefix(schema, prefix+"/v")
	if !ok {
		return fmt.Errorf("schema %q is not %s", schema, EventSchema)
	}
	v, err := strconv.Atoi(version)
	max, _ := strconv.Atoi(ours)
	switch {
	case err != nil || v < 1:
		return fmt.Errorf("schema %q is not %s", schema, EventSchema)
	case v > max:
		return fmt.Errorf("%w: schema %s, this program knows %s", errNewer, schema, EventSchema)
	}
	return nil
}

// writeFile puts a whole new file in place: readers see the old one or the
// new one, also after a crash.
func writeFile(path string, content []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing %s: %w", path, err)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("a new file: %w", err)
	}
	_, errWrite := f.Write(content)
	err = errors.Join(errWrite, f.Chmod(0o600), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("syncing a folder: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
