// Package testhost gives tests a real service supervisor to work against: a runsvdir of their own under a scratch
// folder, or a whole systemd that runs as PID 1 of its own namespaces. Both end with everything they started when
// the test ends, and neither touches the supervisor, the unit files or the services of the machine.
//
// A test that needs what the machine lacks (root, a program, Linux) is skipped with the reason.
package testhost

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// HangLimit is the generous time after which a wait of a test is called a hang. It is no measure of speed.
const HangLimit = 2 * time.Minute

// NeedRoot skips the test unless it runs as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// NeedTools skips the test unless every named program is in the PATH.
func NeedTools(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("needs %s: %v", name, err)
		}
	}
}

// Eventually looks every few milliseconds until ok says true, and fails the test with what after HangLimit.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(HangLimit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("still not so after %s: %s", HangLimit, what)
}
