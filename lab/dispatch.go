package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/etcdctl/v3/ctlv3"
	"go.etcd.io/etcd/etcdutl/v3/etcdutl"
	"go.etcd.io/etcd/server/v3/etcdmain"
)

// The environment of a lab's processes. Every process of a lab has envLab,
// which is how the guard and Down find them.
const (
	envLab      = "NOVATUI_LAB"          // the lab's folder
	envNode     = "NOVATUI_LAB_NODE"     // the node that an SSH session is on
	envLifeline = "NOVATUI_LAB_LIFELINE" // number of the pipe to watch
)

// First arguments that start a part which has no name of its own.
const (
	partSupervisor = "__lab-supervisor"
	partGuard      = "__lab-guard"
)

// Importing ctlv3 turns cobra's prefix matching on for the whole program, where
// it would let "novatui res" resume a run. It is turned on again for etcdctl
// and etcdutl only.
func init() { cobra.EnablePrefixMatching = false }

// Dispatch plays a part of the lab when the program was started under one of
// its names: argv[0] etcd, etcdctl, etcdutl, systemctl or journalctl (links in a
// node's folders), or a first argument of the lab's own. It returns the exit
// status and true when it played one; etcd and etcdctl may also end the process
// themselves. main and every TestMain that starts a lab call it before anything
// else.
func Dispatch(args []string) (code int, played bool) {
	if len(args) == 0 {
		return 0, false
	}
	switch name := filepath.Base(args[0]); name {
	case "etcd":
		watchLifeline()
		os.Args = args
		etcdmain.Main(args)
		return 0, true
	case "etcdctl":
		cobra.EnablePrefixMatching = true
		os.Args = args
		ctlv3.MustStart()
		return 0, true
	case "etcdutl":
		return playEtcdutl(args), true
	case "systemctl", "journalctl":
		return playShim(name, args), true
	}
	if len(args) > 1 {
		switch args[1] {
		case partSupervisor:
			return playSupervisor(), true
		case partGuard:
			return playGuard(), true
		}
	}
	return 0, false
}

// playEtcdutl is etcdutl's main: its root command lives in package main there,
// so it is built here from the same commands and flags (etcdutl 3.7, ctl.go).
func playEtcdutl(args []string) int {
	cobra.EnablePrefixMatching = true
	root := &cobra.Command{
		Use:        "etcdutl",
		Short:      "An administrative command line tool for etcd3.",
		SuggestFor: []string{"etcdutl"},
	}
	flags := root.PersistentFlags()
	flags.DurationVar(&etcdutl.FlockTimeout, "timeout", 10*time.Second,
		"time to wait to obtain a file lock on db file, 0 to block indefinitely")
	flags.StringVarP(&etcdutl.OutputFormat, "write-out", "w", "simple",
		"set the output format (fields, json, protobuf, simple, table)")
	root.AddCommand(
		etcdutl.NewDefragCommand(),
		etcdutl.NewSnapshotCommand(),
		etcdutl.NewHashKVCommand(),
		etcdutl.NewVersionCommand(),
		etcdutl.NewCompletionCommand(),
		etcdutl.NewMigrateCommand(),
	)
	root.SetHelpTemplate(`{{.UsageString}}`)
	root.SetArgs(args[1:])
	os.Args = args
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		return 1
	}
	return 0
}

// watchLifeline makes this process die when the pipe that its starter passed on
// breaks, which is when the supervisor is gone for whatever reason. It does
// nothing for an etcd that somebody started by hand.
func watchLifeline() {
	fd, err := strconv.Atoi(os.Getenv(envLifeline))
	if err != nil || fd < 3 {
		return
	}
	_ = os.Unsetenv(envLifeline)
	syscall.CloseOnExec(fd)
	pipe := os.NewFile(uintptr(fd), "lifeline")
	// The goroutine belongs to the process: both end together.
	go func() {
		defer func() { _ = recover() }()
		_, _ = pipe.Read(make([]byte, 1))
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}()
}
