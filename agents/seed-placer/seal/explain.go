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

// TLSScheme is what an address in the store begins with when only who has a certificate is answered there.
const TLSScheme = "https://"

// CertError is why two nodes do not come together: their proofs, not the network.
type CertError struct{ text string }

// Error implements error.
func (f *CertError) Error() string { return f.text }

func certErrorf(format string, args ...any) *CertError {
	return &CertError{fmt.Sprintf(format, args...)}
}

// URL is the address of a path at another node. A node with certificates speaks to nobody without, whatever the store
// says of them, and p is nil for one that has none.
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

// Explain says whose certificate is at fault, naming file and peer, when err is about that; else it is nil.
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
	// What the other says of our certificate may lose the race against the end of the connection.
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

// explainPeer explains what is wrong with the other's certificate, or that there is none.
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
