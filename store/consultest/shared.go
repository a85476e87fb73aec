package consultest

import (
	"sync"
	"testing"
)

// Shared is one server for all tests of a package that need none of their own: each keeps to a tree of its own there. It is
// started when the first of them asks for it, and runs until Stop.
type Shared struct {
	once   sync.Once
	server *Server
}

// Addr is where it listens. The test is skipped where there is no Consul.
func (s *Shared) Addr(t testing.TB) string {
	t.Helper()
	Need(t)
	s.once.Do(func() { s.server = Start(lasting{t}, Config{}) })
	return s.server.Addr
}

// Stop ends it, if it was ever started. It is for TestMain.
func (s *Shared) Stop() {
	if s.server != nil {
		s.server.Kill()
	}
}

// lasting is a test that what it starts outlives.
type lasting struct{ testing.TB }

// Cleanup does nothing.
func (lasting) Cleanup(func()) {}
