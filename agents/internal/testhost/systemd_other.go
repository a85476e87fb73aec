//go:build !linux

package testhost

import "testing"

// InSystemd skips the test: systemd is a thing of Linux.
func InSystemd(t *testing.T, env ...string) bool {
	t.Helper()
	t.Skip("systemd runs on Linux only")
	return false
}

// SharedDir is the scratch folder of the systemd that the test runs in, always "" here.
func SharedDir() string { return "" }
