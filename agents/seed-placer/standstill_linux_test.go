package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestStandstill stops a worker again and again, as a machine does that has something better to do, while a few call it:
// what waits for a processor then is no overload, and every call is answered.
func TestStandstill(t *testing.T) {
	needProc(t)
	t.Setenv("GOMAXPROCS", "1") // so that somebody always waits for it
	c := newCluster(t, embedtest.Start(t))
	m := c.start(1)
	c.publish(m, fixture.Go(t, "reactor+"), "s", nil)
	c.ready("s", 1)
	stop := c.background(4, m, "s/nap", "3ms")
	worker := 0
	c.until("the worker is found", func() bool { worker = c.listener(m, m.address); return worker != 0 })
	for range 10 {
		if err := syscall.Kill(worker, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond)
		if err := syscall.Kill(worker, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		for range 20 { // those in the background go on beside
			if status, said := c.call(m, "s/nap", "3ms"); status != 200 {
				t.Errorf("%d %s", status, said)
			}
		}
	}
	good, bad := stop()
	if len(bad) > 0 || good == 0 {
		t.Errorf("%d calls are answered, and not: %v", good, bad)
	}
	t.Logf("%d calls answered", good)
}
