package systemd

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
)

func itoa(n int) string { return strconv.Itoa(n) }

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// childOf waits until an app has a child that sleeps and returns it. Apps that ignore TERM do so from then on.
func childOf(t *testing.T, pid int) (child int) {
	t.Helper()
	testhost.Eventually(t, itoa(pid)+" has a child", func() bool {
		data, _ := os.ReadFile(filepath.Join("/proc", itoa(pid), "task", itoa(pid), "children"))
		first, _, _ := strings.Cut(string(data), " ")
		child = atoi(first)
		line, _ := os.ReadFile(filepath.Join("/proc", first, "cmdline"))
		return strings.Contains(string(line), "sleep")
	})
	return child
}
