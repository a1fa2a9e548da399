package ssh

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	xssh "golang.org/x/crypto/ssh"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/remote/remotetest"
)

func fileLines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path) //nolint:gosec // a file of the test
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func TestUnknownHostKey(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	fingerprint := xssh.FingerprintSHA256(s.HostKeys()[0])
	n := s.Node("n1")
	n.KnownHosts = []string{filepath.Join(t.TempDir(), "new", "folder", "known_hosts"), s.KnownHosts() + ".none"}

	fails(t, New(patient()), n, remote.ErrHostKeyUnknown, fingerprint, "ssh-ed25519", "nobody can be asked")
	for name, o := range map[string]*operator{
		"silence": answers(t), "no": answers(t, "host-key", "no"), "a word": answers(t, "host-key", "maybe"),
		"another fingerprint": answers(t, "host-key", fingerprint+"x"),
	} {
		opts := patient()
		opts.Asker = o
		fails(t, New(opts), n, remote.ErrHostKeyUnknown, fingerprint, "was not accepted")
		if o.count() != 1 || exists(n.KnownHosts[0]) {
			t.Errorf("%s: asked %d times, file exists: %v", name, o.count(), exists(n.KnownHosts[0]))
		}
	}

	o := answers(t, "host-key", "yes")
	opts := patient()
	opts.Asker = o
	c := connect(t, opts, n)
	run(t, c, "true")
	q := o.asked[0]
	if q.Kind != "host-key" || q.Node != "n1" || q.Host != s.Addr() || q.Fingerprint != fingerprint || q.KeyType != "ssh-ed25519" {
		t.Errorf("asked %+v", q)
	}
	if got := fileLines(t, n.KnownHosts[0]); !slices.Equal(got, []string{strings.TrimSpace(s.KnownHostsLine(s.HostKeys()[0]))}) {
		t.Errorf("known_hosts: %q", got)
	}
	info, err := os.Stat(n.KnownHosts[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	run(t, connect(t, patient(), n), "true") // Known now, nobody is asked.
}

func TestChangedHostKeyIsNeverAskedAbout(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	old := xssh.FingerprintSHA256(s.HostKeys()[0])
	db := "# a comment\n\n" + strings.Join(fileLines(t, s.KnownHosts()), "\n") + "\n"
	if err := os.WriteFile(s.KnownHosts(), []byte(db), 0o600); err != nil {
		t.Fatal(err)
	}
	s.ChangeHostKeys()
	o := answers(t, "host-key", "yes")
	opts := patient()
	opts.Asker = o
	fails(t, New(opts), s.Node("n1"), remote.ErrHostKeyChanged,
		s.KnownHosts()+":3", old, xssh.FingerprintSHA256(s.HostKeys()[0]))
	if o.count() != 0 {
		t.Error("the operator was asked about a changed key")
	}
}

func TestHostKeyThatChangesMidway(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	old := xssh.FingerprintSHA256(s.HostKeys()[0])
	tr := New(patient())
	c, err := tr.Connect(within(t), s.Node("n1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	s.ChangeHostKeys()
	s.TrustHostKeys() // Even a known_hosts that agrees does not help.
	fails(t, tr, s.Node("n1"), remote.ErrHostKeyChanged, "WHILE NOVATUI WAS RUNNING", old, xssh.FingerprintSHA256(s.HostKeys()[0]))
	run(t, connect(t, patient(), s.Node("n1")), "true") // A new process trusts it.
}

// TestOneKnownTypeOfSeveral: x/crypto alone says "key mismatch" here.
func TestOneKnownTypeOfSeveral(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{HostKeys: []string{"rsa", "ecdsa", "ed25519"}})
	for i, key := range s.HostKeys() {
		n := s.Node("n1")
		n.KnownHosts = []string{filepath.Join(t.TempDir(), "known_hosts")}
		if err := os.WriteFile(n.KnownHosts[0], []byte(s.KnownHostsLine(key)), 0o600); err != nil {
			t.Fatal(err)
		}
		tr := New(patient())
		for range 2 {
			c, err := tr.Connect(within(t), n, nil)
			if err != nil {
				t.Fatalf("known key %d: %v", i, err)
			}
			_ = c.Close()
		}
	}
	// A server that lost the known key shows another one: changed, not unknown.
	other := newServer(t, remotetest.ServerOptions{HostKeys: []string{"ecdsa"}})
	n := other.Node("n1")
	line := strings.Replace(s.KnownHostsLine(s.HostKeys()[2]), fmt.Sprint(s.Port()), fmt.Sprint(other.Port()), 1)
	if err := os.WriteFile(n.KnownHosts[0], []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, New(patient()), n, remote.ErrHostKeyChanged, n.KnownHosts[0]+":1")
}

func TestKnownHostsWithBrokenLines(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	good := fileLines(t, s.KnownHosts())[0]
	db := "host ssh-unheard-of AAAA\n" + strings.Repeat("x", 100<<10) + "\n@wrong * x y\n" + good + "\n"
	if err := os.WriteFile(s.KnownHosts(), []byte(db), 0o600); err != nil {
		t.Fatal(err)
	}
	var warned []msg.Msg
	opts := patient()
	opts.Warn = func(_ string, m msg.Msg) { warned = append(warned, m) }
	tr := New(opts)
	for range 2 {
		c, err := tr.Connect(within(t), s.Node("n1"), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if len(warned) != 1 || !strings.Contains(msg.New("en").S(warned[0]), s.KnownHosts()+":3") {
		t.Errorf("warned %v", warned)
	}
	s.ChangeHostKeys()
	fails(t, New(patient()), s.Node("n1"), remote.ErrHostKeyChanged, s.KnownHosts()+":4")
}

func TestCertificateAuthorities(t *testing.T) {
	_, ca := remotetest.NewKey(t, "ed25519")
	_, wrong := remotetest.NewKey(t, "ed25519")
	authority := func(host string, key xssh.PublicKey) string {
		return "@cert-authority " + host + " " + string(xssh.MarshalAuthorizedKey(key))
	}
	s := newServer(t, remotetest.ServerOptions{HostCA: ca})
	with := func(lines ...string) remote.Node {
		n := s.Node("n1")
		n.KnownHosts = []string{filepath.Join(t.TempDir(), "known_hosts")}
		if err := os.WriteFile(n.KnownHosts[0], []byte(strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
		return n
	}
	run(t, connect(t, patient(), with(authority("*", ca.PublicKey()))), "true")
	fails(t, New(patient()), with(authority("*", wrong.PublicKey())), remote.ErrHostKeyUnknown)
	// Without an authority, the plain key is asked for, not the certificate.
	run(t, connect(t, patient(), with(s.KnownHostsLine(s.HostKeys()[1]))), "true")

	plain := newServer(t, remotetest.ServerOptions{})
	s = plain
	// skeema/knownhosts#17: an authority for * made plain hosts "changed".
	fails(t, New(patient()), with(authority("*", ca.PublicKey())), remote.ErrHostKeyUnknown, "nobody can be asked")
	run(t, connect(t, patient(), with(authority("*", ca.PublicKey()), s.KnownHostsLine(s.HostKeys()[0]))), "true")
	fails(t, New(patient()), with("@revoked * "+string(xssh.MarshalAuthorizedKey(s.HostKeys()[0])), s.KnownHostsLine(s.HostKeys()[0])),
		remote.ErrHostKeyChanged, "is revoked by")
}

func TestSeveralNodesAcceptedAtOnce(t *testing.T) {
	db := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(db, []byte("# no newline at the end"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := answers(t)
	opts := patient()
	opts.Asker = o
	tr := New(opts)
	var servers []*remotetest.Server
	for range 6 {
		servers = append(servers, newServer(t, remotetest.ServerOptions{}))
		o.answers["host-key"] = append(o.answers["host-key"], "yes")
	}
	errs := remote.Each(servers, func(i int, s *remotetest.Server) error {
		n := s.Node(fmt.Sprintf("n%d", i))
		n.KnownHosts = []string{db}
		c, err := tr.Connect(within(t), n, nil)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if lines := fileLines(t, db); len(lines) != 7 || o.count() != 6 {
		t.Errorf("%d lines, %d questions", len(lines), o.count())
	}
	for _, s := range servers {
		n := s.Node("n")
		n.KnownHosts = []string{db}
		run(t, connect(t, patient(), n), "true")
	}
}

// TestOneUnknownJumpHost: three nodes behind one bastion ask once about it.
func TestOneUnknownJumpHost(t *testing.T) {
	bastion := newServer(t, remotetest.ServerOptions{})
	target := newServer(t, remotetest.ServerOptions{})
	db := filepath.Join(t.TempDir(), "known_hosts")
	o := answers(t, "host-key", "yes", "host-key", "yes", "host-key", "yes")
	opts := patient()
	opts.Asker = o
	tr := New(opts)
	errs := remote.Each([]string{"n1", "n2", "n3"}, func(_ int, name string) error {
		n := target.Node(name)
		n.Jump = "tester@" + bastion.Addr()
		n.IdentityFiles = []string{bastion.Key(), target.Key()}
		n.KnownHosts = []string{db, target.KnownHosts()}
		c, err := tr.Connect(within(t), n, nil)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if o.count() != 1 || len(fileLines(t, db)) != 1 {
		t.Errorf("asked %d times, %q", o.count(), fileLines(t, db))
	}
}

// TestTheOperatorMayTakeTime: neither our deadline counts the time that an
// answer takes, nor does a server that hangs up meanwhile lose the answer.
func TestTheOperatorMayTakeTime(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	n := s.Node("n1")
	n.KnownHosts = []string{filepath.Join(t.TempDir(), "known_hosts")}
	o := answers(t, "host-key", "yes")
	o.think = 1500 * time.Millisecond
	opts := patient()
	opts.Asker, opts.Timeouts.HostKey = o, 500*time.Millisecond
	run(t, connect(t, opts, n), "true")

	n.KnownHosts = []string{filepath.Join(t.TempDir(), "known_hosts")}
	o.answers["host-key"] = []string{"yes"}
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		eventually(t, "the question is asked", func() bool { return o.count() == 2 })
		s.DropConnections()
	}()
	run(t, connect(t, opts, n), "true")
	wg.Wait()
	if o.count() != 2 {
		t.Errorf("asked %d times", o.count())
	}
}

func TestHashedKnownHosts(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	n := s.Node("n1")
	n.Root, n.KnownHosts = "", nil
	db := filepath.Join(t.TempDir(), "known_hosts")
	opts := patient()
	opts.ConfigFile = config(t, "Host *\n  HashKnownHosts yes\n  UserKnownHostsFile "+db+"\n  GlobalKnownHostsFile none\n")
	opts.Asker = answers(t, "host-key", "да")
	run(t, connect(t, opts, n), "true")
	if lines := fileLines(t, db); len(lines) != 1 || !strings.HasPrefix(lines[0], "|1|") {
		t.Errorf("got %q", lines)
	}
	opts.Asker = nil
	run(t, connect(t, opts, n), "true")
}

func TestKnownHostsThatCannotBeWritten(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	n := s.Node("n1")
	n.KnownHosts = []string{"/proc/novatui/known_hosts"}
	var warned []string
	opts := patient()
	opts.Asker = answers(t, "host-key", "yes", "host-key", "yes")
	opts.Warn = func(_ string, m msg.Msg) { warned = append(warned, msg.New("en").S(m)) }
	run(t, connect(t, opts, n), "true")
	if len(warned) != 1 || !strings.Contains(warned[0], "could not be saved in /proc/novatui/known_hosts") {
		t.Errorf("warned %q", warned)
	}
}

// TestKeyExchangeLater: the library checks the host key again at every key
// exchange, long after the attempt to connect is over.
func TestKeyExchangeLater(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{RekeyBytes: 64 << 10})
	c := connect(t, patient(), s.Node("n1"))
	for range 3 {
		cmd := sh("head -c 1000000 /dev/zero")
		r, err := c.Run(within(t), cmd, remote.Streams{})
		if err != nil || len(r.Stdout) != 1000000 {
			t.Fatalf("%d bytes, %v", len(r.Stdout), err)
		}
	}
}

func TestCertificateOnReconnect(t *testing.T) {
	_, ca := remotetest.NewKey(t, "ed25519")
	s := newServer(t, remotetest.ServerOptions{HostCA: ca})
	n := s.Node("n1")
	line := "@cert-authority * " + string(xssh.MarshalAuthorizedKey(ca.PublicKey()))
	if err := os.WriteFile(n.KnownHosts[0], []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	tr := New(patient())
	for range 2 {
		c, err := tr.Connect(within(t), n, nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
}
