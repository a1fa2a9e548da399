package lab

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// property is one line of systemctl show.
type property struct{ name, value string }

// show prints the properties of units; a unit that does not exist has a few
// too, and exit status 0.
func (s *systemctl) show(units []string) int {
	if len(units) == 0 {
		units = []string{""}
	}
	for i, name := range units {
		if i > 0 {
			fmt.Fprintln(s.out)
		}
		s.showOne(name)
	}
	return 0
}

func (s *systemctl) showOne(name string) {
	var props []property
	if u, ok := s.node.units[name]; ok {
		st, c := u.state()
		props = s.unitProperties(st, c)
	} else if name == "" {
		props = []property{{"Version", "252 (novatui lab)"}, {"SystemState", "running"}, {"Environment", "PATH=" + servicePath}}
	} else {
		props = []property{
			{"Id", name}, {"Names", name}, {"Description", name}, {"LoadState", "not-found"},
			{"ActiveState", "inactive"}, {"SubState", "dead"}, {"UnitFileState", unitFileState(s.node.Root, name)},
			{"Result", resultSuccess}, {"MainPID", "0"}, {"NRestarts", "0"}, {"NeedDaemonReload", "no"},
		}
	}
	// systemctl prints in the bus's order, whatever order was asked for.
	for _, p := range props {
		if len(s.properties) > 0 && !slices.Contains(s.properties, p.name) {
			continue
		}
		if len(s.properties) == 0 && p.value == "" && !s.all {
			continue
		}
		if s.valueOnly {
			fmt.Fprintln(s.out, p.value)
		} else {
			fmt.Fprintln(s.out, p.name+"="+p.value)
		}
	}
}

func (s *systemctl) unitProperties(st unitState, c unitConfig) []property {
	stamp := func(name string, t time.Time) []property {
		return []property{{name, s.stamp(t)}, {name + "Monotonic", monotonicOf(t)}}
	}
	code := strconv.Itoa(st.ExecCode)
	argv := ""
	if c.ExecStart != "" {
		words := splitWords(c.ExecStart)
		argv = fmt.Sprintf("{ path=%s ; argv[]=%s ; ignore_errors=no ; start_time=[%s] ; stop_time=[%s] ; pid=%d ; code=%s ; status=%s }",
			words[0], c.ExecStart, orNA(s.stamp(st.ExecStart)), orNA(s.stamp(st.ExecExit)), st.ExecPID,
			orNull(codeName(st.ExecCode)), showStatus(st))
	}
	var envFiles []string
	for _, f := range c.EnvFiles {
		ignore := "no"
		if strings.HasPrefix(f, "-") {
			f, ignore = f[1:], "yes"
		}
		envFiles = append(envFiles, fmt.Sprintf("%s (ignore_errors=%s)", f, ignore))
	}
	props := []property{
		{"Type", c.Type}, {"Restart", c.Restart}, {"NotifyAccess", "all"}, {"RestartUSec", showSpan(c.RestartSec)},
		{"TimeoutStartUSec", showSpan(c.StartTimeout)}, {"TimeoutStopUSec", showSpan(c.StopTimeout)},
		{"TimeoutAbortUSec", showSpan(c.StopTimeout)}, {"MainPID", strconv.Itoa(st.MainPID)}, {"ControlPID", "0"},
		{"StatusText", ""}, {"Result", st.Result}, {"ReloadResult", resultSuccess}, {"CleanResult", resultSuccess},
		{"UID", "[not set]"}, {"GID", "[not set]"}, {"NRestarts", strconv.Itoa(st.Restarts)}, {"OOMPolicy", "stop"},
	}
	props = append(props, stamp("ExecMainStartTimestamp", st.ExecStart)...)
	props = append(props, stamp("ExecMainExitTimestamp", st.ExecExit)...)
	props = append(props, []property{
		{"ExecMainPID", strconv.Itoa(st.ExecPID)}, {"ExecMainCode", code}, {"ExecMainStatus", strconv.Itoa(st.ExecStatus)},
		{"ExecStart", argv}, {"Slice", "system.slice"}, {"ControlGroup", s.cgroup(st, c)}, {"MemoryCurrent", "[not set]"},
		{"Environment", strings.Join(c.Environment, " ")}, {"EnvironmentFiles", strings.Join(envFiles, "\n")},
		{"WorkingDirectory", ""}, {"User", c.User}, {"KillMode", "control-group"}, {"KillSignal", "15"},
		{"SendSIGKILL", "yes"}, {"Id", c.Name}, {"Names", c.Name}, {"WantedBy", strings.Join(c.WantedBy, " ")},
		{"Description", c.Description}, {"LoadState", c.Load}, {"ActiveState", st.Active()}, {"FreezerState", "running"},
		{"SubState", st.Sub}, {"FragmentPath", c.Fragment}, {"DropInPaths", strings.Join(c.DropIns, " ")},
		{"UnitFileState", unitFileState(s.node.Root, c.Name)}, {"UnitFilePreset", "enabled"},
	}...)
	for _, t := range []struct {
		name string
		at   time.Time
	}{
		{"StateChangeTimestamp", st.StateChange}, {"InactiveExitTimestamp", st.InactiveExit},
		{"ActiveEnterTimestamp", st.ActiveEnter}, {"ActiveExitTimestamp", st.ActiveExit},
		{"InactiveEnterTimestamp", st.InactiveEnter},
	} {
		props = append(props, stamp(t.name, t.at)...)
	}
	yes := "yes"
	if c.Load != "loaded" {
		yes = "no"
	}
	return append(props, []property{
		{"CanStart", yes}, {"CanStop", "yes"}, {"CanReload", "no"}, {"NeedDaemonReload", "no"},
		{"StartLimitIntervalUSec", showSpan(c.LimitWindow)}, {"StartLimitBurst", strconv.Itoa(c.LimitBurst)},
		{"StartLimitAction", "none"},
	}...)
}

func (s *systemctl) cgroup(st unitState, c unitConfig) string {
	if st.MainPID == 0 {
		return ""
	}
	return "/system.slice/" + c.Name
}

func showSpan(d time.Duration) string {
	if d == 0 {
		return "infinity"
	}
	return formatSpan(d)
}

func showStatus(st unitState) string {
	switch st.ExecCode {
	case 0:
		return "0/0"
	case codeExited:
		return strconv.Itoa(st.ExecStatus)
	}
	return fmt.Sprintf("%d/%s", st.ExecStatus, signalName(syscall.Signal(st.ExecStatus)))
}

func orNA(s string) string {
	if s == "" {
		return "n/a"
	}
	return s
}

func orNull(s string) string {
	if s == "" {
		return "(null)"
	}
	return s
}

// stamp writes a time as --timestamp= asks, by default in local time.
func (s *systemctl) stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	switch s.stamps {
	case "unix":
		return "@" + strconv.FormatInt(t.Unix(), 10)
	case "us", "µs":
		return t.Format("Mon 2006-01-02 15:04:05.000000 MST")
	case "utc":
		return t.UTC().Format("Mon 2006-01-02 15:04:05 MST")
	case "us+utc", "µs+utc":
		return t.UTC().Format("Mon 2006-01-02 15:04:05.000000 MST")
	}
	return t.Format("Mon 2006-01-02 15:04:05 MST")
}

// monotonicOf is a wall-clock time of this boot on the monotonic clock, in
// microseconds; 0 for never.
func monotonicOf(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(int64(monotonicMicros())-time.Since(t).Microseconds(), 10)
}

// status prints what people read, and the last lines of the journal.
func (s *systemctl) status(name string) int {
	u, ok := s.node.units[name]
	if !ok {
		fmt.Fprintf(s.err, "Unit %s could not be found.\n", name)
		return exitNoSuchUnit
	}
	st, c := u.state()
	w := s.out
	fmt.Fprintf(w, "%s %s\n", dot(st), unitTitle(c))
	if c.Load == "masked" {
		fmt.Fprintf(w, "     Loaded: masked (Reason: Unit %s is masked.)\n", name)
	} else {
		fmt.Fprintf(w, "     Loaded: %s (%s; %s; preset: enabled)\n", c.Load, c.Fragment, unitFileState(s.node.Root, name))
	}
	if len(c.DropIns) > 0 {
		fmt.Fprintf(w, "    Drop-In: %s\n", strings.Join(c.DropIns, "\n             "))
	}
	what := st.Sub
	if st.Result != resultSuccess && st.Active() != "active" {
		what += ") (Result: " + st.Result
	}
	fmt.Fprintf(w, "     Active: %s (%s)", st.Active(), what)
	if !st.StateChange.IsZero() {
		fmt.Fprintf(w, " since %s; %s ago", s.stamp(st.StateChange), ago(time.Since(st.StateChange)))
	}
	fmt.Fprintln(w)
	s.statusProcess(w, st, c)
	s.statusJournal(w, name)
	switch st.Active() {
	case "inactive", "failed":
		return exitNotRunning
	}
	return 0
}

func (s *systemctl) statusProcess(w io.Writer, st unitState, c unitConfig) {
	if st.MainPID > 0 {
		argv := c.argv(nil)
		fmt.Fprintf(w, "   Main PID: %d (etcd)\n", st.MainPID)
		fmt.Fprintf(w, "     CGroup: /system.slice/%s\n             └─%d %s\n", c.Name, st.MainPID, strings.Join(argv, " "))
		return
	}
	if st.ExecPID > 0 && c.ExecStart != "" {
		how := fmt.Sprintf("code=%s, status=%d/%s", codeName(st.ExecCode), st.ExecStatus, statusName(st.ExecCode, st.ExecStatus))
		if st.ExecCode != codeExited {
			how = fmt.Sprintf("code=%s, signal=%s", codeName(st.ExecCode), signalName(syscall.Signal(st.ExecStatus)))
		}
		fmt.Fprintf(w, "    Process: %d ExecStart=%s (%s)\n   Main PID: %d (%s)\n", st.ExecPID, c.ExecStart, how, st.ExecPID, how)
	}
}

func (s *systemctl) statusJournal(w io.Writer, name string) {
	q := journalQuery{units: []string{name}, priority: -1, output: s.output}
	entries, _ := s.node.journal.since(0)
	entries = slices.DeleteFunc(entries, func(e entry) bool { return !q.matches(e) })
	if len(entries) > s.lines {
		entries = entries[len(entries)-s.lines:]
	}
	if len(entries) > 0 {
		fmt.Fprintln(w)
	}
	for _, e := range entries {
		_, _ = io.WriteString(w, q.format(s.node.journal, e))
	}
}

// ago writes an age as systemd does: its two largest units.
func ago(d time.Duration) string {
	if d < time.Second {
		return formatSpan(d.Truncate(time.Millisecond))
	}
	parts := strings.Fields(formatSpan(d.Truncate(time.Second)))
	return strings.Join(parts[:min(2, len(parts))], " ")
}
