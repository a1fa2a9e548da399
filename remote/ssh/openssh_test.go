package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/remote/remotetest"
)

// openSSH is a real sshd on a port of its own, run by whoever runs the tests.
type openSSH struct {
	t       *testing.T
	dir     string
	port    int
	process *os.Process
	host    xssh.PublicKey
}

// startOpenSSH starts sshd with lines added to its configuration. The test is
// skipped where there is no sshd.
func startOpenSSH(t *testing.T, lines ...string) *openSSH {
	t.Helper()
	program := "/usr/sbin/sshd"
	if _, err := os.Stat(program); err != nil {
		t.Skip("no /usr/sbin/sshd on this machine: install openssh-server to run this test")
	}
	if os.Getuid() == 0 {
		// sshd's privilege separation insists on this folder when it runs as root.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { //nolint:gosec // as Debian's unit makes it
			t.Skipf("sshd cannot run here: %v", err)
		}
	}
	s := &openSSH{t: t, dir: t.TempDir()}
	user, host := s.key("id"), s.key("host")
	s.host = host
	if err := os.WriteFile(s.path("authorized_keys"), xssh.MarshalAuthorizedKey(user), 0o600); err != nil {
		t.Fatal(err)
	}
	s.port = freePort(t)
	conf := append([]string{
		"ListenAddress 127.0.0.1", "Port " + strconv.Itoa(s.port), "HostKey " + s.path("host"), "PidFile none",
		"AuthorizedKeysFile " + s.path("authorized_keys"), "StrictModes no", "PasswordAuthentication no",
		"KbdInteractiveAuthentication no", "PermitRootLogin yes", "UsePAM no",
	}, lines...)
	if err := os.WriteFile(s.path("config"), []byte(strings.Join(conf, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	cmd := exec.Command(program, "-D", "-e", "-f", s.path("config"))
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Skipf("sshd does not start: %v", err)
	}
	s.process = cmd.Process
	t.Cleanup(func() {
		_ = s.process.Kill()
		_ = cmd.Wait() // killed
	})
	known := fmt.Sprintf("[127.0.0.1]:%d %s", s.port, xssh.MarshalAuthorizedKey(s.host))
	if err := os.WriteFile(s.path("known_hosts"), []byte(known), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", s.addr())
		if err == nil {
			_ = c.Close()
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("sshd does not listen: %s", log)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() //nolint:errcheck // only its number is wanted
	return ln.Addr().(*net.TCPAddr).Port
}

func (s *openSSH) path(name string) string { return filepath.Join(s.dir, name) }
func (s *openSSH) addr() string            { return fmt.Sprintf("127.0.0.1:%d", s.port) }

func (s *openSSH) key(name string) xssh.PublicKey {
	s.t.Helper()
	key, signer := remotetest.NewKey(s.t, "ed25519")
	remotetest.WriteKey(s.t, s.path(name), key, "")
	return signer.PublicKey()
}

func (s *openSSH) node() remote.Node {
	return remote.Node{
		Name: "n1", Address: "127.0.0.1", Port: s.port, User: localUser(), Sudo: "never", Root: s.dir,
		IdentityFiles: []string{s.path("id")}, KnownHosts: []string{s.path("known_hosts")},
	}
}

func TestOpenSSH(t *testing.T) {
	s := startOpenSSH(t)
	c := connect(t, patient(), s.node())
	t.Run("results", func(t *testing.T) {
		r := run(t, c, "echo out; echo err >&2; exit 3")
		if r.Exit != 3 || string(r.Stdout) != "out\n" || string(r.Stderr) != "err\n" {
			t.Errorf("got %+v", r)
		}
		if r := run(t, c, "kill -KILL $$"); r.Exit != 137 || r.Signal != "KILL" {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("arguments", func(t *testing.T) {
		cmd := sh(`printf '%s\0' "$LC_ALL" "$@"; cat`)
		cmd.Argv, cmd.Stdin = append(append(cmd.Argv, "sh"), hard...), "input"
		r, err := c.Run(within(t), cmd, remote.Streams{})
		if want := strings.Join(append([]string{"C"}, hard...), "\x00") + "\x00input"; err != nil || string(r.Stdout) != want {
			t.Errorf("got %q, %v", r.Stdout, err)
		}
	})
	t.Run("deadline ends the command", func(t *testing.T) {
		told, ready := s.path("told"), s.path("ready")
		overrun(t, c, `trap "echo x >`+told+`; exit" TERM; echo x >`+ready+`; while :; do sleep 0.05; done`, ready)
		eventually(t, "the command is told to end", func() bool { return exists(told) })
	})
	t.Run("stdin that nobody reads", func(t *testing.T) {
		r, err := c.Run(within(t), sh("exit 4"), remote.Streams{Stdin: zeros{}})
		if err != nil || r.Exit != 4 {
			t.Errorf("got %+v, %v", r, err)
		}
	})
	t.Run("background process", func(t *testing.T) {
		faster(t, 20*time.Second, func() {
			r := run(t, c, "sleep 60 & echo $! >"+s.path("pid")+"; echo done; exit 7")
			if r.Exit != 7 || string(r.Stdout) != "done\n" {
				t.Errorf("got %+v", r)
			}
		})
		run(t, c, "kill $(cat "+s.path("pid")+")")
	})
	t.Run("many at once", func(t *testing.T) {
		errs := remote.Each(make([]int, 30), func(i int, _ int) error {
			_, err := c.Run(within(t), sh("sleep 0.05"), remote.Streams{})
			return err
		})
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
	})
	t.Run("tunnel", func(t *testing.T) {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }))
		defer web.Close()
		tr := &http.Transport{DialContext: c.Dial}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Get(web.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	})
}

func TestOpenSSHHostKeysAndLogin(t *testing.T) {
	s := startOpenSSH(t)
	n := s.node()
	n.KnownHosts = []string{s.path("none")}
	fails(t, New(patient()), n, remote.ErrHostKeyUnknown, xssh.FingerprintSHA256(s.host))
	opts := patient()
	opts.Asker = answers(t, "host-key", xssh.FingerprintSHA256(s.host))
	run(t, connect(t, opts, n), "true")

	_, other := remotetest.NewKey(t, "ed25519")
	line := fmt.Sprintf("[127.0.0.1]:%d %s", s.port, xssh.MarshalAuthorizedKey(other.PublicKey()))
	if err := os.WriteFile(s.path("none"), []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, New(patient()), n, remote.ErrHostKeyChanged, s.path("none")+":1", xssh.FingerprintSHA256(s.host), xssh.FingerprintSHA256(other.PublicKey()))

	n = s.node()
	s.key("wrong")
	n.IdentityFiles = []string{s.path("wrong")}
	fails(t, New(patient()), n, remote.ErrAuth, s.path("wrong"), "The server takes: publickey")
}

func TestOpenSSHMaxSessions(t *testing.T) {
	c := connect(t, patient(), startOpenSSH(t, "MaxSessions 2").node())
	errs := remote.Each(make([]int, 10), func(int, int) error {
		_, err := c.Run(within(t), sh("sleep 0.1"), remote.Streams{})
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

func TestOpenSSHForbidsTunnels(t *testing.T) {
	c := connect(t, patient(), startOpenSSH(t, "AllowTcpForwarding no").node())
	_, err := c.Dial(within(t), "tcp", "127.0.0.1:1")
	wantKind(t, err, remote.ErrUnreachable)
	if !strings.Contains(err.Error(), "AllowTcpForwarding") {
		t.Errorf("got %v", err)
	}
}

func TestOpenSSHForceCommand(t *testing.T) {
	s := startOpenSSH(t, "ForceCommand echo 'only backups here'")
	fails(t, New(patient()), s.node(), remote.ErrPrivilege, "only backups here")
}

func TestOpenSSHConnectionDies(t *testing.T) {
	c := connect(t, patient(), startOpenSSH(t).node())
	// The parent of the login shell is the sshd of this connection.
	_, err := c.Run(within(t), sh("kill -KILL $PPID; sleep 30"), remote.Streams{})
	wantKind(t, err, remote.ErrOutcomeUnknown)
	eventually(t, "the loss is seen", func() bool { return c.Err() != nil })
}
