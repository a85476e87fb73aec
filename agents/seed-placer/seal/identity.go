// Package seal is how nodes prove to each other who they are: TLS 1.3 in which both sides show a certificate that one
// authority signed. The files are read and the key is kept in the agent. What is no secret goes to the workers, which
// borrow the key, one signature a connection, and never see it: see [Lend].
package seal

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"
)

// Files names what a node proves itself with: a certificate with those between it and the authority, its key, and the
// certificates of the authority, all as PEM.
type Files struct{ Cert, Key, CA string }

// PublicIdentity is everything of a node's proof but the key.
type PublicIdentity struct {
	CertFile string   `json:"cert_file"` // for errors
	CAFile   string   `json:"ca_file"`
	Chain    [][]byte `json:"chain"` // DER, the node's own first
	Roots    []byte   `json:"roots"` // PEM
}

// Identity is a node's proof with its key.
type Identity struct {
	PublicIdentity
	Leaf *x509.Certificate
	key  crypto.Signer
}

// ReadIdentity reads an identity that others will accept for host once its time has come: the key is the certificate's, the
// authority signed it for both sides of a connection, and it names the host. Whether it is in time is not looked at.
func ReadIdentity(f Files, host string) (*Identity, error) {
	cert, err := os.ReadFile(f.Cert)
	if err != nil {
		return nil, fmt.Errorf("read --tls-cert: %w", err)
	}
	key, err := readKey(f.Key)
	if err != nil {
		return nil, fmt.Errorf("read --tls-key: %w", err)
	}
	roots, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, fmt.Errorf("read --tls-ca: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read --tls-cert %s with --tls-key %s: %w", f.Cert, f.Key, err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("read --tls-key %s: it cannot sign", f.Key)
	}
	i := &Identity{PublicIdentity: PublicIdentity{CertFile: f.Cert, CAFile: f.CA, Chain: pair.Certificate, Roots: withoutKeys(roots)}, Leaf: pair.Leaf, key: signer}
	return i, i.verify(host)
}

// readKey refuses a key that is no secret any more.
func readKey(path string) ([]byte, error) {
	at, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if at.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s is open to everybody on this machine: chmod o= %s", path, path)
	}
	return os.ReadFile(path)
}

// withoutKeys keeps the certificates of a file: a key in it must not reach a worker.
func withoutKeys(data []byte) []byte {
	var kept bytes.Buffer
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			_ = pem.Encode(&kept, &pem.Block{Type: block.Type, Bytes: block.Bytes})
		}
	}
	return kept.Bytes()
}

func (i *Identity) verify(host string) error {
	roots, err := i.rootPool()
	if err != nil {
		return err
	}
	intermediates := x509.NewCertPool()
	for _, der := range i.Chain[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("read --tls-cert %s: %w", i.CertFile, err)
		}
		intermediates.AddCert(c)
	}
	for _, side := range []struct {
		usage x509.ExtKeyUsage
		name  string
	}{{x509.ExtKeyUsageServerAuth, "servers"}, {x509.ExtKeyUsageClientAuth, "clients"}} {
		_, err := i.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{side.usage}, CurrentTime: i.validTime()})
		var invalid x509.CertificateInvalidError
		if errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage {
			return fmt.Errorf("--tls-cert %s is not for %s: a node's certificate is for both sides (serverAuth and clientAuth)", i.CertFile, side.name)
		}
		if err != nil {
			return fmt.Errorf("--tls-cert %s is not signed by --tls-ca %s: %w", i.CertFile, i.CAFile, err)
		}
	}
	if err := i.Leaf.VerifyHostname(host); err != nil {
		return fmt.Errorf("--tls-cert %s does not name %s, where other nodes reach this one: %w", i.CertFile, host, err)
	}
	return nil
}

// validTime is a moment at which the certificate is good.
func (i *Identity) validTime() time.Time {
	now := time.Now()
	if now.Before(i.Leaf.NotBefore) || now.After(i.Leaf.NotAfter) {
		return i.Leaf.NotBefore.Add(i.Leaf.NotAfter.Sub(i.Leaf.NotBefore) / 2)
	}
	return now
}

// ValidityProblem says that the certificate is not good now, or nothing.
func (i *Identity) ValidityProblem() string { return validityProblem(i.Leaf, i.CertFile) }

func validityProblem(leaf *x509.Certificate, file string) string {
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		return fmt.Sprintf("--tls-cert %s expired on %s: renew it", file, leaf.NotAfter.UTC().Format(time.DateTime))
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("--tls-cert %s is good only from %s on: is the clock right?", file, leaf.NotBefore.UTC().Format(time.DateTime))
	}
	return ""
}

func (p PublicIdentity) rootPool() (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(p.Roots) {
		return nil, fmt.Errorf("read --tls-ca %s: it holds no certificate", p.CAFile)
	}
	return pool, nil
}

// fingerprint tells certificates apart.
type fingerprint [sha256.Size]byte

func (p PublicIdentity) fingerprint() fingerprint { return sha256.Sum256(p.Chain[0]) }

// ServerConfig is the configuration of a listener that only who has a certificate of the authority gets through to. There are
// no session tickets: a connection that were gone on with would outlive the authority that vouched for it.
func (p PublicIdentity) ServerConfig(key crypto.Signer) (*tls.Config, error) {
	pool, err := p.rootPool()
	return &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
		Certificates: []tls.Certificate{{Certificate: p.Chain, PrivateKey: key}}, SessionTicketsDisabled: true}, err
}

// ClientConfig is the configuration of connections to other nodes. The certificate of the other must name the host that is
// dialled, and ours is shown whatever authorities the other lists: the error is then about ours, and not that none came.
func (p PublicIdentity) ClientConfig(key crypto.Signer) (*tls.Config, error) {
	pool, err := p.rootPool()
	own := &tls.Certificate{Certificate: p.Chain, PrivateKey: key}
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, SessionTicketsDisabled: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }}, err
}
