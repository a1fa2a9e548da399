package remotetest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/novatui/novatui/remote"
)

// ServerOptions describe an SSH server. The zero value has one ed25519 host key
// and takes the key of the server's own Node.
type ServerOptions struct {
	// HostKeys are types: ed25519, ecdsa, rsa.
	HostKeys []string
	// HostCA, when not nil, signs a host certificate for 127.0.0.1.
	HostCA ssh.Signer
	// Keys are accepted besides the server's own; with UserCA, certificates
	// of that authority are accepted too.
	Keys   []ssh.PublicKey
	UserCA ssh.PublicKey
	// NoKeys refuses every key.
	NoKeys bool
	// Password is accepted when not empty, by the methods named: password,
	// keyboard-interactive or both (empty: both).
	Password        string
	PasswordMethods []string
	// Code, when not empty, is asked for by keyboard-interactive after a key.
	Code string
	// Shell is the login shell that gets the command after -c (/bin/sh).
	Shell string
	// Env is the environment of commands; empty means this process's.
	Env []string
	// MaxSessions refuses more sessions at once, 0 is unlimited.
	MaxSessions int
	// NoSignals ignores requests to signal a command, as OpenSSH does for root.
	NoSignals bool
	// RekeyBytes makes the server exchange keys anew after that many bytes.
	RekeyBytes uint64
	// NoForwarding refuses tunnels.
	NoForwarding bool
}

// Server is an SSH server that runs real commands as the user of the test. What
// it does wrong can be switched on and off while it runs.
type Server struct {
	t       testing.TB
	opts    ServerOptions
	dir     string
	ln      net.Listener
	ownKey  string // path of the private key that is accepted
	ownPub  ssh.PublicKey
	hostsDB string

	// SilentBanner accepts connections and says nothing.
	SilentBanner atomic.Bool
	// SilentOpen never answers requests for sessions and tunnels.
	SilentOpen atomic.Bool
	// SilentExec opens sessions and never answers what they ask for.
	SilentExec atomic.Bool
	// SilentKeepAlive never answers global requests.
	SilentKeepAlive atomic.Bool
	// HangUp closes that many connections at once, before the banner.
	HangUp atomic.Int64
	// DropOnExec closes the connection after a command was started.
	DropOnExec atomic.Bool
	// Connections and Sessions count what was opened so far.
	Connections, Sessions atomic.Int64
	open                  atomic.Int64

	mu       sync.Mutex
	hostKeys []ssh.Signer
	conns    map[net.Conn]bool
	groups   map[int]bool // process groups of running commands
	stopped  bool
	wg       sync.WaitGroup
}

// NewServer starts a server on a port of 127.0.0.1 and stops it when the test
// ends.
func NewServer(t testing.TB, o ServerOptions) *Server {
	t.Helper()
	if len(o.HostKeys) == 0 {
		o.HostKeys = []string{"ed25519"}
	}
	if o.Shell == "" {
		o.Shell = "/bin/sh"
	}
	s := &Server{t: t, opts: o, dir: t.TempDir(), conns: map[net.Conn]bool{}, groups: map[int]bool{}}
	s.ownKey, s.ownPub = s.writeKey("id_own")
	s.ChangeHostKeys()
	var err error
	if s.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatalf("listening: %v", err)
	}
	s.hostsDB = filepath.Join(s.dir, "known_hosts")
	s.TrustHostKeys()
	s.spawn(s.accept)
	t.Cleanup(s.Stop)
	return s
}

// NewKey makes a private key of a type: ed25519, ecdsa, rsa.
func NewKey(t testing.TB, kind string) (any, ssh.Signer) {
	t.Helper()
	var key any
	var err error
	switch kind {
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		err = fmt.Errorf("unknown key type %q", kind)
	}
	if err != nil {
		t.Fatalf("making a key: %v", err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatalf("making a key: %v", err)
	}
	return key, signer
}

// WriteKey writes a private key in OpenSSH's format, encrypted when a
// passphrase is given.
func WriteKey(t testing.TB, path string, key any, passphrase string) {
	t.Helper()
	var block *pem.Block
	var err error
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "test")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "test", []byte(passphrase))
	}
	if err == nil {
		err = os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
	}
	if err != nil {
		t.Fatalf("writing a key: %v", err)
	}
}

func (s *Server) writeKey(name string) (string, ssh.PublicKey) {
	key, signer := NewKey(s.t, "ed25519")
	path := filepath.Join(s.dir, name)
	WriteKey(s.t, path, key, "")
	return path, signer.PublicKey()
}

// Port is where the server listens.
func (s *Server) Port() int { return s.ln.Addr().(*net.TCPAddr).Port }

// Addr is 127.0.0.1 with the port.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Node is the server as a node of a lab: a folder of its own as root, the
// server's key as identity, a known_hosts file with its host keys, no sudo.
func (s *Server) Node(name string) remote.Node {
	return remote.Node{
		Name: name, Address: "127.0.0.1", Port: s.Port(), User: "tester", Sudo: "never", Root: s.dir,
		IdentityFiles: []string{s.ownKey}, KnownHosts: []string{s.hostsDB},
	}
}

// KnownHosts is the file that Node uses.
func (s *Server) KnownHosts() string { return s.hostsDB }

// Key is the path of the private key that the server accepts.
func (s *Server) Key() string { return s.ownKey }

// HostKeys are the server's present host keys, in the order of the options.
func (s *Server) HostKeys() []ssh.PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]ssh.PublicKey, len(s.hostKeys))
	for i, k := range s.hostKeys {
		keys[i] = k.PublicKey()
	}
	return keys
}

// ChangeHostKeys gives the server new host keys, as a reinstalled machine has.
func (s *Server) ChangeHostKeys() {
	var keys []ssh.Signer
	for _, kind := range s.opts.HostKeys {
		_, signer := NewKey(s.t, kind)
		if s.opts.HostCA != nil {
			keys = append(keys, s.certify(signer))
		}
		keys = append(keys, signer)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hostKeys = keys
}

func (s *Server) certify(signer ssh.Signer) ssh.Signer {
	cert := &ssh.Certificate{
		Key: signer.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"127.0.0.1"},
		ValidBefore: ssh.CertTimeInfinity,
	}
	err := cert.SignCert(rand.Reader, s.opts.HostCA)
	if err == nil {
		signer, err = ssh.NewCertSigner(cert, signer)
	}
	if err != nil {
		s.t.Fatalf("certifying: %v", err)
	}
	return signer
}

// TrustHostKeys writes the present host keys into KnownHosts.
func (s *Server) TrustHostKeys() {
	var lines []byte
	for _, key := range s.HostKeys() {
		if _, ok := key.(*ssh.Certificate); ok {
			continue
		}
		lines = append(lines, s.KnownHostsLine(key)...)
	}
	if err := os.WriteFile(s.hostsDB, lines, 0o600); err != nil {
		s.t.Fatalf("writing known_hosts: %v", err)
	}
}

// KnownHostsLine is a line of known_hosts for the server.
func (s *Server) KnownHostsLine(key ssh.PublicKey) string {
	return "[127.0.0.1]:" + strconv.Itoa(s.Port()) + " " + string(ssh.MarshalAuthorizedKey(key))
}

// DropConnections breaks every open connection, as a reboot does.
func (s *Server) DropConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close() // that is the point
	}
}

// Stop ends the server with all connections and commands, and waits.
func (s *Server) Stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	_ = s.ln.Close() // a second Stop finds it closed
	s.DropConnections()
	s.mu.Lock()
	for group := range s.groups {
		_ = syscall.Kill(-group, syscall.SIGKILL) // it may just have ended
	}
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *Server) spawn(f func()) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		f()
	}()
}

func (s *Server) accept() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.stopped {
			s.mu.Unlock()
			_ = c.Close()
			return
		}
		s.conns[c] = true
		s.mu.Unlock()
		s.Connections.Add(1)
		s.spawn(func() {
			s.serve(c)
			_ = c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

var errRefused = errors.New("refused")

func (s *Server) config() *ssh.ServerConfig {
	o := s.opts
	config := &ssh.ServerConfig{MaxAuthTries: 6}
	config.RekeyThreshold = o.RekeyBytes
	s.mu.Lock()
	for _, key := range s.hostKeys {
		config.AddHostKey(key)
	}
	s.mu.Unlock()
	second := func(conn ssh.ConnMetadata) (*ssh.Permissions, error) {
		if o.Code == "" {
			return nil, nil
		}
		return nil, &ssh.PartialSuccessError{Next: ssh.ServerAuthCallbacks{KeyboardInteractiveCallback: s.askFor("Verification code: ", true, o.Code)}}
	}
	config.PublicKeyCallback = func(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if o.NoKeys || !s.knows(conn, key) {
			return nil, errRefused
		}
		return second(conn)
	}
	methods := o.PasswordMethods
	if o.Password != "" && len(methods) == 0 {
		methods = []string{"password", "keyboard-interactive"}
	}
	for _, m := range methods {
		if m == "password" {
			config.PasswordCallback = func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
				if string(password) != o.Password {
					return nil, errRefused
				}
				return nil, nil
			}
		} else {
			config.KeyboardInteractiveCallback = s.askFor("Password: ", false, o.Password)
		}
	}
	return config
}

func (s *Server) knows(conn ssh.ConnMetadata, key ssh.PublicKey) bool {
	if cert, ok := key.(*ssh.Certificate); ok && s.opts.UserCA != nil {
		checker := ssh.CertChecker{IsUserAuthority: func(auth ssh.PublicKey) bool {
			return string(auth.Marshal()) == string(s.opts.UserCA.Marshal())
		}}
		_, err := checker.Authenticate(conn, cert)
		return err == nil
	}
	for _, k := range append([]ssh.PublicKey{s.ownPub}, s.opts.Keys...) {
		if string(k.Marshal()) == string(key.Marshal()) {
			return true
		}
	}
	return false
}

func (s *Server) askFor(prompt string, echo bool, want string) func(ssh.ConnMetadata, ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	return func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		answers, err := ask("", "", []string{prompt}, []bool{echo})
		if err != nil {
			return nil, err
		}
		if len(answers) != 1 || answers[0] != want {
			return nil, errRefused
		}
		return nil, nil
	}
}
