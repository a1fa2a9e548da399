package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// The environment of a child: the folder of its nodes, the run to resume
// (empty: start), after which event it kills itself (0: never), and whether
// the commands that change something kill it.
const (
	childEnv    = "ENGINE_TEST_CHILD"
	childRun    = "ENGINE_TEST_RUN"
	childKillAt = "ENGINE_TEST_KILL_AT"
	childDeadly = "ENGINE_TEST_DEADLY"
)

// childMain is a wizard that dies on purpose. It ends with the exit status of
// the run.
func childMain() int {
	l := &local{dir: os.Getenv(childEnv), broken: map[string]bool{}}
	b := demo()
	if os.Getenv(childDeadly) != "" {
		b = deadly()
	}
	p, err := b.Build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	killAt, _ := strconv.Atoi(os.Getenv(childKillAt))
	n := 0
	o := options(l, p)
	o.OnEvent = func(Event) {
		if n++; n == killAt {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way
		}
	}
	var r *Run
	if id := os.Getenv(childRun); id != "" {
		r, err = Resume(context.Background(), o, id)
	} else {
		r, err = Start(context.Background(), o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 98
	}
	res := r.Wait()
	if res.Err != nil {
		fmt.Fprintln(os.Stderr, res.Err)
	}
	return res.Outcome.ExitStatus()
}

// deadly is a plan whose every change kills the wizard after it took effect
// and before the wizard learns of it.
func deadly() *Builder {
	b := testBuilder("demo")
	for _, id := range []string{"one", "two", "three"} {
		s := evident("n1", id, remote.Change, id)
		kill := sh(remote.Change, `echo "$1" >> evidence; kill -9 "$PPID"; sleep 60`, id)
		s.Commands = onNode("n1", kill)
		s.Do = func(ctx context.Context, x *Exec) error {
			_, err := x.Run(ctx, "n1", kill)
			return err
		}
		b.Stage(id, msg.Raw(id), s)
	}
	return b
}

// child runs one life of the wizard; killed says that it ended by SIGKILL.
func child(t *testing.T, env ...string) (status int, killed bool, out string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	// The race detector lets a process linger for a second at its end.
	cmd.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0"), env...)
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		ws, _ := exit.Sys().(syscall.WaitStatus)
		return exit.ExitCode(), ws.Signaled() && ws.Signal() == syscall.SIGKILL, string(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, false, string(b)
}

func onlyRun(t *testing.T, dir string) string {
	t.Helper()
	runs, _ := filepath.Glob(filepath.Join(dir, "runs", testTag+"-demo-*"))
	if len(runs) != 1 {
		t.Fatalf("runs: %v", runs)
	}
	return filepath.Base(runs[0])
}

// TestKilledAtEveryEventThenResumed kills the wizard right after each event,
// first of a run, then also of its resumption. Whatever the moment, a resume
// ends with every step done exactly once.
func TestKilledAtEveryEventThenResumed(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	for at := 1; ; at++ {
		l := newLocal(t)
		status, killed, out := child(t, childEnv+"="+l.dir, childKillAt+"="+strconv.Itoa(at))
		if !killed {
			if status != 0 {
				t.Fatalf("run without a kill: status %d\n%s", status, out)
			}
			if at < 40 {
				t.Fatalf("the run has only %d events", at-1)
			}
			checkEvidence(t, l, demoEvidence)
			return
		}
		id := onlyRun(t, l.dir)
		if at%3 == 0 {
			// This life is cut short as well.
			if _, killed, out := child(t, childEnv+"="+l.dir, childRun+"="+id, childKillAt+"="+strconv.Itoa(1+at/2)); !killed && at < 40 {
				t.Logf("event %d: the second life ended by itself: %s", at, out)
			}
		}
		status, _, out = child(t, childEnv+"="+l.dir, childRun+"="+id)
		_, stored, err := LoadRun(filepath.Join(l.dir, "runs"), id)
		if err != nil {
			t.Fatalf("killed at event %d: %v", at, err)
		}
		s := Replay(stored)
		if status != 0 && !errors.Is(errorOf(out), ErrRunDone) || s.Outcome != OutcomeDone {
			t.Errorf("killed at event %d: status %d, journal says %s\n%s", at, status, s.Outcome, out)
		}
		checkEvidence(t, l, demoEvidence)
		if t.Failed() {
			t.Fatalf("killed at event %d", at)
		}
	}
}

// errorOf recognizes the one refusal that a killed run may meet: it was done.
func errorOf(out string) error {
	if strings.Contains(out, ErrRunDone.Error()) {
		return ErrRunDone
	}
	return nil
}

// TestKilledWhileACommandRuns: the wizard dies after the command took effect
// and before it learnt that. The step is unknown; the probe finds it done.
func TestKilledWhileACommandRuns(t *testing.T) {
	l := newLocal(t)
	env := []string{childEnv + "=" + l.dir, childDeadly + "=1"}
	if _, killed, out := child(t, env...); !killed {
		t.Fatalf("the wizard lives: %s", out)
	}
	id := onlyRun(t, l.dir)
	_, stored, err := LoadRun(filepath.Join(l.dir, "runs"), id)
	if err != nil {
		t.Fatal(err)
	}
	if s := Replay(stored); s.Step("one").Status != StatusUnknown || !s.Changed || s.Outcome != "" {
		t.Errorf("after the kill: %+v", s)
	}
	infos, problems := Runs(filepath.Join(l.dir, "runs"))
	if len(problems) > 0 || len(infos) != 1 || infos[0].Outcome != OutcomeUnknown || !infos[0].Resumable || infos[0].Active {
		t.Errorf("runs: %+v %v", infos, problems)
	}
	for range 2 {
		if _, killed, out := child(t, append(env, childRun+"="+id)...); !killed {
			t.Fatalf("the wizard lives: %s", out)
		}
	}
	if status, killed, out := child(t, append(env, childRun+"="+id)...); killed || status != 0 {
		t.Fatalf("status %d, killed %t: %s", status, killed, out)
	}
	checkEvidence(t, l, map[string]string{"n1": "one two three"})
}
