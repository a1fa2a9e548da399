package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// world is the machine's world in these tests: a clock that only the test
// moves, and a record of what the machine did.
type world struct {
	clock  time.Time
	pid    int
	timer  time.Duration
	sent   []string
	lines  []string
	refuse error
}

func (w *world) now() time.Time { return w.clock }
func (w *world) spawn(unitConfig) (int, error) {
	if w.refuse != nil {
		return 0, w.refuse
	}
	w.pid++
	return w.pid, nil
}
func (w *world) kill(pid int, s syscall.Signal) {
	w.sent = append(w.sent, fmt.Sprintf("%s %d", signalName(s), pid))
}
func (w *world) arm(d time.Duration)    { w.timer = d }
func (w *world) log(_ int, text string) { w.lines = append(w.lines, text) }
func (w *world) has(line string) bool   { return slices.Contains(w.lines, line) }
func (w *world) fire(m *machine)        { w.clock = w.clock.Add(w.timer); m.TimerFired() }
func (w *world) pass(d time.Duration)   { w.clock = w.clock.Add(d) }
func (w *world) start(m *machine) *job  { j := newJob(); m.Start(j); return j }
func (w *world) run(t *testing.T, m *machine) {
	t.Helper()
	j := w.start(m)
	m.Ready()
	if got := result(j); got != jobDone || m.st.Sub != subRunning {
		t.Fatalf("start: %s, %s", got, m.st.Sub)
	}
}

func newWorld() (*world, *machine) {
	w := &world{clock: time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC), pid: 100}
	return w, newMachine(unitConfig{
		Name: "etcd.service", Description: "etcd", Load: "loaded", Type: "notify", Restart: "always",
		RestartSec: 2 * time.Second, StartTimeout: 90 * time.Second, StopTimeout: 90 * time.Second,
		LimitWindow: 10 * time.Second, LimitBurst: 5,
	}, w)
}

// result is a job's result, or "pending".
func result(j *job) string {
	select {
	case r := <-j.done:
		return r
	default:
		return "pending"
	}
}

func wantState(t *testing.T, m *machine, active, sub, result string) {
	t.Helper()
	if m.st.Active() != active || m.st.Sub != sub || m.st.Result != result {
		t.Fatalf("state %s/%s/%s, want %s/%s/%s", m.st.Active(), m.st.Sub, m.st.Result, active, sub, result)
	}
}

func TestStartWaitsForReady(t *testing.T) {
	w, m := newWorld()
	j := w.start(m)
	wantState(t, m, "activating", subStart, resultSuccess)
	if got := result(j); got != "pending" {
		t.Fatalf("job is %s before READY=1", got)
	}
	if w.timer != 90*time.Second {
		t.Fatalf("start timeout %v", w.timer)
	}
	m.Ready()
	wantState(t, m, "active", subRunning, resultSuccess)
	if got := result(j); got != jobDone {
		t.Fatalf("job is %s", got)
	}
	if !w.has("Started etcd.service - etcd.") || m.st.ActiveEnter != w.clock {
		t.Fatal(w.lines)
	}
}

func TestCrashAtStartFailsTheJobAndRestarts(t *testing.T) {
	w, m := newWorld()
	j := w.start(m)
	m.Exited(101, codeExited, 2)
	wantState(t, m, "activating", subAutoRestart, resultExitCode)
	if got := result(j); got != jobFailed {
		t.Fatalf("job is %s", got)
	}
	for _, line := range []string{
		"etcd.service: Main process exited, code=exited, status=2/INVALIDARGUMENT",
		"etcd.service: Failed with result 'exit-code'.", "Failed to start etcd.service - etcd.",
	} {
		if !w.has(line) {
			t.Errorf("no line %q in %q", line, w.lines)
		}
	}
	if w.timer != 2*time.Second {
		t.Fatalf("RestartSec is %v", w.timer)
	}
	waiting := w.start(m) // systemctl start waits for the restart
	w.fire(m)
	if !w.has("etcd.service: Scheduled restart job, restart counter is at 1.") || m.st.Restarts != 1 {
		t.Fatal(w.lines)
	}
	wantState(t, m, "activating", subStart, resultSuccess)
	m.Ready()
	if got := result(waiting); got != jobDone {
		t.Fatalf("waiting job is %s", got)
	}
}

func TestCleanExitBeforeReadyIsAProtocolError(t *testing.T) {
	w, m := newWorld()
	w.start(m)
	m.Exited(101, codeExited, 0)
	wantState(t, m, "activating", subAutoRestart, resultProtocol)
}

func TestStartTimeout(t *testing.T) {
	w, m := newWorld()
	j := w.start(m)
	w.fire(m)
	wantState(t, m, "deactivating", subStopTerm, resultTimeout)
	if !slices.Equal(w.sent, []string{"TERM 101", "CONT 101"}) {
		t.Fatal(w.sent)
	}
	m.Exited(101, codeKilled, int(syscall.SIGTERM))
	wantState(t, m, "activating", subAutoRestart, resultTimeout)
	if got := result(j); got != jobFailed {
		t.Fatalf("job is %s", got)
	}
}

func TestStop(t *testing.T) {
	w, m := newWorld()
	w.run(t, m)
	j := newJob()
	m.Stop(j)
	wantState(t, m, "deactivating", subStopTerm, resultSuccess)
	m.Exited(101, codeKilled, int(syscall.SIGTERM))
	wantState(t, m, "inactive", subDead, resultSuccess)
	if got := result(j); got != jobDone {
		t.Fatalf("job is %s", got)
	}
	if w.timer != 0 || !w.has("Stopped etcd.service - etcd.") || !w.has("etcd.service: Deactivated successfully.") {
		t.Fatal(w.timer, w.lines)
	}
}

func TestStopThatIsIgnoredEndsInSIGKILL(t *testing.T) {
	w, m := newWorld()
	w.run(t, m)
	m.Stop(newJob())
	w.fire(m)
	wantState(t, m, "deactivating", subStopKill, resultTimeout)
	m.Exited(101, codeKilled, int(syscall.SIGKILL))
	wantState(t, m, "failed", subFailed, resultTimeout)
	if w.sent[len(w.sent)-1] != "KILL 101" {
		t.Fatal(w.sent)
	}
}

// TestStartLimit follows the case of a unit that is killed again and again: it
// ends as failed, and its result stays what it was, as in systemd 252.
func TestStartLimit(t *testing.T) {
	w, m := newWorld()
	m.c.RestartSec = 100 * time.Millisecond
	w.start(m)
	for i := range 5 {
		m.Exited(101+i, codeKilled, int(syscall.SIGKILL))
		wantState(t, m, "activating", subAutoRestart, resultSignal)
		w.fire(m)
	}
	wantState(t, m, "failed", subFailed, resultSignal)
	if !w.has("etcd.service: Start request repeated too quickly.") {
		t.Fatal(w.lines)
	}
	if j := w.start(m); result(j) != jobFailed {
		t.Fatal("a start within the interval is not refused")
	}
	m.ResetFailed()
	wantState(t, m, "inactive", subDead, resultSuccess)
	w.run(t, m)
	if m.st.Restarts != 0 {
		t.Fatalf("%d restarts after reset-failed", m.st.Restarts)
	}
}

func TestStartLimitAfterCleanExits(t *testing.T) {
	w, m := newWorld()
	m.c.Type, m.c.RestartSec = "simple", 100*time.Millisecond
	w.start(m)
	for i := range 5 {
		m.Exited(101+i, codeExited, 0)
		w.fire(m)
	}
	wantState(t, m, "failed", subFailed, resultStartLimit)
}

func TestSlowCrashesNeverHitTheLimit(t *testing.T) {
	w, m := newWorld()
	w.start(m)
	for i := range 30 {
		w.pass(100 * time.Millisecond)
		m.Exited(101+i, codeExited, 1)
		wantState(t, m, "activating", subAutoRestart, resultExitCode)
		w.fire(m)
	}
	if m.st.Restarts != 30 {
		t.Fatalf("%d restarts", m.st.Restarts)
	}
}

func TestStopDuringAutoRestart(t *testing.T) {
	w, m := newWorld()
	w.start(m)
	m.Exited(101, codeExited, 2)
	waiting := w.start(m)
	j := newJob()
	m.Stop(j)
	wantState(t, m, "inactive", subDead, resultExitCode)
	if result(j) != jobDone || result(waiting) != jobCanceled || w.timer != 0 {
		t.Fatal("the pending restart goes on")
	}
}

func TestStopOfAFailedUnitLeavesItFailed(t *testing.T) {
	_, m := newWorld()
	m.c.Restart = "no"
	m.Start(newJob())
	m.Exited(101, codeExited, 1)
	j := newJob()
	m.Stop(j)
	wantState(t, m, "failed", subFailed, resultExitCode)
	if got := result(j); got != jobDone {
		t.Fatalf("job is %s", got)
	}
}

func TestRestart(t *testing.T) {
	w, m := newWorld()
	w.run(t, m)
	j := newJob()
	m.Restart(j)
	m.Exited(101, codeKilled, int(syscall.SIGTERM))
	wantState(t, m, "activating", subStart, resultSuccess)
	if m.st.MainPID != 102 {
		t.Fatalf("pid %d", m.st.MainPID)
	}
	m.Ready()
	if got := result(j); got != jobDone {
		t.Fatalf("job is %s", got)
	}
}

func TestStartDuringStopCancelsTheStop(t *testing.T) {
	w, m := newWorld()
	w.run(t, m)
	stop := newJob()
	m.Stop(stop)
	start := w.start(m)
	if got := result(stop); got != jobCanceled {
		t.Fatalf("stop is %s", got)
	}
	m.Exited(101, codeKilled, int(syscall.SIGTERM))
	m.Ready()
	if got := result(start); got != jobDone {
		t.Fatalf("start is %s", got)
	}
}

func TestMaskedUnitIsNotRestarted(t *testing.T) {
	w, m := newWorld()
	w.start(m)
	m.Exited(101, codeExited, 1)
	m.c = unitConfig{Name: "etcd.service", Description: "etcd.service", Load: "masked"}
	w.fire(m)
	wantState(t, m, "failed", subFailed, resultExitCode)
	if !w.has("etcd.service: Failed to schedule restart job: Unit etcd.service is masked.") {
		t.Fatal(w.lines)
	}
}

func TestSpawnFailure(t *testing.T) {
	w, m := newWorld()
	w.refuse = errors.New("No such file or directory")
	j := w.start(m)
	wantState(t, m, "activating", subAutoRestart, resultResources)
	if got := result(j); got != jobFailed {
		t.Fatalf("job is %s", got)
	}
}

func TestAnOldProcessIsIgnored(t *testing.T) {
	w, m := newWorld()
	w.run(t, m)
	m.Exited(42, codeExited, 1)
	wantState(t, m, "active", subRunning, resultSuccess)
}

func TestEnvFile(t *testing.T) {
	got := parseEnvFile(strings.Join([]string{
		`# comment`, `; comment`, `A=1`, `  B = two words  `, `C="quoted # not a comment"`, `D='single \n'`,
		`E="a\"b\\c\$d\x"`, `F=one\`, `two`, `G=`, `H="x"y`, `not a variable`, `1BAD=x`, `I=a#b`, `A=2`, `export J=1`,
		`K="two`, `lines"`, `# continued \`, `L=hidden`, `M='`, `N=1`,
	}, "\n"))
	want := []string{
		"A=2", "B=two words", "C=quoted # not a comment", `D=single \n`, `E=a"b\c$d\x`, "F=onetwo", "G=", "H=xy",
		"I=a#b", "K=two\nlines", // L goes with the comment, until systemd 254
		"M=\nN=1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestSpans(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"2": 2 * time.Second, "10s": 10 * time.Second, "1min 30s": 90 * time.Second, "100ms": 100 * time.Millisecond,
		"1h": time.Hour, "1.5s": 1500 * time.Millisecond, "infinity": 0,
	} {
		if got, err := parseSpan(text); err != nil || got != want {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "soon", "5 parsecs", "-1"} {
		if got, err := parseSpan(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	if got := formatSpan(90*time.Second + 500*time.Millisecond); got != "1min 30s 500ms" {
		t.Error(got)
	}
}
