package seal

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// TLSScheme is the prefix of an address in the store that requires a certificate.
const TLSScheme = "https://"

// CertError is a failed connection between nodes that is due to certificates, not the network.
type CertError struct{ text string }

// Error implements error.
func (f *CertError) Error() string { return f.text }

func certErrorf(format string, args ...any) *CertError {
	return &CertError{fmt.Sprintf(format, args...)}
}

// URL returns the URL of a path at another node. A node with certificates never speaks plain HTTP, whatever the store
// says. p is nil for a node without certificates.
func (p *PublicIdentity) URL(node, address, path string) (string, error) {
	wantsTLS := strings.HasPrefix(address, TLSScheme)
	switch {
	case p == nil && wantsTLS:
		return "", certErrorf("%s at %s answers only who has a certificate: start this node with --tls-cert, --tls-key and --tls-ca", node, address)
	case p == nil:
		return "http://" + address + path, nil
	case !wantsTLS:
		return "", certErrorf("%s at %s speaks plain, and this node (--tls-cert %s) only TLS: start %s with --tls-cert, --tls-key and --tls-ca", node, address, p.CertFile, node)
	}
	return address + path, nil
}

// Explain returns whose certificate caused err, with its file and peer, or nil if err has another cause.
func (p *PublicIdentity) Explain(err error, node, address string) *CertError {
	if p == nil || err == nil {
		return nil
	}
	peer := node + " at " + address
	if f := p.explainPeer(err, peer); f != nil {
		return f
	}
	var alert *net.OpError
	refused := errors.As(err, &alert) && alert.Op == "remote error"
	if !refused && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		return nil
	}
	// The peer's alert may arrive after the connection was reset, so check our own certificate.
	if leaf, bad := x509.ParseCertificate(p.Chain[0]); bad == nil {
		if text := validityProblem(leaf, p.CertFile); text != "" {
			return certErrorf("%s does not accept this node: %s", peer, text)
		}
	}
	if refused {
		return certErrorf("%s does not accept --tls-cert %s (%v): both nodes must have certificates of one authority", peer, p.CertFile, alert.Err)
	}
	return nil
}

// explainPeer returns what is wrong with the peer's certificate, or that it speaks plain HTTP.
func (p *PublicIdentity) explainPeer(err error, peer string) *CertError {
	var record tls.RecordHeaderError
	if errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &record) {
		return certErrorf("%s speaks plain, and this node (--tls-cert %s) only TLS: start it with --tls-cert, --tls-key and --tls-ca", peer, p.CertFile)
	}
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		if time.Now().Before(invalid.Cert.NotBefore) {
			return certErrorf("%s shows a certificate that is good only from %s on: are both clocks right?", peer, invalid.Cert.NotBefore.UTC().Format(time.DateTime))
		}
		return certErrorf("%s shows a certificate that expired on %s: renew its --tls-cert", peer, invalid.Cert.NotAfter.UTC().Format(time.DateTime))
	}
	var host x509.HostnameError
	if errors.As(err, &host) {
		return certErrorf("%s shows a certificate that does not name %s: its --tls-cert must", peer, host.Host)
	}
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		return certErrorf("%s shows a certificate that --tls-ca %s does not vouch for: %v", peer, p.CAFile, bad.Err)
	}
	return nil
}
