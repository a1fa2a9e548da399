package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// MaxCopy bounds a plan or a journal that is fetched from a node, in bytes.
const MaxCopy = 16 << 20

// Copy is a run as a node has it: plan and journal as they were read there.
type Copy struct {
	Node          string
	Plan, Journal []byte
}

// Found is the newest of several copies of a run that can be used.
type Found struct {
	Info RunInfo
	// Plan is data only; Journal its whole lines.
	Plan    Plan
	Journal []byte
	plan    []byte
	// Differ are the nodes whose copies go on otherwise, Bad those whose copies
	// cannot be used.
	Differ, Bad []string
}

// Newest finds the copy of a run that goes furthest. What a node says is
// checked as a run's folder is: schema, the plan's hash, the order of events; a
// torn end is left out. An error when no copy can be used: that of the last.
func Newest(dir, id string, copies []Copy) (Found, error) {
	var best Found
	var last error
	whole := map[string][]byte{}
	for _, c := range copies {
		f, err := read(dir, id, c)
		if err != nil {
			best.Bad, last = append(best.Bad, c.Node), fmt.Errorf("the copy on %s: %w", c.Node, err)
			continue
		}
		whole[c.Node] = f.Journal
		if best.Journal == nil || f.Info.Events > best.Info.Events {
			f.Bad = best.Bad
			best = f
		}
	}
	if best.Journal == nil {
		if last == nil {
			last = fmt.Errorf("run %q: no node has a copy: %w", id, os.ErrNotExist)
		}
		return Found{}, last
	}
	for _, c := range copies {
		switch journal, ok := whole[c.Node]; {
		case !ok:
		case bytes.Equal(journal, best.Journal):
			best.Info.Nodes = append(best.Info.Nodes, c.Node)
		case !bytes.HasPrefix(best.Journal, journal):
			best.Differ = append(best.Differ, c.Node)
		}
	}
	return best, nil
}

func read(dir, id string, c Copy) (Found, error) {
	if !isFileName(id) || len(c.Plan) > MaxCopy || len(c.Journal) > MaxCopy {
		return Found{}, fmt.Errorf("%w: larger than %d bytes", ErrJournal, MaxCopy)
	}
	plan, err := DecodePlan(c.Plan)
	if err != nil {
		return Found{}, err
	}
	d, err := decodeJournal(bytes.NewReader(c.Journal))
	if err == nil {
		err = d.of(plan, id)
	}
	if err != nil {
		return Found{}, err
	}
	f := Found{Info: infoOf(dir, id, plan, d.events, false), Plan: plan, plan: c.Plan, Journal: c.Journal[:d.size]}
	f.Info.Title, f.Info.Stage = cleaned(f.Info.Title), cleaned(f.Info.Stage)
	f.Info.Procedure, f.Info.Error = remote.Clean(f.Info.Procedure), remote.Clean(f.Info.Error)
	return f, nil
}

// cleaned is a message from elsewhere without terminal escapes.
func cleaned(m msg.Msg) msg.Msg {
	m.ID = remote.Clean(m.ID)
	return eachArg(m, remote.Clean)
}

// Adopt puts a run that was found on the nodes among those of this machine, so
// that Resume can go on with it. A journal of the same run that is here already
// is kept as journal.jsonl.other-N when it is not the beginning of the other;
// one that goes further is left as it is. Nobody may run here meanwhile:
// ErrLocked. Other errors: ErrStateDir, ErrJournal.
func Adopt(ctx context.Context, dir string, f Found) (err error) {
	if err := prepareDir(dir); err != nil {
		return err
	}
	held, err := LocalLease{Dir: dir}.Acquire(ctx, newHolder(f.Plan.Cluster, f.Info.ID, time.Now()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Release()) }()
	folder := filepath.Join(dir, f.Info.ID)
	if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
		return f.create(dir, folder)
	}
	here, err := os.ReadFile(filepath.Join(folder, journalFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrJournal, err)
	}
	if plan, d, err := loadRun(dir, f.Info.ID); err == nil {
		if plan.Hash != f.Plan.Hash {
			return fmt.Errorf("%w: run %s has another plan here than on the nodes", ErrJournal, f.Info.ID)
		}
		if Replay(d.events).LastSeq >= f.Info.Events {
			return nil
		}
		here = here[:d.size] // a torn end is no other journal
	}
	if len(here) > 0 && !bytes.HasPrefix(f.Journal, here) {
		if err := setAside(filepath.Join(folder, journalFile)); err != nil {
			return err
		}
	}
	if err := errors.Join(writeFile(filepath.Join(folder, planFile), f.plan), writeFile(filepath.Join(folder, journalFile), f.Journal)); err != nil {
		return fmt.Errorf("%w: %w", ErrStateDir, err)
	}
	return nil
}

// create makes the folder of a run in one step.
func (f Found) create(dir, folder string) error {
	made, err := os.MkdirTemp(dir, ".adopted-*")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStateDir, err)
	}
	err = errors.Join(writeFile(filepath.Join(made, planFile), f.plan), writeFile(filepath.Join(made, journalFile), f.Journal))
	if err == nil {
		err = errors.Join(os.Rename(made, folder), syncDir(dir))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", ErrStateDir, err), os.RemoveAll(made))
	}
	return nil
}

// setAside renames a file to ….other-N.
func setAside(path string) error {
	for n := 1; ; n++ {
		aside := path + ".other-" + strconv.Itoa(n)
		if _, err := os.Lstat(aside); err == nil {
			continue
		}
		if err := os.Rename(path, aside); err != nil {
			return fmt.Errorf("%w: %w", ErrStateDir, err)
		}
		return nil
	}
}

// JournalSize is the size of a run's journal on this machine, in bytes.
func JournalSize(dir, id string) (size int64, known bool) {
	if !isFileName(id) {
		return 0, false
	}
	st, err := os.Stat(filepath.Join(dir, id, journalFile))
	if err != nil {
		return 0, false
	}
	return st.Size(), true
}
