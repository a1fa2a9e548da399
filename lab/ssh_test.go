package lab

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/crypto/ssh"
	"google.golang.org/grpc"
)

func TestSSHCommands(t *testing.T) {
	l := newLab(t, Options{Keys: 100})
	c := dial(t, l, "master-3")
	root := l.NodeRoot("master-3")

	a := expect(t, c, `echo out; echo err >&2; exit 7`, 7)
	if a.out != "out\n" || a.err != "err\n" {
		t.Errorf("streams are mixed: %q %q", a.out, a.err)
	}
	expect(t, c, `kill -TERM $$`, -1, "signal TERM")
	expect(t, c, `echo "$HOME $USER"; pwd; hostname; command -v systemctl journalctl`, 0,
		filepath.Join(root, "home/ops")+" ops", filepath.Join(root, "usr/bin/systemctl"), "master-3\n")
	expect(t, c, `test -r '`+root+`/etc/etcd.env' && sleep 0 & wait; echo done`, 0, "done")

	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Setenv("LC_ALL", "ru_RU.UTF-8"); err != nil {
		t.Error("LC_ALL is refused")
	}
	if err := s.Setenv("LD_PRELOAD", "/x"); err == nil {
		t.Error("LD_PRELOAD is taken")
	}
	s.Stdin = strings.NewReader(strings.Repeat("payload\n", 100_000))
	out, err := s.Output(`echo $LC_ALL; wc -c`)
	if err != nil || !strings.Contains(string(out), "ru_RU.UTF-8") || !strings.Contains(string(out), "800000") {
		t.Errorf("%v: %s", err, out)
	}
	if ok, _, err := c.SendRequest("keepalive@openssh.com", true, nil); err != nil || ok {
		t.Errorf("keepalive: %v %v", ok, err)
	}
	if s, err := c.NewSession(); err != nil {
		t.Error(err)
	} else if err := s.RequestSubsystem("sftp"); err == nil {
		t.Error("there is no sftp, and it was granted")
	}
}

// TestEtcdTools runs the real tools by their names, with the env file's words.
func TestEtcdTools(t *testing.T) {
	l := newLab(t, Options{Keys: 100})
	c := dial(t, l, "master-1")
	root := l.NodeRoot("master-1")
	env := "set -a; . '" + root + "/etc/etcd.env'; cd '" + root + "/opt/etcd'; "
	expect(t, c, env+"./etcdctl endpoint health --cluster -w json", 0, `"health":true`)
	expect(t, c, env+"./etcdctl get --prefix --keys-only /registry/ | grep -c /registry/", 0)
	expect(t, c, env+"./etcd --version", 0, "etcd Version: 3.7.3")
	expect(t, c, env+"./etcdutl version", 0, "etcdutl version: 3.7.3")
	expect(t, c, env+"./etcdctl snapshot save '"+root+"/tmp/s.db' && ./etcdutl snapshot status -w json '"+root+"/tmp/s.db'", 0, `"totalKey":`)
	expect(t, c, env+"./etcdutl snapshot restore '"+root+"/tmp/s.db' --data-dir '"+root+"/tmp/restored' --name etcd1 "+
		"--initial-cluster etcd1=https://127.0.0.1:1 --initial-advertise-peer-urls https://127.0.0.1:1 --bump-revision 1000 --mark-compacted && ls '"+root+"/tmp/restored/member'", 0, "snap", "wal")
	expect(t, c, "cd '"+root+"/tmp' && tar xzf etcd_snapshot_*.tar.gz && '"+root+"/opt/etcd/etcdutl' snapshot status opt/backup/*.db", 0)
}

func TestSSHTerminal(t *testing.T) {
	l := newLab(t, Options{Keys: 100, Nodes: 1})
	c := dial(t, l, "master-1")
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm-256color", 24, 80, ssh.TerminalModes{}); err != nil {
		t.Fatal(err)
	}
	in, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := &watched{}
	s.Stdout = out
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	out.await(t, "[ops@master-1 ")
	say := func(line, want string) {
		t.Helper()
		if _, err := io.WriteString(in, line+"\n"); err != nil {
			t.Fatal(err)
		}
		out.await(t, want)
	}
	say("stty size; echo $TERM", "24 80")
	out.await(t, "xterm-256color")
	if err := s.WindowChange(50, 200); err != nil {
		t.Fatal(err)
	}
	// What is typed may overtake the request, which has no answer; the answer to
	// a later request cannot.
	if _, err := s.SendRequest("keepalive@openssh.com", true, nil); err != nil {
		t.Fatal(err)
	}
	say("stty size", "50 200")
	say("sleep 100; echo woke-$?", "sleep 100")
	if _, err := in.Write([]byte{3}); err != nil { // ctrl-c
		t.Fatal(err)
	}
	out.await(t, "^C")
	say("echo alive-$((40+2))", "alive-42")
	say("exit 5", "exit")
	if err := s.Wait(); err == nil || !strings.Contains(err.Error(), "5") {
		t.Errorf("exit status: %v", err)
	}
}

// TestSSHHangup: a lost connection hangs up a terminal's processes, and leaves
// what has no terminal alone, as sshd does.
func TestSSHHangup(t *testing.T) {
	l := newLab(t, Options{Keys: 100, Nodes: 1})
	marker := func(name string) func() bool {
		return func() bool {
			_, err := os.Stat(filepath.Join(l.NodeRoot("master-1"), "tmp", name))
			return err == nil
		}
	}
	tmp := filepath.Join(l.NodeRoot("master-1"), "tmp")

	c := dial(t, l, "master-1")
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm", 24, 80, ssh.TerminalModes{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Start("trap 'touch " + tmp + "/hup; exit' HUP; touch " + tmp + "/up; while :; do sleep 0.05; done"); err != nil {
		t.Fatal(err)
	}
	if !until(20*time.Second, marker("up")) {
		t.Fatal("the command does not run")
	}
	_ = c.Close()
	if !until(20*time.Second, marker("hup")) {
		t.Error("no SIGHUP after the connection was lost")
	}

	c = dial(t, l, "master-1")
	if s, err = c.NewSession(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.StdinPipe(); err != nil { // keeps the session's input open
		t.Fatal(err)
	}
	if err := s.Start("touch " + tmp + "/up2; cat >/dev/null; touch " + tmp + "/eof"); err != nil {
		t.Fatal(err)
	}
	if !until(20*time.Second, marker("up2")) {
		t.Fatal("the command does not run")
	}
	_ = c.Close()
	if !until(20*time.Second, marker("eof")) {
		t.Error("a command without a terminal did not go on to its end")
	}
}

// watched collects output and lets a test wait for a text.
type watched struct {
	mu  sync.Mutex
	buf bytes.Buffer
	off int
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(b)
}

// await waits until text comes after the last text that was waited for.
func (w *watched) await(t *testing.T, text string) {
	t.Helper()
	ok := until(20*time.Second, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		i := strings.Index(w.buf.String()[w.off:], text)
		if i < 0 {
			return false
		}
		w.off += i + len(text)
		return true
	})
	if !ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		t.Fatalf("no %q in %q", text, w.buf.String()[w.off:])
	}
}

func TestSSHRefusals(t *testing.T) {
	l := newLab(t, Options{Keys: 100, Nodes: 1})
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(nodeOf(t, l, "master-1").SSHPort))
	_, other, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ssh.NewSignerFromKey(other)
	if err != nil {
		t.Fatal(err)
	}
	login := func(user string, auth ...ssh.AuthMethod) error {
		c, err := ssh.Dial("tcp", address, &ssh.ClientConfig{User: user, Auth: auth, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	if login("ops", ssh.PublicKeys(stranger)) == nil || login("ops", ssh.Password("ops")) == nil || login("ops") == nil {
		t.Error("a stranger was let in")
	}

	c := dial(t, l, "master-1")
	for _, target := range []string{"192.0.2.1:80", "example.org:80", "0.0.0.0:22"} {
		if conn, err := c.Dial("tcp", target); err == nil {
			_ = conn.Close()
			t.Errorf("forwarded to %s", target)
		}
	}
	var open []*ssh.Session
	for {
		s, err := c.NewSession()
		if err != nil {
			break
		}
		open = append(open, s)
		if len(open) > sshMaxSessions {
			t.Fatal("more sessions than MaxSessions")
		}
	}
	for _, s := range open {
		_ = s.Close()
	}
	if !until(5*time.Second, func() bool { s, err := c.NewSession(); return err == nil && s.Close() == nil }) {
		t.Error("closed sessions do not free their places")
	}

	// Clients that send rubbish or nothing must not take the server along.
	for _, rubbish := range []string{"", "GET / HTTP/1.0\r\n\r\n", "SSH-2.0-x\r\n" + strings.Repeat("\xff", 70000)} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, rubbish)
		_ = conn.Close()
	}
	expect(t, dial(t, l, "master-1"), "echo still there", 0, "still there")
}

// TestEtcdThroughTheTunnel asks etcd as novatui does: with client v3 over
// direct-tcpip.
func TestEtcdThroughTheTunnel(t *testing.T) {
	l := newLab(t, Options{Keys: 100})
	for _, name := range l.NodeNames() {
		c := dial(t, l, name)
		n := nodeOf(t, l, name)
		config, err := tlsFor(n)
		if err != nil {
			t.Fatal(err)
		}
		e, err := clientv3.New(clientv3.Config{
			Endpoints: []string{n.clientURL()}, TLS: config, Logger: zap.NewNop(), DialTimeout: 5 * time.Second,
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(_ context.Context, addr string) (net.Conn, error) {
				return c.Dial("tcp", addr)
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Get(testContext(t), "/registry/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil || got.Count < 100 {
			t.Errorf("%s: %v %v", name, got, err)
		}
		_ = e.Close()
	}
}

// TestServerLeavesNoGoroutines opens and closes a server in this process.
func TestServerLeavesNoGoroutines(t *testing.T) {
	dir := t.TempDir()
	before := runtime.NumGoroutine()
	key, err := newKey(filepath.Join(dir, "user"), "test")
	if err != nil {
		t.Fatal(err)
	}
	host, err := newKey(filepath.Join(dir, "host"), "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "home/ops"), 0o755); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{nodeInfo: nodeInfo{Name: "n", Root: dir}, hostKey: host}
	s := newSSHServer(n, dir, listener, key.PublicKey(), t.Logf)
	served := make(chan struct{})
	go func() { defer close(served); s.serve() }()
	for i := range 3 {
		c, err := ssh.Dial("tcp", listener.Addr().String(), &ssh.ClientConfig{
			User: sshUser, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(host.PublicKey()),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"true", "sleep 300", "cat", "yes"} {
			session, err := c.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			if i == 1 {
				if err := session.RequestPty("xterm", 24, 80, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := session.Start(line); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Dial("tcp", listener.Addr().String()); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			_ = c.Close()
		} else {
			defer c.Close()
		}
	}
	s.close()
	<-served
	if !until(10*time.Second, func() bool { return runtime.NumGoroutine() <= before+4 }) { // the open client's own
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
	}
}
