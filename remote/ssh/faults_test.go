package ssh

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/remote/remotetest"
)

// These are the network's and sudo's faults of docs/faults.md, injected into
// connections to OpenSSH's own sshd.

// behind puts a proxy before a real sshd and gives the node as it is seen
// through it.
func (s *openSSH) behind() (*remotetest.Proxy, remote.Node) {
	s.t.Helper()
	p := remotetest.NewProxy(s.t, s.addr())
	n := s.node()
	n.Port = p.Port()
	s.trust(n.Port)
	return p, n
}

// trust adds a port of 127.0.0.1 to the known hosts, with the server's key.
func (s *openSSH) trust(port int) {
	s.t.Helper()
	f, err := os.OpenFile(s.path("known_hosts"), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = fmt.Fprintf(f, "[127.0.0.1]:%d %s", port, xssh.MarshalAuthorizedKey(s.host))
	if err = errors.Join(err, f.Close()); err != nil {
		s.t.Fatal(err)
	}
}

// brisk are options whose keepalives give up within a second.
func brisk() Options {
	o := patient()
	o.KeepAlive, o.KeepAliveMissed = 200*time.Millisecond, 4
	return o
}

// inMidst runs a command that prints and then goes on, calls act once the
// output is here, and returns what came of the command.
func inMidst(t *testing.T, c remote.Conn, act func()) (output string, err error) {
	t.Helper()
	var seen safeBuffer
	acted := sync.OnceFunc(act)
	seen.on = func(text string) {
		if strings.Contains(text, "half") {
			acted()
		}
	}
	_, err = c.Run(within(t), sh("echo first; echo half; sleep 30; echo never"), remote.Streams{Stdout: &seen})
	return seen.String(), err
}

// safeBuffer is a buffer that tells what it holds.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
	on  func(text string)
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	n, err := b.buf.Write(p)
	text := b.buf.String()
	b.mu.Unlock()
	if b.on != nil {
		b.on(text)
	}
	return n, err
}

func (b *safeBuffer) String() string { b.mu.Lock(); defer b.mu.Unlock(); return b.buf.String() }

// TestFaultBlackHole (13): the network swallows everything without a FIN. The
// keepalives give a verdict in a bounded time, nothing that had arrived is lost,
// and a connection to another node notices nothing. When the network is back, so
// is the node.
func TestFaultBlackHole(t *testing.T) {
	hole, n := startOpenSSH(t).behind()
	other := connect(t, brisk(), startOpenSSH(t).node())
	p := pool(t, brisk(), n)
	c, err := p.Conn(within(t), n)
	if err != nil {
		t.Fatal(err)
	}
	var out string
	var began time.Time
	faster(t, 4*time.Second, func() {
		out, err = inMidst(t, c, func() { began = time.Now(); hole.BlackHole(true) })
	})
	wantKind(t, err, remote.ErrOutcomeUnknown)
	if !strings.Contains(err.Error(), "no answer to keepalives") || out != "first\nhalf\n" {
		t.Errorf("got %q, %v", out, err)
	}
	t.Logf("verdict after %s", time.Since(began).Round(10*time.Millisecond))
	run(t, other, "true")

	again := make(chan error, 1)
	go func() { // Meanwhile somebody wants the node back.
		c, err := p.Conn(within(t), n)
		if err == nil {
			_, err = c.Run(within(t), sh("true"), remote.Streams{})
		}
		again <- err
	}()
	accepted := hole.Accepted()
	eventually(t, "a new connection is tried", func() bool { return hole.Accepted() > accepted })
	hole.BlackHole(false)
	if err := <-again; err != nil {
		t.Error(err)
	}
}

// TestFaultReset (12): a TCP reset in the middle of a command is an unknown
// outcome at once. The way back is tried with pauses, not in a busy loop.
func TestFaultReset(t *testing.T) {
	line, n := startOpenSSH(t).behind()
	p := pool(t, patient(), n)
	c, err := p.Conn(within(t), n)
	if err != nil {
		t.Fatal(err)
	}
	var out string
	faster(t, 2*time.Second, func() { out, err = inMidst(t, c, func() { line.Cut(true) }) })
	wantKind(t, err, remote.ErrOutcomeUnknown)
	if out != "first\nhalf\n" {
		t.Errorf("got %q", out)
	}
	before := line.Accepted()
	healed := time.AfterFunc(1500*time.Millisecond, func() { line.Cut(false) })
	defer healed.Stop()
	for name, conn := range map[string]func() (remote.Conn, error){
		"the same": func() (remote.Conn, error) { return p.Conn(within(t), n) },
		"fresh": func() (remote.Conn, error) {
			c, err := p.Fresh(within(t), n)
			if err == nil {
				t.Cleanup(func() { _ = c.Close() })
			}
			return c, err
		},
	} {
		c, err := conn()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		run(t, c, "true")
	}
	if tries := line.Accepted() - before; tries < 3 || tries > 20 {
		t.Errorf("%d connections within 1.5 s of trouble", tries)
	}
}

// TestFaultStoppedServer (14): sshd is stopped (SIGSTOP): the kernel accepts,
// nobody says a banner. The deadline ends it; when sshd goes on, so do we.
func TestFaultStoppedServer(t *testing.T) {
	s := startOpenSSH(t)
	if err := s.process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	o := patient()
	o.Timeouts.HostKey = time.Second
	faster(t, 3*time.Second, func() {
		fails(t, New(o), s.node(), remote.ErrUnreachable, "no answer within 1 s while checking the host key")
	})
	if err := s.process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	run(t, connect(t, patient(), s.node()), "true")
}

// TestFaultSlowAndLossy (16): a round trip of 200 ms, and one piece of data in
// twenty takes four times as long. Nothing fails with the usual deadlines.
func TestFaultSlowAndLossy(t *testing.T) {
	line, n := startOpenSSH(t).behind()
	line.Slow(100*time.Millisecond, 0.05)
	began := time.Now()
	c := connect(t, Options{}, n)
	t.Logf("connected in %s", time.Since(began).Round(time.Millisecond))
	errs := remote.Each(make([]int, 12), func(i int, _ int) error {
		cmd := sh(fmt.Sprintf("head -c 300000 /dev/zero; exit %d", i))
		r, err := c.Run(within(t), cmd, remote.Streams{})
		if err == nil && (r.Exit != i || len(r.Stdout) != 300000) {
			err = fmt.Errorf("command %d: exit %d with %d bytes", i, r.Exit, len(r.Stdout))
		}
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

// TestFaultBastionDies (17): when the jump host goes, the error says that it is
// the jump host, and that the node may well run; which it does.
func TestFaultBastionDies(t *testing.T) {
	bastion, target := startOpenSSH(t), startOpenSSH(t)
	line, jump := bastion.behind()
	n := target.node()
	n.Jump = fmt.Sprintf("%s@127.0.0.1:%d", jump.User, jump.Port)
	n.IdentityFiles = append(n.IdentityFiles, jump.IdentityFiles...)
	n.KnownHosts = append(n.KnownHosts, jump.KnownHosts...)
	for name, fault := range map[string]func(){
		"reset":      line.Reset,
		"black hole": func() { line.BlackHole(true) },
	} {
		c := connect(t, brisk(), n)
		_, err := inMidst(t, c, fault)
		wantKind(t, err, remote.ErrOutcomeUnknown)
		for _, part := range []string{"the jump host 127.0.0.1", "the node itself may well run"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q is not in: %v", name, part, err)
			}
		}
		line.BlackHole(false)
	}
	line.Cut(true)
	fails(t, New(brisk()), n, remote.ErrUnreachable, "at the jump host 127.0.0.1: ")
	run(t, connect(t, patient(), target.node()), "true")
}

// TestFaultAnotherMachineAnswers (19, 20): the address leads to another machine
// after the connection was lost. Its host key tells; nothing is sent to it.
func TestFaultAnotherMachineAnswers(t *testing.T) {
	line, n := startOpenSSH(t).behind()
	other := startOpenSSH(t)
	// The other machine would let us in.
	own, err := os.ReadFile(n.IdentityFiles[0])
	if err != nil {
		t.Fatal(err)
	}
	key, err := xssh.ParsePrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other.path("authorized_keys"), xssh.MarshalAuthorizedKey(key.PublicKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	p := pool(t, patient(), n)
	c, err := p.Conn(within(t), n)
	if err != nil {
		t.Fatal(err)
	}
	line.LeadTo(other.addr())
	_, err = inMidst(t, c, line.Reset)
	wantKind(t, err, remote.ErrOutcomeUnknown)
	for _, conn := range []func() (remote.Conn, error){
		func() (remote.Conn, error) { return p.Conn(within(t), n) },
		func() (remote.Conn, error) { return p.Fresh(within(t), n) },
	} {
		faster(t, 5*time.Second, func() { _, err = conn() })
		wantKind(t, err, remote.ErrHostKeyChanged)
	}
}

// TestFaultMaxStartups (21): an sshd that drops connections because too many
// are logging in is tried again after a pause.
func TestFaultMaxStartups(t *testing.T) {
	line, n := startOpenSSH(t, "MaxStartups 1", "LoginGraceTime 60").behind()
	slow, err := net.Dial("tcp", line.Addr()) // logs in for ever
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close() //nolint:errcheck // the test is over
	if _, err := slow.Read(make([]byte, 8)); err != nil {
		t.Fatal(err) // The banner: sshd counts it now.
	}
	done := make(chan error, 1)
	go func() {
		c, err := New(patient()).Connect(within(t), n, nil)
		if err == nil {
			err = c.Close()
		}
		done <- err
	}()
	eventually(t, "it is tried a second time", func() bool { return line.Accepted() >= 3 })
	_ = slow.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestFaultSudoExpires (22, 23): sudo asks for a password in the middle of a
// run. The command surely did not run, the error says so with sudo's own words,
// in whatever language, and the connection is good for the next one.
func TestFaultSudoExpires(t *testing.T) {
	bin := t.TempDir()
	expired, ran := filepath.Join(bin, "expired"), filepath.Join(bin, "ran")
	for program, script := range map[string]string{
		"sudo": `if [ -e ` + expired + ` ]; then echo 'sudo: требуется пароль' >&2; exit 1; fi
[ "$1" = -n ] && [ "$2" = -- ] || exit 9
shift 2
echo 'We trust you have received the usual lecture'
FAKE_UID=0 exec "$@"
`,
		"id": "echo ${FAKE_UID:-1000}\n",
	} {
		if err := os.WriteFile(filepath.Join(bin, program), []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // it must run
			t.Fatal(err)
		}
	}
	n := newServer(t, remotetest.ServerOptions{Env: []string{"PATH=" + bin + ":/usr/bin:/bin"}}).Node("n1")
	n.Sudo = "auto"
	c := connect(t, patient(), n)
	// A command's own status 1 is an answer, and no refusal of sudo.
	if r := run(t, c, `echo "as $FAKE_UID"; echo 'sudo: a password is required' >&2; exit 1`); r.Exit != 1 || string(r.Stdout) != "as 0\n" {
		t.Errorf("got %d, %q", r.Exit, r.Stdout)
	}
	if err := os.WriteFile(expired, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := c.Run(within(t), sh("echo x >"+ran), remote.Streams{})
	wantKind(t, err, remote.ErrPrivilege)
	if exists(ran) || !strings.Contains(err.Error(), "sudo refused") || !strings.Contains(err.Error(), "требуется пароль") ||
		strings.Contains(err.Error(), "at-sudo") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(expired); err != nil {
		t.Fatal(err)
	}
	run(t, c, "echo x >"+ran)
	if !exists(ran) {
		t.Error("the command did not run once sudo let it")
	}
}

// frozenNode makes the test binary a client that is about to be frozen: it
// runs a command on the node in the variable and says how it ended.
const frozenNode = "NOVATUI_TEST_FROZEN_NODE"

func frozen(node string) int {
	var n remote.Node
	if err := json.Unmarshal([]byte(node), &n); err != nil {
		return 3
	}
	c, err := New(brisk()).Connect(context.Background(), n, nil)
	if err != nil {
		fmt.Println(err)
		return 4
	}
	defer c.Close() //nolint:errcheck // the process ends
	cmd := sh("echo running; sleep 2; exit 7")
	r, err := c.Run(context.Background(), cmd, remote.Streams{Stdout: os.Stdout})
	fmt.Println("exit", r.Exit, err)
	return 0
}

// TestFaultFrozenClient (5, 10): the program is stopped for longer than the
// keepalives allow (Ctrl-Z, a laptop that sleeps). When it goes on it does not
// take its own silence for the node's.
func TestFaultFrozenClient(t *testing.T) {
	n, err := json.Marshal(startOpenSSH(t).node())
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(within(t), exe)
	child.Env = append(os.Environ(), frozenNode+"="+string(n))
	var out safeBuffer
	child.Stdout, child.Stderr = &out, &out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command runs", func() bool { return strings.Contains(out.String(), "running") })
	if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond) // the fault itself: twice what the keepalives allow
	if err := child.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil || !strings.Contains(out.String(), "exit 7 <nil>") {
		t.Errorf("%v: %s", err, out.String())
	}
}
