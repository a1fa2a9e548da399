package ssh

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/remote/remotetest"
)

// proxyTo makes the test binary a ProxyCommand: it joins its standard input and
// output to that address.
const proxyTo = "NOVATUI_TEST_PROXY_TO"

func TestMain(m *testing.M) {
	if addr := os.Getenv(proxyTo); addr != "" {
		os.Exit(proxy(addr))
	}
	if node := os.Getenv(frozenNode); node != "" {
		os.Exit(frozen(node))
	}
	// The tests must not depend on whose machine they run on.
	os.Unsetenv("SSH_AUTH_SOCK")
	goleak.VerifyTestMain(m)
}

func proxy(addr string) int {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 1
	}
	done := make(chan struct{}, 2)
	for _, pair := range []struct {
		to   io.Writer
		from io.Reader
	}{{c, os.Stdin}, {os.Stdout, c}} {
		go func() {
			_, _ = io.Copy(pair.to, pair.from)
			done <- struct{}{}
		}()
	}
	<-done
	return 0
}

// quick are options with one short deadline, for servers that stay silent
// before their host key.
func quick() Options {
	o := patient()
	o.Timeouts.HostKey = 700 * time.Millisecond
	return o
}

// patient are options with deadlines for a machine that is busy with other tests.
func patient() Options {
	limit := 20 * time.Second
	return Options{
		Timeouts: Timeouts{Resolve: limit, TCP: limit, HostKey: limit, Auth: limit, Session: limit, Privilege: limit},
	}
}

// within gives a context that ends before the test hangs.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func connect(t *testing.T, o Options, n remote.Node) *Conn {
	t.Helper()
	c, err := New(o).Connect(within(t), n, nil)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*Conn)
}

func sh(script string) remote.Command {
	return remote.Command{Argv: []string{"/bin/sh", "-c", script}, Effect: remote.Read, Timeout: 20 * time.Second}
}

func run(t *testing.T, c remote.Conn, script string) remote.Result {
	t.Helper()
	r, err := c.Run(within(t), sh(script), remote.Streams{})
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return r
}

// wantKind checks that an error matches one sentinel and no other.
func wantKind(t *testing.T, err, kind error) {
	t.Helper()
	for _, s := range []error{remote.ErrUnreachable, remote.ErrHostKeyUnknown, remote.ErrHostKeyChanged, remote.ErrAuth,
		remote.ErrPrivilege, remote.ErrNotStarted, remote.ErrOutcomeUnknown} {
		if errors.Is(err, s) != (s == kind) { //nolint:errorlint // the sentinels themselves are compared
			t.Errorf("errors.Is(%v) is %v for: %v", s, errors.Is(err, s), err)
		}
	}
}

// faster wants f to be done within limit, and shows what hangs if it is not. A
// machine that is busy with other tests has three times as long: what is looked
// for are things that never end.
func faster(t *testing.T, limit time.Duration, f func()) {
	t.Helper()
	limit *= 3
	began := time.Now()
	dump := time.AfterFunc(limit, func() {
		stacks := make([]byte, 1<<20)
		t.Logf("still running after %s:\n%s", limit, stacks[:runtime.Stack(stacks, true)])
	})
	f()
	dump.Stop()
	if took := time.Since(began); took > limit {
		t.Errorf("took %s, at most %s is right", took, limit)
	}
}

// operator is an Asker that answers by kind and keeps what it was asked. It
// fails when two questions are open at the same time.
type operator struct {
	t       *testing.T
	mu      sync.Mutex
	answers map[string][]string // by kind, used up in order
	asked   []remote.Question
	think   time.Duration
	open    int
}

func (o *operator) Ask(ctx context.Context, q remote.Question) (string, error) {
	o.mu.Lock()
	if o.open++; o.open > 1 {
		o.t.Error("two questions at the same time")
	}
	o.asked = append(o.asked, q)
	answer := ""
	if a := o.answers[q.Kind]; len(a) > 0 {
		answer, o.answers[q.Kind] = a[0], a[1:]
	}
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		o.open--
		o.mu.Unlock()
	}()
	if !sleep(ctx, o.think) {
		return "", ctx.Err()
	}
	if answer == "" {
		return "", remote.ErrDeclined
	}
	return answer, nil
}

func (o *operator) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.asked)
}

func answers(t *testing.T, pairs ...string) *operator {
	o := &operator{t: t, answers: map[string][]string{}}
	for i := 0; i < len(pairs); i += 2 {
		o.answers[pairs[i]] = append(o.answers[pairs[i]], pairs[i+1])
	}
	return o
}

// loginShell writes a shell script that stands for a login shell.
func loginShell(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shell")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // it must run
		t.Fatal(err)
	}
	return path
}

func newServer(t *testing.T, o remotetest.ServerOptions) *remotetest.Server {
	t.Helper()
	return remotetest.NewServer(t, o)
}
