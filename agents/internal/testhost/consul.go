package testhost

import (
	"testing"

	"github.com/platypus-platform/platypus/store/consultest"
)

// Consul starts a real Consul in memory, which ends with the test, and returns its address. Without one the test is
// skipped.
func Consul(t testing.TB, node string) string {
	t.Helper()
	return consultest.Start(t, consultest.Config{Node: node}).Addr
}

// FreePort returns a port that is the test's own until it ends: nobody else listens there, at any address.
func FreePort(t testing.TB) int {
	t.Helper()
	return consultest.FreePorts(t, 1)[0]
}
