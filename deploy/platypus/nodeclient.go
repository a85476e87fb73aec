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

// tlsScheme is the prefix of node addresses that require a client certificate.
const tlsScheme = "https://"

// certificateHint is the next step without a certificate.
const certificateHint = "add --tls-cert FILE --tls-key FILE --tls-ca FILE"

func tlsFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "tls-cert", Usage: "certificate to show to nodes that ask for one, `FILE`", EnvVars: []string{"PLATYPUS_TLS_CERT"}},
		&cli.StringFlag{Name: "tls-key", Usage: "its key, `FILE`", EnvVars: []string{"PLATYPUS_TLS_KEY"}},
		&cli.StringFlag{Name: "tls-ca", Usage: "certificate of the authority of the nodes, `FILE`", EnvVars: []string{"PLATYPUS_TLS_CA"}},
	}
}

// nodeClient calls nodes, with the certificate that flags name or without one.
type nodeClient struct {
	client   *http.Client
	cert, ca string // files; "" without a certificate
}

// newNodeClient reads the certificate. It reports an expired or incomplete one before anything is sent.
func (cmd *command) newNodeClient() (*nodeClient, error) {
	n := &nodeClient{cert: cmd.flags.String("tls-cert"), ca: cmd.flags.String("tls-ca")}
	key, given, missing := cmd.flags.String("tls-key"), "", ""
	for _, flag := range []string{"tls-cert", "tls-key", "tls-ca"} {
		if cmd.flags.String(flag) == "" {
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
	// The certificate is sent whatever authorities the node lists: the node then reports what is wrong with it instead
	// of a missing certificate.
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }}
	return n, nil
}

// url returns the address of a path at a node. With a certificate, plain connections are refused: they would be
// mistaken for secure ones.
func (n *nodeClient) url(address, path string) (string, error) {
	switch sealed := strings.HasPrefix(address, tlsScheme); {
	case sealed && n.cert == "":
		return "", &tlsError{fmt.Sprintf("%s answers only who has a certificate: %s", address, certificateHint)}
	case sealed:
		return address + path, nil
	case n.cert != "":
		return "", &tlsError{fmt.Sprintf("%s speaks plain, and --tls-cert is given: start that node with certificates, or go without", address)}
	}
	return "http://" + address + path, nil
}

// tlsError is a TLS failure between a node and this program: a retry cannot help.
type tlsError struct{ text string }

// Error implements error.
func (r *tlsError) Error() string { return r.text }

// explainTLS says whose certificate is at fault; other errors stay unchanged.
func (n *nodeClient) explainTLS(err error, at string) error {
	var record tls.RecordHeaderError
	var bad *tls.CertificateVerificationError
	var alert *net.OpError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return &tlsError{fmt.Sprintf("%s speaks plain: name the address of its --serve-tls", at)}
	case errors.As(err, &bad):
		return &tlsError{fmt.Sprintf("%s shows a certificate that --tls-ca %s does not vouch for there and now: %v", at, n.ca, bad.Err)}
	case errors.As(err, &alert) && alert.Op == "remote error":
		return &tlsError{fmt.Sprintf("%s does not accept --tls-cert %s (%v): it must be signed by the authority of that node's --tls-ca", at, n.cert, alert.Err)}
	}
	return err
}
