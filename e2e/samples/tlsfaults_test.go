//go:build e2e && linux

package samples

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certified stops member 2, gives it another certificate and starts it.
func certified(l *lab, change func(m *member)) *member {
	l.startAll()
	l.lead(0)
	l.members[0].put(60, 300)
	m := l.members[1]
	m.stop()
	change(m)
	m.start()
	return m
}

// unheard is the shot of a member that runs and that nobody listens to.
func unheard(m *member, peerSays ...string) shot {
	peer := m.members[0]
	mark := peer.mark()
	if len(peerSays) > 0 {
		peer.says(peerSays...)
	}
	time.Sleep(7 * time.Second) // the prober speaks every five seconds
	return shot{bad: m, log: m.output(), peer: peer, peers: peer.since(mark), down: 1, total: len(m.members),
		ctl: []string{m.lab.ctl(m.members, "endpoint", "health")}}
}

func (m *member) addresses() []string { return []string{m.ip, "127.0.0.1"} }

const (
	certWhy  = "the data are sound; nobody accepts the member's certificate"
	clockWhy = "the data are sound; the certificates are fine and one clock is wrong"
)

var rejected = []string{"rejected connection", "remote error: tls", "expired", "x509"}

var tlsScenarios = []scenario{
	{name: "cert-expired", title: "One member's certificate has expired", cause: "cert-expired", remedy: "fix-cause-then-restart", why: certWhy, tls: true, unit: "active (running)",
		how: "three members with mutual TLS; one restarted with a certificate that ran out an hour ago", versions: all34, boxes: []string{"3.6.16"}, look: journal,
		do: func(l *lab) shot {
			return unheard(certified(l, func(m *member) {
				m.secure(l.ca.issue(m.name, wish{from: -400 * time.Hour, until: -time.Hour, addresses: m.addresses()}))
			}), rejected...)
		}},
	{name: "cert-expired-all", title: "All certificates have expired", cause: "cert-expired", also: []string{"quorum-lost"}, remedy: "fix-cause-then-restart", tls: true,
		why: "the data are sound; with new certificates everything comes up again", look: cri, awkward: "every member's log blames the others",
		how: "three members restarted with certificates that ran out an hour ago", versions: []string{"3.4", "3.5.35", "3.7.3"},
		do: func(l *lab) shot {
			l.startAll()
			l.members[0].put(60, 300)
			for _, m := range l.members {
				m.stop()
				m.secure(l.ca.issue(m.name, wish{from: -400 * time.Hour, until: -time.Hour, addresses: m.addresses()}))
			}
			for _, m := range l.members {
				m.start()
			}
			m := l.members[1]
			m.says("expired")
			time.Sleep(7 * time.Second)
			return shot{bad: m, log: m.output(), peer: l.members[0], peers: l.members[0].output(), down: 3, total: 3}
		}},
	{name: "cert-expired-refused", title: "One certificate expired, another member is off", cause: "cert-expired", also: []string{"quorum-lost"}, remedy: "fix-cause-then-restart", tls: true,
		why: "the member itself is kept out by its certificate; that another one is down beside it makes it loud", awkward: "most lines say connection refused", look: journal, unit: "active (running)",
		how: "three members with mutual TLS; the third killed, the second restarted with a certificate that ran out an hour ago", versions: []string{"3.5.35", "3.6.16"},
		do: func(l *lab) shot {
			l.startAll()
			l.members[0].put(60, 300)
			l.members[2].crash()
			m := l.members[1]
			m.stop()
			m.secure(l.ca.issue(m.name, wish{from: -400 * time.Hour, until: -time.Hour, addresses: m.addresses()}))
			m.start()
			return unheard(m, rejected...)
		}},
	{name: "cert-not-yet", title: "A certificate is valid only from next month on", cause: "cert-expired", remedy: "fix-cause-then-restart", why: certWhy, tls: true,
		how: "three members with mutual TLS and right clocks; one restarted with a certificate that begins in 30 days", versions: []string{"3.5.35", "3.7.3"},
		do: func(l *lab) shot {
			return unheard(certified(l, func(m *member) {
				m.secure(l.ca.issue(m.name, wish{from: 30 * 24 * time.Hour, addresses: m.addresses()}))
			}), rejected...)
		}},
	{name: "ca-expired", title: "The authority itself has expired", cause: "cert-expired", also: []string{"quorum-lost"}, remedy: "fix-cause-then-restart", tls: true, look: docker,
		why: "the data are sound; the certificates are within their dates but their authority is not", awkward: "every member's certificate is in date",
		how: "three members restarted with sound certificates of an authority that ran out two hours ago", versions: []string{"3.6.16"},
		do: func(l *lab) shot {
			l.startAll()
			l.members[0].put(60, 300)
			old := newAuthority(l.t, filepath.Join(l.dir, "pki"), "ca-old", -2000*time.Hour, -2*time.Hour)
			for _, m := range l.members {
				m.stop()
				m.secure(old.issue(m.name, wish{addresses: m.addresses()}))
			}
			for _, m := range l.members {
				m.start()
			}
			m := l.members[1]
			m.says("expired")
			time.Sleep(7 * time.Second)
			return shot{bad: m, log: m.output(), peer: l.members[2], peers: l.members[2].output(), down: 3, total: 3}
		}},
	{name: "cert-client-expired", title: "Clients' certificate has expired, the cluster is well", cause: "cert-expired", remedy: "fix-cause-then-restart", tls: true, unit: "active (running)",
		why: "etcd is healthy and turns away a client (the API server's pair) whose certificate ran out", look: journal,
		how: "three healthy members with mutual TLS; etcdctl every second with a client certificate that ran out an hour ago", versions: []string{"3.5.35", "3.7.3"},
		do: func(l *lab) shot {
			l.startAll()
			good := l.admin
			l.admin = l.ca.issue("kube-apiserver-etcd-client", wish{from: -400 * time.Hour, until: -time.Hour})
			m := l.members[1]
			mark := m.mark()
			out := m.ctl("--command-timeout=2s", "get", "k")
			m.ctl("--command-timeout=2s", "get", "k")
			l.admin = good
			return shot{bad: m, log: m.since(mark), down: 0, total: 3, ctl: []string{out}}
		}},
	{name: "cert-other-ca", title: "A certificate of another authority", cause: "cert-bad", remedy: "fix-cause-then-restart", why: certWhy, tls: true, unit: "active (running)",
		how: "three members with mutual TLS; one restarted with a pair of another authority, which it also trusts", versions: all34, look: journal,
		do: func(l *lab) shot {
			return unheard(certified(l, func(m *member) {
				other := newAuthority(l.t, filepath.Join(l.dir, "pki"), "ca-new", -time.Hour, 8000*time.Hour)
				m.secure(other.issue(m.name, wish{addresses: m.addresses()}))
			}), rejected...)
		}},
	{name: "cert-other-address", title: "The certificate is for another address", cause: "cert-bad", remedy: "fix-cause-then-restart", why: certWhy, tls: true,
		how: "three members with mutual TLS; one restarted with a certificate for 10.1.1.1 only", versions: []string{"3.4", "3.5.35", "3.6.16"}, look: cri,
		do: func(l *lab) shot {
			return unheard(certified(l, func(m *member) {
				m.secure(l.ca.issue(m.name, wish{addresses: []string{"10.1.1.1"}}))
			}), "rejected connection", "x509", "certificate is valid for")
		}},
	{name: "cert-usage", title: "The certificate is for servers only", cause: "cert-bad", remedy: "fix-cause-then-restart", why: certWhy, tls: true,
		how: "three members with mutual TLS; one restarted with a certificate whose extended key usage is serverAuth only", versions: []string{"3.5.35", "3.7.3"}, look: compose,
		do: func(l *lab) shot {
			m := certified(l, func(m *member) {
				m.secure(l.ca.issue(m.name, wish{addresses: m.addresses(), usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}))
			})
			s := unheard(m, rejected...)
			if m.ping() == nil {
				s.down = 0
			}
			return s
		}},
	{name: "cert-none-shown", title: "A client shows no certificate", cause: "cert-bad", remedy: "fix-cause-then-restart", tls: true, unit: "active (running)",
		why: "etcd is healthy and turns away a client that shows no certificate", look: journal,
		how: "three healthy members with mutual TLS; a client (as an API server without its pair) connects every second without a certificate", versions: []string{"3.4", "3.6.16"},
		do: func(l *lab) shot {
			l.startAll()
			m := l.members[1]
			mark := m.mark()
			var last string
			for range 4 {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				c, err := dial(ctx, net.JoinHostPort(m.ip, "2379"))
				must(l.t, err)
				s := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
				_, _ = s.Write([]byte("x"))
				_, err = s.Read(make([]byte, 10))
				last = fmt.Sprint("read ", m.ip, ":2379: ", err)
				_ = c.Close()
				cancel()
				time.Sleep(time.Second)
			}
			return shot{bad: m, log: m.since(mark), down: 0, total: 3, ctl: []string{"client without a certificate: " + last}}
		}},
	{name: "cert-file-gone", title: "The certificate file is not there", cause: "cert-bad", remedy: "fix-cause-then-restart", why: "the data are sound; etcd cannot read its certificate", tls: true,
		how: "three members with mutual TLS; one's certificate file removed, restarted", versions: []string{"3.4", "3.6.16"}, boxes: []string{"3.7.3"},
		do: func(l *lab) shot {
			return died(certified(l, func(m *member) { must(l.t, os.Remove(m.pki.cert)) }))
		}},
	{name: "cert-key-mismatch", title: "Key and certificate do not belong together", cause: "cert-bad", remedy: "fix-cause-then-restart", why: "the data are sound; the pair is not one", tls: true, look: docker, unit: "restarting",
		how: "three members with mutual TLS; one restarted with another member's key", versions: []string{"3.4", "3.5.35", "3.7.3"},
		do: func(l *lab) shot {
			return died(certified(l, func(m *member) {
				m.secure(pair{cert: m.pki.cert, key: l.members[0].pki.key, ca: m.pki.ca})
			}))
		}},
	{name: "cert-no-pem", title: "The certificate file holds no certificate", cause: "cert-bad", remedy: "fix-cause-then-restart", why: "the data are sound; the file was destroyed", tls: true,
		how: "three members with mutual TLS; one's certificate file overwritten with an HTML page, restarted", versions: []string{"3.6.16"},
		do: func(l *lab) shot {
			return died(certified(l, func(m *member) {
				must(l.t, os.WriteFile(m.pki.cert, []byte("<html>404</html>\n"), 0o644))
			}))
		}},
	{name: "cert-plain-peer", title: "Peers speak TLS, one member does not", cause: "cert-bad", also: []string{"bad-config"}, remedy: "fix-cause-then-restart", tls: true,
		why: "the data are sound; one member was given http URLs and no certificates", awkward: "the member itself sees only resets",
		how: "three members with mutual TLS; one restarted with http URLs and without certificates", versions: []string{"3.5.35"}, look: journal, unit: "active (running)",
		do: func(l *lab) shot {
			return unheard(certified(l, func(m *member) {
				for _, k := range []string{"cert-file", "key-file", "trusted-ca-file", "client-cert-auth"} {
					delete(m.flags, k)
					delete(m.flags, "peer-"+k)
				}
				m.scheme = "http"
				m.flags["listen-peer-urls"], m.flags["listen-client-urls"] = m.peerURL(), m.clientURL()
				m.flags["advertise-client-urls"] = m.clientURL()
			}))
		}},
	{name: "clock-behind", title: "A member's clock is half an hour behind", cause: "clock-skew", remedy: "fix-cause-then-restart", look: journal, unit: "active (running)",
		why: "the data are sound; one clock is wrong, and etcd says so", how: "three members; one restarted with a clock 30 min behind (clock_gettime changed in its vDSO); log of a healthy one", versions: all34,
		do: func(l *lab) shot {
			l.startAll()
			l.members[0].put(60, 300)
			odd, m := l.members[1], l.members[0]
			odd.stop()
			odd.clock = -30 * time.Minute
			odd.start()
			odd.ready()
			m.says("clock difference", "clock drift")
			time.Sleep(2 * time.Second)
			return shot{bad: m, log: m.output(), peer: odd, peers: odd.output(), down: 0, total: 3}
		}},
	{name: "clock-cert", title: "Fresh certificates look not yet valid to a member whose clock is behind", cause: "clock-skew", remedy: "fix-cause-then-restart", tls: true, unit: "active (running)",
		why: clockWhy, awkward: "the log speaks of certificates only", look: journal,
		how: "three members with mutual TLS and certificates made an hour ago; one restarted with a clock three hours behind (clock_gettime changed in its vDSO)", versions: []string{"3.4", "3.6.16", "3.7.3"},
		do: func(l *lab) shot {
			for _, m := range l.members {
				m.secure(l.ca.issue(m.name, wish{from: -time.Hour, addresses: m.addresses()}))
			}
			l.startAll()
			l.members[0].put(60, 300)
			m := l.members[1]
			m.stop()
			m.clock = -3 * time.Hour
			m.start()
			m.says("expired or is not yet valid", "bad certificate")
			return unheard(m)
		}},
	{name: "clock-cert-soon", title: "A certificate begins in some minutes: its issuer's clock is ahead", cause: "clock-skew", remedy: "wait", tls: true, look: cri, nodes: 1,
		why: "the certificate was made by a host whose clock is ten minutes ahead and becomes valid by itself", awkward: "reads as expired",
		how: "one member with a sound pair; a client certificate valid from ten minutes from now on, used every second", versions: []string{"3.5.35"},
		do: func(l *lab) shot {
			l.startAll()
			good := l.admin
			l.admin = l.ca.issue("kube-apiserver-etcd-client", wish{from: 10 * time.Minute})
			m := l.members[0]
			mark := m.mark()
			out := m.ctl("--command-timeout=2s", "get", "k")
			l.admin = good
			return shot{bad: m, log: m.since(mark), down: 0, total: 1, ctl: []string{out}}
		}},
}
