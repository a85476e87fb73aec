// Package certtest is a certificate authority for the time of a test: what it signs is good at once, and so is what a test
// wants to be bad: expired, not valid yet, for another address, or signed by an authority that nobody knows.
package certtest

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

// Authority signs certificates for a test, which ends with an error where it cannot.
type Authority struct {
	testing.TB
	Dir  string // where its own certificate is ca.crt, and those that it issues are NAME.crt and NAME.key
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes an authority with a folder of its own, unlike any other there is.
func New(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{TB: t, Dir: t.TempDir()}
	a.cert, a.key = a.sign("authority", "", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	a.Publish()
	return a
}

// In is the same authority, with another folder to issue into: that of one whose certificates it wants to pass for, say.
func (a *Authority) In(dir string) *Authority {
	other := *a
	other.Dir = dir
	return &other
}

// Publish writes the authority's own certificate, as New does already.
func (a *Authority) Publish() {
	a.Helper()
	a.write(a.CA(), "CERTIFICATE", a.cert.Raw)
}

// CA is the file of the authority's own certificate.
func (a *Authority) CA() string { return filepath.Join(a.Dir, "ca.crt") }

// Pool holds the authority's own certificate and no other.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Files are where the certificate of a name and its key lie.
func (a *Authority) Files(name string) (cert, key string) {
	return filepath.Join(a.Dir, name+".crt"), filepath.Join(a.Dir, name+".key")
}

// Issue writes a certificate for a name, and for an IP address if that is not empty, for servers and for clients. It is
// good from an hour ago on until life has passed, and has expired if life is negative. The files are replaced whole, one
// after the other, as renewals do: the key first.
func (a *Authority) Issue(name, address string, life time.Duration) {
	a.Helper()
	cert, key := a.sign(name, address, time.Now().Add(-time.Hour), time.Now().Add(life))
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.Fatal(err)
	}
	certFile, keyFile := a.Files(name)
	a.write(keyFile, "EC PRIVATE KEY", der)
	a.write(certFile, "CERTIFICATE", cert.Raw)
}

// Flags issues a certificate and returns the flags with which our programs use it.
func (a *Authority) Flags(name, address string, life time.Duration) []string {
	a.Helper()
	a.Issue(name, address, life)
	cert, key := a.Files(name)
	return []string{"--tls-cert", cert, "--tls-key", key, "--tls-ca", a.CA()}
}

// Pair is a certificate like those of Issue, good between two moments, that is written nowhere.
func (a *Authority) Pair(name, address string, from, until time.Time) tls.Certificate {
	a.Helper()
	cert, key := a.sign(name, address, from, until)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// Load reads what was issued for a name.
func (a *Authority) Load(name string) tls.Certificate {
	a.Helper()
	pair, err := tls.LoadX509KeyPair(a.Files(name))
	if err != nil {
		a.Fatal(err)
	}
	return pair
}

// Client is the configuration of a client that believes this authority and shows the certificate of a name, whether or
// not it is asked for one of this authority. With "" it shows none.
func (a *Authority) Client(name string) *tls.Config {
	a.Helper()
	config := &tls.Config{RootCAs: a.Pool()}
	if name != "" {
		pair := a.Load(name)
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return config
}

// Server is the configuration of a server that lets in whom this authority signed for. It shows the certificate of a
// name, as its files have it when a client comes.
func (a *Authority) Server(name string) *tls.Config {
	// GetCertificate would not be asked by a server that httptest has given a certificate of its own.
	return &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		pair, err := tls.LoadX509KeyPair(a.Files(name))
		return &tls.Config{ClientCAs: a.Pool(), ClientAuth: tls.RequireAndVerifyClientCert, Certificates: []tls.Certificate{pair}}, err
	}}
}

// Secret is the private number of the key that was issued for a name, which must turn up nowhere.
func (a *Authority) Secret(name string) []byte {
	a.Helper()
	secret, err := a.Load(name).PrivateKey.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		a.Fatal(err)
	}
	return secret
}

// sign makes a certificate; the first is the authority's own.
func (a *Authority) sign(name, address string, from, until time.Time) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.Fatal(err)
	}
	wanted := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: from, NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(address); ip != nil {
		wanted.IPAddresses = []net.IP{ip}
	}
	parent, parentKey := a.cert, a.key
	if parent == nil {
		wanted.IsCA, wanted.KeyUsage, wanted.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
		wanted.Subject.SerialNumber = serial.String() // two authorities are two, though they are called the same
		parent, parentKey = wanted, key
	}
	der, err := x509.CreateCertificate(rand.Reader, wanted, parent, &key.PublicKey, parentKey)
	if err != nil {
		a.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.Fatal(err)
	}
	return cert, key
}

func (a *Authority) write(path, kind string, der []byte) {
	a.Helper()
	whole := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(path+".new", whole, 0o600); err != nil {
		a.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		a.Fatal(err)
	}
}
