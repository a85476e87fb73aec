package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestQuarantine_EndlessLoop_IsParked calls a trusted seed that never returns: its worker ends and is restarted,
// until the seed is parked. Another seed answers throughout.
func TestQuarantine_EndlessLoop_IsParked(t *testing.T) {
	t.Parallel()
	c := newCluster(t, embedtest.Start(t))
	c.env = []string{"GOMAXPROCS=1"} // the loop takes the only processor
	m := c.start(1)
	c.publish(m, fixture.Go(t, "reactor+"), "good", nil)
	c.publish(m, fixture.Hostile(t, "spin"), "loops", map[string]any{"trusted": true, "timeout": "1s"})
	c.ready("good", 1)
	c.ready("loops", 1)
	stop := c.background(1, m, "good/hello", "x")
	c.until("it is parked", func() bool {
		if status, said := c.call(m, "loops/run", "x"); status == http.StatusOK {
			t.Fatalf("an endless loop is answered: %s", said)
		}
		return c.said("n1", "loops").Phase == intent.PhaseQuarantined
	})
	if good, bad := stop(); len(bad) > 0 || good == 0 {
		t.Errorf("the other seed answered %d times, and not %v", good, bad)
	}
	if n := strings.Count(m.log.String(), "its worker ended"); n < maxStrikes {
		t.Errorf("its worker ended %d times", n)
	}
	if s := c.said("n1", "loops"); !strings.Contains(s.Reason, "parked until its intent or its module changes") ||
		!strings.Contains(s.Reason, "5 times in a row") || !strings.Contains(s.Reason, "platypus seed FILE loops") {
		t.Errorf("%+v", s)
	}
	if !strings.Contains(m.log.String(), "a call of loops goes on 1s after its deadline") { // unless the whole worker hangs, and is killed
		t.Error("no worker noticed it by itself")
	}
	c.until("nobody is sent there", func() bool { return c.replicas("loops")["n1"].State == intent.ReplicaClaimed })
	c.publish(m, fixture.Hostile(t, "spin"), "loops", map[string]any{"trusted": true, "timeout": "2s"})
	c.ready("loops", 1)
}

// TestWorker_Silent_IsKilled stops a worker, which then cannot notice an overdue call: it is killed for its silence,
// and the seed comes back.
func TestWorker_Silent_IsKilled(t *testing.T) {
	t.Parallel()
	needProc(t)
	c := newCluster(t, embedtest.Start(t))
	m := c.start(1)
	c.publish(m, fixture.Go(t, "reactor+"), "stands", map[string]any{"trusted": true})
	c.ready("stands", 1)
	worker := 0
	c.until("its worker is found", func() bool { worker = c.listener(m, c.replicas("stands")["n1"].Address); return worker != 0 })
	if err := syscall.Kill(worker, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c.until("it was killed", func() bool { return strings.Contains(m.log.String(), "worker of stands says nothing for") })
	c.until("it is ready again", func() bool {
		s := c.said("n1", "stands")
		return s.Phase == "converged" && strings.Contains(s.Reason, "its worker ended at ") && strings.Contains(s.Reason, "it said nothing for 1")
	})
	c.ready("stands", 1)
	c.answers(m, "stands/hello", "x", "hello, x")
}

// TestQuarantine_Suspect_GetsOwnWorker kills the shared worker while one of its seeds is called: this seed gets its
// own worker, which can be killed without harm to others until the seed is parked. That survives a restart of the
// agent, and ends when the intent changes.
func TestQuarantine_Suspect_GetsOwnWorker(t *testing.T) {
	t.Parallel()
	needProc(t)
	c := newCluster(t, embedtest.Start(t))
	m := c.start(1)
	for _, name := range []string{"good", "bad"} {
		c.publish(m, fixture.Go(t, "reactor+"), name, map[string]any{"timeout": "1m"})
		c.ready(name, 1)
	}
	busy := func(under string) {
		go func() { _, _ = c.call(m, "bad/nap", "50s") }()
		c.until("it has a call under way", func() bool {
			response, _, err := send(c.asker, http.MethodPost, "http://"+under+"/call/bad/hello", "", "x")
			return err == nil && response.StatusCode == http.StatusOK && response.Header.Get("Platypus-Load") != "0"
		})
	}
	busy(m.address)
	c.murder(m, m.address)
	address := ""
	c.until("it has a worker of its own", func() bool {
		r := c.replicas("bad")["n1"]
		address = r.Address
		return r.State == intent.ReplicaReady && r.Address != m.address
	})
	c.until("the good one is where it was", func() bool {
		r := c.replicas("good")["n1"]
		return r.State == intent.ReplicaReady && r.Address == m.address
	})
	c.answers(m, "good/hello", "x", "hello, x")
	c.until("its report says why it is alone", func() bool {
		s := c.said("n1", "bad")
		return s.Phase == "converged" && strings.Contains(s.Reason, "it has a worker of its own, for the worker of all ended at ")
	})
	stop := c.background(2, m, "good/hello", "x")
	c.until("it is parked", func() bool {
		if r := c.replicas("bad")["n1"]; r.State == intent.ReplicaReady && c.listener(m, address) != 0 {
			c.murder(m, address)
		}
		return c.said("n1", "bad").Phase == intent.PhaseQuarantined
	})
	if good, bad := stop(); good == 0 || len(bad) > 0 {
		t.Errorf("meanwhile the good one answered %d times, and not %v", good, bad)
	}
	if status, said := c.call(m, "bad/hello", "x"); status != http.StatusServiceUnavailable && status != http.StatusNotFound {
		t.Errorf("a seed that is parked answers %d %s", status, said)
	}
	m.kill()
	if err := c.store.Delete(t.Context(), c.tree.Status("seed-placer", "n1")); err != nil { // so that the next report is a new one
		t.Fatal(err)
	}
	m = c.start(1)
	c.answers(m, "good/hello", "x", "hello, x")
	c.until("it is still parked", func() bool { return c.said("n1", "bad").Phase == intent.PhaseQuarantined })
	c.publish(m, fixture.Go(t, "reactor+"), "bad", map[string]any{"timeout": "50s"})
	c.until("it is among the others again", func() bool {
		r := c.replicas("bad")["n1"]
		return r.State == intent.ReplicaReady && r.Address == m.address
	})
}

// TestQuarantine_CrashWhileLoading kills the shared worker while it loads a seed for ever: this seed is suspected,
// and has its own worker until its module changes.
func TestQuarantine_CrashWhileLoading(t *testing.T) {
	t.Parallel()
	needProc(t)
	c := newCluster(t, embedtest.Start(t))
	m := c.start(1, "--log-level", "debug")
	c.publish(m, fixture.Go(t, "reactor+"), "good", nil)
	c.ready("good", 1)
	stop := c.background(1, m, "good/nap", "1ms")
	begun := func(times int) func() bool {
		return func() bool {
			log := m.log.String()
			return strings.Count(log, "it is being made ready seed=slow")+strings.Count(log, "slow: it is being made ready") >= times
		}
	}
	c.publish(m, fixture.Endless(), "slow", map[string]any{"timeout": "1h"})
	c.until("it is being made ready", begun(1))
	c.murder(m, m.address)
	c.until("it is suspected", func() bool { return strings.Contains(m.log.String(), "each gets a worker of its own: slow") })
	c.until("it is being made ready again", begun(2))
	if n := len(workersOf(t, m.cmd.Process.Pid)); n < 2 {
		t.Errorf("it has no worker of its own: there are %d", n)
	}
	stop()
	c.answers(m, "good/hello", "x", "hello, x")
	c.publish(m, fixture.Tiny(), "slow", nil)
	c.answers(m, "slow/hello", "x", "hello, x")
}
