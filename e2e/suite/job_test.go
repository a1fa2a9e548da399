package suite_test

import (
	"bytes"
	"context"
	"os"
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

// slowRestore puts a tool on a node that begins to restore only when the file
// that it returns is made: a job that is sure to be in the middle until then.
func slowRestore(t testing.TB, w *labWorld, node string) (goOn string) {
	t.Helper()
	tool := filepath.Join(w.dir, node, "opt/etcd/etcdutl")
	aside := filepath.Join(w.dir, node, "opt/aside")
	script := `#!/bin/sh
case " $* " in
*" snapshot restore "*) until [ -e "` + aside + `/go" ]; do sleep 0.05; done ;;
esac
exec "` + aside + `/etcdutl" "$@"
`
	for _, err := range []error{
		os.Mkdir(aside, 0o700),
		os.Rename(tool, filepath.Join(aside, "etcdutl")),
		os.WriteFile(tool, []byte(script), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(aside, "go")
}

// killInTheMiddle applies a plan and kills the program with signal 9 once a
// node's job of a step has begun. The job is one that waits (slowRestore).
func killInTheMiddle(t testing.TB, w *labWorld, file, node, step string) (job string) {
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
		begun, _ := filepath.Glob(filepath.Join(w.dir, node, "var/lib/novatui", "*", "jobs", "*."+step+"*", "begun"))
		if len(begun) > 0 {
			job = filepath.Dir(begun[0])
		}
		return job != ""
	})
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
			w := quick(t)
			c := named(t, "lose-all")
			before := c.Break(t, w)
			file := suite.Plan(t, w, suite.Diagnose(t, w))
			const slow = "master-1"
			goOn := slowRestore(t, w, slow)
			job := killInTheMiddle(t, w, file, slow, "prepare")
			if byItself {
				touch(t, goOn)
				until(t, "the end of the job", func() bool {
					_, err := os.Stat(filepath.Join(job, "exit"))
					return err == nil
				})
			} else {
				defer onceJoined(t, w, job, goOn)()
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

// onceJoined lets a job go on as soon as a second command of the journal is
// about to join it.
func onceJoined(t testing.TB, w *labWorld, job, goOn string) (wait func()) {
	t.Helper()
	mark := []byte(`"job":"` + filepath.Base(job) + `"`)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for end := time.Now().Add(suite.Limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			found, _ := filepath.Glob(filepath.Join(w.state, "novatui", "runs", "*", "journal.jsonl"))
			for _, f := range found {
				if b, err := os.ReadFile(f); err == nil && bytes.Count(b, mark) >= 2 {
					touch(t, goOn)
					return
				}
			}
		}
		t.Error("nobody joined the job")
	}()
	return func() { <-done }
}

// touch makes a file.
func touch(t testing.TB, file string) {
	t.Helper()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Error(err)
	}
}
