package lab

import (
	"fmt"
	"syscall"
)

// resultOf judges an exit as systemd does: status 0 and the four clean signals
// are success.
func resultOf(code, status int) string {
	switch code {
	case codeExited:
		if status == 0 {
			return resultSuccess
		}
		return resultExitCode
	case codeDumped:
		return resultCoreDump
	}
	switch syscall.Signal(status) {
	case syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGPIPE:
		return resultSuccess
	}
	return resultSignal
}

func codeName(code int) string {
	return map[int]string{codeExited: "exited", codeKilled: "killed", codeDumped: "dumped"}[code]
}

// statusName names an exit status as systemd.exec(5), "Process Exit Codes", or
// a signal.
func statusName(code, status int) string {
	if code != codeExited {
		return signalName(syscall.Signal(status))
	}
	names := map[int]string{
		0: "SUCCESS", 1: "FAILURE", 2: "INVALIDARGUMENT", 3: "NOTIMPLEMENTED", 4: "NOPERMISSION",
		5: "NOTINSTALLED", 6: "NOTCONFIGURED", 7: "NOTRUNNING", 200: "CHDIR", 203: "EXEC",
	}
	if name, ok := names[status]; ok {
		return name
	}
	return "n/a"
}

// signalNames are the signals that ssh and systemd speak of, without SIG.
var signalNames = map[syscall.Signal]string{
	syscall.SIGABRT: "ABRT", syscall.SIGALRM: "ALRM", syscall.SIGBUS: "BUS", syscall.SIGCONT: "CONT",
	syscall.SIGFPE: "FPE", syscall.SIGHUP: "HUP", syscall.SIGILL: "ILL", syscall.SIGINT: "INT",
	syscall.SIGKILL: "KILL", syscall.SIGPIPE: "PIPE", syscall.SIGQUIT: "QUIT", syscall.SIGSEGV: "SEGV",
	syscall.SIGSTOP: "STOP", syscall.SIGTERM: "TERM", syscall.SIGTRAP: "TRAP", syscall.SIGUSR1: "USR1",
	syscall.SIGUSR2: "USR2",
}

func signalName(s syscall.Signal) string {
	if name, ok := signalNames[s]; ok {
		return name
	}
	return fmt.Sprint(int(s))
}

func signalByName(name string) (syscall.Signal, bool) {
	for s, n := range signalNames {
		if n == name {
			return s, true
		}
	}
	return 0, false
}
