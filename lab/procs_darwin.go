package lab

import (
	"bytes"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// childAttr is for processes that must die with the supervisor. macOS has no
// signal for that: etcd watches a pipe and the guard does the rest.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// markedProcesses lists the processes whose environment has mark (NAME=value),
// from the argument area that the kernel shows of one's own processes.
func markedProcesses(mark string) []int {
	procs, err := unix.SysctlKinfoProcSlice("kern.proc.uid", os.Getuid())
	if err != nil {
		return nil
	}
	var out []int
	for i := range procs {
		pid := int(procs[i].Proc.P_pid)
		if pid <= 0 || procs[i].Proc.P_stat == darwinZombie {
			continue
		}
		b, err := unix.SysctlRaw("kern.procargs2", pid)
		if err == nil && bytes.Contains(b, []byte("\x00"+mark+"\x00")) {
			out = append(out, pid)
		}
	}
	return out
}

// Values of P_stat (sys/proc.h).
const (
	darwinStopped = 4
	darwinZombie  = 5
)

// suspended reports whether a process is stopped by a signal.
func suspended(pid int) bool {
	p, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	return err == nil && p.Proc.P_stat == darwinStopped
}
