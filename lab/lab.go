package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// Errors of this package that a caller may want to tell apart.
var (
	// ErrNotRunning: no supervisor answers for this folder.
	ErrNotRunning = errors.New("no lab is running there")
	// ErrRunning: Up was asked to use a folder in which a lab runs.
	ErrRunning = errors.New("a lab is running there already")
	// ErrNotEmpty: Up was asked to use a folder with something in it.
	ErrNotEmpty = errors.New("the folder is not empty")
	// ErrNoLab: the folder holds no lab.
	ErrNoLab = errors.New("the folder holds no lab")
	// ErrBadOptions: Up's options make no sense.
	ErrBadOptions = errors.New("bad lab options")
	// ErrUnknownFault and ErrBadNodes: Break's arguments make no sense.
	ErrUnknownFault = errors.New("unknown fault")
	ErrBadNodes     = errors.New("bad choice of nodes")
	// ErrNoEffect: a fault was injected, and its symptom did not show in time.
	ErrNoEffect = errors.New("the fault did not show")
)

// Options says what lab to make. The zero value is the usual one.
type Options struct {
	// Dir is the lab's folder: new, or empty. Empty means a new temporary one.
	Dir string
	// Nodes is how many members there are, 1 to 9; 0 means 3.
	Nodes int
	// Cluster is the cluster's name; empty means nova-lab.
	Cluster string
	// Keys is how many keys are written at first; 0 means 3000.
	Keys int
	// Platform is systemd, or empty. The other layouts are not there yet.
	Platform string
	// OwnedByCaller makes the lab end, and its files vanish, when the calling
	// process ends for whatever reason. It is meant for drills and tests.
	OwnedByCaller bool
	// UnitInEtc lays the unit file into /etc/systemd/system, as some vendors do,
	// where "systemctl mask" fails because of it. Otherwise it lies in
	// /usr/lib/systemd/system.
	UnitInEtc bool
	// Program plays the parts of the lab: its main calls Dispatch. Empty means
	// this very program.
	Program string
}

// Lab is a lab that Up started or Open found.
type Lab struct {
	dir   string
	file  labFile
	owner io.Closer     // the pipe whose end tells the supervisor that we are gone
	ended chan struct{} // closed when our child, the supervisor, has been reaped
}

// cancelTime is how long a supervisor may take to give up a lab that it is
// building.
const cancelTime = 20 * time.Second

var clusterName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// check fills defaults in and reports what makes no sense.
func (o *Options) check() error {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Cluster == "" {
		o.Cluster = "nova-lab"
	}
	if o.Keys == 0 {
		o.Keys = defaultKeys
	}
	switch {
	case o.Platform != "" && o.Platform != "systemd":
		return fmt.Errorf("%w: platform %q: the lab has only systemd so far", ErrBadOptions, o.Platform)
	case o.Nodes < 1 || o.Nodes > maxNodes:
		return fmt.Errorf("%w: %d nodes, not 1 to %d", ErrBadOptions, o.Nodes, maxNodes)
	case o.Keys < 10 || o.Keys > 200000:
		return fmt.Errorf("%w: %d keys, not 10 to 200000", ErrBadOptions, o.Keys)
	case !clusterName.MatchString(o.Cluster):
		return fmt.Errorf("%w: cluster name %q", ErrBadOptions, o.Cluster)
	}
	return nil
}

// Up makes a lab, starts its supervisor in the background and returns when every
// member is healthy and all data is in place. When that fails, or ctx ends
// first, it cleans up and says why. Errors match ErrBadOptions, ErrRunning or
// ErrNotEmpty when nothing was touched.
func Up(ctx context.Context, o Options) (*Lab, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("starting the lab: %w", err)
	}
	dir, created, err := claimDir(o.Dir)
	if err != nil {
		return nil, err
	}
	l := &Lab{dir: dir}
	err = l.start(ctx, o.Program, orders{
		Dir: dir, Created: created, Nodes: o.Nodes, Cluster: o.Cluster, Keys: o.Keys,
		Owned: o.OwnedByCaller, UnitInEtc: o.UnitInEtc,
	})
	if err == nil {
		l.file, err = readLabFile(dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the lab: %w", err), l.clean(created))
	}
	if !o.OwnedByCaller {
		_ = l.owner.Close()
	}
	return l, nil
}

// claimDir makes or takes the lab's folder. Making the state folder is what
// decides between two that want the same one.
func claimDir(dir string) (path string, created bool, err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "novatui-lab-"); err != nil {
			return "", false, fmt.Errorf("making the lab's folder: %w", err)
		}
		created = true
	} else {
		if dir, err = filepath.Abs(dir); err != nil {
			return "", false, fmt.Errorf("finding the lab's folder: %w", err)
		}
		if created, err = claimGiven(dir); err != nil {
			return "", false, err
		}
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", false, fmt.Errorf("finding the lab's folder: %w", err)
	}
	if bad := strings.IndexFunc(dir, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("/._-+@,~", r)
	}); bad >= 0 {
		if created {
			_ = os.Remove(dir)
		}
		return "", false, fmt.Errorf("%w: the path %q may hold letters, digits and ._-+@,~ only: it goes into env and unit files", ErrBadOptions, dir)
	}
	if err := os.Mkdir(filepath.Join(dir, dirState), 0o700); errors.Is(err, fs.ErrExist) {
		return "", false, fmt.Errorf("%w: %s", ErrRunning, dir)
	} else if err != nil {
		return "", false, fmt.Errorf("making the lab's folder: %w", err)
	}
	return dir, created, nil
}

// claimGiven looks at a folder that the caller named.
func claimGiven(dir string) (created bool, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return false, fmt.Errorf("making the lab's folder: %w", err)
		}
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the lab's folder: %w", err)
	}
	if len(entries) == 0 {
		return false, nil
	}
	if _, err := Open(dir); err == nil {
		return false, fmt.Errorf("%w: %s", ErrRunning, dir)
	} else if errors.Is(err, ErrNotRunning) {
		return false, fmt.Errorf("%w: %s holds what is left of a lab: take it down first", ErrNotEmpty, dir)
	}
	return false, fmt.Errorf("%w: %s", ErrNotEmpty, dir)
}

// start runs the supervisor and waits for its verdict.
func (l *Lab) start(ctx context.Context, exe string, o orders) (err error) {
	if exe == "" {
		if exe, err = executable(); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(filepath.Join(l.dir, dirState, "supervisor.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	verdictIn, verdictOut, err := os.Pipe()
	if err != nil {
		return err
	}
	defer verdictIn.Close()
	cmd := exec.Command(exe, partSupervisor)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, envLab) }), envLab+"="+l.dir)
	cmd.Dir = "/"
	cmd.Stderr = log
	cmd.ExtraFiles = []*os.File{verdictOut}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	_ = verdictOut.Close()
	if err != nil {
		return err
	}
	l.owner, l.ended = stdin, make(chan struct{})
	go func() { // reaps the supervisor; Down and clean wait for it
		defer close(l.ended)
		_ = cmd.Wait()
	}()
	if err := json.NewEncoder(stdin).Encode(o); err != nil {
		return fmt.Errorf("giving orders: %w", err)
	}
	stop := context.AfterFunc(ctx, func() {
		_ = stdin.Close() // the supervisor takes its half-built lab down
		select {
		case <-l.ended:
		case <-time.After(cancelTime):
			_ = verdictIn.Close() // it does not: clean kills it
		}
	})
	defer stop()
	var v verdict
	if err := json.NewDecoder(verdictIn).Decode(&v); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("the supervisor ended without a word: %w%s", err, logTail(log.Name()))
	}
	if ctx.Err() == nil && v.Error != "" {
		return errors.New(v.Error)
	}
	return ctx.Err()
}

// logTail is the end of the supervisor's log, for an error.
func logTail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return ""
	}
	return ": " + string(b[max(0, len(b)-2000):])
}

// Open finds the running lab in a folder. Errors match ErrNoLab, or
// ErrNotRunning when only its remains are there (Cleanup takes them away).
func Open(dir string) (*Lab, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoLab, err)
	}
	if _, err := os.Stat(filepath.Join(dir, dirState)); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrNoLab, dir)
	}
	f, err := readLabFile(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNotRunning, dir, err)
	}
	l := &Lab{dir: dir, file: f}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := l.Status(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return l, nil
}

// Cleanup takes down whatever is left of a lab in a folder, also when its
// supervisor was killed. It is Down for a lab that Open cannot open.
func Cleanup(ctx context.Context, dir string) error {
	l, err := Open(dir)
	if err == nil {
		return l.Down(ctx)
	}
	if !errors.Is(err, ErrNotRunning) {
		return err
	}
	if dir, err = filepath.Abs(dir); err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoLab, err)
	}
	l = &Lab{dir: dir}
	l.file, _ = readLabFile(dir) // a torn one: the folder is not ours to remove
	return l.clean(l.file.Created)
}

// Dir is the lab's folder, without links.
func (l *Lab) Dir() string { return l.dir }

// ClusterFile is the path of the lab's cluster file.
func (l *Lab) ClusterFile() string { return clusterFile(l.dir) }

func clusterFile(dir string) string { return filepath.Join(dir, fileCluster) }

// NodeNames are the names of the lab's nodes, in order.
func (l *Lab) NodeNames() []string {
	names := make([]string, len(l.file.Nodes))
	for i, n := range l.file.Nodes {
		names[i] = n.Name
	}
	return names
}

// NodeRoot is the folder that stands for / on a node; empty for a name that the
// lab does not have.
func (l *Lab) NodeRoot(name string) string {
	for _, n := range l.file.Nodes {
		if n.Name == name {
			return n.Root
		}
	}
	return ""
}

// Break injects a fault into nodes, or into the fault's default ones when none
// is named, and returns when its effect can be seen. Errors match
// ErrUnknownFault or ErrBadNodes (nothing was done), ErrNoEffect or
// ErrNotRunning.
func (l *Lab) Break(ctx context.Context, fault string, nodes ...string) error {
	_, err := l.file.call(ctx, request{Op: opBreak, Fault: fault, Nodes: nodes}, io.Discard, io.Discard)
	return err
}

// Status asks the supervisor how the lab is doing. Members have a second each
// to answer.
func (l *Lab) Status(ctx context.Context) (Status, error) {
	answer, err := l.file.call(ctx, request{Op: opStatus}, io.Discard, io.Discard)
	if err != nil {
		return Status{}, err
	}
	var s Status
	if err := json.Unmarshal(answer.Result, &s); err != nil {
		return Status{}, fmt.Errorf("reading the lab's status: %w", err)
	}
	return s, nil
}

// Down ends the lab: no process of it runs and none of its files is left when it
// returns without an error. It works also when the supervisor was killed.
func (l *Lab) Down(ctx context.Context) error {
	_, err := l.file.call(ctx, request{Op: opDown}, io.Discard, io.Discard)
	if err != nil && !errors.Is(err, ErrNotRunning) {
		return fmt.Errorf("taking the lab down: %w", err)
	}
	if err == nil {
		// Give the supervisor the time to do it properly.
		until(20*time.Second, func() bool {
			return ctx.Err() != nil || gone(l.file.PID) || len(markedProcesses(envLab+"="+l.dir)) == 0
		})
	}
	return l.clean(l.file.Created)
}

// clean kills every process of the lab that is left and removes its files.
func (l *Lab) clean(created bool) error {
	if l.owner != nil {
		_ = l.owner.Close()
	}
	if !killLab(l.dir, os.Getpid()) {
		return fmt.Errorf("processes of the lab in %s cannot be killed", l.dir)
	}
	if l.ended != nil {
		<-l.ended
	}
	return removeLab(l.dir, created)
}

// currentUser is the name that this process runs as.
func currentUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return fmt.Sprint(os.Getuid())
}
