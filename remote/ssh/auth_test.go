package ssh

import (
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/novatui/novatui/remote"
	"github.com/novatui/novatui/remote/remotetest"
)

// startAgent serves a real agent's protocol on a socket.
func startAgent(t *testing.T, keys ...agent.AddedKey) string {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range keys {
		if err := ring.Add(k); err != nil {
			t.Fatal(err)
		}
	}
	// t.TempDir may be too long for a socket's path.
	dir, err := os.MkdirTemp("", "novatui-agent-")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = agent.ServeAgent(ring, c) // until the client has what it wants
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = ln.Close()
		<-done
		_ = os.RemoveAll(dir)
	})
	return socket
}

// hostNode is the server as a node that is not of a lab, so that the agent and
// ssh_config count.
func hostNode(s *remotetest.Server) remote.Node {
	n := s.Node("n1")
	n.Root, n.IdentityFiles = "", nil
	return n
}

func TestAgent(t *testing.T) {
	key, signer := remotetest.NewKey(t, "rsa")
	other, _ := remotetest.NewKey(t, "ed25519")
	s := newServer(t, remotetest.ServerOptions{Keys: []xssh.PublicKey{signer.PublicKey()}})
	opts := patient()
	opts.ConfigFile = config(t, "")
	t.Setenv("SSH_AUTH_SOCK", startAgent(t, agent.AddedKey{PrivateKey: other, Comment: "other"}, agent.AddedKey{PrivateKey: key, Comment: "mine"}))
	run(t, connect(t, opts, hostNode(s)), "true")

	t.Run("only the named key is offered", func(t *testing.T) {
		public := filepath.Join(t.TempDir(), "id.pub")
		if err := os.WriteFile(public, xssh.MarshalAuthorizedKey(signer.PublicKey()), 0o600); err != nil {
			t.Fatal(err)
		}
		n := hostNode(s)
		for _, file := range []string{public, strings.TrimSuffix(public, ".pub")} {
			n.IdentityFiles = []string{file}
			run(t, connect(t, opts, n), "true")
		}
		n.IdentityFiles = []string{filepath.Join(t.TempDir(), "none")}
		fails(t, New(opts), n, remote.ErrAuth, "does not exist", "no key to offer")
	})
	t.Run("a lab does not ask it", func(t *testing.T) {
		n := s.Node("n1")
		n.IdentityFiles = []string{filepath.Join(t.TempDir(), "none")}
		fails(t, New(opts), n, remote.ErrAuth, "the agent was left out")
	})
	t.Run("IdentityAgent none", func(t *testing.T) {
		o := opts
		o.ConfigFile = config(t, "Host *\n  IdentityAgent none\n")
		fails(t, New(o), hostNode(s), remote.ErrAuth, "no agent (IdentityAgent none)")
	})
	t.Run("too many keys", func(t *testing.T) {
		var keys []agent.AddedKey
		for range 8 {
			k, _ := remotetest.NewKey(t, "ed25519")
			keys = append(keys, agent.AddedKey{PrivateKey: k, Comment: "wrong"})
		}
		t.Setenv("SSH_AUTH_SOCK", startAgent(t, append(keys, agent.AddedKey{PrivateKey: key, Comment: "mine"})...))
		fails(t, New(opts), hostNode(s), remote.ErrAuth, "identity_files")
		n := hostNode(s)
		n.IdentityFiles = []string{s.Key()}
		run(t, connect(t, opts, n), "true")
	})
}

func TestNoAgentSaysWhatWasTried(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	opts := patient()
	opts.ConfigFile = config(t, "")
	fails(t, New(opts), hostNode(s), remote.ErrAuth, "no agent (SSH_AUTH_SOCK is not set)", "no key files in ~/.ssh",
		"The server takes: publickey", "ssh-add")
	t.Setenv("SSH_AUTH_SOCK", filepath.Join(t.TempDir(), "gone"))
	fails(t, New(opts), hostNode(s), remote.ErrAuth, "gone does not answer")
	t.Setenv("SSH_AUTH_SOCK", startAgent(t))
	fails(t, New(opts), hostNode(s), remote.ErrAuth, "the agent holds no keys")

	dead, err := net.Listen("unix", filepath.Join(os.TempDir(), "novatui-dead-agent"))
	if err != nil {
		t.Skip(err)
	}
	defer dead.Close() //nolint:errcheck // the test is over
	t.Setenv("SSH_AUTH_SOCK", dead.Addr().String())
	fails(t, New(opts), hostNode(s), remote.ErrAuth, "novatui-dead-agent does not answer")

	refusing := newServer(t, remotetest.ServerOptions{NoKeys: true})
	fails(t, New(patient()), refusing.Node("n1"), remote.ErrAuth, "was refused", refusing.Key())
}

func TestEncryptedKeys(t *testing.T) {
	key, signer := remotetest.NewKey(t, "ed25519")
	path := filepath.Join(t.TempDir(), "id")
	remotetest.WriteKey(t, path, key, "open sesame")
	s := newServer(t, remotetest.ServerOptions{Keys: []xssh.PublicKey{signer.PublicKey()}})
	n := s.Node("n1")
	n.IdentityFiles = []string{path}

	fails(t, New(patient()), n, remote.ErrAuth, path+" is encrypted")
	o := answers(t)
	opts := patient()
	opts.Asker = o
	fails(t, New(opts), n, remote.ErrAuth, path+" is encrypted")
	o.answers["passphrase"] = []string{"a", "b", "c", "open sesame"}
	fails(t, New(opts), n, remote.ErrAuth, "wrong passphrase")

	o = answers(t, "passphrase", "wrong", "passphrase", "open sesame")
	opts.Asker = o
	tr := New(opts)
	errs := remote.Each([]string{"n1", "n2", "n3"}, func(_ int, name string) error {
		n := n
		n.Name = name
		c, err := tr.Connect(within(t), n, nil)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if q := o.asked[0]; o.count() != 2 || q.Kind != "passphrase" || q.Subject != path || !q.Secret {
		t.Errorf("asked %+v", o.asked)
	}

	t.Run("three nodes ask once about a key that stays locked", func(t *testing.T) {
		o := answers(t)
		o.think = 300e6
		opts.Asker = o
		tr := New(opts)
		errs := remote.Each([]string{"n1", "n2", "n3"}, func(_ int, name string) error {
			n := n
			n.Name = name
			_, err := tr.Connect(within(t), n, nil)
			return err
		})
		for _, err := range errs {
			wantKind(t, err, remote.ErrAuth)
		}
		if o.count() != 1 {
			t.Errorf("asked %d times", o.count())
		}
	})
	t.Run("a locked key does not keep the next one from being tried", func(t *testing.T) {
		opts.Asker = answers(t)
		n := n
		n.IdentityFiles = []string{path, s.Key()}
		run(t, connect(t, opts, n), "true")
	})
	t.Run("a key that the server does not take is not asked for", func(t *testing.T) {
		o := answers(t, "passphrase", "x")
		opts.Asker = o
		n := newServer(t, remotetest.ServerOptions{}).Node("n1")
		n.IdentityFiles = append([]string{path}, n.IdentityFiles...)
		run(t, connect(t, opts, n), "true")
		if o.count() != 0 {
			t.Errorf("asked %+v", o.asked)
		}
	})
}

func TestKeyFilesThatCannotBeUsed(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{})
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk")
	if err := os.WriteFile(junk, []byte("no key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := s.Node("n1")
	n.IdentityFiles = []string{junk, dir}
	fails(t, New(patient()), n, remote.ErrAuth, junk+" cannot be used", dir+" cannot be used")
	n.IdentityFiles = append(n.IdentityFiles, s.Key())
	run(t, connect(t, patient(), n), "true")
}

func TestUserCertificates(t *testing.T) {
	_, ca := remotetest.NewKey(t, "ed25519")
	for _, kind := range []string{"ed25519", "rsa"} {
		key, signer := remotetest.NewKey(t, kind)
		cert := &xssh.Certificate{Key: signer.PublicKey(), CertType: xssh.UserCert, ValidPrincipals: []string{"tester"}, ValidBefore: xssh.CertTimeInfinity}
		if err := cert.SignCert(rand.Reader, ca); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "id")
		remotetest.WriteKey(t, path, key, "")
		if err := os.WriteFile(path+"-cert.pub", xssh.MarshalAuthorizedKey(cert), 0o600); err != nil {
			t.Fatal(err)
		}
		s := newServer(t, remotetest.ServerOptions{UserCA: ca.PublicKey()})
		n := s.Node("n1")
		n.IdentityFiles = []string{path}
		run(t, connect(t, patient(), n), "true")

		t.Setenv("SSH_AUTH_SOCK", startAgent(t, agent.AddedKey{PrivateKey: key, Certificate: cert, Comment: "cert"}))
		opts := patient()
		opts.ConfigFile = config(t, "")
		run(t, connect(t, opts, hostNode(s)), "true")
	}
}

func TestPasswords(t *testing.T) {
	for _, method := range []string{"password", "keyboard-interactive"} {
		s := newServer(t, remotetest.ServerOptions{NoKeys: true, Password: "s3cret", PasswordMethods: []string{method}})
		fails(t, New(patient()), s.Node("n1"), remote.ErrAuth, "nobody to ask for a password", method)

		o := answers(t, "password", "wrong", "password", "s3cret")
		opts := patient()
		opts.Asker = o
		tr := New(opts)
		for range 2 { // The second time it is remembered.
			c, err := tr.Connect(within(t), s.Node("n1"), nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
		}
		if q := o.asked[0]; o.count() != 2 || q.Kind != "password" || !q.Secret || q.Subject == "" {
			t.Errorf("asked %+v", o.asked)
		}

		o = answers(t, "password", "a", "password", "b", "password", "c", "password", "d")
		opts.Asker = o
		err := fails(t, New(opts), s.Node("n1"), remote.ErrAuth, "the password or code was refused")
		if o.count() != maxPrompts || strings.Contains(err.Error(), "\"a\"") {
			t.Errorf("asked %d times: %v", o.count(), err)
		}
		o = answers(t)
		opts.Asker = o
		fails(t, New(opts), s.Node("n1"), remote.ErrAuth, "a question was declined")
		if o.count() != 1 {
			t.Errorf("asked %d times after a no", o.count())
		}
	}
}

func TestCodeAfterAKey(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{Code: "123456"})
	o := answers(t, "code", "123456")
	opts := patient()
	opts.Asker = o
	run(t, connect(t, opts, s.Node("n1")), "true")
	if q := o.asked[0]; o.count() != 1 || q.Kind != "code" || q.Secret || !strings.Contains(q.Subject, "Verification code:") {
		t.Errorf("asked %+v", o.asked)
	}
	fails(t, New(patient()), s.Node("n1"), remote.ErrAuth, "The server takes: keyboard-interactive")
}

func TestQuestionsComeOneAtATime(t *testing.T) {
	s := newServer(t, remotetest.ServerOptions{Code: "1"})
	o := answers(t, "code", "1", "code", "1", "code", "1", "code", "1")
	o.think = 100e6
	opts := patient()
	opts.Asker = o
	tr := New(opts)
	errs := remote.Each([]string{"n1", "n2", "n3", "n4"}, func(_ int, name string) error {
		c, err := tr.Connect(within(t), s.Node(name), nil)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, q := range o.asked {
		names = append(names, q.Node)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"n1", "n2", "n3", "n4"}) {
		t.Errorf("asked for %v", names)
	}
}
