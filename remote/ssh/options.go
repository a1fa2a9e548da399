// Package ssh is the real remote.Transport: OpenSSH's protocol over
// golang.org/x/crypto/ssh, with the user's own ssh_config, known_hosts, agent
// and keys. It adds what a recovery needs and the library leaves open: a
// deadline for every phase of a connection, a keepalive with a verdict, strict
// host keys, questions one at a time, commands that no login shell can change,
// bounded output, tunnels whose deadlines work, and honest answers about what
// surely did not run and what is unknown.
package ssh

import (
	"sync"
	"time"

	"github.com/novatui/novatui/assets/msg"
	"github.com/novatui/novatui/remote"
)

// Timeouts are the deadlines of the phases of a connection; zero means the
// default. Time that the operator takes to answer a question does not count.
type Timeouts struct {
	// Resolve is for reading ssh_config (5 s). Match exec runs within it.
	Resolve time.Duration
	// TCP is for the name service and the connection, or for a tunnel through
	// a jump host (5 s).
	TCP time.Duration
	// HostKey is from the connection to the checked host key (8 s): a server
	// that accepts and stays silent ends here.
	HostKey time.Duration
	// Auth is for logging in (10 s).
	Auth time.Duration
	// Session is for opening one session or tunnel (8 s).
	Session time.Duration
	// Privilege is for the first commands on the node (8 s).
	Privilege time.Duration
}

// Options say how to connect. The zero value works and asks nobody.
type Options struct {
	// Asker answers questions about host keys, passphrases, passwords and
	// codes, one at a time over all nodes. Nil means that nobody is there. A
	// host key is accepted by the answer yes, y, да or the fingerprint.
	Asker    remote.Asker
	Timeouts Timeouts
	// KeepAlive is the interval of keepalives (5 s); after KeepAliveMissed (3)
	// intervals without a byte from the node the connection is given up.
	KeepAlive       time.Duration
	KeepAliveMissed int
	// MaxSessions and MaxTunnels bound what is open at once on a connection
	// (6 and 32). OpenSSH allows ten sessions and does not count tunnels.
	MaxSessions, MaxTunnels int
	// ConfigFile stands for the user's and the system's ssh_config, as -F does.
	ConfigFile string
	// SSHBinary is asked for the configuration of a host (ssh -G). Empty means
	// the one of PATH; "none" means never, the files are then parsed here
	// (without Match exec).
	SSHBinary string
	// Warn, when not nil, is told what went wrong without stopping a
	// connection: a known_hosts file that cannot be written, or has broken
	// lines. It must not block.
	Warn func(node string, text msg.Msg)
}

func (o Options) withDefaults() Options {
	or := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	or(&o.Timeouts.Resolve, 5*time.Second)
	or(&o.Timeouts.TCP, 5*time.Second)
	or(&o.Timeouts.HostKey, 8*time.Second)
	or(&o.Timeouts.Auth, 10*time.Second)
	or(&o.Timeouts.Session, 8*time.Second)
	or(&o.Timeouts.Privilege, 8*time.Second)
	or(&o.KeepAlive, 5*time.Second)
	if o.KeepAliveMissed <= 0 {
		o.KeepAliveMissed = 3
	}
	if o.MaxSessions <= 0 {
		o.MaxSessions = 6
	}
	if o.MaxTunnels <= 0 {
		o.MaxTunnels = 32
	}
	if o.Warn == nil {
		o.Warn = func(string, msg.Msg) {}
	}
	return o
}

// Transport opens connections. It remembers, for as long as the process lives
// and in memory only, the host key that each node showed first, keys that were
// decrypted and passwords that were accepted. It may be used from several
// goroutines at once.
type Transport struct {
	opts Options
	ask  *questions

	mu        sync.Mutex
	pins      map[string]pin         // by hostKeyName
	decrypted map[string]keyPair     // by path of the key file
	passwords map[string]string      // by user@host:port
	warned    map[string]bool        // warnings that were given already
	hostFiles map[string]*sync.Mutex // writers of known_hosts, by path
}

// New makes a Transport.
func New(o Options) *Transport {
	o = o.withDefaults()
	return &Transport{
		opts:      o,
		ask:       newQuestions(o.Asker),
		pins:      map[string]pin{},
		decrypted: map[string]keyPair{},
		passwords: map[string]string{},
		warned:    map[string]bool{},
		hostFiles: map[string]*sync.Mutex{},
	}
}

// warnOnce gives each warning once a node.
func (t *Transport) warnOnce(node string, text msg.Msg) {
	key := node + "\x00" + msg.New("en").S(text)
	t.mu.Lock()
	again := t.warned[key]
	t.warned[key] = true
	t.mu.Unlock()
	if !again {
		t.opts.Warn(node, text)
	}
}

var _ remote.Transport = (*Transport)(nil)
