package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// servicePath is the PATH that systemd gives to services.
const servicePath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// unit runs one unit of one node: it is the machine's world.
type unit struct {
	lab     string // the lab's folder
	root    string
	name    string
	journal *journal

	mu      sync.Mutex
	m       *machine
	changed chan struct{} // closed at every change
	timer   *time.Timer
	timerID int
	closed  bool
	// onReady, when set, is told that the main process came up.
	onReady func()
	// killer is the kill-loop fault: every process dies at its first output.
	killer bool

	wg       sync.WaitGroup
	notify   *net.UnixConn
	notifyTo string   // NOTIFY_SOCKET
	lifeline *os.File // read end that every process inherits
}

// newUnit reads the unit file and opens the node's notify socket. The lab's
// folder must be the current directory, see listenNotify.
func newUnit(lab, root, name string, j *journal, lifeline *os.File) (*unit, error) {
	u := &unit{lab: lab, root: root, name: name, journal: j, changed: make(chan struct{}), lifeline: lifeline}
	c, err := loadUnit(root, name)
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", name, err)
	}
	u.m = newMachine(c, u)
	if err := u.listenNotify(); err != nil {
		return nil, err
	}
	return u, nil
}

// listenNotify opens the socket for READY=1. A path longer than a socket
// address can hold (104 bytes on macOS) is replaced by one relative to the
// working directories on both sides: the lab's folder here, the node's root
// there.
func (u *unit) listenNotify() error {
	const inRoot = "run/systemd/notify"
	bind := filepath.Join(u.root, inRoot)
	u.notifyTo = bind
	if len(bind) > 100 {
		bind, u.notifyTo = filepath.Join(filepath.Base(u.root), inRoot), inRoot
	}
	_ = os.Remove(bind)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: bind, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("opening the notify socket: %w", err)
	}
	u.notify = conn
	u.wg.Add(1)
	go func() {
		defer u.wg.Done()
		defer u.recovered("notify socket")
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil && slices.Contains(strings.Split(string(buf[:n]), "\n"), "READY=1") {
				u.ready()
			}
		}
	}()
	return nil
}

func (u *unit) ready() {
	u.do(func(m *machine) {
		was := m.st.Sub
		m.Ready()
		if was == subStart && m.st.Sub == subRunning && u.onReady != nil {
			u.onReady()
		}
	})
}

// recovered turns a panic of a goroutine into a line of the journal.
func (u *unit) recovered(what string) {
	if r := recover(); r != nil {
		u.journal.add(entry{Priority: prioErr, Identifier: "novatui-lab", Message: fmt.Sprintf("panic in %s: %v", what, r)})
	}
}

// do runs f on the machine under the lock and wakes everybody who waits.
func (u *unit) do(f func(m *machine)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return
	}
	f(u.m)
	close(u.changed)
	u.changed = make(chan struct{})
}

// state is the unit's state and configuration now.
func (u *unit) state() (unitState, unitConfig) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.m.st, u.m.c
}

// wait waits until the unit is in a state that cond accepts.
func (u *unit) wait(ctx context.Context, cond func(unitState) bool) error {
	for {
		u.mu.Lock()
		st, changed := u.m.st, u.changed
		u.mu.Unlock()
		if cond(st) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("unit is %s (%s): %w", st.Active(), st.Sub, ctx.Err())
		}
	}
}

// runJob runs one of the machine's jobs and waits for its result.
func (u *unit) runJob(ctx context.Context, start func(m *machine, j *job)) (string, error) {
	j := newJob()
	u.do(func(m *machine) { start(m, j) })
	select {
	case result := <-j.done:
		return result, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// reload is daemon-reload for this unit.
func (u *unit) reload() error {
	c, err := loadUnit(u.root, u.name)
	u.do(func(m *machine) { m.c = c })
	return err
}

// close kills the process and waits until nothing of the unit runs.
func (u *unit) close() {
	u.mu.Lock()
	u.closed = true
	u.stopTimer()
	if pid := u.m.st.MainPID; pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	u.mu.Unlock()
	_ = u.notify.Close()
	u.wg.Wait()
}

// The rest is effects, called by the machine with the lock held.

func (u *unit) now() time.Time { return time.Now() }

func (u *unit) log(priority int, text string) {
	u.journal.add(entry{Priority: priority, Identifier: "systemd", PID: 1, About: u.name, Message: text})
}

func (u *unit) kill(pid int, sig syscall.Signal) {
	if pid > 0 {
		_ = syscall.Kill(pid, sig)
	}
}

func (u *unit) stopTimer() {
	u.timerID++
	if u.timer != nil {
		u.timer.Stop()
	}
}

func (u *unit) arm(d time.Duration) {
	u.stopTimer()
	if d <= 0 {
		return
	}
	id := u.timerID
	u.timer = time.AfterFunc(d, func() {
		defer u.recovered("timer")
		u.do(func(m *machine) {
			if id == u.timerID {
				m.TimerFired()
			}
		})
	})
}

func (u *unit) spawn(c unitConfig) (int, error) {
	own, err := c.environment()
	if err != nil {
		u.log(prioWarning, u.name+": Failed to load environment files: "+reason(err))
		return 0, errors.New(reason(err))
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	env := []string{
		"LANG=C.UTF-8", "PATH=" + servicePath, "NOTIFY_SOCKET=" + u.notifyTo,
		"INVOCATION_ID=" + hex.EncodeToString(id), envLab + "=" + u.lab,
	}
	for _, e := range own {
		name, value, _ := strings.Cut(e, "=")
		env = setEnv(env, name, value)
	}
	env = setEnv(env, envLifeline, "3")
	argv := c.argv(env)
	if len(argv) == 0 {
		return 0, errors.New("Invalid argument")
	}
	out, in, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	cmd := &exec.Cmd{
		Path: argv[0], Args: argv, Env: env, Dir: c.WorkingDir, Stdout: in, Stderr: in,
		ExtraFiles: []*os.File{u.lifeline}, SysProcAttr: childAttr(),
	}
	err = cmd.Start()
	_ = in.Close()
	if err != nil {
		_ = out.Close()
		u.log(prioErr, fmt.Sprintf("%s: Failed at step EXEC spawning %s: %s", u.name, argv[0], reason(err)))
		return 0, errors.New(reason(err))
	}
	ident := filepath.Base(argv[0])
	drained := make(chan struct{})
	u.wg.Add(2)
	go func() {
		defer u.wg.Done()
		defer close(drained)
		defer u.recovered("log reader")
		u.readLog(out, ident, cmd.Process.Pid)
	}()
	go func() {
		defer u.wg.Done()
		defer u.recovered("process watcher")
		u.watch(cmd, out, drained)
	}()
	return cmd.Process.Pid, nil
}

// readLog puts a process's output into the journal line by line, cut like
// journald's LineMax.
func (u *unit) readLog(out *os.File, ident string, pid int) {
	lines := newLineReader(out, lineMax)
	for {
		line, err := lines.next()
		if err != nil {
			return
		}
		u.journal.add(entry{Priority: prioInfo, Identifier: ident, PID: pid, Unit: u.name, Message: line})
		u.mu.Lock()
		if u.killer && u.m.st.MainPID == pid {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		u.mu.Unlock()
	}
}

// watch reaps a process, after its last line is in the journal, and tells the
// machine. A descendant that still holds the pipe does not delay it for long.
func (u *unit) watch(cmd *exec.Cmd, out *os.File, drained <-chan struct{}) {
	_ = cmd.Wait()
	select {
	case <-drained:
	case <-time.After(2 * time.Second):
	}
	_ = out.Close()
	<-drained
	code, status := codeExited, cmd.ProcessState.ExitCode()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		code, status = codeKilled, int(ws.Signal())
		if ws.CoreDump() {
			code = codeDumped
		}
	}
	u.do(func(m *machine) { m.Exited(cmd.Process.Pid, code, status) })
}

// reason is an error as strerror says it.
func reason(err error) string {
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		text := errno.Error()
		return strings.ToUpper(text[:1]) + text[1:]
	case errors.Is(err, fs.ErrNotExist):
		return "No such file or directory"
	}
	return err.Error()
}
