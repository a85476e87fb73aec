package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
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
			c.joined()
			c.publish(c.nodes["n1"], fixture.Go(t, "hello"), "hello", map[string]any{"min_replicas": 2})
			first := c.ready("hello", 2)
			var spare *member
			for n, m := range c.nodes {
				if !slices.Contains(first, n) {
					spare = m
				}
			}
			c.answers(spare, "hello/", "x", "hello, x")
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
	c.answers(m, "hello/", "x", "hello, x")
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

// TestLostSession takes the session away from a node under all that it has said: what runs there goes on, while the node
// says it anew. It is the same when an agent is killed and started again, on each store.
func TestLostSession(t *testing.T) {
	t.Parallel()
	for name, start := range stores {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, start(t))
			m := c.start(1, "--log-level", "debug")
			c.publish(m, fixture.Go(t, "reactor+"), "s", nil)
			c.ready("s", 1)
			c.answers(m, "s/hello", "x", "hello, x")
			stop := c.background(1, m, "s/hello", "x")
			before := c.sessionOf("s", "n1")
			if response, said, err := send(c.asker, http.MethodPut, "http://"+c.at+"/v1/session/destroy/"+before, "", ""); err != nil || response.StatusCode != http.StatusOK {
				t.Fatal(said, err)
			}
			c.until("it is said anew", func() bool { now := c.sessionOf("s", "n1"); return now != "" && now != before })
			c.ready("s", 1)
			if good, bad := stop(); good == 0 || len(bad) > 0 {
				t.Errorf("%d calls are answered, and not %v", good, bad)
			}
			m.kill()
			before = c.sessionOf("s", "n1")
			c.start(1, "--log-level", "debug")
			c.answers(m, "s/hello", "x", "hello, x")
			stop = c.background(1, m, "s/hello", "x")
			c.until("it is said anew", func() bool { now := c.sessionOf("s", "n1"); return now != "" && now != before })
			c.ready("s", 1)
			if good, bad := stop(); good == 0 || len(bad) > 0 {
				t.Errorf("after a restart, %d calls are answered, and not %v", good, bad)
			}
			if n := strings.Count(m.log.String(), "it is being made ready"); n != 1 {
				t.Errorf("after a restart it is made ready %d times", n)
			}
		})
	}
}

// sessionOf is the session under which a node says that it has a seed, or "".
func (c *cluster) sessionOf(seed, node string) string {
	c.Helper()
	_, said, err := send(c.asker, http.MethodGet, "http://"+c.at+"/v1/kv/"+c.tree.Replica(intent.Name(seed), intent.Name(node)), "", "")
	if err != nil {
		c.Fatal(err)
	}
	var pairs []struct{ Session string }
	if json.Unmarshal([]byte(said), &pairs) != nil || len(pairs) == 0 {
		return ""
	}
	return pairs[0].Session
}
