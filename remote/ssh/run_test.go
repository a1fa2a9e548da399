package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/remote/remotetest"
)

func TestRunAnswersWhatTheCommandDid(t *testing.T) {
	c := connect(t, patient(), newServer(t, remotetest.ServerOptions{}).Node("n1"))
	r := run(t, c, "echo out; echo err >&2; exit 3")
	if r.Exit != 3 || string(r.Stdout) != "out\n" || string(r.Stderr) != "err\n" || r.Truncated || r.Signal != "" || r.Duration <= 0 {
		t.Errorf("got %+v", r)
	}
	if r := run(t, c, "kill -KILL $$"); r.Exit != 137 || r.Signal != "KILL" {
		t.Errorf("got %+v", r)
	}
	cmd := sh(`printf %s "$LC_ALL/$A/$B"; cat`)
	cmd.Env, cmd.Stdin = []string{"A=x y'z", "B=$HOME"}, "in\x00put"
	r, err := c.Run(within(t), cmd, remote.Streams{})
	if err != nil || string(r.Stdout) != "C/x y'z/$HOMEin\x00put" {
		t.Errorf("got %q, %v", r.Stdout, err)
	}
	if r := run(t, c, "echo $$; exec /no/such/program"); r.Exit != 127 && r.Exit != 126 {
		t.Errorf("got %+v", r)
	}
	cmd = sh("")
	cmd.Argv = []string{"/no/such/program"}
	if r, err := c.Run(within(t), cmd, remote.Streams{}); err != nil || r.Exit != 127 || len(r.Stderr) == 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	c := connect(t, patient(), newServer(t, remotetest.ServerOptions{}).Node("n1"))
	cmd := sh("head -c 3000000 /dev/zero; head -c 70000 /dev/zero >&2")
	cmd.MaxOutput = 1000
	r, err := c.Run(within(t), cmd, remote.Streams{})
	if err != nil || len(r.Stdout) != 1000 || len(r.Stderr) != 1000 || !r.Truncated {
		t.Errorf("got %d and %d bytes, %v, %v", len(r.Stdout), len(r.Stderr), r.Truncated, err)
	}
	var out, errOut, tee bytes.Buffer
	r, err = c.Run(within(t), cmd, remote.Streams{Stdout: &out, Stderr: &errOut, Tee: &tee})
	if err != nil || out.Len() != 3000000 || errOut.Len() != 70000 || tee.Len() != 3070000 ||
		len(r.Stdout) != 0 || len(r.Stderr) != 1000 || r.Truncated {
		t.Errorf("got %d, %d, %d bytes, result %d and %d, %v", out.Len(), errOut.Len(), tee.Len(), len(r.Stdout), len(r.Stderr), err)
	}
}

// blocked is a reader that never has anything until it is closed.
type blocked struct{ closed chan struct{} }

func (b blocked) Read([]byte) (int, error) { <-b.closed; return 0, io.EOF }

func TestStdin(t *testing.T) {
	c := connect(t, patient(), newServer(t, remotetest.ServerOptions{}).Node("n1"))
	t.Run("large", func(t *testing.T) {
		r, err := c.Run(within(t), sh("wc -c"), remote.Streams{Stdin: io.LimitReader(zeros{}, 5<<20)})
		if err != nil || strings.TrimSpace(string(r.Stdout)) != fmt.Sprint(5<<20) {
			t.Errorf("got %q, %v", r.Stdout, err)
		}
	})
	t.Run("none", func(t *testing.T) {
		if r := run(t, c, "cat; echo end"); string(r.Stdout) != "end\n" {
			t.Errorf("got %q", r.Stdout)
		}
	})
	t.Run("command ends without reading a blocked reader", func(t *testing.T) {
		b := blocked{make(chan struct{})}
		defer close(b.closed)
		faster(t, 10*time.Second, func() {
			r, err := c.Run(within(t), sh("exit 4"), remote.Streams{Stdin: b})
			if err != nil || r.Exit != 4 {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	})
	t.Run("command ends without reading endless input", func(t *testing.T) {
		faster(t, 10*time.Second, func() {
			r, err := c.Run(within(t), sh("exit 5"), remote.Streams{Stdin: zeros{}})
			if err != nil || r.Exit != 5 {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	})
	t.Run("a reader that fails is not the end of input", func(t *testing.T) {
		broken := io.MultiReader(strings.NewReader("half"), failing{})
		r, err := c.Run(within(t), sh("cat >/dev/null; sleep 30"), remote.Streams{Stdin: broken})
		wantKind(t, err, remote.ErrOutcomeUnknown)
		if !errors.Is(err, errTest) {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

var errTest = errors.New("broken on purpose")

type failing struct{}

func (failing) Read([]byte) (int, error)  { return 0, errTest }
func (failing) Write([]byte) (int, error) { return 0, errTest }

func TestWriterThatFailsEndsTheCommand(t *testing.T) {
	c := connect(t, patient(), newServer(t, remotetest.ServerOptions{}).Node("n1"))
	faster(t, 15*time.Second, func() {
		_, err := c.Run(within(t), sh("while echo x; do :; done"), remote.Streams{Stdout: failing{}})
		wantKind(t, err, remote.ErrOutcomeUnknown)
		if !errors.Is(err, errTest) {
			t.Errorf("got %v", err)
		}
	})
	run(t, c, "true") // The connection still works.
}

func TestDeadlineAndCancel(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprintf("deaf %v", deaf), func(t *testing.T) { deadlineAndCancel(t, deaf) })
	}
}

func deadlineAndCancel(t *testing.T, deaf bool) {
	c := connect(t, patient(), newServer(t, remotetest.ServerOptions{NoSignals: deaf}).Node("n1"))
	told := filepath.Join(t.TempDir(), "told")
	ready := filepath.Join(t.TempDir(), "ready")
	script := `trap "echo x >` + told + `; exit" TERM; echo x >` + ready + `; while :; do sleep 0.05; done`
	t.Run("deadline", func(t *testing.T) {
		overrun(t, c, script, ready)
		eventually(t, "the command is told to end", func() bool { return exists(told) })
	})
	t.Run("cancel", func(t *testing.T) {
		_ = os.Remove(ready)
		ctx, cancel := context.WithCancel(within(t))
		go func() {
			eventually(t, "the command runs", func() bool { return exists(ready) })
			cancel()
		}()
		_, err := c.Run(ctx, sh(script), remote.Streams{})
		wantKind(t, err, remote.ErrOutcomeUnknown)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cancelled before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(within(t))
		cancel()
		_, err := c.Run(ctx, sh("echo x >"+told+".never"), remote.Streams{})
		wantKind(t, err, remote.ErrNotStarted)
		if !errors.Is(err, context.Canceled) || exists(told+".never") {
			t.Errorf("got %v", err)
		}
	})
}

// TestDeadlineBeforeTheCommandBegins: a login shell that takes longer than the
// deadline begins the command all the same, and it is told to end then.
func TestDeadlineBeforeTheCommandBegins(t *testing.T) {
	dir := t.TempDir()
	slow, begin, pid := filepath.Join(dir, "slow"), filepath.Join(dir, "begin"), filepath.Join(dir, "pid")
	shell := filepath.Join(dir, "shell")
	login := "#!/bin/sh\nif [ -e " + slow + " ]; then echo $$ >" + pid + "; rm " + slow +
		"; while [ ! -e " + begin + " ]; do sleep 0.05; done; fi\nexec /bin/sh \"$@\"\n"
	if err := os.WriteFile(shell, []byte(login), 0o700); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
	c := connect(t, patient(), newServer(t, remotetest.ServerOptions{NoSignals: true, Shell: shell}).Node("n1"))
	if err := os.WriteFile(slow, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := sh("while :; do sleep 0.05; done")
	cmd.Timeout = time.Second
	_, err := c.Run(within(t), cmd, remote.Streams{})
	wantKind(t, err, remote.ErrOutcomeUnknown)
	if err := os.WriteFile(begin, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	process := 0
	eventually(t, "the login shell runs", func() bool {
		written, _ := os.ReadFile(pid) //nolint:gosec // the test's own
		process, _ = strconv.Atoi(strings.TrimSpace(string(written)))
		return process > 0
	})
	eventually(t, "the command is gone", func() bool { return errors.Is(syscall.Kill(process, 0), syscall.ESRCH) })
}

// overrun runs a script that has no end until its deadline passes, with ever
// longer deadlines until one passes after the script made the file ready.
func overrun(t *testing.T, c remote.Conn, script, ready string) {
	t.Helper()
	for limit := time.Second; limit <= 16*time.Second; limit *= 2 {
		cmd := sh(script)
		cmd.Timeout = limit
		faster(t, limit+10*time.Second, func() {
			_, err := c.Run(within(t), cmd, remote.Streams{})
			wantKind(t, err, remote.ErrOutcomeUnknown)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
		if exists(ready) {
			return
		}
	}
	t.Fatal("the command does not begin")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// eventually waits for a condition that another process brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Errorf("not within 20 s: %s", what)
}

func TestCommandsThatAreNeverSent(t *testing.T) {
	c := connect(t, patient(), newServer(t, remotetest.ServerOptions{}).Node("n1"))
	for name, argv := range map[string][]string{
		"nothing":      {},
		"an option":    {"-c", "true"},
		"a assignment": {"A=b"},
		"NUL":          {"echo", "a\x00b"},
		"too long":     {"echo", strings.Repeat("x", 130<<10)},
	} {
		_, err := c.Run(within(t), remote.Command{Argv: argv, Effect: remote.Read, Timeout: time.Second}, remote.Streams{})
		if !errors.Is(err, remote.ErrNotStarted) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestConnectionLostWhileACommandRuns(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	c := connect(t, patient(), s.Node("n1"))
	s.DropOnExec.Store(true)
	faster(t, 10*time.Second, func() {
		_, err := c.Run(within(t), sh("sleep 30"), remote.Streams{})
		wantKind(t, err, remote.ErrOutcomeUnknown)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	eventually(t, "the connection knows", func() bool { return c.Err() != nil })
	_, err := c.Run(within(t), sh("true"), remote.Streams{})
	wantKind(t, err, remote.ErrNotStarted)
	_, err = c.Dial(within(t), "tcp", "127.0.0.1:1")
	wantKind(t, err, remote.ErrUnreachable)
}

func TestCloseEndsRunningCommands(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	c := connect(t, patient(), s.Node("n1"))
	ready := filepath.Join(t.TempDir(), "ready")
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		_, err := c.Run(context.Background(), sh("echo x >"+ready+"; sleep 30"), remote.Streams{})
		wantKind(t, err, remote.ErrOutcomeUnknown)
	}()
	eventually(t, "the command runs", func() bool { return exists(ready) })
	faster(t, 10*time.Second, func() { _ = c.Close() })
	wg.Wait()
	_, err := c.Run(context.Background(), sh("true"), remote.Streams{})
	wantKind(t, err, remote.ErrNotStarted)
}

func TestServerThatOpensNoSession(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	o := patient()
	o.Timeouts.Session = 2 * time.Second
	c := connect(t, o, s.Node("n1"))
	s.SilentOpen.Store(true)
	faster(t, 5*time.Second, func() {
		_, err := c.Run(within(t), sh("true"), remote.Streams{})
		wantKind(t, err, remote.ErrNotStarted)
	})
	faster(t, 5*time.Second, func() {
		_, err := c.Dial(within(t), "tcp", "127.0.0.1:1")
		wantKind(t, err, remote.ErrUnreachable)
	})
	faster(t, 5*time.Second, func() { _ = c.Close() })
}

func TestServerThatDoesNotAnswerExec(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	c := connect(t, patient(), s.Node("n1"))
	s.SilentExec.Store(true)
	cmd := sh("true")
	cmd.Timeout = 500 * time.Millisecond
	faster(t, 5*time.Second, func() {
		_, err := c.Run(within(t), cmd, remote.Streams{})
		wantKind(t, err, remote.ErrOutcomeUnknown)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestBackgroundProcessDoesNotHoldTheResult(t *testing.T) {
	c := connect(t, patient(), newServer(t, remotetest.ServerOptions{}).Node("n1"))
	faster(t, 15*time.Second, func() {
		r := run(t, c, "sleep 60 & echo done; exit 7")
		if r.Exit != 7 || string(r.Stdout) != "done\n" || !r.Truncated {
			t.Errorf("got %+v, %q", r, r.Stdout)
		}
	})
}

// TestSessionsStayUnderTheLimit: many callers at once share six sessions, and a
// node that allows even fewer is asked again.
func TestSessionsStayUnderTheLimit(t *testing.T) {
	for _, most := range []int{10, 2} {
		s := newServer(t, remotetest.ServerOptions{MaxSessions: most})
		c := connect(t, patient(), s.Node("n1"))
		errs := remote.Each(make([]int, 24), func(i int, _ int) error {
			r, err := c.Run(within(t), sh(fmt.Sprintf("sleep 0.05; echo %d", i)), remote.Streams{})
			if err == nil && strings.TrimSpace(string(r.Stdout)) != fmt.Sprint(i) {
				err = fmt.Errorf("got %q", r.Stdout)
			}
			return err
		})
		if err := errors.Join(errs...); err != nil {
			t.Errorf("at most %d sessions: %v", most, err)
		}
	}
}

func TestNoiseOfLoginScriptsIsNotOutput(t *testing.T) {
	for name, noise := range map[string]string{
		"a line":          `echo "Welcome to this machine"; echo warning >&2`,
		"without newline": `printf '\033]0;title\007'; printf oops >&2`,
		"a lot":           `i=0; while [ $i -lt 3000 ]; do echo "line $i of the message of the day ........"; i=$((i+1)); done`,
		"echoing":         `set -v -x`,
	} {
		shell := loginShell(t, noise+"\nexec /bin/sh \"$@\"\n")
		c := connect(t, patient(), newServer(t, remotetest.ServerOptions{Shell: shell}).Node("n1"))
		r := run(t, c, "echo out; echo err >&2; exit 2")
		if string(r.Stdout) != "out\n" || string(r.Stderr) != "err\n" || r.Exit != 2 {
			t.Errorf("%s: got %q, %q, %d", name, r.Stdout, r.Stderr, r.Exit)
		}
	}
}

func TestShellThatStopsRunningCommands(t *testing.T) {
	flag := filepath.Join(t.TempDir(), "flag")
	shell := loginShell(t, "[ -e "+flag+" ] && { echo 'System is going down'; exit 0; }\nexec /bin/sh \"$@\"\n")
	c := connect(t, patient(), newServer(t, remotetest.ServerOptions{Shell: shell}).Node("n1"))
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := c.Run(within(t), sh("echo out"), remote.Streams{})
	wantKind(t, err, remote.ErrNotStarted)
	if len(r.Stdout) > 0 || !strings.Contains(err.Error(), "System is going down") {
		t.Errorf("got %q, %v", r.Stdout, err)
	}
}
