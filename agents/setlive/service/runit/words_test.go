package runit

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
)

// childOf waits until an app has a child that sleeps and returns it. Apps that ignore TERM do so from then on.
func childOf(t *testing.T, pid int) (child int) {
	t.Helper()
	self := strconv.Itoa(pid)
	testhost.Eventually(t, self+" has a child", func() bool {
		data, _ := os.ReadFile(filepath.Join("/proc", self, "task", self, "children"))
		first, _, _ := strings.Cut(string(data), " ")
		child, _ = strconv.Atoi(first)
		line, _ := os.ReadFile(filepath.Join("/proc", first, "cmdline"))
		return strings.Contains(string(line), "sleep")
	})
	return child
}

func testContext(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}
