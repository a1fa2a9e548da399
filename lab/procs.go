package lab

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// poll is how often a condition that nobody announces is looked at again.
const poll = 10 * time.Millisecond

// until looks at a condition until it holds or the time is over.
func until(limit time.Duration, cond func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(poll) {
		if cond() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// killLab kills every process of the lab in dir except the given ones and waits
// until they are gone. It looks again as long as it finds some: a process may
// have been forking. It reports whether none is left.
func killLab(dir string, except ...int) bool {
	return until(10*time.Second, func() bool {
		pids := slices.DeleteFunc(markedProcesses(envLab+"="+dir), func(pid int) bool {
			return slices.Contains(except, pid)
		})
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(pids) == 0
	})
}

// gone reports whether a process has ended.
func gone(pid int) bool {
	return pid <= 0 || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// playGuard waits at standard input, whose other end only the supervisor has. A
// byte means that the supervisor has cleaned up itself; the end of the stream
// without one means that it died, and that its lab must die with it.
func playGuard() int {
	dir := os.Getenv(envLab)
	if dir == "" {
		return 2
	}
	n, _ := io.ReadFull(os.Stdin, make([]byte, 1))
	if n == 0 {
		killLab(dir, os.Getpid())
	}
	return 0
}

// guard is the supervisor's side of a guard process.
type guard struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

func startGuard(exe, dir string) (*guard, error) {
	cmd := exec.Command(exe, partGuard)
	cmd.Env = []string{envLab + "=" + dir, "PATH=" + servicePath}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &guard{cmd: cmd, pipe: pipe}, nil
}

// dismiss ends the guard: there is nothing left to kill.
func (g *guard) dismiss() {
	_, _ = g.pipe.Write([]byte{'q'})
	_ = g.pipe.Close()
	_ = g.cmd.Wait()
}
