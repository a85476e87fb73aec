package conformance_test

import (
	"testing"

	"github.com/platypus-platform/platypus/store/conformance"
)

// TestConsul lets a real Consul judge the suite.
func TestConsul(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real Consul")
	}
	conformance.Run(t, conformance.StartConsul(t))
}
