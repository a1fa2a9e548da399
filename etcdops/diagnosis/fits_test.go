package diagnosis

import (
	"testing"

	"github.com/novatui/novatui/etcdops"
)

// TestCertificatesFit: certificates that are valid and not for what they are
// used for, and modes that shut out the user.
func TestCertificatesFit(t *testing.T) {
	peer := etcdops.CertFacts{
		Path: "/etc/ssl/peer.pem", Use: "peer", NotBefore: when.AddDate(-1, 0, 0), NotAfter: when.AddDate(1, 0, 0),
		SANs: []string{"localhost", "10.0.0.2"}, Usages: []string{"server", "client"},
	}
	with := func(change func(*etcdops.CertFacts)) etcdops.CertFacts {
		c := peer
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		cert etcdops.CertFacts
		mode string
		want string // cause and confidence
	}{
		"fits":              {cert: peer, want: "unknown possible"},
		"only a server":     {cert: with(func(c *etcdops.CertFacts) { c.Usages = []string{"server"} }), want: "cert-bad certain"},
		"says nothing":      {cert: with(func(c *etcdops.CertFacts) { c.Usages = nil }), want: "unknown possible"},
		"another address":   {cert: with(func(c *etcdops.CertFacts) { c.SANs = []string{"10.0.0.3"} }), want: "cert-bad likely"},
		"the same, longer":  {cert: with(func(c *etcdops.CertFacts) { c.SANs = []string{"::ffff:10.0.0.2"} }), want: "unknown possible"},
		"a name, no number": {cert: with(func(c *etcdops.CertFacts) { c.SANs = []string{"*.0.0.2"} }), want: "cert-bad likely"},
		"client URLs may differ": {cert: with(func(c *etcdops.CertFacts) {
			c.Use, c.SANs = "server", []string{"api.example"}
		}), want: "cert-bad possible"},
		"mode":      {cert: peer, mode: "0500", want: "permission likely"},
		"mode open": {cert: peer, mode: "0755", want: "unknown possible"},
	} {
		t.Run(name, func(t *testing.T) {
			f := cluster(3)
			n := crashing(&f, 2)
			n.Certs = []etcdops.CertFacts{c.cert}
			if c.mode != "" {
				n.Data.Mode = c.mode
			}
			v := Diagnose(f)
			checkWords(t, v)
			best := v.CausesOn("master-2")[0]
			for _, o := range v.CausesOn("master-2") {
				if o.ID != "unknown" {
					best = o
				}
			}
			if got := best.ID + " " + string(best.Confidence); got != c.want {
				t.Errorf("%s, want %s\n%s", got, c.want, describe(v))
			}
			f = cluster(3)
			f.Nodes[1].Certs = []etcdops.CertFacts{c.cert}
			if v = Diagnose(f); len(v.Causes) > 0 {
				t.Errorf("a member in a quorum proves that its certificate fits\n%s", describe(v))
			}
		})
	}
	for _, c := range []struct {
		san, host string
		want      bool
	}{
		{"*.etcd.svc", "a.etcd.svc", true},
		{"*.etcd.svc", "etcd.svc", false},
		{"*.etcd.svc", "a.b.etcd.svc", false},
		{"Master-1.", "master-1", true},
		{"fd00::1", "fd00:0:0::1", true},
		{"master-1", "10.0.0.1", false},
	} {
		if got := coversHost(c.san, c.host); got != c.want {
			t.Errorf("%s for %s: %v", c.san, c.host, got)
		}
	}
}
