// Package seal authenticates nodes to each other by mutual TLS 1.3 with certificates of one authority. The agent
// reads the files and keeps the key. The workers get only the public part, and have the agent sign each handshake:
// see [ServeSigner].
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

// Files are the PEM files of a node: its certificate with intermediates, its key, and the certificates of the
// authority.
type Files struct{ Cert, Key, CA string }

// PublicIdentity is a node's identity without the key. It is safe to pass to workers.
type PublicIdentity struct {
	CertFile string   `json:"cert_file"` // for error messages
	CAFile   string   `json:"ca_file"`
	Chain    [][]byte `json:"chain"` // DER, the leaf first
	Roots    []byte   `json:"roots"` // PEM
}

// Identity is a node's identity with its key.
type Identity struct {
	PublicIdentity
	Leaf *x509.Certificate
	key  crypto.Signer
}

// ReadIdentity reads and verifies an identity for host: the key matches the certificate, the authority signed it for
// clients and servers, and it names the host. The validity period is not checked, so that a node can start before it
// begins.
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

// readKey rejects a key file that everybody on the machine can read.
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

// withoutKeys keeps only the certificates of a PEM file: a key in it must not reach a worker.
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

// validTime returns a time within the certificate's validity period, now if possible.
func (i *Identity) validTime() time.Time {
	now := time.Now()
	if now.Before(i.Leaf.NotBefore) || now.After(i.Leaf.NotAfter) {
		return i.Leaf.NotBefore.Add(i.Leaf.NotAfter.Sub(i.Leaf.NotBefore) / 2)
	}
	return now
}

// ValidityProblem returns why the certificate is not valid now, or "".
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

// fingerprint identifies a certificate.
type fingerprint [sha256.Size]byte

func (p PublicIdentity) fingerprint() fingerprint { return sha256.Sum256(p.Chain[0]) }

// ServerConfig returns the configuration of a listener that requires a client certificate of the authority. Session
// tickets are disabled: a resumed session would outlive the authority that vouched for it.
func (p PublicIdentity) ServerConfig(key crypto.Signer) (*tls.Config, error) {
	pool, err := p.rootPool()
	return &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
		Certificates: []tls.Certificate{{Certificate: p.Chain, PrivateKey: key}}, SessionTicketsDisabled: true}, err
}

// ClientConfig returns the configuration of connections to other nodes. The peer's certificate must name the dialled
// host. Ours is sent whatever authorities the peer lists, so that its error is about our certificate and not a
// missing one.
func (p PublicIdentity) ClientConfig(key crypto.Signer) (*tls.Config, error) {
	pool, err := p.rootPool()
	own := &tls.Certificate{Certificate: p.Chain, PrivateKey: key}
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, SessionTicketsDisabled: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }}, err
}
