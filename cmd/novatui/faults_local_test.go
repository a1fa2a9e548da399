package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/novatui/novatui/workflows/engine"
)

// TestFaultLocalLife goes through what can happen to the operator's own machine
// in one run: a home that cannot be written, a full disk (6), a program that is
// stopped for a while (5), a terminal that is closed (4), a torn journal (7), and
// one that a newer program wrote (8). Nothing is done twice, what is refused
// changes nothing, and the run ends proved.
func TestFaultLocalLife(t *testing.T) {
	t.Parallel()
	f := newFaultLab(t)
	f.mustBreak("corrupt-db", "master-2")
	plan := f.plan("master-2")

	t.Run("a home that cannot be written, and a full disk", func(t *testing.T) {
		for name, options := range map[string]string{"read-only": "ro,size=32m", "full": "rw,size=1m"} {
			state := mounted(t, options)
			if state == "" {
				t.Skip("no file system can be mounted here: it needs root, on Linux")
			}
			before := f.fingerprint()
			cmd := command(t, f.home, "apply", plan, "--cluster", f.file, "--confirm=nova-lab")
			cmd.Env = append(cmd.Env, "XDG_STATE_HOME="+state)
			out, err := cmd.CombinedOutput()
			if status := cmd.ProcessState.ExitCode(); err == nil || status != engine.OutcomeFailed.ExitStatus() {
				t.Errorf("%s: exit status %d\n%s", name, status, out)
			}
			if !strings.Contains(string(out), state) {
				t.Errorf("%s: the words do not name the folder:\n%s", name, out)
			}
			if after := f.fingerprint(); after != before {
				t.Errorf("%s: the nodes were changed:\n%s\nwas\n%s", name, after, before)
			}
			look := command(t, f.home, "diagnose", "--cluster", f.file)
			look.Env = append(look.Env, "XDG_STATE_HOME="+state)
			if out, err := look.CombinedOutput(); err != nil {
				t.Errorf("%s: diagnose: %v\n%s", name, err, out)
			}
		}
	})

	begun := map[string]int{}
	count := func(e engine.Event) {
		if e.Type == engine.StepIntent {
			begun[e.Step]++
		}
	}
	var inStep string
	stderr, status := apply(t, command(t, f.home, "apply", plan, "--cluster", f.file, "--confirm=nova-lab", "-o", "json"), func(e engine.Event, p *os.Process) {
		count(e)
		switch {
		case e.Type == engine.StepIntent && len(begun) == 1:
			signalTo(t, p, syscall.SIGSTOP) // what Ctrl-Z does
			time.Sleep(2 * time.Second)     // the fault itself
			signalTo(t, p, syscall.SIGCONT)
		case e.Type == engine.StepIntent && strings.HasPrefix(e.Step, "stop/"):
			inStep = e.Step
			signalTo(t, p, syscall.SIGHUP)
		}
	})
	if status != exitInterrupted || inStep == "" || !strings.Contains(stderr, inStep) || !strings.Contains(stderr, "novatui resume ") {
		t.Fatalf("exit status %d in step %q:\n%s", status, inStep, stderr)
	}

	journal := filepath.Join(f.runDir(), "journal.jsonl")
	whole := read(t, journal)
	write := func(text string) {
		if err := os.WriteFile(journal, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.ReplaceAll(whole, "novatui/event/v1", "novatui/event/v9"))
	before := f.fingerprint()
	_, stderr, status = run(t, f.home, "resume", filepath.Base(f.runDir()), "--cluster", f.file)
	if status == 0 || !strings.Contains(stderr, "newer novatui") || f.fingerprint() != before {
		t.Errorf("a journal of a newer program: exit status %d\n%s", status, stderr)
	}

	write(whole + `{"seq":9999,"type":"step-do`)
	begun = map[string]int{}
	warned := false
	stderr, status = apply(t, command(t, f.home, "resume", "--cluster", f.file, "-o", "json"), func(e engine.Event, _ *os.Process) {
		count(e)
		warned = warned || e.Type == engine.Warning && e.Text.ID == "engine.torn-line"
	})
	if status != 0 || !warned {
		t.Fatalf("resume after a torn line: exit status %d, warned %t\n%s", status, warned, stderr)
	}
	for step, n := range begun { // a resumed feed begins with what the journal holds
		if n != 1 {
			t.Errorf("step %s was begun %d times", step, n)
		}
	}
	healthy(t, f.home, f.file)
}

// mounted mounts a small file system and gives a folder on it; empty where that
// cannot be done.
func mounted(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := exec.Command("mount", "-t", "tmpfs", "-o", options, "novatui-test", dir).Run(); err != nil {
		return ""
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return dir
}

// fingerprint is every file of the nodes that a procedure could change, with
// what is in it, outside of what etcd itself and the machine write.
func (f *faultLab) fingerprint() string {
	f.t.Helper()
	var b strings.Builder
	for _, node := range []string{"master-1", "master-2", "master-3"} {
		root := filepath.Join(filepath.Dir(f.ClusterFile()), node)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(root, path)
			switch {
			case err != nil:
				return nil // etcd removed it while we walked
			case d.IsDir() && (rel == "var/lib/etcd/member" || rel == "var/log" || rel == "run" || rel == "proc"):
				return filepath.SkipDir
			case !d.Type().IsRegular() && !d.IsDir():
				return nil
			}
			sum := ""
			if content, err := os.ReadFile(path); err == nil {
				sum = fmt.Sprintf("%x", sha256.Sum256(content))[:12]
			}
			fmt.Fprintf(&b, "%s %s %s\n", node, rel, sum)
			return nil
		})
		if err != nil {
			f.t.Fatal(err)
		}
	}
	return b.String()
}

// TestFaultTerminalCloses (4): the terminal of the wizard is closed in the
// middle of a run, as by a laptop's lid or a lost connection. The wizard ends by
// itself at a boundary, and the run can be resumed.
func TestFaultTerminalCloses(t *testing.T) {
	t.Parallel()
	f := newFaultLab(t)
	f.mustBreak("corrupt-db", "master-2")
	s, _, wait := wizardOn(t, f)
	s.sees(0, time.Minute, "Recommended")
	s.types("\r", "What shall be done", "CHOOSE")
	s.types("\r", "REVIEW")
	s.types("\r", "Type the cluster's name")
	s.keys("nova-lab\r")
	f.awaits("etcd is being stopped", func(e engine.Event) bool {
		return e.Type == engine.StepIntent && strings.HasPrefix(e.Step, "stop/")
	})
	if err := s.master.Close(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- wait() }()
	select {
	case err := <-ended:
		t.Logf("the wizard ended: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the wizard did not end with its terminal")
	}
	_, events, err := engine.LoadRun(filepath.Dir(f.runDir()), filepath.Base(f.runDir()))
	if err != nil {
		t.Fatal(err)
	}
	state := engine.Replay(events)
	if state.Outcome != engine.OutcomeInterrupted || len(state.Unknown()) > 0 {
		t.Errorf("outcome %q, unknown %v", state.Outcome, state.Unknown())
	}
	if _, stderr, status := run(t, f.home, "resume", "--cluster", f.file); status != 0 {
		t.Fatalf("resume: exit status %d\n%s", status, stderr)
	}
	healthy(t, f.home, f.file)
}
