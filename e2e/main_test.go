//go:build e2e && linux

// Package e2e_test repairs etcd on real machines: see the package hosts.
package e2e_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/novatui/novatui/e2e/hosts"
)

// What the tests of this package share: one set of hosts at a time.
var (
	kit     *hosts.Kit
	program string // novatui, with the points at which a test can kill it
	current *hosts.Hosts
	made    hosts.Options
)

func TestMain(m *testing.M) {
	hosts.Companion()
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	dir, err := os.MkdirTemp("", "novatui-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder of ours
	if kit, err = hosts.Prepare(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	release, err := kit.Guard()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", errors.Join(err, kit.Close()))
		return 1
	}
	warming, enough := context.WithCancel(ctx)
	defer func() {
		enough()
		if err := errors.Join(kit.Close(), release()); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: taking the hosts down:", err)
			code = 1
		}
	}()
	program = filepath.Join(dir, "novatui")
	build := exec.CommandContext(ctx, "go", "build", "-tags", "faultpoints", "-o", program, "github.com/novatui/novatui/cmd/novatui")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: go build: %v\n%s", err, out)
		return 1
	}
	flag.Parse()
	if flag.Lookup("test.run").Value.String() == "" { // everything will be needed
		kit.Warm(warming, hosts.Newest, etcd36, etcd35, etcd36Older)
	}
	done := make(chan int, 1)
	go func() { done <- m.Run() }()
	select {
	case code = <-done:
		return code
	case <-ctx.Done():
		return 130
	}
}

// full asks for everything and not a sample (make e2e-full).
var full = os.Getenv("NOVATUI_E2E_FULL") != ""

// startTime bounds a start from cold caches: a Debian and an etcd are made.
const startTime = 8 * time.Minute

// start gives fresh hosts. Those of the last test are used again when they
// were made with the same options.
func start(t testing.TB, o hosts.Options) *hosts.Hosts {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	began := time.Now()
	if reflect.DeepEqual(o.Versions, []string{hosts.Newest}) {
		o.Versions = nil // the same hosts
	}
	var err error
	if current != nil && reflect.DeepEqual(made, o) {
		err = current.Reset(ctx)
	} else {
		current, err = kit.Start(ctx, program, o)
		made = o
	}
	if err != nil {
		current = nil
		t.Fatal(err)
	}
	t.Logf("hosts ready after %.1f s", time.Since(began).Seconds())
	return current
}
