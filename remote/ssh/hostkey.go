package ssh

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"

	xssh "golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// pin is the key that a host showed first in this process.
type pin struct {
	key xssh.PublicKey
	// cert: it came in a certificate, by which a server that has several keys
	// must be asked for it again.
	cert bool
}

// hostKeys checks the host key of one connection.
type hostKeys struct {
	t     *Transport
	ctx   context.Context //nolint:containedctx // the library's callback has no room for it
	w     *watchdog
	node  remote.Node
	host  host
	known *hostKeyDB

	// callback is held while check runs: the library calls it on a goroutine
	// of its own and does not wait for it when the connection is closed.
	callback sync.Mutex
	err      *Error
	passed   bool
	asked    bool
	onPass   func()
}

// failed, hasPassed and wasAsked wait for a check that still runs.
func (k *hostKeys) failed() *Error {
	k.callback.Lock()
	defer k.callback.Unlock()
	return k.err
}

func (k *hostKeys) hasPassed() bool {
	k.callback.Lock()
	defer k.callback.Unlock()
	return k.passed
}

func (k *hostKeys) wasAsked() bool {
	k.callback.Lock()
	defer k.callback.Unlock()
	return k.asked
}

// algorithms are the host key algorithms in the order to ask for them: those of
// known keys first, so that a server with several keys shows a known one (the
// library's own order makes "key mismatch" of a known_hosts file that has only
// one of them). The others follow, so that a server without the known key shows
// what it has and is refused for that. Certificates are only asked for where a
// certificate authority is known.
func (k *hostKeys) algorithms() []string {
	var known []string
	k.t.mu.Lock()
	if p, ok := k.t.pins[k.pinName()]; ok && !p.cert {
		known = append(known, algorithmsOf(p.key.Type())...)
	}
	k.t.mu.Unlock()
	known = append(known, k.known.algorithms(k.host.hostKeyName())...)
	// Those with SHA-1 are not among the supported ones.
	supported := xssh.SupportedAlgorithms().HostKeys
	for _, a := range supported {
		if !isCertAlgorithm(a) {
			known = append(known, a)
		}
	}
	var all []string
	for _, a := range known {
		if !slices.Contains(all, a) && slices.Contains(supported, a) {
			all = append(all, a)
		}
	}
	return all
}

func algorithmsOf(keyType string) []string {
	if keyType == xssh.KeyAlgoRSA {
		return []string{xssh.KeyAlgoRSASHA512, xssh.KeyAlgoRSASHA256}
	}
	return []string{keyType}
}

func isCertAlgorithm(a string) bool { return strings.Contains(a, "-cert-v0") }

// pinName tells hosts apart that have the same address behind different jump
// hosts: a private address is not one machine everywhere.
func (k *hostKeys) pinName() string { return k.node.Name + "\x00" + k.host.hostKeyName() }

// check is the library's HostKeyCallback. The library calls it at every key
// exchange, also at those of a connection that has been open for long.
func (k *hostKeys) check(_ string, addr net.Addr, key xssh.PublicKey) error {
	k.callback.Lock()
	defer k.callback.Unlock()
	if k.passed {
		return k.checkPin(bare(key))
	}
	if k.ctx.Err() != nil {
		return context.Cause(k.ctx)
	}
	err := k.decide(addr, key)
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			k.err = e
		}
		return err
	}
	k.passed = true
	if k.onPass != nil {
		k.onPass()
	}
	k.w.begin(remote.PhaseAuth, k.t.opts.Timeouts.Auth)
	return nil
}

func (k *hostKeys) decide(addr net.Addr, key xssh.PublicKey) error {
	cert, isCert := key.(*xssh.Certificate)
	plain := key
	if isCert {
		plain = cert.Key
	}
	if err := k.checkPin(plain); err != nil {
		return err
	}
	err := k.lookUp(addr, key)
	if errors.Is(err, errNotKnown) {
		err = k.askAbout(addr, key)
	}
	if err != nil {
		return err
	}
	// Two connections at once may both have passed checkPin: the first wins.
	k.t.mu.Lock()
	if _, ok := k.t.pins[k.pinName()]; !ok {
		k.t.pins[k.pinName()] = pin{plain, isCert}
	}
	k.t.mu.Unlock()
	return k.checkPin(plain)
}

// checkPin is the hard stop for a host that showed another key before.
func (k *hostKeys) checkPin(key xssh.PublicKey) error {
	k.t.mu.Lock()
	p, ok := k.t.pins[k.pinName()]
	k.t.mu.Unlock()
	if !ok || bytes.Equal(p.key.Marshal(), key.Marshal()) {
		return nil
	}
	return k.fail(remote.ErrHostKeyChanged, msg.M("ssh.host-key-changed-midway", "host", k.shown(),
		"old", xssh.FingerprintSHA256(p.key), "new", xssh.FingerprintSHA256(key)), nil)
}

var errNotKnown = errors.New("host not in known_hosts")

// lookUp asks the known_hosts files: nil, errNotKnown, or an *Error.
func (k *hostKeys) lookUp(addr net.Addr, key xssh.PublicKey) error {
	err := k.known.check(k.host.hostKeyName(), addr, key)
	var revoked *xknownhosts.RevokedError
	var keyErr *xknownhosts.KeyError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &revoked):
		return k.fail(remote.ErrHostKeyChanged, msg.M("ssh.host-key-revoked", "host", k.shown(),
			"file", k.known.name(revoked.Revoked.Filename), "line", revoked.Revoked.Line,
			"new", xssh.FingerprintSHA256(key)), err)
	case errors.As(err, &keyErr):
		want := k.known.plain(k.host.hostKeyName(), keyErr.Want)
		if len(want) == 0 {
			return errNotKnown
		}
		w := want[0]
		for _, other := range want {
			if other.Key.Type() == key.Type() {
				w = other
				break
			}
		}
		return k.fail(remote.ErrHostKeyChanged, msg.M("ssh.host-key-changed", "host", k.shown(),
			"file", k.known.name(w.Filename), "line", w.Line, "type", key.Type(),
			"old", xssh.FingerprintSHA256(w.Key), "new", xssh.FingerprintSHA256(key)), err)
	}
	// A certificate that does not hold: expired, for another host, or of an
	// authority that is not known. The key alone was never agreed to.
	return k.fail(remote.ErrHostKeyUnknown, msg.M("ssh.host-cert-bad", "host", k.shown(), "error", raw(err)), err)
}

// askAbout lets the operator decide on an unknown key, and remembers a yes.
func (k *hostKeys) askAbout(addr net.Addr, key xssh.PublicKey) error {
	fingerprint := xssh.FingerprintSHA256(key)
	unknown := func(id string) error {
		return k.fail(remote.ErrHostKeyUnknown, msg.M(id, "host", k.shown(),
			"type", key.Type(), "fingerprint", fingerprint), nil)
	}
	if !k.t.ask.possible() {
		return unknown("ssh.host-key-unknown")
	}
	settled := func() bool {
		// Another node may have been asked about the same jump host.
		fresh, err := openHostKeys(k.host.knownHosts)
		if err != nil {
			return false
		}
		return fresh.check(k.host.hostKeyName(), addr, key) == nil
	}
	_, asked, err := k.t.ask.put(k.ctx, k.w, inquiry{
		Question: remote.Question{
			Kind: "host-key", Node: k.node.Name, Host: k.host.addr(), Fingerprint: fingerprint, KeyType: key.Type(),
		},
		key:     "host-key " + k.host.hostKeyName() + " " + fingerprint,
		settled: settled,
		use: func(answer string) error {
			if !saysYes(answer, fingerprint) {
				return remote.ErrDeclined
			}
			k.save(key)
			return nil
		},
	})
	k.asked = k.asked || asked
	if errors.Is(err, remote.ErrDeclined) {
		return unknown("ssh.host-key-declined")
	}
	return err
}

// save writes an accepted key down. When that fails, the key is still pinned for
// as long as this process lives; only the next start asks again.
func (k *hostKeys) save(key xssh.PublicKey) {
	if err := k.t.remember(k.ctx, k.host, key); err != nil {
		k.t.warnOnce(k.node.Name, msg.M("ssh.known-hosts-not-written", "file", k.host.writeHosts, "error", raw(err)))
	}
}

// shown is how messages name the host.
func (k *hostKeys) shown() string {
	if k.host.alias == k.host.hostname {
		return k.host.addr()
	}
	return k.host.alias + " (" + k.host.addr() + ")"
}

func (k *hostKeys) fail(kind error, text msg.Msg, err error) error {
	return &Error{Node: k.node.Name, Phase: remote.PhaseHostKey, Kind: kind, Text: text, Err: err}
}
