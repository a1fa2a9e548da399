package ssh

import (
	"context"
	"errors"
	"net"
	"regexp"
	"slices"
	"strings"

	xssh "golang.org/x/crypto/ssh"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// maxPrompts bounds how often one method asks before it gives up.
const maxPrompts = 3

// login authenticates one connection. Its methods run on the goroutine that
// does the handshake, one after the other.
type login struct {
	t    *Transport
	ctx  context.Context //nolint:containedctx // the library's callbacks have no room for it
	w    *watchdog
	node remote.Node
	host host

	collected  bool
	ids        []*identity
	agentConn  net.Conn
	closeAgent func() bool

	tried    []msg.Msg // what was tried, in order
	methods  []string  // what the server takes
	asked    bool
	declined bool
	prompts  map[string]int // questions asked, by method
	// password is what this login sent last, to be kept once it was accepted;
	// recalled says that it was already kept.
	password string
	recalled bool
}

func (l *login) note(m msg.Msg) {
	if !m.Zero() {
		l.tried = append(l.tried, m)
	}
}

// next chooses the next method, every time the server has said no (or "not
// only this"). It is the library's AuthCallback.
func (l *login) next(a *xssh.ClientAuthContext) (xssh.AuthMethod, error) {
	if l.ctx.Err() != nil {
		return nil, context.Cause(l.ctx)
	}
	l.methods = a.AllowedMethods
	allowed := func(m string) bool { return slices.Contains(l.methods, m) }
	if allowed("publickey") {
		if signers := l.signers(); len(signers) > 0 {
			return xssh.PublicKeys(signers...), nil
		}
	}
	if !l.canPrompt() {
		return nil, nil
	}
	if allowed("keyboard-interactive") && l.prompts["keyboard-interactive"] < maxPrompts {
		l.prompts["keyboard-interactive"]++
		return xssh.KeyboardInteractive(l.challenge), nil
	}
	if allowed("password") && l.prompts["password"] < maxPrompts {
		l.prompts["password"]++
		return xssh.PasswordCallback(func() (string, error) { return l.askPassword("") }), nil
	}
	return nil, nil
}

func (l *login) canPrompt() bool { return l.t.ask.possible() && !l.declined }

// signers are the keys that the server has not seen yet. Those whose public
// half is unknown come last, one at a time, because each asks for a passphrase
// before the server has said that it wants the key.
func (l *login) signers() []xssh.Signer {
	if !l.collected {
		l.collected = true
		l.ids = l.identities()
	}
	var signers []xssh.Signer
	for _, id := range l.ids {
		if !id.offered && id.public != nil {
			signers = append(signers, &signer{l: l, id: id})
		}
	}
	if len(signers) > 0 {
		return signers
	}
	for _, id := range l.ids {
		if id.offered || id.public != nil {
			continue
		}
		id.offered = true
		key, err := l.unlock(id)
		if err != nil {
			_ = l.signFailed(id, err) // noted for the report; the next key follows
			continue
		}
		id.public = key.PublicKey()
		return []xssh.Signer{&signer{l: l, id: id}}
	}
	return nil
}

// signFailed notes why an offered key could not be used. The library then ends
// this round of keys, and next goes on with those that were not offered.
func (l *login) signFailed(id *identity, err error) error {
	if errors.Is(err, remote.ErrDeclined) {
		l.note(msg.M("ssh.tried-locked", "key", id.label))
	} else {
		l.note(msg.M("ssh.tried-unreadable", "key", id.label, "error", raw(err)))
	}
	return err
}

var passwordPrompt = regexp.MustCompile(`(?i)passw|парол|kennwort|mot de passe`)

// challenge answers the server's prompts (keyboard-interactive).
func (l *login) challenge(name, instruction string, prompts []string, echos []bool) ([]string, error) {
	answers := make([]string, len(prompts))
	for i, prompt := range prompts {
		subject := oneLine(strings.TrimSpace(strings.Join([]string{name, instruction, prompt}, " ")))
		var err error
		if !echos[i] && passwordPrompt.MatchString(prompt) {
			answers[i], err = l.askPassword(subject)
		} else {
			answers[i], err = l.question(remote.Question{Kind: "code", Subject: subject, Secret: !echos[i]})
		}
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// askPassword takes the password that worked before in this process, once, and
// asks otherwise.
func (l *login) askPassword(subject string) (string, error) {
	key := l.host.user + "@" + l.host.hostKeyName()
	l.t.mu.Lock()
	kept, ok := l.t.passwords[key]
	if l.recalled {
		delete(l.t.passwords, key) // It was just refused.
	}
	l.t.mu.Unlock()
	if ok && !l.recalled {
		l.recalled = true
		return kept, nil
	}
	if subject == "" {
		subject = l.host.user + "@" + l.host.alias
	}
	answer, err := l.question(remote.Question{Kind: "password", Subject: subject, Secret: true})
	if err == nil {
		l.password = answer
	}
	return answer, err
}

func (l *login) question(q remote.Question) (string, error) {
	q.Node, q.Host = l.node.Name, l.host.addr()
	answer, asked, err := l.t.ask.put(l.ctx, l.w, inquiry{Question: q, key: q.Kind + " " + l.host.user + "@" + l.host.hostKeyName()})
	l.asked = l.asked || asked
	if errors.Is(err, remote.ErrDeclined) && !l.declined {
		l.declined = true
		l.note(msg.M("ssh.tried-declined"))
	}
	return answer, err
}

// done ends the login: the agent is let go, an accepted password is kept.
func (l *login) done(accepted bool) {
	if l.agentConn != nil {
		l.closeAgent()
		_ = l.agentConn.Close() // only ever asked, nothing to lose
	}
	if accepted && l.password != "" {
		l.t.mu.Lock()
		l.t.passwords[l.host.user+"@"+l.host.hostKeyName()] = l.password
		l.t.mu.Unlock()
	}
}

// failure says what was tried, once the server has refused everything.
func (l *login) failure(err error) *Error {
	var offered []string
	for _, id := range l.ids {
		if id.offered {
			offered = append(offered, id.label)
		}
	}
	tried := l.tried
	if len(offered) > 0 {
		tried = append([]msg.Msg{msg.M("ssh.tried-keys", "keys", offered)}, tried...)
	}
	prompting := slices.Contains(l.methods, "password") || slices.Contains(l.methods, "keyboard-interactive")
	switch {
	case !l.t.ask.possible() && prompting:
		tried = append(tried, msg.M("ssh.tried-nobody-to-ask"))
	case l.prompts["password"]+l.prompts["keyboard-interactive"] > 0 && !l.declined:
		tried = append(tried, msg.M("ssh.tried-password"))
	}
	e := &Error{Node: l.node.Name, Phase: remote.PhaseAuth, Kind: remote.ErrAuth, Err: err}
	target := l.host.user + "@" + l.host.addr()
	switch {
	case strings.Contains(strings.ToLower(err.Error()), "too many authentication failures"):
		e.Text = msg.M("ssh.auth-too-many", "target", target, "n", len(offered), "tried", tried)
	case len(l.methods) == 0:
		e.Text = msg.M("ssh.auth-closed", "target", target, "error", raw(err))
	case len(offered) == 0 && slices.Contains(l.methods, "publickey"):
		e.Text = msg.M("ssh.auth-no-key", "target", target, "methods", l.methods, "tried", tried)
	default:
		e.Text = msg.M("ssh.auth-refused", "target", target, "methods", l.methods, "tried", tried)
	}
	return e
}
