package worker

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/connlimit"
	"github.com/platypus-platform/platypus/agents/seed-placer/seal"
	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
)

// Listeners are the listeners of a worker.
//
// The worker terminates TLS itself, so that a call between nodes passes through no third process. The agent holds the
// key and signs handshakes on request, and nothing else. A seed cannot reach the signer. Code that escapes the engine
// could read the session keys of open connections, whose content it sees anyway, and could have handshakes signed
// while its process lives; it could not steal the node's identity.
type Listeners struct {
	Plain           net.Listener       // without TLS; nil for none
	Nodes           net.Listener       // for clients with a certificate; nil for none
	Signer          *seal.RemoteSigner // of Nodes
	tls             atomic.Pointer[tlsState]
	separateProcess bool // this process is a worker program, which compiles in a child process
}

// tlsState is the TLS configuration of this node. It is replaced when the certificates change.
type tlsState struct {
	identity     *seal.PublicIdentity
	server       *tls.Config
	client       *tls.Config
	uploadSocket string
}

// openListeners opens the inherited files.
func openListeners(files map[string]*os.File) (*Listeners, error) {
	l := &Listeners{separateProcess: true}
	for name, to := range map[string]*net.Listener{wire.PlainListener: &l.Plain, wire.TLSListener: &l.Nodes} {
		if files[name] == nil {
			continue
		}
		listener, err := net.FileListener(files[name])
		if err != nil {
			return nil, err
		}
		*to = listener
		_ = files[name].Close()
	}
	if l.Nodes != nil {
		l.Signer = seal.NewRemoteSigner(files[wire.SignRequests], files[wire.SignReplies])
	}
	if l.Nodes == nil && l.Plain == nil {
		return nil, errors.New("it has no listener")
	}
	return l, nil
}

// setTLS applies the TLS part of a configuration.
func (l *Listeners) setTLS(s wire.TLS) (*tlsState, error) {
	now := l.tls.Load()
	if now != nil && sameIdentity(now.identity, s.Identity) && now.uploadSocket == s.UploadSocket {
		return now, nil
	}
	next := &tlsState{identity: s.Identity, uploadSocket: s.UploadSocket}
	if s.Identity != nil {
		key, err := l.Signer.For(*s.Identity)
		if err != nil {
			return nil, err
		}
		if next.server, err = s.Identity.ServerConfig(key); err != nil {
			return nil, err
		}
		if next.client, err = s.Identity.ClientConfig(key); err != nil {
			return nil, err
		}
	}
	l.tls.Store(next)
	return next, nil
}

func sameIdentity(a, b *seal.PublicIdentity) bool {
	if a == nil || b == nil {
		return a == b
	}
	equal := len(a.Chain) == len(b.Chain) && bytes.Equal(a.Roots, b.Roots)
	for i := range a.Chain {
		equal = equal && bytes.Equal(a.Chain[i], b.Chain[i])
	}
	return equal
}

// tlsStateKey is the context key for the tlsState in which a connection began.
type tlsStateKey struct{}

// How long a client may take to send a header, and to begin the next request.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
)

// server returns the HTTP server of all listeners.
func (w *Worker) server() *http.Server {
	return &http.Server{Handler: http.HandlerFunc(w.withPeerChecks), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: 64 << 10, ErrorLog: w.log.stdLogger(),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, tlsStateKey{}, w.listeners.tls.Load())
		}}
}

// startServers serves each listener.
func (w *Worker) startServers() *http.Server {
	l, server := w.listeners, w.server()
	if l.Plain != nil {
		go func() { _ = server.Serve(fastListener{connlimit.New(l.Plain, connLimits(false)), w}) }()
	}
	if l.Nodes != nil {
		config := &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return l.tls.Load().server, nil
		}}
		go func() { _ = server.Serve(tls.NewListener(connlimit.New(l.Nodes, connLimits(true)), config)) }()
	}
	return server
}

// connLimits returns the limits of a listener. They leave file descriptors for blobs and for calls to other nodes.
func connLimits(silent bool) connlimit.Limits {
	total := maxFiles() * 3 / 4
	return connlimit.Limits{Total: total, PerClient: total / 4, Stall: stallTimeout, Silent: silent}
}

// withPeerChecks handles every request. With certificates, headers between workers count only from clients that
// present one. A connection from before a certificate change ends with its next response: clients of the previous
// authority are disconnected, and no call is dropped.
func (w *Worker) withPeerChecks(rw http.ResponseWriter, r *http.Request) {
	switch now := w.listeners.tls.Load(); {
	case r.TLS == nil && now.identity != nil:
		for _, name := range []string{headerHop, headerChain, headerRequest, headerClient} {
			r.Header.Del(name)
		}
	case r.TLS != nil && time.Now().After(r.TLS.PeerCertificates[0].NotAfter):
		rw.Header().Set("Connection", "close")
		http.Error(rw, fmt.Sprintf("403 your certificate expired on %s: renew it", r.TLS.PeerCertificates[0].NotAfter.UTC().Format(time.DateTime)), http.StatusForbidden)
		return
	case r.TLS != nil && r.Context().Value(tlsStateKey{}) != any(now):
		rw.Header().Set("Connection", "close")
	}
	withStall(rw, r)
	w.ServeHTTP(rw, r)
}
