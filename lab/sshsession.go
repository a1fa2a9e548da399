package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// Bounds of a session.
const (
	sessionMaxEnv   = 64
	sessionMaxProcs = 200 // a node, running at once
	ptyDrain        = 500 * time.Millisecond
)

// errTooMany says that a node runs as many commands as it may.
var errTooMany = errors.New("too many processes on this node")

// session is one session channel. Its requests are handled by one goroutine.
type session struct {
	server *sshServer
	conn   *sshConn
	ch     ssh.Channel
	env    []string
	term   *terminal

	pid      int
	answered chan struct{} // closed once the request to start it has its answer
	close    func()        // takes the process's terminal or pipes away
}

// terminal is what a pty-req asked for.
type terminal struct {
	name string
	size unix.Winsize
	// master is set once the process runs.
	master *os.File
}

func (c *sshConn) session(nc ssh.NewChannel) {
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	s := &session{server: c.server, conn: c, ch: ch, answered: make(chan struct{})}
	answer := sync.OnceFunc(func() { close(s.answered) })
	defer answer()
	for r := range requests {
		ok := s.request(r)
		if r.WantReply {
			_ = r.Reply(ok, nil)
		}
		if s.pid != 0 {
			answer()
		}
	}
	// The channel is closed. Like sshd: a terminal is hung up, which sends
	// SIGHUP to its foreground process group; a command without one loses its
	// pipes and may go on.
	if s.close != nil {
		s.close()
	}
}

func (s *session) request(r *ssh.Request) bool {
	switch r.Type {
	case "env":
		var v struct{ Name, Value string }
		return ssh.Unmarshal(r.Payload, &v) == nil && s.setEnv(v.Name, v.Value)
	case "pty-req":
		return s.requestPTY(r.Payload)
	case "window-change":
		var v struct{ Columns, Rows, Width, Height uint32 }
		if ssh.Unmarshal(r.Payload, &v) != nil || s.term == nil {
			return false
		}
		s.term.size = winsize(v.Columns, v.Rows, v.Width, v.Height)
		return s.term.master == nil || setWinsize(s.term.master, s.term.size) == nil
	case "signal":
		var v struct{ Name string }
		sig, known := syscall.Signal(0), false
		if ssh.Unmarshal(r.Payload, &v) == nil {
			sig, known = signalByName(v.Name)
		}
		return known && s.pid > 0 && syscall.Kill(-s.pid, sig) == nil
	case "shell":
		return s.start(nil)
	case "exec":
		var v struct{ Line string }
		return ssh.Unmarshal(r.Payload, &v) == nil && s.start([]string{"/bin/sh", "-c", v.Line})
	}
	return false // subsystems (sftp), agents and X11 are not there
}

// setEnv takes what Debian's sshd takes: AcceptEnv LANG LC_*.
func (s *session) setEnv(name, value string) bool {
	if s.pid != 0 || len(s.env) >= sessionMaxEnv || len(value) > 4096 || strings.ContainsRune(value, 0) ||
		name != "LANG" && !strings.HasPrefix(name, "LC_") || !isEnvName(name) {
		return false
	}
	s.env = setEnv(s.env, name, value)
	return true
}

func (s *session) requestPTY(payload []byte) bool {
	var v struct {
		Term                         string
		Columns, Rows, Width, Height uint32
		Modes                        string
	}
	if ssh.Unmarshal(payload, &v) != nil || s.pid != 0 || len(v.Term) > 128 || strings.ContainsRune(v.Term, 0) {
		return false
	}
	s.term = &terminal{name: v.Term, size: winsize(v.Columns, v.Rows, v.Width, v.Height)}
	return true
}

func winsize(columns, rows, width, height uint32) unix.Winsize {
	clip := func(n uint32) uint16 { return uint16(min(n, 0x7fff)) }
	return unix.Winsize{Col: clip(columns), Row: clip(rows), Xpixel: clip(width), Ypixel: clip(height)}
}

// openPTY opens a terminal whose master does not block. pty.Open leaves it in
// blocking mode, where closing it waits for the reader, which waits for output:
// the terminal would never be hung up. For the same reason its size must not be
// set with pty.Setsize.
func openPTY() (master, slave *os.File, err error) {
	blocking, slave, err := pty.Open()
	if err != nil {
		return nil, nil, fmt.Errorf("opening a terminal: %w", err)
	}
	defer blocking.Close()
	fd, err := unix.FcntlInt(blocking.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		_ = slave.Close()
		return nil, nil, fmt.Errorf("opening a terminal: %w", err)
	}
	return os.NewFile(uintptr(fd), "ptmx"), slave, nil
}

func setWinsize(master *os.File, size unix.Winsize) error {
	raw, err := master.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	if err := raw.Control(func(fd uintptr) { set = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &size) }); err != nil {
		return err
	}
	return set
}

// start runs a command line, or the shell when argv is nil.
func (s *session) start(argv []string) bool {
	if s.pid != 0 {
		return false
	}
	if argv == nil {
		argv = []string{loginShell()}
	}
	n := s.server.node
	cmd := &exec.Cmd{Path: argv[0], Args: argv, Env: s.environment(), Dir: n.path("home/" + sshUser), SysProcAttr: childAttr()}
	var err error
	if s.term != nil {
		err = s.startPTY(cmd)
	} else {
		err = s.startPipes(cmd)
	}
	if err != nil {
		s.server.log("%s: starting a session: %v", n.Name, err)
		return false
	}
	s.pid = cmd.Process.Pid
	return true
}

// loginShell is bash where there is one. It is not started as a login shell:
// /etc/profile of this machine would put its own PATH before the node's.
func loginShell() string {
	if _, err := os.Stat("/bin/bash"); err == nil {
		return "/bin/bash"
	}
	return "/bin/sh"
}

func (s *session) environment() []string {
	n := s.server.node
	path := os.Getenv("PATH")
	if path == "" {
		path = servicePath
	}
	home := n.path("home/" + sshUser)
	env := []string{
		"HOME=" + home, "USER=" + sshUser, "LOGNAME=" + sshUser, "SHELL=" + loginShell(), "ENV=" + home + "/.bashrc",
		"PATH=" + n.path("usr/bin") + ":" + path,
		"SSH_CONNECTION=" + addressPair(s.conn.conn),
		envLab + "=" + s.server.lab, envNode + "=" + n.Name,
	}
	if tz, ok := os.LookupEnv("TZ"); ok {
		env = append(env, "TZ="+tz)
	}
	if s.term != nil {
		env = append(env, "TERM="+s.term.name)
	}
	return append(env, s.env...)
}

// addressPair is SSH_CONNECTION: client and server address and port.
func addressPair(c ssh.ConnMetadata) string {
	blank := func(a fmt.Stringer) string {
		s := a.String()
		if i := strings.LastIndexByte(s, ':'); i > 0 {
			return s[:i] + " " + s[i+1:]
		}
		return s
	}
	return blank(c.RemoteAddr()) + " " + blank(c.LocalAddr())
}

// startPTY runs cmd on a terminal of its own.
func (s *session) startPTY(cmd *exec.Cmd) error {
	master, slave, err := openPTY()
	if err != nil {
		return err
	}
	if err := setWinsize(master, s.term.size); err != nil {
		s.server.log("%s: setting a terminal's size: %v", s.server.node.Name, err)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr.Setctty = true // descriptor 0 is the controlling terminal
	err = s.server.procs.start(cmd)
	_ = slave.Close()
	if err != nil {
		_ = master.Close()
		return err
	}
	var once sync.Once
	hangUp := func() { once.Do(func() { _ = master.Close() }) }
	s.close, s.term.master = hangUp, master
	drained := make(chan struct{})
	s.background(func() { _, _ = io.Copy(master, s.ch) })
	s.background(func() {
		defer close(drained)
		_, _ = io.Copy(s.ch, master)
	})
	s.server.procs.watch(cmd, s.server, func() {
		// What the process wrote last is still in the terminal. Its children
		// may hold the other side open for ever: sshd does not wait for them.
		select {
		case <-drained:
		case <-time.After(ptyDrain):
		}
		s.finish(cmd)
		hangUp()
	})
	return nil
}

// startPipes runs cmd with three pipes, as sshd does without a terminal.
func (s *session) startPipes(cmd *exec.Cmd) error {
	var files [6]*os.File
	for i := 0; i < len(files); i += 2 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(files[:])
			return fmt.Errorf("opening a pipe: %w", err)
		}
		files[i], files[i+1] = r, w
	}
	stdin, stdout, stderr := files[1], files[2], files[4]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[3], files[5]
	err := s.server.procs.start(cmd)
	closeAll([]*os.File{files[0], files[3], files[5]})
	if err != nil {
		closeAll([]*os.File{stdin, stdout, stderr})
		return err
	}
	var once sync.Once
	s.close = func() { once.Do(func() { closeAll([]*os.File{stdin, stdout, stderr}) }) }
	s.background(func() {
		_, _ = io.Copy(stdin, s.ch)
		_ = stdin.Close()
	})
	var drained sync.WaitGroup
	drained.Add(2)
	s.background(func() {
		defer drained.Done()
		_, _ = io.Copy(s.ch, stdout)
	})
	s.background(func() {
		defer drained.Done()
		_, _ = io.Copy(s.ch.Stderr(), stderr)
	})
	finish := s.close
	s.server.procs.watch(cmd, s.server, func() {
		// A descendant may hold the pipes: like sshd, the channel stays open
		// until they are closed, or until the client goes.
		drained.Wait()
		s.finish(cmd)
		finish()
	})
	return nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// background runs one of the session's copiers, which ends with the channel or
// with the process.
func (s *session) background(f func()) {
	s.server.procs.wg.Add(1)
	go func() {
		defer s.server.procs.wg.Done()
		defer s.server.recovered("session")
		f()
	}()
}

// finish tells the client how the process ended and closes the channel, as sshd
// never before it has said that the process was started.
func (s *session) finish(cmd *exec.Cmd) {
	<-s.answered
	_ = s.ch.CloseWrite()
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		_, _ = s.ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Name    string
			Core    bool
			Message string
			Lang    string
		}{signalName(ws.Signal()), ws.CoreDump(), "", ""}))
	} else {
		_, _ = s.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(cmd.ProcessState.ExitCode())}))
	}
	_ = s.ch.Close()
}

// procSet holds the running commands of a node's sessions.
type procSet struct {
	mu     sync.Mutex
	pids   map[int]struct{}
	closed bool
	wg     sync.WaitGroup
}

func (p *procSet) init() { p.pids = map[int]struct{}{} }

// start starts a command unless there are too many or the server is closing.
func (p *procSet) start(cmd *exec.Cmd) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.pids) >= sessionMaxProcs {
		return errTooMany
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	p.pids[cmd.Process.Pid] = struct{}{}
	return nil
}

// watch reaps a command and then calls done.
func (p *procSet) watch(cmd *exec.Cmd, s *sshServer, done func()) {
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		defer s.recovered("session")
		_ = cmd.Wait()
		p.mu.Lock()
		delete(p.pids, cmd.Process.Pid)
		p.mu.Unlock()
		done()
	}()
}

// killAll kills the sessions' processes with their groups. What has left its
// group is found by its environment, see killLab.
func (p *procSet) killAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for pid := range p.pids {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}

func (p *procSet) wait() { p.wg.Wait() }
