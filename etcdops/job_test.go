package etcdops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/novatui/novatui/remote"
)

// jobRun is one run of detach.sh: a follower.
type jobRun struct {
	cmd      *exec.Cmd
	out, err bytes.Buffer
}

// jobAt makes a follower of the job in a folder, under a shell.
func jobAt(shell []string, dir, limit string, out, err int, command ...string) *jobRun {
	argv := append(slices.Clone(shell[1:]), "-c", scriptText("detach.sh"), "novatui", dir, limit, strconv.Itoa(out), strconv.Itoa(err))
	r := &jobRun{cmd: exec.Command(shell[0], append(argv, command...)...)}
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.err
	return r
}

// end waits for a follower and gives what the job wrote, without the follower's
// own first lines, and the status.
func (r *jobRun) end(t testing.TB) (out, errOut string, status int) {
	t.Helper()
	if r.cmd.Process == nil {
		if err := r.cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	_ = r.cmd.Wait() // the status says it
	return unmarked(t, r.out.String()), unmarked(t, r.err.String()), r.cmd.ProcessState.ExitCode()
}

func unmarked(t testing.TB, s string) string {
	t.Helper()
	mark, rest, ok := strings.Cut(s, "\n")
	if !ok || mark != jobPrefix+"started" && mark != jobPrefix+"joined" {
		t.Errorf("no mark at the beginning of %.200q", s)
	}
	return rest
}

func sizeOf(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return st.Size()
}

func countLines(path string) int {
	b, _ := os.ReadFile(path)
	return bytes.Count(b, []byte("\n"))
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for: %s", what)
		}
	}
}

func jobDir(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), odd, "tag", "jobs", "run.step.0")
}

func TestJobEndsAsItsCommandDoes(t *testing.T) {
	for _, shell := range shells(t) {
		dir := jobDir(t)
		arg := "it's $HOME `x` \"y\" \\ *\nsecond line"
		script := `printf '%s|%s|' "$1" "$ADDED"; umask; cat; printf 'part\nrefused: because' >&2; exit 3`
		r := jobAt(shell, dir, "20", 0, 0, "/bin/sh", "-c", script, "job", arg)
		r.cmd.Env = append(os.Environ(), "ADDED=from the caller")
		out, errOut, status := r.end(t)
		if want := arg + "|from the caller|0022\n"; out != want || errOut != "part\nrefused: because" || status != ExitRefused {
			t.Errorf("%v: status %d, out %q, err %q", shell, status, out, errOut)
		}
		if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("%v: the folder: %v %v", shell, st, err)
		}
		if got := read(t, filepath.Join(dir, "exit")); got != "3\n" {
			t.Errorf("%v: exit holds %q", shell, got)
		}
		// Whoever comes later gets the same, from where it says, and nothing
		// runs again.
		out, errOut, status = jobAt(shell, dir, "20", 5, 5, "/bin/sh", "-c", "echo never").end(t)
		if !strings.HasPrefix(out, "$HOME") || errOut != "refused: because" || status != ExitRefused {
			t.Errorf("%v: again: status %d, out %q, err %q", shell, status, out, errOut)
		}
	}
}

func TestJobOutlivesItsFollowersAndRunsOnce(t *testing.T) {
	for _, shell := range shells(t) {
		dir, count := jobDir(t), filepath.Join(t.TempDir(), "count")
		command := []string{"/bin/sh", "-c", `echo run >>"$1"; i=0
			while [ $i -lt 20 ]; do i=$((i+1)); echo "line $i"; echo "error $i" >&2; sleep 0.05; done`, "job", count}
		first := jobAt(shell, dir, "20", 0, 0, command...)
		if err := first.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "output", func() bool { return sizeOf(filepath.Join(dir, "out")) > 0 })
		_ = syscall.Kill(-first.cmd.Process.Pid, syscall.SIGKILL) // as a node does with a session
		_ = first.cmd.Wait()
		whole := func(name string) string {
			var b strings.Builder
			for i := 1; i <= 20; i++ {
				fmt.Fprintf(&b, "%s %d\n", name, i)
			}
			return b.String()
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				out, errOut, status := jobAt(shell, dir, "20", 7, 8, command...).end(t)
				if out != whole("line")[7:] || errOut != whole("error")[8:] || status != 0 {
					t.Errorf("%v: status %d, out %q, err %q", shell, status, out, errOut)
				}
			})
		}
		wg.Wait()
		if n := countLines(count); n != 1 {
			t.Errorf("%v: ran %d times", shell, n)
		}
	}
}

func TestJobOfManyBeginners(t *testing.T) {
	for _, shell := range shells(t) {
		dir, count := jobDir(t), filepath.Join(t.TempDir(), "count")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				out, errOut, status := jobAt(shell, dir, "20", 0, 0, "/bin/sh", "-c", `echo run >>"$1"; sleep 0.2; echo done`, "job", count).end(t)
				if out != "done\n" || errOut != "" || status != 0 {
					t.Errorf("%v: status %d, %q, %q", shell, status, out, errOut)
				}
			})
		}
		wg.Wait()
		if n := countLines(count); n != 1 {
			t.Errorf("%v: ran %d times", shell, n)
		}
	}
}

func TestJobWithMuchOutput(t *testing.T) {
	for _, shell := range shells(t) {
		dir := jobDir(t)
		// Every byte there is, on both at once.
		command := []string{"/bin/sh", "-c", `head -c 5000000 /dev/urandom >"$1"; cat "$1"; head -c 3000000 "$1" >&2`, "job", filepath.Join(t.TempDir(), "bytes")}
		out, errOut, status := jobAt(shell, dir, "60", 0, 0, command...).end(t)
		want := read(t, command[4])
		if out != want || errOut != want[:3000000] || status != 0 {
			t.Fatalf("%v: status %d, %d and %d bytes", shell, status, len(out), len(errOut))
		}
		out, errOut, _ = jobAt(shell, dir, "60", 4999990, 1048577, command...).end(t)
		if out != want[4999990:] || errOut != want[1048577:3000000] {
			t.Errorf("%v: from the middle: %d and %d bytes", shell, len(out), len(errOut))
		}
	}
}

// lost: a follower says that the job ended without a status.
func lost(t *testing.T, shell []string, dir string, wants ...error) {
	t.Helper()
	_, errOut, status := jobAt(shell, dir, "20", 0, 0, "/bin/sh", "-c", "echo never").end(t)
	err := Jobs{}.Fate(status, []byte(errOut))
	for _, want := range wants {
		if !errors.Is(err, want) {
			t.Errorf("%v: status %d, %q: %v, want %v", shell, status, errOut, err, want)
		}
	}
}

func TestJobThatWasKilledIsLost(t *testing.T) {
	for _, shell := range shells(t) {
		dir := jobDir(t)
		r := jobAt(shell, dir, "20", 0, 0, "/bin/sh", "-c", "printf 'half a line' >&2; sleep 60")
		if err := r.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "output", func() bool { return sizeOf(filepath.Join(dir, "err")) > 0 })
		pid, _, _ := strings.Cut(read(t, filepath.Join(dir, "pid")), " ")
		out, err := exec.Command("pkill", "-KILL", "-s", pid).CombinedOutput()
		if err != nil {
			t.Fatalf("killing session %s: %v %s", pid, err, out)
		}
		_, errOut, status := r.end(t)
		fate := Jobs{}.Fate(status, []byte(errOut))
		if !errors.Is(fate, remote.ErrJobGone) || !errors.Is(fate, remote.ErrOutcomeUnknown) || !strings.HasPrefix(errOut, "half a line\nnovatui-job: lost") {
			t.Errorf("%v: status %d, %q: %v", shell, status, errOut, fate)
		}
		lost(t, shell, dir, remote.ErrJobGone, remote.ErrOutcomeUnknown)
	}
}

// TestJobIsNotLostWhileAnyOfItRuns: the process that would have written the
// status is gone, and the command is not.
func TestJobIsNotLostWhileAnyOfItRuns(t *testing.T) {
	for _, shell := range shells(t) {
		dir, free := jobDir(t), filepath.Join(t.TempDir(), "free")
		r := jobAt(shell, dir, "20", 0, 0, "/bin/sh", "-c", `echo up; while [ ! -f "$1" ]; do sleep 0.05; done; echo late words`, "job", free)
		if err := r.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "output", func() bool { return sizeOf(filepath.Join(dir, "out")) > 0 })
		pid, err := strconv.Atoi(strings.Fields(read(t, filepath.Join(dir, "pid")))[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		other := jobAt(shell, dir, "20", 0, 0, "/bin/sh", "-c", "echo never")
		if err := other.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = other.cmd.Wait(); close(ended) }()
		select {
		case <-ended:
			t.Errorf("%v: given up while the command runs: %s", shell, other.err.String())
		case <-time.After(500 * time.Millisecond): // nothing must happen meanwhile
		}
		write(t, free, "")
		<-ended
		if fate := (Jobs{}).Fate(other.cmd.ProcessState.ExitCode(), other.err.Bytes()); !errors.Is(fate, remote.ErrJobGone) || !strings.HasSuffix(other.out.String(), "up\nlate words\n") {
			t.Errorf("%v: %v, %q", shell, fate, other.out.String())
		}
		_, _, _ = r.end(t)
	}
}

func TestJobBeforeAReboot(t *testing.T) {
	for _, shell := range shells(t) {
		for _, command := range []string{"echo ran", "echo ran; sleep 60"} {
			dir := jobDir(t)
			r := jobAt(shell, dir, "60", 0, 0, "/bin/sh", "-c", command)
			if err := r.cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "output", func() bool { return sizeOf(filepath.Join(dir, "out")) > 0 })
			write(t, filepath.Join(dir, "boot"), "another\n")
			// Also when it had ended: its work need not have reached the disk.
			lost(t, shell, dir, remote.ErrJobGone)
			pid := strings.Fields(read(t, filepath.Join(dir, "pid")))[0]
			_ = exec.Command("pkill", "-KILL", "-s", pid).Run() // the first has ended
			_, _, _ = r.end(t)
		}
		// Another process has the number now.
		dir := jobDir(t)
		_, _, _ = jobAt(shell, dir, "20", 0, 0, "true").end(t)
		if err := os.Rename(filepath.Join(dir, "exit"), filepath.Join(dir, "exit.before")); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "pid"), fmt.Sprintf("%d 1\n", os.Getpid()))
		lost(t, shell, dir, remote.ErrJobGone)
		// The power failed while the status was written.
		write(t, filepath.Join(dir, "exit"), "")
		lost(t, shell, dir, remote.ErrJobGone)
	}
}

// TestJobThatNeverBegan: whoever made the folder died at once. It is given up,
// and could not begin any more.
func TestJobThatNeverBegan(t *testing.T) {
	t.Parallel()
	dir := jobDir(t)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lost(t, []string{"sh"}, dir, remote.ErrJobGone)
	if _, err := os.Stat(filepath.Join(dir, "begun")); err != nil {
		t.Error("it could still begin")
	}
}

func TestJobThatCannotStart(t *testing.T) {
	for _, shell := range shells(t) {
		dir := jobDir(t)
		tag := filepath.Dir(filepath.Dir(dir))
		if err := os.MkdirAll(filepath.Dir(tag), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, tag, "a file is in the way")
		lost(t, shell, dir, remote.ErrNotStarted)
	}
}

// TestJobOfAnotherRunMustEndFirst: whoever took over from a killed wizard knows
// nothing of what it left running.
func TestJobOfAnotherRunMustEndFirst(t *testing.T) {
	for _, shell := range shells(t) {
		dir, free := jobDir(t), filepath.Join(t.TempDir(), "free")
		first := jobAt(shell, dir, "20", 0, 0, "/bin/sh", "-c", `echo up; while [ ! -f "$1" ]; do sleep 0.05; done`, "job", free)
		if err := first.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "output", func() bool { return sizeOf(filepath.Join(dir, "out")) > 0 })
		runs := filepath.Dir(filepath.Dir(filepath.Dir(dir)))
		other := filepath.Join(runs, "tag2", "jobs", "another.step.0")
		lost(t, shell, other, remote.ErrNotStarted)
		if _, err := os.Stat(other); err == nil {
			t.Errorf("%v: its key is used up", shell)
		}
		if out, errOut, status := jobAt(shell, filepath.Join(filepath.Dir(dir), "run.step.1"), "20", 0, 0, "echo", "own").end(t); out != "own\n" || status != 0 {
			t.Errorf("%v: the same run: status %d, %s", shell, status, errOut)
		}
		write(t, free, "")
		_, _, _ = first.end(t)
		if out, errOut, status := jobAt(shell, other, "20", 0, 0, "echo", "now").end(t); out != "now\n" || status != 0 {
			t.Errorf("%v: afterwards: status %d, %s", shell, status, errOut)
		}
	}
}

// TestJobThatWasGivenUp: its folder says that it never began, and it has no
// process. Where there are kernel threads, they are none of it.
func TestJobThatWasGivenUp(t *testing.T) {
	for _, shell := range shells(t) {
		dir := jobDir(t)
		if err := os.MkdirAll(filepath.Join(dir, "begun"), 0o700); err != nil {
			t.Fatal(err)
		}
		boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		if err != nil {
			t.Skip("no boot id here")
		}
		write(t, filepath.Join(dir, "boot"), string(boot))
		lost(t, shell, dir, remote.ErrJobGone)
	}
}

// onlyWith is an environment whose PATH has the tools that a job needs, and the
// others that are named.
func onlyWith(t *testing.T, more ...string) []string {
	t.Helper()
	bin := t.TempDir()
	for _, tool := range append([]string{"sh", "cat", "tail", "head", "wc", "mkdir", "mv", "sleep", "awk", "ps", "true"}, more...) {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Skipf("no %s here", tool)
		}
		if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"PATH=" + bin}
}

// TestJobWithoutItsTools: setsid(1) and timeout(1) are not everywhere (macOS).
func TestJobWithoutItsTools(t *testing.T) {
	for _, shell := range shells(t) {
		if shell[0] == "busybox" {
			continue // it has both built in
		}
		path, err := exec.LookPath(shell[0])
		if err != nil {
			t.Fatal(err)
		}
		shell := append([]string{path}, shell[1:]...)
		for _, tools := range [][]string{{}, {"perl"}, {"setsid"}, {"setsid", "timeout"}} {
			env := onlyWith(t, tools...)
			dir := jobDir(t)
			first := jobAt(shell, dir, "20", 0, 0, "/bin/sh", "-c", "echo begun; sleep 0.5; echo ended; exit 7")
			first.cmd.Env = env
			if err := first.cmd.Start(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "output", func() bool { return sizeOf(filepath.Join(dir, "out")) > 0 })
			if len(tools) == 0 {
				_ = syscall.Kill(first.cmd.Process.Pid, syscall.SIGHUP)
			} else {
				_ = syscall.Kill(-first.cmd.Process.Pid, syscall.SIGTERM)
			}
			_ = first.cmd.Wait()
			second := jobAt(shell, dir, "20", 0, 0, "false")
			second.cmd.Env = env
			if out, errOut, status := second.end(t); out != "begun\nended\n" || status != 7 {
				t.Errorf("%v with %v: status %d, %q, %q", shell, tools, status, out, errOut)
			}

			dir = jobDir(t)
			late := jobAt(shell, dir, "1", 0, 0, "/bin/sh", "-c", "echo begun; sleep 60; echo never")
			late.cmd.Env = env
			began := time.Now()
			out, errOut, status := late.end(t)
			fate := Jobs{}.Fate(status, []byte(errOut))
			if !errors.Is(fate, context.DeadlineExceeded) || !errors.Is(fate, remote.ErrOutcomeUnknown) || errors.Is(fate, remote.ErrJobGone) || out != "begun\n" {
				t.Errorf("%v with %v: too late: status %d, %q, %q after %v: %v", shell, tools, status, out, errOut, time.Since(began), fate)
			}
		}
	}
}

// TestFollowerEndsWithItsReader: nobody tells a follower that waits that its
// connection is gone.
func TestFollowerEndsWithItsReader(t *testing.T) {
	for _, shell := range shells(t) {
		dir, pidFile := jobDir(t), filepath.Join(t.TempDir(), "pid")
		argv := append(slices.Clone(shell), "-c", scriptText("detach.sh"), "novatui", dir, "20", "0", "0", "sleep", "60")
		server := exec.Command("sh", append([]string{"-c", `"$@" & echo $! >"$0"; wait`, pidFile}, argv...)...)
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the job", func() bool { return sizeOf(pidFile) > 0 && sizeOf(filepath.Join(dir, "pid")) > 0 })
		follower, err := strconv.Atoi(strings.TrimSpace(read(t, pidFile)))
		if err != nil {
			t.Fatal(err)
		}
		_ = server.Process.Kill()
		_ = server.Wait()
		waitFor(t, "the end of the follower", func() bool {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", follower))
			return err != nil || bytes.Contains(b, []byte(") Z "))
		})
		job := strings.Fields(read(t, filepath.Join(dir, "pid")))[0]
		if out, err := exec.Command("pkill", "-KILL", "-s", job).CombinedOutput(); err != nil {
			t.Errorf("%v: the job is gone as well: %v %s", shell, err, out)
		}
	}
}
