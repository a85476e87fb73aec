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

// childOf waits until a process has a child and returns it. The scripts that ignore TERM do so from then on.
func childOf(t *testing.T, pid int) (child int) {
	t.Helper()
	self := strconv.Itoa(pid)
	testhost.Eventually(t, self+" has a child", func() bool {
		data, _ := os.ReadFile(filepath.Join("/proc", self, "task", self, "children"))
		first, _, _ := strings.Cut(string(data), " ")
		child, _ = strconv.Atoi(first)
		return child != 0
	})
	return child
}

func testContext(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), d)
}
