package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// stopped makes a run that was stopped after the step "first", and returns its
// ID.
func stopped(t *testing.T, l *local) string {
	t.Helper()
	r, res := during(t, l, "first", (*Run).Stop)
	if res.Outcome != OutcomeInterrupted {
		t.Fatalf("%+v", res)
	}
	return r.ID()
}

func resume(t *testing.T, l *local, id string) (*Run, Result, error) {
	t.Helper()
	r, err := Resume(t.Context(), options(l, build(t, twoStages())), id)
	if err != nil {
		return nil, Result{}, err
	}
	return r, r.Wait(), nil
}

// TestTornJournal damages the journal in every way a crash can, and in ways
// that none can.
func TestTornJournal(t *testing.T) {
	lines := func(b []byte) [][]byte { return bytes.SplitAfter(b, []byte("\n")) }
	for _, c := range []struct {
		name string
		tear func([]byte) []byte
		ok   bool
		torn bool
	}{
		{"whole", func(b []byte) []byte { return b }, true, false},
		{"half a line more", func(b []byte) []byte { return append(b, `{"seq":99,"type":"step-d`...) }, true, true},
		{"no newline at the end", func(b []byte) []byte { return b[:len(b)-1] }, true, true},
		{"zeros at the end", func(b []byte) []byte { return append(b, make([]byte, 4096)...) }, true, true},
		{"a whole line of nonsense at the end", func(b []byte) []byte { return append(b, "nonsense\n"...) }, true, true},
		{"a line cut in the middle", func(b []byte) []byte {
			all := lines(b)
			all[2] = append(all[2][:len(all[2])/2], '\n')
			return bytes.Join(all, nil)
		}, false, false},
		{"a line missing its newline in the middle", func(b []byte) []byte {
			all := lines(b)
			all[2] = bytes.TrimSuffix(all[2], []byte("\n"))
			return bytes.Join(all, nil)
		}, false, false},
		{"lines in another order", func(b []byte) []byte {
			all := lines(b)
			all[2], all[3] = all[3], all[2]
			return bytes.Join(all, nil)
		}, false, false},
		{"first line gone", func(b []byte) []byte { return bytes.Join(lines(b)[1:], nil) }, false, false},
		{"of another run", func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte(`"run":"`+testTag), []byte(`"run":"other-`+testTag))
		}, false, false},
		{"newer", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("event/v1"), []byte("event/v2")) }, false, false},
		{"of no version", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("event/v1"), []byte("event/vX")) }, false, false},
		{"empty", func([]byte) []byte { return nil }, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLocal(t)
			id := stopped(t, l)
			path := filepath.Join(l.dir, "runs", id, "journal.jsonl")
			before := []byte(readFile(t, path))
			damaged := c.tear(slices.Clone(before))
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			r, res, err := resume(t, l, id)
			if !c.ok {
				if !errors.Is(err, ErrJournal) {
					t.Fatalf("resumed: %v", err)
				}
				if got := readFile(t, path); got != string(damaged) {
					t.Error("the refusal changed the journal")
				}
				if _, held := (LocalLease{Dir: filepath.Join(l.dir, "runs")}).Holder("nova-test"); held {
					t.Error("the refusal kept the lock")
				}
				checkEvidence(t, l, map[string]string{"n1": "first"})
				return
			}
			if err != nil || res.Outcome != OutcomeDone {
				t.Fatalf("%v, %+v", err, res)
			}
			checkEvidence(t, l, map[string]string{"n1": "first second third"})
			if got := story(events(r), Warning) != ""; got != c.torn {
				t.Errorf("warned of a torn line: %t", got)
			}
			if _, _, err := LoadRun(filepath.Join(l.dir, "runs"), id); err != nil {
				t.Errorf("the journal is damaged afterwards: %v", err)
			}
		})
	}
}

// TestEveryPrefixOfAJournalResumes: a power cut may leave any prefix.
func TestEveryPrefixOfAJournalResumes(t *testing.T) {
	l := newLocal(t)
	r, res := run(t, options(l, build(t, twoStages())))
	if res.Outcome != OutcomeDone {
		t.Fatal(res.Err)
	}
	path := filepath.Join(r.Dir(), "journal.jsonl")
	whole := readFile(t, path)
	first := strings.IndexByte(whole, '\n') + 1
	for cut := first; cut < len(whole); cut += 53 {
		if err := os.WriteFile(path, []byte(whole[:cut]), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, res, err := resume(t, l, r.ID()); err != nil || res.Outcome != OutcomeDone {
			t.Fatalf("cut at %d: %v, %+v", cut, err, res)
		}
	}
	checkEvidence(t, l, map[string]string{"n1": "first second third"})
}

// fullFile is a file on a disk that is full after so many bytes.
type fullFile struct {
	file
	left     *atomic.Int64
	freed    int64 // how many bytes come free when the reserve is removed
	reserve  string
	gotFreed *atomic.Bool
}

func (f *fullFile) Write(b []byte) (int, error) {
	if _, err := os.Stat(f.reserve); errors.Is(err, os.ErrNotExist) && f.gotFreed.CompareAndSwap(false, true) {
		f.left.Add(f.freed)
	}
	n := min(int64(len(b)), f.left.Load())
	f.left.Add(-n)
	written, err := f.file.Write(b[:n])
	if err == nil && int(n) < len(b) {
		err = &os.PathError{Op: "write", Path: "journal", Err: syscall.ENOSPC}
	}
	return written, err
}

func fullAfter(left, freed int64) func(string) (file, error) {
	return func(path string) (file, error) {
		f, err := openFile(path)
		n := &atomic.Int64{}
		n.Store(left)
		return &fullFile{file: f, left: n, freed: freed, gotFreed: &atomic.Bool{},
			reserve: filepath.Join(filepath.Dir(path), reserveFile)}, err
	}
}

// TestDiskFullAnywhere: the disk fills up at any byte of the journal. Either
// nothing began, or the run stops at a known place and a resume with room ends
// right; the journal is never damaged.
func TestDiskFullAnywhere(t *testing.T) {
	l := newLocal(t)
	_, res := run(t, options(l, build(t, twoStages())))
	size := int64(len(readFile(t, filepath.Join(l.dir, "runs", res.Run, "journal.jsonl"))))
	stops := map[Outcome]int{}
	for left := int64(0); left < size; left += size / 29 {
		l := newLocal(t)
		o := options(l, build(t, twoStages()))
		o.openJournal = fullAfter(left, 0)
		r, err := Start(t.Context(), o)
		if err != nil {
			if !errors.Is(err, ErrJournal) || len(l.ran()) > 0 {
				t.Fatalf("%d bytes left: %v, ran %v", left, err, l.ran())
			}
			if dirs, _ := filepath.Glob(filepath.Join(o.Dir, "2*")); len(dirs) > 0 {
				t.Errorf("the refusal left %v", dirs)
			}
			stops["refused"]++
			continue
		}
		res := r.Wait()
		if res.Outcome == OutcomeDone || !errors.Is(res.Err, ErrJournal) {
			t.Fatalf("%d bytes left: %+v", left, res)
		}
		stops[res.Outcome]++
		if n := len(l.evidence(t, "n1")); n > 0 != res.Changed {
			t.Errorf("%d bytes left: changed %t, evidence of %d steps", left, res.Changed, n)
		}
		if _, res, err := resume(t, l, r.ID()); err != nil || res.Outcome != OutcomeDone {
			if !errors.Is(err, ErrRunDone) {
				t.Fatalf("%d bytes left: resume: %v, %+v", left, err, res)
			}
		}
		checkEvidence(t, l, map[string]string{"n1": "first second third"})
	}
	if stops["refused"] == 0 || stops[OutcomeFailed] == 0 || stops[OutcomeStopped] == 0 {
		t.Errorf("the places were not all met: %v", stops)
	}
}

// TestTheReserveLetsARunEnd: the disk fills up, and what was set aside is
// enough to journal the rest.
func TestTheReserveLetsARunEnd(t *testing.T) {
	l := newLocal(t)
	o := options(l, build(t, twoStages()))
	o.openJournal = fullAfter(1500, reserveSize)
	r, res := run(t, o)
	if res.Outcome != OutcomeDone {
		t.Fatalf("%+v", res)
	}
	if _, events, err := LoadRun(o.Dir, r.ID()); err != nil || Replay(events).Outcome != OutcomeDone {
		t.Errorf("the journal: %v", err)
	}
}

// TestFullDiskIsRefused uses a real full file system where that can be made
// (Linux, as root).
func TestFullDiskIsRefused(t *testing.T) {
	l := newLocal(t)
	dir := filepath.Join(l.dir, "small")
	mountTmpfs(t, dir, "4m")
	o := options(l, build(t, twoStages()))
	o.Dir = filepath.Join(dir, "runs")
	if _, err := Start(t.Context(), o); !errors.Is(err, ErrStateDir) || len(l.ran()) > 0 {
		t.Errorf("got %v, ran %v", err, l.ran())
	}
}

// TestDiskFillsUpDuringARun fills a real small file system while a step runs.
func TestDiskFillsUpDuringARun(t *testing.T) {
	l := newLocal(t)
	dir := filepath.Join(l.dir, "small")
	mountTmpfs(t, dir, "12m")
	o := options(l, build(t, twoStages()))
	o.Dir = filepath.Join(dir, "runs")
	o.OnEvent = watch(StepIntent, "first", func() { fillDisk(t, filepath.Join(dir, "filler")) })
	r, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	res := r.Wait()
	// The reserve carries the journal; the transcript cannot be written, so
	// the run stops at the next boundary.
	if res.Outcome != OutcomeStopped || !errors.Is(res.Err, syscall.ENOSPC) {
		t.Fatalf("%+v", res)
	}
	checkEvidence(t, l, map[string]string{"n1": "first"})
	_, stored, err := LoadRun(o.Dir, r.ID())
	if err != nil || Replay(stored).Step("first").Status != StatusDone {
		t.Fatalf("the journal does not have the step: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
	o.OnEvent = nil
	r, err = Resume(t.Context(), o, r.ID())
	if err != nil {
		t.Fatal(err)
	}
	if res := r.Wait(); res.Outcome != OutcomeDone {
		t.Fatal(res.Err)
	}
	checkEvidence(t, l, map[string]string{"n1": "first second third"})
}

func fillDisk(t *testing.T, path string) {
	f, err := os.Create(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = f.Close() }()
	chunk := make([]byte, 64<<10)
	for size := len(chunk); size > 0; {
		if _, err := f.Write(chunk[:size]); err != nil {
			size /= 2
		}
	}
}

func TestReplayAddsUp(t *testing.T) {
	exit := 0
	at := func(seq uint64, e Event) Event { e.Seq = seq; return e }
	events := []Event{
		at(1, Event{Type: RunStarted, Run: "r", Hash: "h", Version: "1", Approval: &Approval{Confirm: "c", Overrides: map[string]string{"g": "yes"}}}),
		at(2, Event{Type: StageStarted, Stage: "a"}),
		at(3, Event{Type: StepProbed, Step: "one", Probed: NotDone}),
		at(4, Event{Type: StepIntent, Step: "one", Effect: remote.Change}),
		at(5, Event{Type: CommandStart, Step: "one", Effect: remote.Change}),
		at(6, Event{Type: CommandEnd, Step: "one", Ref: 5, Exit: &exit}),
		at(7, Event{Type: ValueSet, Step: "one", Name: "v", Value: "1"}),
		at(8, Event{Type: ValueSet, Step: "one", Name: "bad name", Value: "1"}),
		at(9, Event{Type: StepDone, Step: "one"}),
		at(10, Event{Type: StepSkipped, Step: "two"}),
		at(11, Event{Type: StageDone, Stage: "a"}),
		at(12, Event{Type: StageStarted, Stage: "b"}),
		at(13, Event{Type: StepIntent, Step: "three", Effect: remote.Change}),
	}
	s := Replay(events)
	if s.Run != "r" || s.Hash != "h" || s.Approval.Overrides["g"] != "yes" || s.Stage != "b" || !s.Changed || !s.Begun ||
		s.LastSeq != 13 || s.Outcome != "" || !reflect.DeepEqual(s.StagesDone, []string{"a"}) ||
		!reflect.DeepEqual(s.Values, map[string]string{"v": "1"}) || !reflect.DeepEqual(s.Unknown(), []string{"three"}) {
		t.Errorf("%+v", s)
	}
	for id, want := range map[string]Status{"one": StatusDone, "two": StatusSkipped, "three": StatusUnknown, "four": StatusPending} {
		if got := s.Step(id).Status; got != want {
			t.Errorf("%s is %s", id, got)
		}
	}
	// A resume finds that the third was not done, tries again and fails.
	s = Replay(append(events,
		at(14, Event{Type: RunStopped, Outcome: OutcomeUnknown}),
		at(15, Event{Type: RunResumed, Version: "2"}),
		at(16, Event{Type: StepProbed, Step: "three", Probed: NotDone}),
		at(17, Event{Type: StepFailed, Step: "three", Outcome: OutcomeFailed, Error: "no"})))
	if s.Step("three").Status != StatusFailed || s.Outcome != "" || s.Resumes != 1 || s.Version != "2" || len(s.Unknown()) != 0 {
		t.Errorf("%+v", s)
	}
}

func TestReplayOfReadsAloneHasChangedNothing(t *testing.T) {
	s := Replay([]Event{
		{Seq: 1, Type: RunStarted, Run: "r"},
		{Seq: 2, Type: StepIntent, Step: "look", Effect: remote.Read},
		{Seq: 3, Type: CommandStart, Step: "look", Effect: remote.Read},
		{Seq: 4, Type: StepFailed, Step: "look", Outcome: OutcomeFailed},
	})
	if s.Changed {
		t.Error("reading changed something")
	}
}

func FuzzJournal(f *testing.F) {
	var b bytes.Buffer
	for i, e := range []Event{
		{Type: RunStarted, Schema: EventSchema, Run: "r", Approval: &Approval{Confirm: "c"}},
		{Type: StepIntent, Run: "r", Step: "s", Effect: remote.Change},
		{Type: ValueSet, Run: "r", Name: "v", Value: "x", Text: msg.M("a.b", "n", 1, "m", msg.Raw("y"))},
		{Type: StepFailed, Run: "r", Step: "s", Outcome: OutcomeUnknown, Finding: &Finding{Result: Block}},
	} {
		e.Seq = uint64(i + 1)
		line, _ := json.Marshal(e)
		b.Write(append(line, '\n'))
	}
	f.Add(b.Bytes())
	f.Add(b.Bytes()[:b.Len()-5])
	f.Add([]byte(`{"type":"run-started","schema":"novatui/event/v1","approval":null}` + "\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		d, err := decodeJournal(bytes.NewReader(in))
		s := Replay(d.events)
		_ = Summarize(Plan{Stages: []Stage{{ID: "a", Steps: []Step{{ID: "s"}}}}}, d.events)
		for name, value := range s.Values {
			if checkValue(name, value) != nil {
				t.Errorf("the value %q=%q came through", name, value)
			}
		}
		if err != nil {
			return
		}
		if d.size > int64(len(in)) || d.size < 0 {
			t.Fatalf("%d bytes of %d", d.size, len(in))
		}
		// What was taken reads the same again, without the rest.
		again, err := decodeJournal(bytes.NewReader(in[:d.size]))
		if err != nil || again.torn || !reflect.DeepEqual(again.events, d.events) {
			t.Errorf("read again: %v, torn %t", err, again.torn)
		}
	})
}

func FuzzReplay(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7})
	types := []EventType{RunStarted, RunResumed, StageStarted, StageDone, StepProbed, StepSkipped, GuardChecked, StepIntent,
		CommandStart, CommandEnd, StepDone, StepFailed, ValueSet, RunStopped, RunDone}
	f.Fuzz(func(t *testing.T, in []byte) {
		var events []Event
		last := map[string]EventType{}
		for i, b := range in {
			e := Event{Seq: uint64(i + 1), Type: types[int(b)%len(types)], Step: string('a' + rune(b/16%4)),
				Effect: remote.Change, Outcome: OutcomeFailed, Probed: NotDone}
			events = append(events, e)
			switch e.Type {
			case StepIntent, StepDone, StepSkipped, StepFailed:
				last[e.Step] = e.Type
			default:
			}
		}
		s := Replay(events)
		for step, e := range last {
			got := s.Step(step).Status
			want := map[EventType][]Status{
				StepIntent: {StatusUnknown, StatusNotDone}, StepDone: {StatusDone}, StepSkipped: {StatusSkipped},
				StepFailed: {StatusFailed, StatusNotDone},
			}[e]
			if !slices.Contains(want, got) {
				t.Errorf("after %s the step is %s", e, got)
			}
		}
	})
}
