//go:build e2e && linux

package samples

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// startShifted starts a program whose clock is wrong by a whole number of
// seconds. Go asks the kernel's vDSO for the time, so nothing that is preloaded
// can answer for it, and no namespace shifts the time of day: the vDSO of the
// new process is changed before its first instruction, so that
// clock_gettime(CLOCK_REALTIME) adds the offset. It must be called on a locked
// thread (inSpace). amd64 only.
func startShifted(cmd *exec.Cmd, offset time.Duration) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Ptrace = true
	if err := cmd.Start(); err != nil {
		return err
	}
	pid := cmd.Process.Pid
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return err
	}
	if err := shiftClock(pid, int32(offset/time.Second)); err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		return err
	}
	return syscall.PtraceDetach(pid)
}

// shiftClock writes a clock_gettime of its own into a traced process's vDSO.
func shiftClock(pid int, seconds int32) error {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return err
	}
	var from, to uint64
	for _, line := range strings.Split(string(maps), "\n") {
		if !strings.HasSuffix(line, "[vdso]") {
			continue
		}
		a, b, _ := strings.Cut(strings.Fields(line)[0], "-")
		from, _ = strconv.ParseUint(a, 16, 64)
		to, _ = strconv.ParseUint(b, 16, 64)
	}
	if to <= from {
		return fmt.Errorf("process %d has no vDSO", pid)
	}
	image := make([]byte, to-from)
	if _, err := syscall.PtracePeekData(pid, uintptr(from), image); err != nil {
		return fmt.Errorf("reading the vDSO: %w", err)
	}
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return fmt.Errorf("reading the vDSO: %w", err)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return fmt.Errorf("reading the vDSO: %w", err)
	}
	code := []byte{
		0x57, 0x56, // push rdi; push rsi
		0xb8, 0xe4, 0, 0, 0, 0x0f, 0x05, // mov eax, 228 (clock_gettime); syscall
		0x5e, 0x5f, // pop rsi; pop rdi
		0x85, 0xff, 0x75, 0x07, // test edi, edi; jne to ret
		0x48, 0x81, 0x06, 0, 0, 0, 0, // add qword [rsi], seconds
		0xc3, // ret
	}
	binary.LittleEndian.PutUint32(code[18:], uint32(seconds))
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" {
			if _, err := syscall.PtracePokeData(pid, uintptr(from+s.Value), code); err != nil {
				return fmt.Errorf("writing the vDSO: %w", err)
			}
			return nil
		}
	}
	return fmt.Errorf("the vDSO has no clock_gettime")
}
