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

// Doors are where a worker is reached.
//
// The worker ends TLS itself, so that a call from another node passes through no third process. The key is not here: the
// agent holds it and signs each handshake when asked, and nothing but handshakes. A seed cannot reach even that, and one
// that broke out of its engine would find the keys of the connections that are open, which carry what it may see anyway,
// and a voice for as long as its process lives; it could take nothing along that proves to be this node.
type Doors struct {
	Plain net.Listener   // for everybody; nil for none
	Nodes net.Listener   // for who has a certificate; nil for none
	Key   *seal.Borrowed // for Nodes
	now   atomic.Pointer[proven]
	apart bool // this process has a program of its own, which compiles in another one
}

// proven is what this node proves itself with, from one table that changed it to the next.
type proven struct {
	proof   *seal.Public
	server  *tls.Config
	client  *tls.Config
	uploads string
}

// openDoors makes doors of the open files that are meant for them.
func openDoors(files map[string]*os.File) (*Doors, error) {
	d := &Doors{apart: true}
	for name, to := range map[string]*net.Listener{wire.Plain: &d.Plain, wire.Nodes: &d.Nodes} {
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
	if d.Nodes != nil {
		d.Key = seal.NewBorrowed(files[wire.Questions], files[wire.Answers])
	}
	if d.Nodes == nil && d.Plain == nil {
		return nil, errors.New("it has no listener")
	}
	return d, nil
}

// prove takes what the node proves itself with from now on.
func (d *Doors) prove(s wire.Sealed) (*proven, error) {
	now := d.now.Load()
	if now != nil && same(now.proof, s.Proof) && now.uploads == s.Uploads {
		return now, nil
	}
	next := &proven{proof: s.Proof, uploads: s.Uploads}
	if s.Proof != nil {
		key, err := d.Key.For(*s.Proof)
		if err != nil {
			return nil, err
		}
		if next.server, err = s.Proof.Server(key); err != nil {
			return nil, err
		}
		if next.client, err = s.Proof.Client(key); err != nil {
			return nil, err
		}
	}
	d.now.Store(next)
	return next, nil
}

func same(a, b *seal.Public) bool {
	if a == nil || b == nil {
		return a == b
	}
	equal := len(a.Chain) == len(b.Chain) && bytes.Equal(a.Roots, b.Roots)
	for i := range a.Chain {
		equal = equal && bytes.Equal(a.Chain[i], b.Chain[i])
	}
	return equal
}

// provenKey is, in the context of a connection, what this node proved itself with when it began.
type provenKey struct{}

// How long a client may take for the head of a request, and until the next one begins.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
)

// server returns what answers at each door.
func (w *Worker) server() *http.Server {
	return &http.Server{Handler: http.HandlerFunc(w.enter), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: 64 << 10, ErrorLog: w.log.standard(),
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, provenKey{}, w.doors.now.Load())
		}}
}

// serve answers at each door.
func (w *Worker) serve() *http.Server {
	d, server := w.doors, w.server()
	if d.Plain != nil {
		go func() { _ = server.Serve(quickly{connlimit.New(d.Plain, limits(false)), w}) }()
	}
	if d.Nodes != nil {
		config := &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return d.now.Load().server, nil
		}}
		go func() { _ = server.Serve(tls.NewListener(connlimit.New(d.Nodes, limits(true)), config)) }()
	}
	return server
}

// limits are those of a listener: files of this process stay for blobs and for calls of other nodes.
func limits(silent bool) connlimit.Limits {
	total := maxFiles() * 3 / 4
	return connlimit.Limits{Total: total, PerClient: total / 4, Stall: stall, Silent: silent}
}

// enter is every request. Once this node has certificates, only who shows one is taken for another node: what it says of
// callers and hops counts for nothing from anybody else. A connection of before a renewal ends with its next answer, so
// that whom the new authority does not vouch for is out, and no call is dropped.
func (w *Worker) enter(rw http.ResponseWriter, r *http.Request) {
	switch now := w.doors.now.Load(); {
	case r.TLS == nil && now.proof != nil:
		for _, name := range []string{headerHop, headerChain, headerRequest, headerClient} {
			r.Header.Del(name)
		}
	case r.TLS != nil && time.Now().After(r.TLS.PeerCertificates[0].NotAfter):
		rw.Header().Set("Connection", "close")
		http.Error(rw, fmt.Sprintf("403 your certificate expired on %s: renew it", r.TLS.PeerCertificates[0].NotAfter.UTC().Format(time.DateTime)), http.StatusForbidden)
		return
	case r.TLS != nil && r.Context().Value(provenKey{}) != any(now):
		rw.Header().Set("Connection", "close")
	}
	withStall(rw, r)
	w.ServeHTTP(rw, r)
}
