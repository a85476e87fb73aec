package main

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestFailover kills the agent of a node that has a seed ready, on each store: calls at another node go on, and a third
// node takes over. It logs how long that took.
func TestFailover(t *testing.T) {
	t.Parallel()
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, start(t))
			for i := 1; i <= 4; i++ {
				c.start(i)
			}
			c.publish(c.nodes["n1"], fixture.Go(t, "hello"), "hello", map[string]any{"min_replicas": 2})
			first := c.ready("hello", 2)
			var spare *member
			for n, m := range c.nodes {
				if !slices.Contains(first, n) {
					spare = m
				}
			}
			for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) { // until the spare one knows the way
				if status, _ := c.call(spare, "hello/", "x"); status == 200 {
					break
				} else if time.Since(begin) > hang {
					t.Fatal(status)
				}
			}
			var good, bad atomic.Int64
			stop, ended := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(ended)
				for {
					if status, said := c.call(spare, "hello/", "x"); status == 200 {
						good.Add(1)
					} else {
						bad.Add(1)
						t.Logf("%d %.200s", status, said)
					}
					select {
					case <-stop:
						return
					case <-time.After(20 * time.Millisecond):
					}
				}
			}()
			victim := first[0]
			began := time.Now()
			c.nodes[victim].kill()
			for !c.replacedOn("hello", victim) {
				if time.Since(began) > hang {
					t.Fatalf("nobody took over: %v", c.replicas("hello"))
				}
				time.Sleep(20 * time.Millisecond)
			}
			took := time.Since(began)
			close(stop)
			<-ended
			t.Logf("ready again on two nodes after %v; %d calls answered, %d not", took.Round(time.Millisecond), good.Load(), bad.Load())
			if bad.Load() > 1 { // the one under way at the killed node, if any
				t.Errorf("%d calls failed", bad.Load())
			}
		})
	}
}

// TestRestartWithoutAStore: what ran goes on after a restart while the store is away.
func TestRestartWithoutAStore(t *testing.T) {
	t.Parallel()
	c := newCluster(t, embedtest.Start(t))
	m := c.start(1)
	c.publish(m, fixture.Go(t, "hello"), "hello", nil)
	c.ready("hello", 1)
	m.kill()
	c.at = "127.0.0.1:1"
	c.start(1)
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		status, said := c.call(m, "hello/", "x")
		if status == 200 && said == "hello, x" {
			return
		}
		if time.Since(begin) > hang {
			t.Fatalf("%d %s", status, said)
		}
	}
}

// replacedOn reports whether two nodes have a seed ready, the victim not among them.
func (c *cluster) replacedOn(seed, victim string) bool {
	n := 0
	for node, r := range c.replicas(seed) {
		if r.State == intent.ReplicaReady && node != victim {
			n++
		}
	}
	return n == 2
}
