package runit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
)

func TestRemove_LogOfTheApp_IsKeptForAWhile(t *testing.T) {
	t.Parallel()
	b := newBench(t, testhost.Calm)
	b.up(t)
	testhost.Eventually(t, "what it printed is in its log", func() bool {
		lines, _ := b.Output(t.Context(), "slug", 3)
		return len(lines) == 1 && strings.TrimSpace(lines[0]) == "up v1"
	})
	old := filepath.Join(b.host.Stage, ".other.log-"+time.Now().Add(-LogRetention-time.Hour).UTC().Format(keptFormat))
	if err := os.Mkdir(old, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := b.Remove(t.Context(), "slug"); err != nil {
		t.Fatal(err)
	}
	kept, _ := filepath.Glob(filepath.Join(b.host.Stage, ".slug.log-*", "current"))
	if len(kept) != 1 {
		t.Fatalf("kept: %v", kept)
	}
	if data, err := os.ReadFile(kept[0]); err != nil || !strings.HasSuffix(string(data), " up v1\n") {
		t.Errorf("it holds %q, %v", data, err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("a log that was kept for too long: %v", err)
	}
}
