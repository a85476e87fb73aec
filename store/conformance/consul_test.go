package conformance_test

import (
	"testing"

	"github.com/platypus-platform/platypus/store/conformance"
	"github.com/platypus-platform/platypus/store/consultest"
)

// TestConsul lets a real Consul judge the suite.
func TestConsul(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real Consul")
	}
	// The suite waits on many connections at once, as one client.
	limits := map[string]any{"limits": map[string]any{"http_max_conns_per_client": 15000}}
	conformance.Run(t, consultest.Start(t, consultest.Config{Data: t.TempDir(), More: limits}).Addr)
}
