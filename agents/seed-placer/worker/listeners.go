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

// Listeners are where a worker is reached.
//
// The worker ends TLS itself, so that a call from another node passes through no third process. The key is not here: the
// agent holds it and signs each handshake when asked, and nothing but handshakes. A seed cannot reach even that, and one
// that broke out of its engine would find the keys of the connections that are open, which carry what it may see anyway,
// and a voice for as long as its process lives; it could take nothing along that proves to be this node.
type Listeners struct {
	Plain           net.Listener       // for everybody; nil for none
	Nodes           net.Listener       // for who has a certificate; nil for none
	Signer          *seal.RemoteSigner // for Nodes
	tls             atomic.Pointer[tlsState]
	separateProcess bool // this process has a program of its own, which compiles in another one
}

// tlsState is what this node proves itself with, from one table that changed it to the next.
type tlsState struct {
	identity     *seal.PublicIdentity
	server       *tls.Config
	client       *tls.Config
	uploadSocket string
}

// openListeners makes doors of the open files that are meant for them.
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

// setTLS takes what the node proves itself with from now on.
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

// tlsStateKey is, in the context of a connection, what this node proved itself with when it began.
type tlsStateKey struct{}

// How long a client may take for the head of a request, and until the next one begins.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
)

// server returns what answers at each door.
func (w *Worker) server() *http.Server {
	return &http.Server{Handler: http.HandlerFunc(w.withPeerChecks), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: 64 << 10, ErrorLog: w.log.stdLogger(),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, tlsStateKey{}, w.listeners.tls.Load())
		}}
}

// startServers answers at each door.
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

// connLimits are those of a listener: files of this process stay for blobs and for calls of other nodes.
func connLimits(silent bool) connlimit.Limits {
	total := maxFiles() * 3 / 4
	return connlimit.Limits{Total: total, PerClient: total / 4, Stall: stallTimeout, Silent: silent}
}

// withPeerChecks is every request. Once this node has certificates, only who shows one is taken for another node: what it says of
// callers and hops counts for nothing from anybody else. A connection of before a renewal ends with its next answer, so
// that whom the new authority does not vouch for is out, and no call is dropped.
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
