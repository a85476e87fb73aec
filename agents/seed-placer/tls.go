package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/agents/seed-placer/seal"
	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
)

func tlsFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "serve-tls", Usage: "answer other nodes, and uploads, at HOST:PORT, only with a certificate", EnvVars: agent.Env("serve-tls")},
		&cli.StringFlag{Name: "tls-cert", Usage: "certificate of this node, for both sides of a connection, read again when it changes", EnvVars: agent.Env("tls-cert")},
		&cli.StringFlag{Name: "tls-key", Usage: "its key", EnvVars: agent.Env("tls-key")},
		&cli.StringFlag{Name: "tls-ca", Usage: "certificate of the authority that signs those of nodes and of who uploads", EnvVars: agent.Env("tls-ca")},
	}
}

// nodeTLS is the TLS identity of this node and the client that uses it.
type nodeTLS struct {
	address  string         // of --serve-tls; "" without certificates
	reloader *seal.Reloader // nil without certificates
	client   atomic.Pointer[http.Client]
}

// openNodeTLS reads the certificates that the flags name. All four flags or none are required: a node that should
// have certificates must not serve without.
func openNodeTLS(c *cli.Context) (*nodeTLS, error) {
	p := &nodeTLS{address: c.String("serve-tls")}
	p.client.Store(newNodeClient(nil))
	given, missing := "", ""
	for _, flag := range []string{"serve-tls", "tls-cert", "tls-key", "tls-ca"} {
		if c.String(flag) == "" {
			missing += " --" + flag
		} else {
			given = "--" + flag
		}
	}
	switch {
	case given == "":
		return p, nil
	case missing != "":
		return nil, agent.Usage("%s is given without%s: nodes with certificates need all four", given, missing)
	}
	host, _, err := net.SplitHostPort(p.address)
	if err != nil {
		return nil, agent.Usage("--serve-tls %q is not HOST:PORT: %w", p.address, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return nil, agent.Usage("--serve-tls %s: name the very address by which other nodes reach this one", p.address)
	}
	if p.reloader, err = seal.OpenReloader(seal.Files{Cert: c.String("tls-cert"), Key: c.String("tls-key"), CA: c.String("tls-ca")}, host); err != nil {
		return nil, agent.Usage("%w", err)
	}
	return p, p.replaceClient()
}

// newNodeClient returns the client for other nodes. It ignores proxy settings.
func newNodeClient(transport *http.Transport) *http.Client {
	if transport == nil {
		transport = &http.Transport{}
	}
	transport.DialContext = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	transport.TLSHandshakeTimeout, transport.ResponseHeaderTimeout, transport.DisableCompression = 10*time.Second, stallTimeout, true
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// replaceClient makes a client with the current certificate, and drops idle connections of the previous one.
func (p *nodeTLS) replaceClient() error {
	config, err := p.reloader.ClientConfig()
	if err != nil {
		return err
	}
	if previous := p.client.Swap(newNodeClient(&http.Transport{TLSClientConfig: config})); previous != nil {
		previous.CloseIdleConnections()
	}
	return nil
}

// public returns the identity without its key, or nil without certificates.
func (p *nodeTLS) public() *seal.PublicIdentity {
	if p.reloader == nil {
		return nil
	}
	return &p.reloader.Identity().PublicIdentity
}

// workerTLS returns the TLS part of a worker's configuration.
func (p *placer) workerTLS() wire.TLS {
	public := p.tls.public()
	if public == nil {
		return wire.TLS{}
	}
	return wire.TLS{Identity: public, UploadSocket: p.socket}
}

// certPollInterval is how often the certificate files are checked for changes.
const certPollInterval = 2 * time.Second

// watchCertificates reloads changed certificates until ctx ends, at once after SIGHUP. The node keeps the previous
// set until a complete new one can be read.
func (p *placer) watchCertificates(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	tick := time.NewTicker(certPollInterval)
	defer tick.Stop()
	p.logValidity()
	for logged, previous := "", ""; ; {
		select {
		case <-tick.C:
		case <-hup:
		case <-ctx.Done():
			return
		}
		changed, err := p.tls.reloader.Refresh()
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != "" && text == previous && text != logged { // key and certificate may be replaced at different times: log on the second failure
			p.agent.Log.Warn("", "the certificates have changed and cannot be used; going on with those of before: "+text)
			logged = text
		}
		previous = text
		if !changed {
			if logged != "" && text == "" {
				logged = ""
			}
			continue
		}
		if err := p.tls.replaceClient(); err != nil {
			p.agent.Log.Warn("", err.Error())
		}
		p.workers.updateTLS()
		p.logValidity()
		p.wake()
	}
}

// logValidity logs the certificate in use and when it expires.
func (p *placer) logValidity() {
	identity := p.tls.reloader.Identity()
	if text := identity.ValidityProblem(); text != "" {
		p.agent.Log.Warn("", text+"; until then no other node answers this one")
		return
	}
	p.agent.Log.Info("", fmt.Sprintf("other nodes are answered at %s with %s, good until %s", p.self.Address, identity.CertFile, identity.Leaf.NotAfter.UTC().Format(time.DateTime)))
}
