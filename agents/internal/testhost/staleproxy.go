package testhost

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Stale stands between an agent and its store like a server that has lost touch with its leader: it can answer what it
// was asked before as it answered then. Consistent reads it cannot answer by itself: they reach the store, or fail.
type Stale struct {
	Address string // unix://…, for every network namespace

	mu      sync.Mutex
	mode    string
	answers map[string]*http.Response // what was said to each read, with its body in memory
}

// The modes of Stale.
const (
	Fresh = "fresh" // passes everything on, and remembers
	Old   = "old"   // reads that are not consistent are answered as before
	Split = "split" // the same, and consistent reads fail
	Cut   = "cut"   // nothing is answered at all
)

// NewStale starts one before the store at address (HOST:PORT or unix://PATH), until the test ends.
func NewStale(t testing.TB, address string) *Stale {
	t.Helper()
	s := &Stale{mode: Fresh, answers: map[string]*http.Response{}}
	path := filepath.Join(t.TempDir(), "stale.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s.Address = "unix://" + path
	network := "tcp"
	if socket, ok := strings.CutPrefix(address, "unix://"); ok {
		network, address = "unix", socket
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "store"})
	proxy.Transport = transport
	proxy.ModifyResponse = s.remember
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, proxy) }),
		ReadHeaderTimeout: HangLimit}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); transport.CloseIdleConnections() })
	return s
}

// Be sets the mode.
func (s *Stale) Be(mode string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = mode
}

func (s *Stale) now() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mode
}

// question is what a read asks for, whether or not it wants to wait for a change.
func question(r *http.Request) string {
	asked := r.URL.Query()
	asked.Del("index")
	asked.Del("wait")
	return r.URL.Path + "?" + asked.Encode()
}

func (s *Stale) remember(r *http.Response) error {
	if r.Request.Method != http.MethodGet || r.Request.URL.Query().Has("consistent") {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	_ = r.Body.Close()
	r.Body = io.NopCloser(bytes.NewReader(body))
	kept := *r
	kept.Header, kept.Status = r.Header.Clone(), string(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[question(r.Request)] = &kept
	return nil
}

func (s *Stale) serve(w http.ResponseWriter, r *http.Request, onwards http.Handler) {
	mode, consistent := s.now(), r.URL.Query().Has("consistent")
	s.mu.Lock()
	kept := s.answers[question(r)]
	s.mu.Unlock()
	switch {
	case mode == Cut:
		<-r.Context().Done()
	case mode == Split && consistent:
		http.Error(w, "No cluster leader", http.StatusInternalServerError)
	case mode == Fresh || consistent || r.Method != http.MethodGet || kept == nil:
		onwards.ServeHTTP(w, r)
	default:
		for index := r.URL.Query().Get("index"); index == kept.Header.Get("X-Consul-Index") && s.now() == mode && r.Context().Err() == nil; {
			time.Sleep(20 * time.Millisecond)
		}
		for name, values := range kept.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(kept.StatusCode)
		_, _ = io.WriteString(w, kept.Status)
	}
}
