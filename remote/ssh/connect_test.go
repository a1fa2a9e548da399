package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/remote/remotetest"
)

// untranslated matches the id of a message that should have been its text.
var untranslated = regexp.MustCompile(`\bssh\.[a-z]`)

// fails connects and wants an error of one kind whose text holds all of wants,
// in a node's name and without a trace of a missing translation.
func fails(t *testing.T, tr *Transport, n remote.Node, kind error, wants ...string) error {
	t.Helper()
	c, err := tr.Connect(within(t), n, nil)
	if err == nil {
		_ = c.Close()
		t.Fatalf("connected, want %v", kind)
	}
	wantKind(t, err, kind)
	for _, w := range append([]string{n.Name + ": "}, wants...) {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is missing in: %v", w, err)
		}
	}
	var e *Error
	if !errors.As(err, &e) || e.Node != n.Name || e.Phase == "" {
		t.Fatalf("got %#v", err)
	}
	for _, lang := range msg.Languages {
		if s := msg.New(lang).S(e.Message()); strings.Contains(s, "<no value>") || untranslated.MatchString(s) || strings.Contains(s, "map[") {
			t.Errorf("%s: %s", lang, s)
		}
	}
	return err
}

func TestConnectGoesThroughThePhases(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	var phases []remote.Phase
	c, err := New(patient()).Connect(within(t), s.Node("n1"), func(p remote.Phase) { phases = append(phases, p) })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // the test is over
	want := []remote.Phase{remote.PhaseResolve, remote.PhaseTCP, remote.PhaseHostKey, remote.PhaseAuth, remote.PhasePrivilege, remote.PhaseReady}
	if !slices.Equal(phases, want) {
		t.Errorf("got %v", phases)
	}
	if c.Node().Name != "n1" || time.Since(c.Alive()) > 20*time.Second || c.(*Conn).UID() != os.Getuid() {
		t.Errorf("got %+v", c)
	}
}

func TestUnreachable(t *testing.T) {
	t.Run("nothing listens", func(t *testing.T) {
		s := newServer(t, remotetest.ServerOptions{})
		s.Stop()
		faster(t, 5*time.Second, func() {
			fails(t, New(patient()), s.Node("n1"), remote.ErrUnreachable, "refuses connections")
		})
	})
	t.Run("no such name", func(t *testing.T) {
		n := remote.Node{Name: "n1", Address: "no-such-host.invalid", Root: "/x", KnownHosts: []string{"/x/k"}}
		fails(t, New(patient()), n, remote.ErrUnreachable)
	})
	t.Run("silent before the banner", func(t *testing.T) {
		s := newServer(t, remotetest.ServerOptions{})
		s.SilentBanner.Store(true)
		faster(t, 5*time.Second, func() {
			fails(t, New(quick()), s.Node("n1"), remote.ErrUnreachable, "no answer within 0.7 s while checking the host key")
		})
	})
	t.Run("silent after the login", func(t *testing.T) {
		s := newServer(t, remotetest.ServerOptions{})
		s.SilentOpen.Store(true)
		o := patient()
		o.Timeouts.Privilege = 700 * time.Millisecond
		faster(t, 5*time.Second, func() {
			fails(t, New(o), s.Node("n1"), remote.ErrPrivilege, "no answer within 0.7 s while checking root's rights")
		})
	})
	t.Run("accepts into a backlog and never serves", func(t *testing.T) {
		// What a stopped sshd looks like (SIGSTOP): the kernel accepts.
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close() //nolint:errcheck // the test is over
		n := newServer(t, remotetest.ServerOptions{}).Node("n1")
		n.Port = ln.Addr().(*net.TCPAddr).Port
		faster(t, 5*time.Second, func() { fails(t, New(quick()), n, remote.ErrUnreachable, "no answer within") })
	})
	t.Run("not SSH", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close() //nolint:errcheck // the test is over
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				_, _ = c.Write([]byte("HTTP/1.1 400 \x1b[2JBad Request\r\n\r\n"))
				_ = c.Close()
			}
		}()
		n := newServer(t, remotetest.ServerOptions{}).Node("n1")
		n.Port = ln.Addr().(*net.TCPAddr).Port
		err = fails(t, New(quick()), n, remote.ErrUnreachable)
		if strings.Contains(err.Error(), "\x1b") {
			t.Errorf("an escape got through: %q", err)
		}
	})
	t.Run("busy for a moment", func(t *testing.T) {
		s := newServer(t, remotetest.ServerOptions{})
		s.HangUp.Store(2)
		run(t, connect(t, patient(), s.Node("n1")), "true")
	})
	t.Run("busy for good", func(t *testing.T) {
		s := newServer(t, remotetest.ServerOptions{})
		s.HangUp.Store(1000)
		fails(t, New(patient()), s.Node("n1"), remote.ErrUnreachable, "MaxStartups")
	})
}

func TestCancelledConnect(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	s.SilentBanner.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		eventually(t, "the server is connected to", func() bool { return s.Connections.Load() > 0 })
		cancel()
	}()
	faster(t, 10*time.Second, func() {
		_, err := New(patient()).Connect(ctx, s.Node("n1"), nil)
		wantKind(t, err, nil)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	ctx, cancel = context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err := New(patient()).Connect(ctx, s.Node("n1"), nil)
	wantKind(t, err, remote.ErrUnreachable)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestKeepAlive(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	o := patient()
	o.KeepAlive, o.KeepAliveMissed = 100*time.Millisecond, 3
	c := connect(t, o, s.Node("n1"))
	before := c.Alive()
	eventually(t, "a keepalive is answered", func() bool { return c.Alive().After(before) })
	s.SilentKeepAlive.Store(true)
	// Output is a sign of life too.
	if r := run(t, c, "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $i; sleep 0.1; done"); r.Exit != 0 {
		t.Errorf("got %+v", r)
	}
	faster(t, 10*time.Second, func() {
		_, err := c.Run(within(t), sh("sleep 60"), remote.Streams{})
		wantKind(t, err, remote.ErrOutcomeUnknown)
		if !strings.Contains(err.Error(), "no answer to keepalives") {
			t.Errorf("got %v", err)
		}
	})
}

func TestShellsThatRunNothing(t *testing.T) {
	for name, c := range map[string]struct{ shell, want string }{
		"nologin":    {loginShell(t, `echo "This account is currently not available."; exit 1`), "cannot run commands: its login shell ended with status 1 (This account is currently not available.)"},
		"false":      {"/bin/false", "its login shell ended with status 1 ()"},
		"restricted": {loginShell(t, `[ "$2" = true ] && exit 0; echo "restricted: exec" >&2; exit 1`), "restricted shell that does not run /bin/sh (restricted: exec)"},
		"swallows":   {"/bin/true", "restricted shell"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, remotetest.ServerOptions{Shell: c.shell})
			fails(t, New(patient()), s.Node("n1"), remote.ErrPrivilege, c.want)
		})
	}
	t.Run("rbash", func(t *testing.T) {
		if _, err := os.Stat("/bin/rbash"); err != nil {
			t.Skip("no rbash on this machine")
		}
		s := newServer(t, remotetest.ServerOptions{Shell: "/bin/rbash"})
		fails(t, New(patient()), s.Node("n1"), remote.ErrPrivilege, "restricted shell")
	})
}

// TestSudo has a sudo of its own: the real one needs root to be set up, and the
// end-to-end tests have it. What is tested here is what rests on its answer.
func TestSudo(t *testing.T) {
	const works = `[ "$1" = -n ] && [ "$2" = -- ] || exit 9
shift 2
if [ "$1" = env ]; then shift; exec /usr/bin/env -i PATH="$PATH" FAKE_UID=0 "$@"; fi
FAKE_UID=0 exec "$@"
`
	const id = "echo ${FAKE_UID:-1000}\n"
	for name, c := range map[string]struct{ sudo, want string }{
		"works":               {works, ""},
		"lectures and works":  {"echo 'We trust you have received the usual lecture'; echo lecture >&2\n" + works, ""},
		"password":            {"echo 'sudo: требуется пароль' >&2; exit 1\n", "sudo without a password does not work (sudo: требуется пароль)"},
		"claims to have done": {"echo ok; exit 0\n", "sudo without a password does not work"},
		"becomes another":     {"shift 2; FAKE_UID=33 exec \"$@\"\n", "sudo without a password does not work"},
		"is not there":        {"", "sudo without a password does not work"},
	} {
		t.Run(name, func(t *testing.T) {
			bin := t.TempDir()
			for program, script := range map[string]string{"sudo": c.sudo, "id": id} {
				if script == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(bin, program), []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // it must run
					t.Fatal(err)
				}
			}
			path := bin + ":/usr/bin:/bin"
			if c.sudo == "" {
				// Only what the probe itself needs.
				path = bin
			}
			s := newServer(t, remotetest.ServerOptions{Env: []string{"PATH=" + path}})
			n := s.Node("n1")
			n.Sudo = "auto"
			if c.want != "" {
				fails(t, New(patient()), n, remote.ErrPrivilege, c.want)
				n.Sudo = "never"
				if conn := connect(t, patient(), n); conn.UID() != 1000 {
					t.Errorf("never: uid %d", conn.UID())
				}
				return
			}
			conn := connect(t, patient(), n)
			cmd := sh(`echo "$FAKE_UID $LC_ALL $A $1"`)
			cmd.Argv, cmd.Env = append(cmd.Argv, "sh", "it's $x"), []string{"A=b c"}
			r, err := conn.Run(within(t), cmd, remote.Streams{})
			if err != nil || !strings.HasSuffix(string(r.Stdout), "0 C b c it's $x\n") || conn.UID() != 1000 {
				t.Errorf("got %q, %q, %v", r.Stdout, r.Stderr, err)
			}
		})
	}
	t.Run("a node of a lab asks for none", func(t *testing.T) {
		s := newServer(t, remotetest.ServerOptions{})
		n := s.Node("n1")
		n.Sudo = ""
		run(t, connect(t, patient(), n), "true")
	})
}

func TestJumpHosts(t *testing.T) {
	bastion, second, target := newServer(t, remotetest.ServerOptions{}), newServer(t, remotetest.ServerOptions{}), newServer(t, remotetest.ServerOptions{})
	n := target.Node("n1")
	n.Jump = fmt.Sprintf("tester@127.0.0.1:%d,ssh://tester@127.0.0.1:%d", bastion.Port(), second.Port())
	n.IdentityFiles = []string{bastion.Key(), second.Key(), target.Key()}
	n.KnownHosts = []string{bastion.KnownHosts(), second.KnownHosts(), target.KnownHosts()}
	c := connect(t, patient(), n)
	if r := run(t, c, "echo there"); string(r.Stdout) != "there\n" {
		t.Errorf("got %q", r.Stdout)
	}
	if bastion.Connections.Load() != 1 || second.Connections.Load() != 1 || target.Connections.Load() != 1 {
		t.Errorf("connections: %d, %d, %d", bastion.Connections.Load(), second.Connections.Load(), target.Connections.Load())
	}
	second.DropConnections()
	eventually(t, "the connection ends with its jump host", func() bool { return c.Err() != nil })
	if err := c.Close(); err != nil {
		t.Error(err)
	}

	target.SilentBanner.Store(true)
	o := patient()
	o.Timeouts.HostKey = 3 * time.Second // for each host on the way
	faster(t, 10*time.Second, func() {
		err := fails(t, New(o), n, remote.ErrUnreachable, "no answer within 3 s while checking the host key")
		if strings.Contains(err.Error(), "jump host") {
			t.Errorf("the jump hosts answered: %v", err)
		}
	})
	target.Stop()
	fails(t, New(patient()), n, remote.ErrUnreachable, "the jump host cannot reach "+target.Addr())
	second.ChangeHostKeys()
	fails(t, New(patient()), n, remote.ErrHostKeyChanged, "at the jump host 127.0.0.1: ")
	bastion.Stop()
	fails(t, New(patient()), n, remote.ErrUnreachable, "at the jump host 127.0.0.1: ", "refuses connections")
	n.Jump = "-oProxyCommand=x"
	fails(t, New(patient()), n, remote.ErrUnreachable, "is not a host")
}

// config writes an ssh_config and points HOME at an empty folder.
func config(t *testing.T, text string) string {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	path := filepath.Join(t.TempDir(), "ssh_config")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSSHConfig(t *testing.T) {
	bastion, target := newServer(t, remotetest.ServerOptions{}), newServer(t, remotetest.ServerOptions{})
	file := config(t, fmt.Sprintf(`
Host master-?
  HostName 127.0.0.1
  Port %d
  User tester
  ProxyJump bastion
  IdentityFile %s
  UserKnownHostsFile %s
Host bastion
  HostName 127.0.0.1
  Port %d
  User tester
  IdentityFile %s
  IdentitiesOnly yes
  UserKnownHostsFile /nonexistent %s
Host *
  ProxyJump bastion
  IdentityAgent none
`, target.Port(), target.Key(), target.KnownHosts(), bastion.Port(), bastion.Key(), bastion.KnownHosts()))
	for _, binary := range []string{"", "none"} {
		t.Run("binary "+binary, func(t *testing.T) {
			o := patient()
			o.ConfigFile, o.SSHBinary = file, binary
			before := bastion.Connections.Load()
			n := remote.Node{Name: "n1", Address: "master-1", Sudo: "never"}
			run(t, connect(t, o, n), "true")
			if bastion.Connections.Load() != before+1 {
				t.Error("the jump host was not used")
			}
			n.Jump = "none"
			run(t, connect(t, o, n), "true")
			if bastion.Connections.Load() != before+1 {
				t.Error("the jump host was used although the node says none")
			}
			n.Port = 1
			fails(t, New(o), n, remote.ErrUnreachable, "127.0.0.1:1 refuses connections")
		})
	}
	t.Run("broken file", func(t *testing.T) {
		o := patient()
		o.ConfigFile = config(t, "Host a\n  Frobnicate yes\n")
		fails(t, New(o), remote.Node{Name: "n1", Address: "a"}, remote.ErrUnreachable, "Bad configuration option: frobnicate")
	})
	t.Run("Match exec that hangs", func(t *testing.T) {
		o := patient()
		o.Timeouts.Resolve = 500 * time.Millisecond
		o.ConfigFile = config(t, "Match exec \"sleep 60\"\n  User x\n")
		faster(t, 5*time.Second, func() {
			fails(t, New(o), remote.Node{Name: "n1", Address: "a"}, remote.ErrUnreachable, "no answer within 0.5 s while reading the SSH configuration")
		})
	})
	t.Run("jump hosts in a circle", func(t *testing.T) {
		o := patient()
		o.ConfigFile = config(t, "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
		fails(t, New(o), remote.Node{Name: "n1", Address: "a"}, remote.ErrUnreachable, "goes in a circle")
	})
}

func TestLabNodesAreNotLookedUp(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	o := patient()
	o.ConfigFile = config(t, "Host *\n  Port 1\n  User nobody\n  ProxyJump none-such\n")
	run(t, connect(t, o, s.Node("n1")), "true")
}

func TestProxyCommand(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := patient()
	o.ConfigFile = config(t, fmt.Sprintf(`
Host via
  HostName 127.0.0.1
  Port %d
  ProxyCommand env %s=%%h:%%p %s
Host dead
  HostName 127.0.0.1
  Port %d
  ProxyCommand exit 1
`, s.Port(), proxyTo, self, s.Port()))
	n := s.Node("n1")
	n.Root, n.Address, n.Port = "", "via", 0
	c := connect(t, o, n)
	if r := run(t, c, "echo there"); string(r.Stdout) != "there\n" {
		t.Errorf("got %q", r.Stdout)
	}
	faster(t, 5*time.Second, func() { _ = c.Close() })
	n.Address = "dead"
	faster(t, 15*time.Second, func() { fails(t, New(o), n, remote.ErrUnreachable) })
}
