//go:build e2e && linux

package hosts

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// sweep takes down all hosts of this machine: processes, mounts, namespaces,
// cgroups and files. What is not there is no error.
func sweep() error {
	var errs []error
	for _, h := range hierarchies() {
		errs = append(errs, kill(filepath.Join(h, cgroupName)))
	}
	errs = append(errs, unmountBelow(stateDir))
	spaces, _ := filepath.Glob("/run/netns/" + spacePrefix + "*")
	for _, s := range spaces {
		errs = append(errs, quiet(exec.Command("ip", "netns", "delete", filepath.Base(s))))
	}
	for _, h := range hierarchies() {
		errs = append(errs, removeGroup(filepath.Join(h, cgroupName)))
	}
	if mounted, err := mountedBelow(stateDir); err != nil || mounted {
		return errors.Join(append(errs, err, fmt.Errorf("something is still mounted in %s", stateDir))...)
	}
	return errors.Join(append(errs, os.RemoveAll(stateDir))...)
}

func mountedBelow(dir string) (bool, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	return strings.Contains(string(table), " "+dir+"/"), err
}

// removeGroup removes a cgroup and those below it, the innermost first.
func removeGroup(group string) error {
	var groups []string
	err := filepath.WalkDir(group, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			groups = append(groups, path)
		}
		return nil //nolint:nilerr // a group that is gone is what is wanted
	})
	slices.Reverse(groups)
	for _, g := range groups {
		if e := os.Remove(g); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// envSweeper makes a test binary the companion that sweeps.
const envSweeper = "NOVATUI_E2E_SWEEPER"

// Companion must be called first in TestMain. In the process that Guard starts
// it waits until the tests have ended, in whatever way, sweeps, and does not
// return.
func Companion() {
	if os.Getenv(envSweeper) == "" {
		return
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	_, _ = io.Copy(io.Discard, os.Stdin) // ends when the tests' end of the pipe does
	if err := sweep(); err != nil {
		fmt.Fprintln(os.Stderr, "cleaning up after the end-to-end tests:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Guard starts the companion, which takes the hosts down when this process
// ends without having done so: killed, panicked, run out of time. It keeps the
// machine's place until then. release ends it and waits for it.
func (k *Kit) Guard() (release func() error, err error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.Command(exe)
	c.Env = append(os.Environ(), envSweeper+"=1")
	c.Stderr = os.Stderr
	c.ExtraFiles = []*os.File{k.lock}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := c.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	return func() error { return errors.Join(pipe.Close(), c.Wait()) }, nil
}
