package suite_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/e2e/suite"
)

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(suite.Limit); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for: %s", what)
		}
	}
}

// jobs are the folders of a step's jobs on all nodes.
func (w *labWorld) jobs(t testing.TB, step string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, "*", "var/lib/novatui", "*", "jobs", "*."+step+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// signalJob signals every process of a job that has begun.
func signalJob(t testing.TB, job, signal string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(job, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("pkill", "-"+signal, "-s", strings.Fields(string(b))[0]).CombinedOutput(); err != nil {
		t.Fatalf("signal %s to %s: %v %s", signal, job, err, out)
	}
}

// killInTheMiddle applies a plan and kills the program with signal 9 while a
// step's job, which it freezes, is in the middle.
func killInTheMiddle(t testing.TB, w *labWorld, file, step string) (job string) {
	t.Helper()
	ctx, kill := context.WithTimeout(context.Background(), suite.Limit)
	defer kill()
	ended := make(chan suite.Answer, 1)
	go func() { ended <- w.Novatui(ctx, nil, "apply", file, "--confirm", w.Cluster()) }()
	until(t, "the job of "+step, func() bool {
		select {
		case a := <-ended:
			t.Fatalf("ended before: exit %d\n%s", a.Exit, a.Stderr)
		default:
		}
		for _, j := range w.jobs(t, step) {
			if _, err := os.Stat(filepath.Join(j, "begun")); err == nil {
				job = j
			}
		}
		return job != ""
	})
	signalJob(t, job, "STOP")
	kill()
	if a := <-ended; a.Exit != -1 {
		t.Fatalf("it was not killed: exit %d\n%s", a.Exit, a.Stderr)
	}
	if _, err := os.Stat(filepath.Join(job, "exit")); err == nil {
		t.Fatal("the job was not in the middle")
	}
	return job
}

// ranOnce: no job of a step was started twice, and no try of a restore left
// anything.
func ranOnce(t testing.TB, w *labWorld, step string, nodes int) {
	t.Helper()
	jobs := w.jobs(t, step)
	if len(jobs) != nodes || slices.ContainsFunc(jobs, func(j string) bool { return strings.HasSuffix(j, "-2") }) {
		t.Errorf("the jobs of %s are %v", step, jobs)
	}
	if left, _ := filepath.Glob(filepath.Join(w.dir, "*", "var/lib/*.failed-*")); len(left) > 0 {
		t.Errorf("a second try set aside %v", left)
	}
}

// TestKilledInTheMiddleOfARestore: the program is killed with signal 9 while the
// nodes restore. They end it by themselves, or resume waits until they have;
// nothing runs twice.
func TestKilledInTheMiddleOfARestore(t *testing.T) {
	for _, byItself := range []bool{true, false} {
		name := map[bool]string{true: "ends by itself", false: "resume joins it"}[byItself]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLab(t)
			c := named(t, "lose-all")
			before := c.Break(t, w)
			file := suite.Plan(t, w, suite.Diagnose(t, w))
			job := killInTheMiddle(t, w, file, "prepare")
			if byItself {
				signalJob(t, job, "CONT")
				until(t, "the end of the job", func() bool {
					_, err := os.Stat(filepath.Join(job, "exit"))
					return err == nil
				})
			} else {
				defer thaw(t, w, job)()
			}
			ctx, cancel := context.WithTimeout(context.Background(), suite.Limit)
			defer cancel()
			a := w.Novatui(ctx, nil, "resume", "-o", "json")
			if a.Exit != 0 {
				t.Fatalf("resume: exit %d\n%s\n%s", a.Exit, a.Stdout, a.Stderr)
			}
			if !byItself && !bytes.Contains(a.Stdout, []byte("engine.job-joined")) {
				t.Error("the job was not joined")
			}
			c.Proved(t, w, before)
			ranOnce(t, w, "prepare", 3)
		})
	}
}

// thaw lets a frozen job go on as soon as a second command of the journal has
// joined it.
func thaw(t testing.TB, w *labWorld, job string) (wait func()) {
	t.Helper()
	mark := []byte(`"job":"` + filepath.Base(job) + `"`)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for end := time.Now().Add(suite.Limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			found, _ := filepath.Glob(filepath.Join(w.state, "novatui", "runs", "*", "journal.jsonl"))
			for _, f := range found {
				if b, err := os.ReadFile(f); err == nil && bytes.Count(b, mark) >= 2 {
					signalJob(t, job, "CONT")
					return
				}
			}
		}
	}()
	return func() { <-done }
}
