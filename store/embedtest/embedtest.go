// Package embedtest serves the embedded store for the time of a test, as store/consultest runs a real Consul: in memory of
// the test itself, on a directory that goes with it.
package embedtest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/platypus-platform/platypus/store/embedded"
)

// Start returns the address, host:port, of an empty store. It ends with the test.
func Start(t testing.TB) string {
	t.Helper()
	return Server(t).Listener.Addr().String()
}

// Server is Start for who looks into the server, or cuts it off.
func Server(t testing.TB) *httptest.Server {
	t.Helper()
	return Serve(t, Open(t))
}

// Open returns an empty store as what answers its requests, for who puts something before it. It ends with the test.
func Open(t testing.TB) http.Handler {
	t.Helper()
	s, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.Handler()
}

// Serve has a store, and what was put before it, listen on the loopback address. At the end of the test who still waits
// for news is cut off.
func Serve(t testing.TB, store http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(store)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server
}
