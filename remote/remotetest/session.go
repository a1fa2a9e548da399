package remotetest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// serve is one connection, from the banner to its end.
func (s *Server) serve(c net.Conn) {
	if s.HangUp.Add(-1) >= 0 {
		return
	}
	if s.SilentBanner.Load() {
		_, _ = io.Copy(io.Discard, c) // until the client gives up
		return
	}
	conn, channels, requests, err := ssh.NewServerConn(c, s.config())
	if err != nil {
		return // the client did not get in
	}
	defer conn.Close() //nolint:errcheck // it is over
	s.spawn(func() {
		for r := range requests {
			if r.WantReply && !s.SilentKeepAlive.Load() {
				_ = r.Reply(false, nil) // a client that left needs none
			}
		}
	})
	for nc := range channels {
		s.spawn(func() { s.channel(c, nc) })
	}
}

func (s *Server) channel(c net.Conn, nc ssh.NewChannel) {
	if s.SilentOpen.Load() {
		return
	}
	var err error
	switch nc.ChannelType() {
	case "session":
		s.session(c, nc)
	case "direct-tcpip":
		s.forward(nc)
	default:
		err = nc.Reject(ssh.UnknownChannelType, "no such channel")
	}
	_ = err // a client that left needs no answer
}

func (s *Server) session(c net.Conn, nc ssh.NewChannel) {
	n := s.open.Add(1)
	defer s.open.Add(-1)
	if s.opts.MaxSessions > 0 && n > int64(s.opts.MaxSessions) {
		_ = nc.Reject(ssh.Prohibited, "open failed")
		return
	}
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	s.Sessions.Add(1)
	defer ch.Close() //nolint:errcheck // it is over
	var running sync.WaitGroup
	defer running.Wait()
	answered := make(chan struct{})
	answer := sync.OnceFunc(func() { close(answered) })
	defer answer()
	var cmd *exec.Cmd
	kill := func(sig syscall.Signal) {
		if cmd != nil && cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, sig) // it may have ended
		}
	}
	// As with sshd, a command outlives its channel and its connection unless it
	// is told to end; Stop kills what is left.
	for r := range requests {
		if s.SilentExec.Load() {
			continue
		}
		ok := false
		switch r.Type {
		case "exec":
			var m struct{ Command string }
			if cmd == nil && ssh.Unmarshal(r.Payload, &m) == nil {
				cmd, ok = s.start(ch, m.Command, answered, &running)
			}
		case "signal":
			var m struct{ Signal string }
			if ssh.Unmarshal(r.Payload, &m) == nil && m.Signal == "TERM" && !s.opts.NoSignals {
				kill(syscall.SIGTERM)
				ok = true
			}
		}
		if r.WantReply {
			_ = r.Reply(ok, nil)
		}
		if cmd != nil {
			answer()
		}
		if ok && r.Type == "exec" && s.DropOnExec.Load() {
			_ = c.Close()
		}
	}
}

// start runs a command as sshd does: the login shell with -c, in a process
// group of its own. Its exit status is reported when it ends, but not before the
// request is answered; the channel closes when nobody holds its outputs any more.
func (s *Server) start(ch ssh.Channel, line string, answered <-chan struct{}, running *sync.WaitGroup) (*exec.Cmd, bool) {
	cmd := exec.Command(s.opts.Shell, "-c", line) //nolint:gosec // that is what a server is for
	cmd.Env = s.opts.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var ours, theirs [3]*os.File
	var err error
	for i := range 3 {
		var r, w *os.File
		if r, w, err = os.Pipe(); err != nil {
			return nil, false
		}
		ours[i], theirs[i] = r, w
		if i == 0 {
			ours[i], theirs[i] = w, r
		}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs[0], theirs[1], theirs[2]
	s.mu.Lock()
	if !s.stopped {
		if err = cmd.Start(); err == nil {
			s.groups[cmd.Process.Pid] = true
		}
	}
	s.mu.Unlock()
	for i := range 3 {
		_ = theirs[i].Close()
	}
	if cmd.Process == nil {
		for i := range 3 {
			_ = ours[i].Close()
		}
		return nil, false
	}
	s.spawn(func() {
		_, _ = io.Copy(ours[0], ch) // a command that does not read is no error
		_ = ours[0].Close()
	})
	var outputs sync.WaitGroup
	for i, to := range []io.Writer{ch, ch.Stderr()} {
		outputs.Add(1)
		s.spawn(func() {
			defer outputs.Done()
			_, _ = io.Copy(to, ours[i+1])
			_ = ours[i+1].Close()
		})
	}
	running.Add(1)
	s.spawn(func() {
		defer running.Done()
		err := cmd.Wait()
		<-answered
		report(ch, err)
		outputs.Wait()
		s.mu.Lock()
		delete(s.groups, cmd.Process.Pid)
		s.mu.Unlock()
		_ = ch.Close()
	})
	return cmd, true
}

func report(ch ssh.Channel, err error) {
	var exit *exec.ExitError
	status, ok := syscall.WaitStatus(0), errors.As(err, &exit)
	if ok {
		status, _ = exit.Sys().(syscall.WaitStatus)
	}
	if status.Signaled() {
		names := map[syscall.Signal]string{syscall.SIGTERM: "TERM", syscall.SIGKILL: "KILL", syscall.SIGINT: "INT", syscall.SIGSEGV: "SEGV"}
		_, _ = ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal string
			Core   bool
			Error  string
			Lang   string
		}{names[status.Signal()], false, "", ""}))
		return
	}
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status.ExitStatus())})) //nolint:gosec // 0 to 255
}

// forward is direct-tcpip.
func (s *Server) forward(nc ssh.NewChannel) {
	var m struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if s.opts.NoForwarding || ssh.Unmarshal(nc.ExtraData(), &m) != nil {
		_ = nc.Reject(ssh.Prohibited, "forwarding is not allowed")
		return
	}
	to, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(context.Background(), "tcp", net.JoinHostPort(m.Host, strconv.Itoa(int(m.Port))))
	if err != nil {
		_ = nc.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer to.Close() //nolint:errcheck // both ends are done
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	s.spawn(func() { ssh.DiscardRequests(requests) })
	defer ch.Close() //nolint:errcheck // both ends are done
	var half sync.WaitGroup
	half.Add(1)
	s.spawn(func() {
		defer half.Done()
		_, _ = io.Copy(to, ch)
		_ = to.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(ch, to)
	_ = ch.CloseWrite()
	half.Wait()
}
