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

// nodeTLS is what this node proves itself with to others.
type nodeTLS struct {
	address  string         // of --serve-tls; "" where the node has no certificate
	reloader *seal.Reloader // nil where it has none
	client   atomic.Pointer[http.Client]
}

// openNodeTLS reads the certificates that the flags name. They come all together or not at all: half a proof is none, and a
// node that was meant to have one must not serve without.
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

// newNodeClient is a client for the other nodes. It goes through no proxy: what is between nodes is between nodes.
func newNodeClient(transport *http.Transport) *http.Client {
	if transport == nil {
		transport = &http.Transport{}
	}
	transport.DialContext = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	transport.TLSHandshakeTimeout, transport.ResponseHeaderTimeout, transport.DisableCompression = 10*time.Second, stallTimeout, true
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// replaceClient makes the agent's own connections with the certificate of now.
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

// public is what may be known of it, nil where the node has none.
func (p *nodeTLS) public() *seal.PublicIdentity {
	if p.reloader == nil {
		return nil
	}
	return &p.reloader.Identity().PublicIdentity
}

// workerTLS is what the workers get to know.
func (p *placer) workerTLS() wire.TLS {
	public := p.tls.public()
	if public == nil {
		return wire.TLS{}
	}
	return wire.TLS{Identity: public, UploadSocket: p.socket}
}

// certPollInterval is how often the files of the certificates are looked at.
const certPollInterval = 2 * time.Second

// watchCertificates takes up certificates that have changed, at once after HUP, until ctx ends. Until a whole set is there the node
// goes on with the one it has.
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
		if text != "" && text == previous && text != logged { // for a moment, a key may be without its certificate
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

// logValidity says what the node goes by now.
func (p *placer) logValidity() {
	identity := p.tls.reloader.Identity()
	if text := identity.ValidityProblem(); text != "" {
		p.agent.Log.Warn("", text+"; until then no other node answers this one")
		return
	}
	p.agent.Log.Info("", fmt.Sprintf("other nodes are answered at %s with %s, good until %s", p.self.Address, identity.CertFile, identity.Leaf.NotAfter.UTC().Format(time.DateTime)))
}
