package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// sealedScheme is what an address in the store begins with when only who has a certificate is answered there.
const sealedScheme = "https://"

// certificateHint is the next step of who has none.
const certificateHint = "add --tls-cert FILE --tls-key FILE --tls-ca FILE"

func tlsFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "tls-cert", Usage: "certificate to show to nodes that ask for one, `FILE`", EnvVars: []string{"PLATYPUS_TLS_CERT"}},
		&cli.StringFlag{Name: "tls-key", Usage: "its key, `FILE`", EnvVars: []string{"PLATYPUS_TLS_KEY"}},
		&cli.StringFlag{Name: "tls-ca", Usage: "certificate of the authority of the nodes, `FILE`", EnvVars: []string{"PLATYPUS_TLS_CA"}},
	}
}

// nodes are reached with the certificate that flags name, or without one.
type nodes struct {
	client   *http.Client
	cert, ca string // files; "" without
}

// nodes reads the certificate. It has expired or is there in half: that is said before anything is sent.
func (sh *shell) nodes() (*nodes, error) {
	n := &nodes{cert: sh.flags.String("tls-cert"), ca: sh.flags.String("tls-ca")}
	key, given, missing := sh.flags.String("tls-key"), "", ""
	for _, flag := range []string{"tls-cert", "tls-key", "tls-ca"} {
		if sh.flags.String(flag) == "" {
			missing += " --" + flag
		} else {
			given = "--" + flag
		}
	}
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, TLSHandshakeTimeout: 10 * time.Second,
		DisableCompression: true, WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10}
	n.client = &http.Client{Transport: transport}
	switch {
	case given == "":
		n.cert, n.ca = "", ""
		return n, nil
	case missing != "":
		return nil, usage("%s is given without%s: a certificate needs all three", given, missing)
	}
	pair, err := tls.LoadX509KeyPair(n.cert, key)
	if err != nil {
		return nil, fmt.Errorf("read --tls-cert %s with --tls-key %s: %w", n.cert, key, err)
	}
	if time.Now().After(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("--tls-cert %s expired on %s: renew it", n.cert, pair.Leaf.NotAfter.UTC().Format(time.DateTime))
	}
	roots, err := os.ReadFile(n.ca)
	if err != nil {
		return nil, fmt.Errorf("read --tls-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(roots) {
		return nil, fmt.Errorf("read --tls-ca %s: it holds no certificate", n.ca)
	}
	// It is shown whatever authorities the node lists: the refusal is then about this one, and not that none came.
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}
	return n, nil
}

// url is the address of a path at a node. With a certificate, nothing goes to a node in plain: it would be taken for safe.
func (n *nodes) url(address, path string) (string, error) {
	switch sealed := strings.HasPrefix(address, sealedScheme); {
	case sealed && n.cert == "":
		return "", &refusedTLS{fmt.Sprintf("%s answers only who has a certificate: %s", address, certificateHint)}
	case sealed:
		return address + path, nil
	case n.cert != "":
		return "", &refusedTLS{fmt.Sprintf("%s speaks plain, and --tls-cert is given: start that node with certificates, or go without", address)}
	}
	return "http://" + address + path, nil
}

// refusedTLS is why a node and this program do not come together: trying again does not help.
type refusedTLS struct{ text string }

// Error implements error.
func (r *refusedTLS) Error() string { return r.text }

// explain names whose certificate is at fault, where one is; other errors stay as they are.
func (n *nodes) explain(err error, at string) error {
	var record tls.RecordHeaderError
	var bad *tls.CertificateVerificationError
	var alert *net.OpError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return &refusedTLS{fmt.Sprintf("%s speaks plain: name the address of its --serve-tls", at)}
	case errors.As(err, &bad):
		return &refusedTLS{fmt.Sprintf("%s shows a certificate that --tls-ca %s does not vouch for there and now: %v", at, n.ca, bad.Err)}
	case errors.As(err, &alert) && alert.Op == "remote error":
		return &refusedTLS{fmt.Sprintf("%s does not accept --tls-cert %s (%v): it must be signed by the authority of that node's --tls-ca", at, n.cert, alert.Err)}
	}
	return err
}
