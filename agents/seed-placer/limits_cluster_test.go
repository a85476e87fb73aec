package main

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestTables_StayWithinMemory: a seed gets no more memory by way of tables than its intent allows.
func TestTables_StayWithinMemory(t *testing.T) {
	t.Parallel()
	c := newCluster(t, embedtest.Start(t))
	m := c.start(1, "--memory", "256MiB")
	c.publish(m, fixture.GrowTable(), "grows", map[string]any{"memory": "64MiB"})
	c.publish(m, fixture.LargeTable(50_000_000), "large", map[string]any{"memory": "64MiB"})
	c.publish(m, fixture.LargeTable(1_000_000), "fits", map[string]any{"memory": "64MiB"})
	c.ready("grows", 1)
	c.ready("fits", 1)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if status, said := c.call(m, "grows/run", ""); status != http.StatusOK && !belated(status, said) {
				t.Errorf("a table grew beyond all bounds: %d %s", status, said)
			}
		})
	}
	all.Wait()
	c.until("the large table is refused", func() bool {
		return strings.Contains(c.said("n1", "large").Reason, "of tables, globals and elements")
	})
}

// TestSlowCompile_EndsAndHoldsNobodyUp: a module that takes too long to compile is parked, and other seeds become ready
// meanwhile. What is done about it is in the report.
func TestSlowCompile_EndsAndHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	c := newCluster(t, embedtest.Start(t))
	m := c.start(1, "--compile-time", "6s")
	c.publish(m, fixture.SlowToCompile(), "slow", nil)
	compiling := false
	said := func() string {
		reason := c.said("n1", "slow").Reason
		compiling = compiling || strings.Contains(reason, "is being compiled")
		return reason
	}
	c.until("it is being compiled", func() bool { said(); return compiling })
	c.publish(m, fixture.Tiny(), "tiny", nil)
	c.ready("tiny", 1)
	c.publish(m, fixture.C(t, "creactor/reactor.c"), "small", nil)
	c.ready("small", 1)
	if reason := said(); !strings.Contains(reason, "compile") {
		t.Errorf("meanwhile, the slow one: %q", reason)
	}
	c.until("the slow one is parked", func() bool { return strings.Contains(said(), "is parked until") })
	if reason := said(); !strings.Contains(reason, "compile: ") || !strings.Contains(reason, "--compile-time") {
		t.Errorf("the reason: %q", reason)
	}
	if status, said := c.call(m, "tiny/hello", ""); status != http.StatusOK {
		t.Errorf("the tiny one: %d %s", status, said)
	}
	begin := time.Now()
	c.publish(m, fixture.Tiny(), "again", nil) // its code is here already
	c.ready("again", 1)
	t.Logf("a seed whose code is cached is ready after %v", time.Since(begin).Round(time.Millisecond))
}
