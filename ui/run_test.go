package ui

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/creack/pty"
)

// terminalUnderTest is a real terminal device with whatever was written to it.
type terminalUnderTest struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	mu     sync.Mutex
	out    bytes.Buffer
	closed chan struct{}
}

func openTerminal(t *testing.T) *terminalUnderTest {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo-terminal here: %v", err)
	}
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	u := &terminalUnderTest{t: t, master: master, slave: slave, closed: make(chan struct{})}
	go func() {
		defer close(u.closed)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			u.mu.Lock()
			u.out.Write(buf[:n])
			u.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		slave.Close()
		master.Close()
		<-u.closed
	})
	return u
}

func (u *terminalUnderTest) text() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.out.String()
}

// await waits until the terminal has been shown something.
func (u *terminalUnderTest) await(want string) {
	u.t.Helper()
	u.until(want, ansi.Strip)
}

// awaitRaw is await for escape sequences.
func (u *terminalUnderTest) awaitRaw(want string) {
	u.t.Helper()
	u.until(want, func(s string) string { return s })
}

func (u *terminalUnderTest) until(want string, see func(string) string) {
	u.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(see(u.text()), want) {
		if time.Now().After(deadline) {
			u.t.Fatalf("%q was never shown; the end of the output is %q", want, ansi.Strip(u.text()))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (u *terminalUnderTest) write(s string) {
	u.t.Helper()
	if _, err := u.master.WriteString(s); err != nil {
		u.t.Fatal(err)
	}
}

// TestRunInATerminal drives the real program, with its own timers and
// goroutines, through a pseudo-terminal to the proof.
func TestRunInATerminal(t *testing.T) {
	u := openTerminal(t)
	f := newFake("en", "one-down", time.Now)
	done := make(chan error, 1)
	go func() {
		done <- Run(context.Background(), f, Options{Lang: "en", Input: u.slave, Output: u.slave,
			Env: []string{"TERM=xterm-256color", "LANG=en_US.UTF-8", "NO_COLOR=yes"}})
	}()
	u.await("One of three members is down")
	u.write("\r")
	u.await("What shall be done")
	u.write("\r")
	u.await("7 stages")
	u.write("\r")
	u.await("Type the cluster's name")
	u.write("nova-prod\r")
	u.await("RUNNING")
	u.await("Proved healthy")
	u.write("q")
	u.await("Leave novatui?")
	u.write("\r")
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it did not leave")
	}
	out := u.text()
	if strings.Contains(out, "\x1b[38;") || strings.Contains(out, "\x1b[48;") {
		t.Error("a colour was written although NO_COLOR is set")
	}
	u.awaitRaw("\x1b[?1049l") // the terminal is given back
}

// TestRunEndsWithItsContext: cmd ends the wizard, for instance on SIGTERM.
func TestRunEndsWithItsContext(t *testing.T) {
	u := openTerminal(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, newFake("en", "healthy", time.Now), Options{Lang: "en", Input: u.slave, Output: u.slave,
			Env: []string{"TERM=xterm", "LANG=en_US.UTF-8"}})
	}()
	u.await("members are healthy")
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it did not end")
	}
	u.awaitRaw("\x1b[?1049l") // the terminal is given back
}
