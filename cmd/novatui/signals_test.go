package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/novatui/novatui/lab"
	"github.com/novatui/novatui/workflows/engine"
)

// command is the program itself, started as its own process with a home of its
// own. The test binary plays novatui when it is called so.
func command(t *testing.T, home string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// A program that hangs is ended, with its goroutines on stderr.
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Args[0] = "novatui"
	cmd.Env = append(os.Environ(), "HOME="+home, "LC_ALL=C.UTF-8", "SSH_AUTH_SOCK=", "TERM=xterm-256color",
		"XDG_STATE_HOME="+filepath.Join(home, "state"), "XDG_CONFIG_HOME="+filepath.Join(home, "config"))
	return cmd
}

// run runs the program to its end.
func run(t *testing.T, home string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := command(t, home, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	return out2(t, cmd.Run(), &out, &errs)
}

func out2(t *testing.T, err error, out, errs *strings.Builder) (string, string, int) {
	t.Helper()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return out.String(), errs.String(), exit.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return out.String(), errs.String(), 0
}

// brokenLab is a lab of three with one member's database file broken, and a
// saved plan to rejoin it.
func brokenLab(t *testing.T) (home, file, plan string) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a lab")
	}
	l, err := lab.Up(t.Context(), lab.Options{OwnedByCaller: true, Program: labProgram})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := l.Break(t.Context(), "corrupt-db", "master-2"); err != nil {
		t.Fatal(err)
	}
	home = t.TempDir()
	plan = filepath.Join(home, "plan.json")
	if _, errs, status := run(t, home, "plan", "rejoin", "--node", "master-2", "--cluster", l.ClusterFile(), "--out", plan); status != 0 {
		t.Fatalf("plan: exit status %d\n%s", status, errs)
	}
	return home, l.ClusterFile(), plan
}

// apply starts apply -o json and hands each event to seen until it returns
// false; then it waits for the end of the program.
func apply(t *testing.T, cmd *exec.Cmd, seen func(e engine.Event, p *os.Process)) (stderr string, status int) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var e engine.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Errorf("no event: %s", lines.Text())
			continue
		}
		seen(e, cmd.Process)
	}
	_, stderr, status = out2(t, cmd.Wait(), &strings.Builder{}, &errs)
	return stderr, status
}

func signalTo(t *testing.T, p *os.Process, s os.Signal) {
	t.Helper()
	if err := p.Signal(s); err != nil {
		t.Error(err)
	}
}

// TestStopAtBoundaryAndResume: the first signal lets the step under way end
// well, nothing new begins, the exit status is 130, and a resume goes on from
// there to a healthy cluster without doing anything twice.
func TestStopAtBoundaryAndResume(t *testing.T) {
	t.Parallel()
	home, file, plan := brokenLab(t)
	var inStep string
	var begun []string
	cmd := command(t, home, "apply", plan, "--cluster", file, "--confirm=nova-lab", "-o", "json")
	stderr, status := apply(t, cmd, func(e engine.Event, p *os.Process) {
		if e.Type != engine.StepIntent {
			return
		}
		begun = append(begun, e.Step)
		if strings.HasPrefix(e.Step, "stop/") || len(begun) == 3 {
			if inStep == "" {
				inStep = e.Step
				signalTo(t, p, syscall.SIGTERM)
			}
		}
	})
	if status != exitInterrupted {
		t.Fatalf("exit status %d, want %d\n%s", status, exitInterrupted, stderr)
	}
	if !strings.Contains(stderr, inStep) || !strings.Contains(stderr, "novatui resume ") {
		t.Errorf("the words do not name step %s and how to resume:\n%s", inStep, stderr)
	}
	if last := begun[len(begun)-1]; last != inStep {
		t.Errorf("step %s was begun after the signal in %s", last, inStep)
	}
	out, _, _ := run(t, home, "runs", "-o", "json")
	if id, err := lookUp(out, "runs.0.resumable"); err != nil || id != "true" {
		t.Errorf("resumable is %s (%v) in %s", id, err, out)
	}

	again := map[string]int{}
	resume := command(t, home, "resume", "--cluster", file, "-o", "json")
	stderr, status = apply(t, resume, func(e engine.Event, _ *os.Process) {
		if e.Type == engine.StepIntent {
			again[e.Step]++
		}
	})
	if status != 0 {
		t.Fatalf("resume: exit status %d\n%s", status, stderr)
	}
	for _, step := range begun {
		// A resumed feed begins with what the journal holds.
		if again[step] != 1 {
			t.Errorf("step %s was begun %d times", step, again[step])
		}
	}
	healthy(t, home, file)
}

// TestAbortSaysWhatIsUnknown: the second signal ends the run in the middle of a
// step; the words name the step, and a resume finds out what became of it.
func TestAbortSaysWhatIsUnknown(t *testing.T) {
	t.Parallel()
	home, file, plan := brokenLab(t)
	var steps []string
	cmd := command(t, home, "apply", plan, "--cluster", file, "--confirm=nova-lab", "-o", "json")
	stderr, status := apply(t, cmd, func(e engine.Event, p *os.Process) {
		if e.Type == engine.CommandStart && strings.Contains(e.Line, "journalctl") && len(steps) == 0 {
			// etcd is starting and is being waited for.
			steps = append(steps, e.Step)
			signalTo(t, p, os.Interrupt)
			signalTo(t, p, syscall.SIGTERM)
		}
	})
	if len(steps) == 0 {
		t.Fatalf("the step that waits was never begun\n%s", stderr)
	}
	if status != exitInterrupted && status != engine.OutcomeUnknown.ExitStatus() {
		t.Fatalf("exit status %d\n%s", status, stderr)
	}
	if !strings.Contains(stderr, "aborting now") || !strings.Contains(stderr, steps[0]) {
		t.Errorf("the words do not say what the abort leaves open:\n%s", stderr)
	}
	if _, stderr, status := run(t, home, "resume", "--cluster", file); status != 0 {
		t.Fatalf("resume: exit status %d\n%s", status, stderr)
	}
	healthy(t, home, file)
}

// TestClosedPagerDoesNotKillTheRun: nobody reads stdout any more, and the run
// goes on to its end all the same.
func TestClosedPagerDoesNotKillTheRun(t *testing.T) {
	t.Parallel()
	home, file, plan := brokenLab(t)
	cmd := command(t, home, "apply", plan, "--cluster", file, "--confirm=nova-lab")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	var errs strings.Builder
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if _, err := io.ReadFull(r, make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	if _, stderr, status := out2(t, cmd.Wait(), &strings.Builder{}, &errs); status != 0 {
		t.Fatalf("exit status %d\n%s", status, stderr)
	}
	if !strings.Contains(errs.String(), "the run goes on") {
		t.Errorf("nothing says that the output is lost:\n%s", errs.String())
	}
	healthy(t, home, file)
}

func healthy(t *testing.T, home, file string) {
	t.Helper()
	out, stderr, status := run(t, home, "diagnose", "--cluster", file, "-o", "json")
	if state, err := lookUp(out, "state"); err != nil || status != 0 || state != "healthy" {
		t.Errorf("diagnose: exit status %d, state %q (%v)\n%s\n%s", status, state, err, out, stderr)
	}
}

// TestInterruptWhileConnecting: a node that accepts and stays silent does not
// hold the program back when the operator has had enough.
func TestInterruptWhileConnecting(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cmd := command(t, t.TempDir(), "diagnose", "--nodes", silent.Addr().String())
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := silent.Accept() // now it is connecting
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	signalTo(t, cmd.Process, os.Interrupt)
	_, stderr, status := out2(t, cmd.Wait(), &out, &errs)
	if status != exitInterrupted || !strings.Contains(stderr, "interrupt") {
		t.Errorf("exit status %d\n%s", status, stderr)
	}
	if took := time.Since(began); took > 6*time.Second { // a host key is waited for 8 s
		t.Errorf("it took %v to end", took)
	}
}
