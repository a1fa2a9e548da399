package lab

import (
	"fmt"
	"syscall"
	"time"
)

// Sub states of a service, and the active state that each belongs to
// (systemd 252, src/core/service.c, state_translation_table).
const (
	subDead        = "dead"
	subStart       = "start"
	subRunning     = "running"
	subStopTerm    = "stop-sigterm"
	subStopKill    = "stop-sigkill"
	subFailed      = "failed"
	subAutoRestart = "auto-restart"
)

var activeOf = map[string]string{
	subDead: "inactive", subStart: "activating", subRunning: "active", subStopTerm: "deactivating",
	subStopKill: "deactivating", subFailed: "failed", subAutoRestart: "activating",
}

// Results of a service.
const (
	resultSuccess    = "success"
	resultExitCode   = "exit-code"
	resultSignal     = "signal"
	resultCoreDump   = "core-dump"
	resultTimeout    = "timeout"
	resultProtocol   = "protocol"
	resultResources  = "resources"
	resultStartLimit = "start-limit-hit"
)

// Results of a job.
const (
	jobDone     = "done"
	jobFailed   = "failed"
	jobCanceled = "canceled"
)

// Codes of ExecMainCode, as wait(2) has them in si_code.
const (
	codeExited = 1
	codeKilled = 2
	codeDumped = 3
)

// Priorities of journal lines (syslog).
const (
	prioErr     = 3
	prioWarning = 4
	prioNotice  = 5
	prioInfo    = 6
)

// unitState is what systemctl can tell about a unit at one moment.
type unitState struct {
	Sub        string
	Result     string
	MainPID    int // 0: no process
	ExecPID    int // of the last process
	ExecCode   int
	ExecStatus int
	Restarts   int

	StateChange, ActiveEnter, ActiveExit, InactiveEnter, InactiveExit, ExecStart, ExecExit time.Time
}

// Active is the active state that Sub belongs to.
func (s unitState) Active() string { return activeOf[s.Sub] }

// effects is what the state machine does to the world.
type effects interface {
	now() time.Time
	// spawn starts the main process.
	spawn(c unitConfig) (pid int, err error)
	kill(pid int, sig syscall.Signal)
	// arm sets the machine's one timer, 0 stops it.
	arm(d time.Duration)
	// log writes one of systemd's own lines about the unit.
	log(priority int, text string)
}

// job is a start or stop that somebody waits for.
type job struct{ done chan string }

func newJob() *job { return &job{done: make(chan string, 1)} }

func finish(jobs *[]*job, result string) {
	for _, j := range *jobs {
		j.done <- result
	}
	*jobs = nil
}

// machine is systemd's service state machine as far as a Type=notify or simple
// service without dependencies can meet it (systemd 252, src/core/service.c and
// job.c). It is driven from outside under its owner's lock and knows neither
// processes nor clocks.
type machine struct {
	c  unitConfig
	st unitState
	fx effects

	starts    []time.Time // within the start limit's window
	startJobs []*job
	stopJobs  []*job
	inStart   bool // from the start of the process until it is up
	restart   bool // start again once it is stopped
	forbid    bool // the operator stopped it: Restart= does not apply
	flush     bool // the next start begins the restart counter anew
}

func newMachine(c unitConfig, fx effects) *machine {
	return &machine{c: c, fx: fx, st: unitState{Sub: subDead, Result: resultSuccess}, flush: true}
}

// title is how systemd names the unit in its messages (combined format).
func (m *machine) title() string {
	return unitTitle(m.c)
}

func unitTitle(c unitConfig) string {
	if c.Description == c.Name {
		return c.Name
	}
	return c.Name + " - " + c.Description
}

func (m *machine) about(priority int, format string, args ...any) {
	m.fx.log(priority, m.c.Name+": "+fmt.Sprintf(format, args...))
}

// set enters a sub state and keeps the time stamps as unit_notify does.
func (m *machine) set(sub string) {
	was, is := activeOf[m.st.Sub], activeOf[sub]
	if m.st.Sub == sub {
		return
	}
	now := m.fx.now()
	idle := func(a string) bool { return a == "inactive" || a == "failed" }
	m.st.Sub, m.st.StateChange = sub, now
	switch {
	case idle(was) && !idle(is):
		m.st.InactiveExit = now
	case !idle(was) && idle(is):
		m.st.InactiveEnter = now
	}
	switch {
	case was != "active" && is == "active":
		m.st.ActiveEnter = now
	case was == "active" && is != "active":
		m.st.ActiveExit = now
	}
}

// Start is systemctl start.
func (m *machine) Start(j *job) {
	switch m.st.Sub {
	case subRunning:
		j.done <- jobDone
	case subStart, subAutoRestart: // the pending start or restart answers for it
		m.startJobs = append(m.startJobs, j)
	case subStopTerm, subStopKill:
		finish(&m.stopJobs, jobCanceled)
		m.startJobs = append(m.startJobs, j)
		m.restart = true
	default:
		m.startJobs = append(m.startJobs, j)
		m.begin()
	}
}

// Stop is systemctl stop. A failed unit stays failed.
func (m *machine) Stop(j *job) {
	switch m.st.Sub {
	case subDead, subFailed:
		j.done <- jobDone
	case subAutoRestart:
		m.fx.arm(0)
		m.flush = true
		finish(&m.startJobs, jobCanceled)
		m.set(subDead)
		m.fx.log(prioInfo, "Stopped "+m.title()+".")
		j.done <- jobDone
	default:
		finish(&m.startJobs, jobCanceled)
		m.stopJobs = append(m.stopJobs, j)
		m.restart = false
		m.terminate()
	}
}

// Restart is systemctl restart; a unit that is not running is started.
func (m *machine) Restart(j *job) {
	switch m.st.Sub {
	case subDead, subFailed:
		m.Start(j)
	case subAutoRestart:
		m.startJobs = append(m.startJobs, j)
		m.fx.arm(0)
		m.flush = true
		m.set(subDead)
		m.fx.log(prioInfo, "Stopped "+m.title()+".")
		m.begin()
	default:
		m.startJobs = append(m.startJobs, j)
		m.restart = true
		m.terminate()
	}
}

// ResetFailed is systemctl reset-failed: it also forgets the start limit.
func (m *machine) ResetFailed() {
	if m.st.Sub == subFailed {
		m.set(subDead)
	}
	m.st.Result = resultSuccess
	m.st.Restarts = 0
	m.starts = nil
}

// terminate asks the main process to end, once.
func (m *machine) terminate() {
	m.forbid = true
	if m.st.Sub == subStopTerm || m.st.Sub == subStopKill {
		return
	}
	m.fx.log(prioInfo, "Stopping "+m.title()+"...")
	m.signalStop()
}

// signalStop sends SIGTERM, and SIGCONT after it so that a suspended process
// can follow (systemd.kill(5)).
func (m *machine) signalStop() {
	m.set(subStopTerm)
	m.fx.kill(m.st.MainPID, syscall.SIGTERM)
	m.fx.kill(m.st.MainPID, syscall.SIGCONT)
	m.fx.arm(m.c.StopTimeout)
}

// begin starts the main process, unless it was started too often.
func (m *machine) begin() {
	m.restart, m.inStart = false, true
	if m.limitHit() {
		m.about(prioWarning, "Start request repeated too quickly.")
		m.dead(resultStartLimit, false)
		return
	}
	m.st.Result, m.forbid = resultSuccess, false
	if m.flush {
		m.st.Restarts, m.flush = 0, false
	}
	m.set(subStart)
	m.fx.log(prioInfo, "Starting "+m.title()+"...")
	pid, err := m.fx.spawn(m.c)
	if err != nil {
		m.about(prioWarning, "Failed to run 'start' task: %v", err)
		m.dead(resultResources, true)
		return
	}
	m.st.MainPID, m.st.ExecPID = pid, pid
	m.st.ExecCode, m.st.ExecStatus = 0, 0
	m.st.ExecStart, m.st.ExecExit = m.fx.now(), time.Time{}
	if m.c.Type != "notify" {
		m.up()
		return
	}
	m.fx.arm(m.c.StartTimeout)
}

// limitHit counts this start against StartLimitIntervalSec= and Burst=. Like
// systemd's rate limit it opens a window with the first start and begins a new
// one when that is over.
func (m *machine) limitHit() bool {
	if m.c.LimitWindow <= 0 || m.c.LimitBurst <= 0 {
		return false
	}
	now := m.fx.now()
	if len(m.starts) == 0 || now.Sub(m.starts[0]) >= m.c.LimitWindow {
		m.starts = m.starts[:0]
	}
	if len(m.starts) >= m.c.LimitBurst {
		return true
	}
	m.starts = append(m.starts, now)
	return false
}

// Ready is READY=1 from the main process.
func (m *machine) Ready() {
	if m.st.Sub == subStart {
		m.up()
	}
}

func (m *machine) up() {
	m.fx.arm(0)
	m.inStart = false
	m.set(subRunning)
	m.fx.log(prioInfo, "Started "+m.title()+".")
	finish(&m.startJobs, jobDone)
}

// Exited says that the main process ended.
func (m *machine) Exited(pid, code, status int) {
	if pid != m.st.MainPID || pid == 0 {
		return
	}
	m.st.MainPID, m.st.ExecCode, m.st.ExecStatus, m.st.ExecExit = 0, code, status, m.fx.now()
	result := resultOf(code, status)
	if result != resultSuccess {
		prio := prioNotice
		if code != codeExited {
			prio = prioWarning
		}
		m.about(prio, "Main process exited, code=%s, status=%d/%s", codeName(code), status, statusName(code, status))
	} else if m.st.Sub == subStart {
		result = resultProtocol
	}
	m.dead(result, true)
}

// TimerFired says that the time given to arm is over.
func (m *machine) TimerFired() {
	switch m.st.Sub {
	case subAutoRestart:
		m.autoRestart()
	case subStart:
		m.about(prioWarning, "start operation timed out. Terminating.")
		m.st.Result = resultTimeout
		m.signalStop()
	case subStopTerm:
		m.about(prioWarning, "State 'stop-sigterm' timed out. Killing.")
		m.about(prioNotice, "Killing process %d (etcd) with signal SIGKILL.", m.st.MainPID)
		m.fail(resultTimeout)
		m.set(subStopKill)
		m.fx.kill(m.st.MainPID, syscall.SIGKILL)
		m.fx.arm(m.c.StopTimeout)
	case subStopKill:
		m.about(prioErr, "Processes still around after SIGKILL. Ignoring.")
		m.dead(resultTimeout, true)
	}
}

func (m *machine) autoRestart() {
	if m.c.Load != "loaded" {
		why := "Unit " + m.c.Name + " is masked."
		if m.c.Load != "masked" {
			why = "Unit " + m.c.Name + " not found."
		}
		m.about(prioWarning, "Failed to schedule restart job: %s", why)
		m.dead(resultResources, false)
		return
	}
	m.st.Restarts++
	m.flush = false
	m.about(prioInfo, "Scheduled restart job, restart counter is at %d.", m.st.Restarts)
	m.set(subDead)
	m.fx.log(prioInfo, "Stopped "+m.title()+".")
	m.begin()
}

// fail keeps the first thing that went wrong, as systemd does: so a unit that
// crashed until its start limit was hit keeps Result=exit-code or signal, and
// only one that ended well each time has start-limit-hit.
func (m *machine) fail(result string) {
	if m.st.Result == resultSuccess {
		m.st.Result = result
	}
}

// dead is service_enter_dead: the process is gone, and Restart= decides what
// comes next.
func (m *machine) dead(result string, mayRestart bool) {
	m.fx.arm(0)
	m.fail(result)
	m.st.MainPID = 0
	end := subDead
	if m.st.Result == resultSuccess {
		m.about(prioInfo, "Deactivated successfully.")
	} else {
		end = subFailed
		m.about(prioWarning, "Failed with result '%s'.", m.st.Result)
	}
	again := mayRestart && !m.forbid && m.shallRestart()
	stopped := m.forbid
	m.forbid = false
	if !again {
		m.flush = true
	}
	m.set(end)
	if stopped {
		m.fx.log(prioInfo, "Stopped "+m.title()+".")
		finish(&m.stopJobs, jobDone)
	} else if m.inStart {
		m.fx.log(prioErr, "Failed to start "+m.title()+".")
		finish(&m.startJobs, jobFailed)
	}
	m.inStart = false
	switch {
	case again:
		m.set(subAutoRestart)
		m.fx.arm(max(m.c.RestartSec, time.Nanosecond))
	case m.restart:
		m.begin()
	default:
		finish(&m.startJobs, jobFailed)
		finish(&m.stopJobs, jobDone)
	}
}

func (m *machine) shallRestart() bool {
	r := m.st.Result
	switch m.c.Restart {
	case "always":
		return true
	case "on-success":
		return r == resultSuccess
	case "on-failure":
		return r != resultSuccess
	case "on-abnormal":
		return r != resultSuccess && r != resultExitCode
	case "on-abort":
		return r == resultSignal || r == resultCoreDump
	}
	return false
}
