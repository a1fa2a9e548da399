package ssh

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// touchTime is how long a key of the agent may take to sign: a security key
// waits to be touched, ssh-add -c for a click.
const touchTime = 60 * time.Second

// agentTime bounds listing the agent's keys: a forwarded agent whose
// connection died does not answer.
const agentTime = 3 * time.Second

// keyPair is a decrypted key file.
type keyPair struct {
	signer xssh.Signer
}

// identity is one key to offer. Its private part may still be encrypted, or in
// an agent: it is only asked for once the server has said that it takes the key.
type identity struct {
	// label is a path or the agent's comment, for people.
	label string
	// path is the key file; empty for a key of the agent.
	path string
	// public is nil for an encrypted key file of the old format without a .pub.
	public xssh.PublicKey
	// signer is nil while the key file is encrypted.
	signer xssh.Signer
	// offered: the server was shown the public key.
	offered bool
}

func (id *identity) fromAgent() bool { return id.path == "" }

// sameKey compares keys, a certificate by the key inside.
func sameKey(a, b xssh.PublicKey) bool {
	if a == nil || b == nil {
		return false
	}
	return bytes.Equal(bare(a).Marshal(), bare(b).Marshal())
}

func bare(k xssh.PublicKey) xssh.PublicKey {
	if cert, ok := k.(*xssh.Certificate); ok {
		return cert.Key
	}
	return k
}

// identities collects what can be offered, in OpenSSH's order: keys of the
// agent that a configured file names, the agent's other keys, key files.
func (l *login) identities() []*identity {
	files := l.keyFiles()
	held := l.agentKeys()
	var ids []*identity
	used := make([]bool, len(held))
	for i, f := range files {
		for j, a := range held {
			if !used[j] && sameKey(f.public, a.public) {
				used[j] = true
				ids = append(ids, withCertificates(a, f.path, l.host.certificateFiles)...)
				files[i].inAgent = true
			}
		}
	}
	for j, a := range held {
		if !used[j] && !l.host.identitiesOnly {
			ids = append(ids, a)
		}
	}
	var last []*identity
	for _, f := range files {
		switch {
		case f.inAgent:
		case !f.private:
			l.note(msg.M("ssh.tried-not-in-agent", "key", f.label))
		case f.public == nil:
			last = append(last, &f.identity)
		default:
			ids = append(ids, withCertificates(&f.identity, f.path, l.host.certificateFiles)...)
		}
	}
	return append(ids, last...)
}

// withCertificates puts the certificates of a key before it: the file beside
// the key and those of CertificateFile.
func withCertificates(id *identity, path string, files []string) []*identity {
	var ids []*identity
	candidates := files
	if path != "" {
		candidates = append([]string{path + "-cert.pub"}, files...)
	}
	for _, file := range candidates {
		cert, ok := readPublic(file).(*xssh.Certificate)
		if !ok || !sameKey(cert, id.public) {
			continue
		}
		with := *id
		with.public, with.label = cert, file
		ids = append(ids, &with)
	}
	return append(ids, id)
}

// keyFile is an identity with what its file turned out to be.
type keyFile struct {
	identity
	private bool // the file holds a private key
	inAgent bool
}

func (l *login) keyFiles() []*keyFile {
	var files []*keyFile
	missing := 0
	for _, path := range l.host.identityFiles {
		f, err := l.readKey(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			missing++
			if l.host.identitiesOnly {
				l.note(msg.M("ssh.tried-no-file", "key", path))
			}
		case err != nil:
			l.note(msg.M("ssh.tried-unreadable", "key", path, "error", raw(err)))
		default:
			files = append(files, f)
		}
	}
	if missing == len(l.host.identityFiles) && !l.host.identitiesOnly {
		l.note(msg.M("ssh.tried-no-files"))
	}
	return files
}

// readKey reads one IdentityFile: a private key, encrypted or not, or only the
// public half of a key that the agent holds.
func (l *login) readKey(path string) (*keyFile, error) {
	f := &keyFile{identity: identity{label: path, path: path}}
	public := readPublic(path + ".pub")
	data, err := readSmall(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) && public != nil {
			f.public = public
			return f, nil
		}
		return nil, err
	}
	if own := parsePublic(data); own != nil {
		f.public = own
		return f, nil
	}
	l.t.mu.Lock()
	pair, known := l.t.decrypted[path]
	l.t.mu.Unlock()
	if known {
		f.private, f.signer, f.public = true, pair.signer, pair.signer.PublicKey()
		return f, nil
	}
	signer, err := xssh.ParsePrivateKey(data)
	var locked *xssh.PassphraseMissingError
	switch {
	case err == nil:
		f.private, f.signer, f.public = true, signer, signer.PublicKey()
	case errors.As(err, &locked):
		f.private, f.public = true, locked.PublicKey
		if f.public == nil {
			f.public = public
		}
	case public != nil:
		// The private half of a security key, or of a type that only the
		// agent can use.
		f.public = public
	default:
		return nil, err
	}
	return f, nil
}

// readSmall reads a key file; nothing of that kind is large.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > 1<<20 {
		return nil, errors.New("not a key file")
	}
	f, err := os.Open(path) //nolint:gosec // a path of the user's own configuration
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

func readPublic(path string) xssh.PublicKey {
	data, err := readSmall(path)
	if err != nil {
		return nil
	}
	return parsePublic(data)
}

func parsePublic(data []byte) xssh.PublicKey {
	key, _, _, _, err := xssh.ParseAuthorizedKey(data)
	if err != nil {
		return nil
	}
	return key
}

// unlock asks for the passphrase of a key file, up to three times, and keeps
// the key for the rest of the process.
func (l *login) unlock(id *identity) (xssh.Signer, error) {
	recall := func() bool {
		l.t.mu.Lock()
		defer l.t.mu.Unlock()
		pair, ok := l.t.decrypted[id.path]
		if ok {
			id.signer = pair.signer
		}
		return ok
	}
	if recall() {
		return id.signer, nil
	}
	data, err := readSmall(id.path)
	if err != nil {
		return nil, fmt.Errorf("reading key: %w", err)
	}
	use := func(answer string) error {
		signer, err := xssh.ParsePrivateKeyWithPassphrase(data, []byte(answer))
		if err != nil {
			return err
		}
		l.t.mu.Lock()
		defer l.t.mu.Unlock()
		l.t.decrypted[id.path] = keyPair{signer}
		id.signer = signer
		return nil
	}
	for range maxPrompts {
		_, asked, err := l.t.ask.put(l.ctx, l.w, inquiry{
			Question: remote.Question{Kind: "passphrase", Node: l.node.Name, Host: l.host.addr(), Subject: id.path, Secret: true},
			key:      "passphrase " + id.path, settled: recall, use: use,
		})
		l.asked = l.asked || asked
		if err == nil {
			return id.signer, nil
		}
		if !errors.Is(err, x509.IncorrectPasswordError) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s: wrong passphrase", id.path)
}

// agentKeys lists the agent's keys. The connection to the agent stays open
// until the login is over.
func (l *login) agentKeys() []*identity {
	if l.host.agent == "" {
		l.note(l.host.noAgent)
		return nil
	}
	c, err := (&net.Dialer{Timeout: agentTime}).DialContext(l.ctx, "unix", l.host.agent)
	if err != nil {
		l.note(msg.M("ssh.tried-agent-dead", "agent", l.host.agent, "error", raw(err)))
		return nil
	}
	l.closeAgent = context.AfterFunc(l.ctx, func() { _ = c.Close() })
	l.agentConn = c
	_ = c.SetDeadline(time.Now().Add(agentTime)) // a UNIX socket always has deadlines
	signers, err := agent.NewClient(c).Signers()
	_ = c.SetDeadline(time.Time{})
	if err != nil {
		l.note(msg.M("ssh.tried-agent-dead", "agent", l.host.agent, "error", raw(err)))
		return nil
	}
	if len(signers) == 0 {
		l.note(msg.M("ssh.tried-agent-empty"))
	}
	ids := make([]*identity, 0, len(signers))
	for _, s := range signers {
		label := xssh.FingerprintSHA256(s.PublicKey())
		if k, ok := s.PublicKey().(*agent.Key); ok && k.Comment != "" {
			label = k.Comment
		}
		public, err := xssh.ParsePublicKey(s.PublicKey().Marshal())
		if err != nil {
			continue // A key type that the library cannot offer.
		}
		ids = append(ids, &identity{label: oneLine(strings.TrimSpace(label)), public: public, signer: s})
	}
	return ids
}

// signer is an identity as the library wants it. It notes that it was offered,
// and decrypts the key when the first signature is needed.
type signer struct {
	l  *login
	id *identity
}

func (s *signer) PublicKey() xssh.PublicKey {
	s.id.offered = true
	return s.id.public
}

func (s *signer) Sign(rand io.Reader, data []byte) (*xssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, "")
}

// SignWithAlgorithm makes RSA keys sign with SHA-2, also those of the agent.
func (s *signer) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*xssh.Signature, error) {
	key := s.id.signer
	if key == nil {
		var err error
		if key, err = s.l.unlock(s.id); err != nil {
			return nil, s.l.signFailed(s.id, err)
		}
	}
	if s.id.fromAgent() {
		defer s.l.w.extend(touchTime)()
	}
	var sig *xssh.Signature
	var err error
	if a, ok := key.(xssh.AlgorithmSigner); ok && algorithm != "" {
		sig, err = a.SignWithAlgorithm(rand, data, algorithm)
	} else {
		sig, err = key.Sign(rand, data)
	}
	if err != nil {
		return nil, s.l.signFailed(s.id, err)
	}
	return sig, nil
}
