//go:build e2e && linux

package samples

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// pair is a certificate with its key and the authority that others trust.
type pair struct{ cert, key, ca string }

// authority signs the certificates of a lab.
type authority struct {
	t    *testing.T
	dir  string
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t *testing.T, dir, name string, from, until time.Duration) *authority {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	a := &authority{t: t, dir: dir, file: name + ".crt", key: key, n: time.Now().UnixNano()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(until),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	a.cert, err = x509.ParseCertificate(der)
	must(t, err)
	a.write(a.file, "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	must(a.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644))
	return path
}

// wish is what a certificate shall be like; the zero value is a sound one.
type wish struct {
	from, until time.Duration // relative to now; zero means sound
	addresses   []string
	usage       []x509.ExtKeyUsage
}

// issue makes a certificate for a member.
func (a *authority) issue(name string, w wish) pair {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(a.t, err)
	a.n++
	if w.from == 0 {
		w.from = -48 * time.Hour
	}
	if w.until == 0 {
		w.until = 300 * 24 * time.Hour
	}
	if w.usage == nil {
		w.usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: name, Organization: []string{"nova"}},
		NotBefore: time.Now().Add(w.from), NotAfter: time.Now().Add(w.until),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: w.usage, DNSNames: []string{name},
	}
	for _, address := range w.addresses {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(address))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	must(a.t, err)
	private, err := x509.MarshalECPrivateKey(key)
	must(a.t, err)
	return pair{
		cert: a.write(name+".crt", "CERTIFICATE", der), key: a.write(name+".key", "EC PRIVATE KEY", private),
		ca: filepath.Join(a.dir, a.file),
	}
}

// clientTLS is how the tests' own client speaks to a lab.
func clientTLS(p pair) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(p.cert, p.key)
	// Which certificates members show is what is broken here.
	return &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true}, err
}
