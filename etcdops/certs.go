package etcdops

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"time"

	"github.com/novatui/novatui/remote"
)

// parseCert fills the facts of a certificate file from its text. Of a file with
// several certificates the first is the one that is shown; a bundle of
// authorities shows the one that expires first.
func parseCert(c *CertFacts, text []byte) []*x509.Certificate {
	certs, err := pemCerts(text)
	if err != nil {
		c.Error = err.Error()
		return nil
	}
	shown := certs[0]
	if c.Use == "ca" || c.Use == "peer-ca" || c.Use == "client-ca" {
		for _, ca := range certs {
			if ca.NotAfter.Before(shown.NotAfter) {
				shown = ca
			}
		}
	}
	c.Subject = remote.Clean(shown.Subject.String())
	c.Issuer = remote.Clean(shown.Issuer.String())
	c.NotBefore, c.NotAfter = shown.NotBefore, shown.NotAfter
	for _, name := range shown.DNSNames {
		c.SANs = append(c.SANs, remote.Clean(name))
	}
	for _, ip := range shown.IPAddresses {
		c.SANs = append(c.SANs, ip.String())
	}
	c.Usages = usages(shown)
	return certs
}

// usages are the extended key usages that TLS asks for (RFC 5280, 4.2.1.12).
func usages(cert *x509.Certificate) []string {
	var list []string
	for _, u := range cert.ExtKeyUsage {
		if u == x509.ExtKeyUsageAny {
			return nil
		}
		if word := map[x509.ExtKeyUsage]string{x509.ExtKeyUsageServerAuth: "server", x509.ExtKeyUsageClientAuth: "client"}[u]; word != "" {
			list = append(list, word)
		}
	}
	return list
}

func pemCerts(text []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate in PEM form")
	}
	return certs, nil
}

// chainOK reports whether one of the authorities signed the certificate,
// whatever the time is: validity is told apart.
func chainOK(certs, authorities []*x509.Certificate) bool {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, ca := range authorities {
		roots.AddCert(ca)
	}
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	leaf := certs[0]
	at := leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		// An authority that is younger or older than the middle of the leaf's
		// life signed it all the same.
		for _, ca := range authorities {
			if leaf.CheckSignatureFrom(ca) == nil {
				return true
			}
		}
	}
	return err == nil
}

// identity is what a TLS client on the node would use.
type identity struct {
	ca, cert []byte
	key      secret
	host     string // the server name to check
}

// same reports whether two identities are the same files' contents.
func (id identity) same(other identity) bool {
	return bytes.Equal(id.ca, other.ca) && bytes.Equal(id.cert, other.cert) && bytes.Equal(id.key, other.key)
}

// config makes the TLS configuration of a client; now is the clock that
// validity is judged by: the node's own, as etcdctl there would.
func (id identity) config(now func() time.Time) (*tls.Config, error) {
	c := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: id.host, NextProtos: []string{"h2"}, Time: now,
	}
	if len(id.ca) > 0 {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(id.ca) {
			return nil, errors.New("the file of authorities holds no certificate")
		}
	}
	if len(id.cert) > 0 && len(id.key) > 0 {
		pair, err := tls.X509KeyPair(id.cert, id.key)
		if err != nil {
			return nil, errors.New("certificate and private key do not belong together or cannot be read")
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
