package runit

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// TestMain lets the tests run side by side, each under a runsvdir of its own: most of the time they wait for it.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "4") // unless the command line says otherwise
	m.Run()
}

// bench is a runit with one app on it.
type bench struct {
	*Runit
	host *testhost.Runit
	spec service.Spec
}

func newBench(t *testing.T, launch string) bench {
	t.Helper()
	host := testhost.NewRunit(t)
	r, err := New(host.Services, host.Stage)
	if err != nil {
		t.Fatal(err)
	}
	b := bench{r, host, service.Spec{App: "slug", Basedir: testhost.Scratch(t), Config: `{"a": 1}`}}
	testhost.Prepare(t, b.spec.Basedir, "slug", "v1", launch)
	testhost.Prepare(t, b.spec.Basedir, "slug", "v2", testhost.Calm)
	testhost.GoLive(t, b.spec.Basedir, "slug", "v1")
	return b
}

func (b bench) up(t *testing.T) service.State {
	t.Helper()
	if err := b.Install(t.Context(), b.spec); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context(), "slug"); err != nil {
		t.Fatal(err)
	}
	return b.state(t)
}

func (b bench) state(t *testing.T) service.State {
	t.Helper()
	states, err := b.List(t.Context())
	if err != nil || len(states) != 1 {
		t.Fatalf("list: %+v, %v", states, err)
	}
	return states[0]
}

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
