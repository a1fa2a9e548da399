package lab

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Exit statuses of systemctl (systemctl(1), "Exit Status", and the LSB).
const (
	exitFailure      = 1
	exitNotRunning   = 3
	exitNoSuchUnit   = 4
	exitNotInstalled = 5
)

// systemctl answers one systemctl command line on a node.
type systemctl struct {
	node *node
	out  io.Writer
	err  io.Writer

	properties []string
	valueOnly  bool
	all        bool
	noBlock    bool
	quiet      bool
	runtime    bool
	now        bool
	failed     bool
	lines      int
	output     string
	stamps     string // --timestamp=
	signal     string // -s of kill
}

func runSystemctl(ctx context.Context, n *node, args []string, stdout, stderr io.Writer) int {
	s := &systemctl{node: n, out: stdout, err: stderr, lines: 10, output: "short", signal: "TERM"}
	words, err := s.options(args)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailure
	}
	verb := "list-units"
	if len(words) > 0 {
		verb, words = words[0], words[1:]
	}
	for i := range words {
		words[i] = unitName(words[i])
	}
	return s.run(ctx, verb, words)
}

// options takes the options out of the command line, wherever they stand.
func (s *systemctl) options(args []string) (words []string, err error) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name, value, given := strings.Cut(arg, "=")
		wants := slices.Contains([]string{"-p", "--property", "-P", "-n", "--lines", "-o", "--output", "--timestamp",
			"-t", "--type", "-s", "--signal", "--kill-whom", "--state", "--job-mode", "-H", "-M"}, name)
		if strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "--") && len(arg) > 2 && strings.Contains("pPnos", arg[1:2]) {
			name, value, given, wants = arg[:2], arg[2:], true, true
		}
		if wants && !given {
			i++
			if i >= len(args) {
				return nil, fmt.Errorf("systemctl: option requires an argument -- '%s'", strings.TrimLeft(name, "-"))
			}
			value = args[i]
		}
		switch name {
		case "-p", "--property", "-P":
			s.properties = append(s.properties, strings.Split(value, ",")...)
			s.valueOnly = s.valueOnly || name == "-P"
		case "--value":
			s.valueOnly = true
		case "-a", "--all":
			s.all = true
		case "--no-block":
			s.noBlock = true
		case "-q", "--quiet":
			s.quiet = true
		case "--runtime":
			s.runtime = true
		case "--now":
			s.now = true
		case "--failed":
			s.failed = true
		case "-n", "--lines":
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 {
				return nil, fmt.Errorf("Failed to parse lines '%s'", value)
			}
			s.lines = n
		case "-o", "--output":
			s.output = value
		case "-s", "--signal":
			s.signal = value
		case "--timestamp":
			s.stamps = value
		case "-l", "--full", "--no-pager", "--no-legend", "--plain", "--system", "--no-ask-password", "--no-wall",
			"-f", "--force", "-t", "--type", "--state", "--job-mode", "--wait", "--no-reload", "--show-transaction":
		default:
			if strings.HasPrefix(arg, "-") {
				return nil, fmt.Errorf("systemctl: unrecognized option '%s'", arg)
			}
			words = append(words, arg)
		}
	}
	return words, nil
}

func (s *systemctl) run(ctx context.Context, verb string, units []string) int {
	switch verb {
	case "start", "stop", "restart", "try-restart", "condrestart", "reload-or-restart":
		return s.each(units, func(name string) int { return s.job(ctx, verb, name) })
	case "status":
		return s.each(units, s.status)
	case "show":
		return s.show(units)
	case "is-active":
		return s.any(units, exitNotRunning, func(st unitState) (string, bool) {
			return st.Active(), st.Active() == "active"
		})
	case "is-failed":
		return s.any(units, exitFailure, func(st unitState) (string, bool) {
			return st.Active(), st.Active() == "failed"
		})
	case "is-enabled":
		return s.each(units, s.isEnabled)
	case "mask", "unmask", "enable", "disable":
		return s.files(ctx, verb, units)
	case "reset-failed":
		return s.resetFailed(units)
	case "daemon-reload":
		return s.daemonReload()
	case "cat":
		return s.each(units, s.cat)
	case "kill":
		return s.each(units, s.killUnit)
	case "list-units":
		return s.listUnits()
	case "is-system-running":
		fmt.Fprintln(s.out, "running")
		return 0
	}
	fmt.Fprintf(s.err, "Unknown command verb %s.\n", verb)
	return exitFailure
}

// each runs f for every unit and returns the last failure.
func (s *systemctl) each(units []string, f func(string) int) int {
	if len(units) == 0 {
		fmt.Fprintln(s.err, "Too few arguments.")
		return exitFailure
	}
	code := 0
	for _, name := range units {
		if c := f(name); c != 0 {
			code = c
		}
	}
	return code
}

// job runs start, stop and the restarts.
func (s *systemctl) job(ctx context.Context, verb, name string) int {
	u, ok := s.node.units[name]
	if !ok {
		why := "not found"
		if verb == "stop" {
			why = "not loaded"
		}
		fmt.Fprintf(s.err, "Failed to %s %s: Unit %s %s.\n", verb, name, name, why)
		return exitNotInstalled
	}
	st, c := u.state()
	if c.Load == "masked" && verb != "stop" {
		fmt.Fprintf(s.err, "Failed to %s %s: Unit %s is masked.\n", verb, name, name)
		return exitFailure
	}
	if c.Load != "loaded" && c.Load != "masked" {
		fmt.Fprintf(s.err, "Failed to %s %s: Unit %s not found.\n", verb, name, name)
		return exitNotInstalled
	}
	trying := verb == "try-restart" || verb == "condrestart"
	if trying && st.Active() != "active" && st.Active() != "activating" {
		return 0
	}
	start := map[string]func(m *machine, j *job){
		"start": (*machine).Start, "stop": (*machine).Stop,
	}[verb]
	if start == nil {
		start = (*machine).Restart
	}
	if verb != "stop" {
		s.node.operatorActed()
	}
	if s.noBlock {
		u.do(func(m *machine) { start(m, newJob()) })
		return 0
	}
	result, err := u.runJob(ctx, start)
	switch {
	case err != nil:
		return exitFailure // systemctl itself was interrupted
	case result == jobCanceled:
		fmt.Fprintf(s.err, "Job for %s canceled.\n", name)
		return exitFailure
	case result != jobDone:
		st, _ := u.state()
		s.explain(name, st.Result)
		return exitFailure
	}
	return 0
}

// explain is systemctl's message about a failed job (systemd 252,
// src/shared/bus-wait-for-jobs.c). The list there has no start-limit-hit.
func (s *systemctl) explain(name, result string) {
	because := map[string]string{
		resultResources: " because of unavailable resources or another system error",
		resultProtocol:  " because the service did not take the steps required by its unit configuration",
		resultTimeout:   " because a timeout was exceeded",
		resultExitCode:  " because the control process exited with error code",
		resultSignal:    " because a fatal signal was delivered to the control process",
		resultCoreDump:  " because a fatal signal was delivered causing the control process to dump core",
	}[result]
	fmt.Fprintf(s.err, "Job for %s failed%s.\nSee \"systemctl status %s\" and \"journalctl -xeu %s\" for details.\n",
		name, because, name, name)
}

// any is is-active and is-failed: success when one unit qualifies.
func (s *systemctl) any(units []string, otherwise int, f func(unitState) (string, bool)) int {
	code, found := otherwise, false
	if len(units) == 0 {
		fmt.Fprintln(s.err, "Too few arguments.")
		return exitFailure
	}
	for _, name := range units {
		word, good := "inactive", false
		if u, ok := s.node.units[name]; ok {
			st, _ := u.state()
			word, good = f(st)
		} else if otherwise == exitNotRunning {
			code = exitNoSuchUnit
		}
		if !s.quiet {
			fmt.Fprintln(s.out, word)
		}
		found = found || good
	}
	if found {
		return 0
	}
	return code
}

func (s *systemctl) isEnabled(name string) int {
	state := unitFileState(s.node.Root, name)
	if state == "" {
		fmt.Fprintf(s.err, "Failed to get unit file state for %s: No such file or directory\n", name)
		return exitFailure
	}
	if !s.quiet {
		fmt.Fprintln(s.out, state)
	}
	if state == "enabled" || state == "static" {
		return 0
	}
	return exitFailure
}

func (s *systemctl) resetFailed(units []string) int {
	s.node.operatorActed()
	if len(units) == 0 {
		for _, u := range s.node.units {
			u.do((*machine).ResetFailed)
		}
		return 0
	}
	return s.each(units, func(name string) int {
		u, ok := s.node.units[name]
		if !ok {
			fmt.Fprintf(s.err, "Failed to reset failed state of unit %s: Unit %s not loaded.\n", name, name)
			return exitFailure
		}
		u.do((*machine).ResetFailed)
		return 0
	})
}

func (s *systemctl) daemonReload() int {
	for _, u := range s.node.units {
		if err := u.reload(); err != nil {
			s.node.journal.add(entry{Priority: prioErr, Identifier: "systemd", PID: 1, About: u.name, Message: err.Error()})
		}
	}
	return 0
}

func (s *systemctl) cat(name string) int {
	c, _ := loadUnit(s.node.Root, name)
	switch c.Load {
	case "not-found":
		fmt.Fprintf(s.err, "No files found for %s.\n", name)
		return exitFailure
	case "masked":
		fmt.Fprintf(s.out, "# Unit %s is masked.\n", name)
		return 0
	}
	for i, path := range append([]string{c.Fragment}, c.DropIns...) {
		b, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintf(s.err, "Failed to cat %s: %s\n", path, reason(err))
			return exitFailure
		}
		if i > 0 {
			fmt.Fprintln(s.out)
		}
		fmt.Fprintf(s.out, "# %s\n%s", path, b)
	}
	return 0
}

// killUnit sends a signal to the main process, SIGTERM unless -s says another.
func (s *systemctl) killUnit(name string) int {
	u, ok := s.node.units[name]
	if !ok {
		fmt.Fprintf(s.err, "Failed to kill unit %s: Unit %s not loaded.\n", name, name)
		return exitFailure
	}
	sig, known := signalByName(strings.TrimPrefix(strings.ToUpper(s.signal), "SIG"))
	if n, err := strconv.Atoi(s.signal); err == nil {
		sig, known = syscall.Signal(n), n > 0 && n < 65
	}
	if !known {
		fmt.Fprintf(s.err, "Failed to parse signal string %s.\n", s.signal)
		return exitFailure
	}
	u.do(func(m *machine) { m.fx.kill(m.st.MainPID, sig) })
	return 0
}

func (s *systemctl) listUnits() int {
	fmt.Fprintln(s.out, "  UNIT LOAD ACTIVE SUB DESCRIPTION")
	count := 0
	for name, u := range s.node.units {
		st, c := u.state()
		if s.failed && st.Active() != "failed" {
			continue
		}
		count++
		fmt.Fprintf(s.out, "%s %s %s %s %s %s\n", dot(st), name, c.Load, st.Active(), st.Sub, c.Description)
	}
	fmt.Fprintf(s.out, "%d loaded units listed.\n", count)
	return 0
}

// dot is the sign in front of a unit: white, black, cross or arrow.
func dot(st unitState) string {
	switch st.Active() {
	case "active":
		return "●"
	case "failed":
		return "×"
	case "activating", "deactivating":
		return "●"
	}
	return "○"
}

// unitFileState is the state that is-enabled prints; empty: no such unit.
func unitFileState(root, name string) string {
	c, _ := loadUnit(root, name)
	switch {
	case c.Load == "not-found":
		return ""
	case c.Load == "masked" && strings.HasPrefix(c.Fragment, filepath.Join(root, "/run")+"/"):
		return "masked-runtime"
	case c.Load == "masked":
		return "masked"
	}
	for folder, state := range map[string]string{"/etc/systemd/system": "enabled", "/run/systemd/system": "enabled-runtime"} {
		links, err := filepath.Glob(filepath.Join(root, folder, "*.wants", name))
		if err == nil && len(links) > 0 {
			return state
		}
	}
	if len(c.WantedBy) == 0 {
		return "static"
	}
	return "disabled"
}
