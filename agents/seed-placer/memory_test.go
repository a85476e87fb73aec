package main

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/agents/seed-placer/fixture"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// TestRoom: no node is assigned more than its memory; a placed seed keeps its place when new ones are declared; a
// seed without a place gets the reason.
func TestRoom(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newSimulation()
		draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") }
		for i := range rapid.IntRange(1, 3).Draw(t, "nodes") {
			w.add(fmt.Sprint("n", i), intent.Host{Memory: intent.Size(rapid.IntRange(1, 6).Draw(t, "memory")) * 64 << 20})
		}
		before := map[string][]string{}
		for i := range rapid.IntRange(1, 4).Draw(t, "seeds") {
			s := desiredSeed(string(rune('a'+i)), intent.Replication{MinReplicas: rapid.IntRange(1, 3).Draw(t, "min")})
			s.Since, s.Seed.Memory = uint64(i), intent.Size(rapid.IntRange(1, 3).Draw(t, "need"))*64<<20
			w.d.Seeds = append(w.d.Seeds, s)
			w.settle(t, draw, func() {})
			used := map[string]intent.Size{}
			for _, s := range w.d.Seeds {
				for node := range w.d.Claims[s.Name] {
					used[node] += s.Seed.Memory
				}
				if now := w.ready(s.Name); len(now) < len(before[s.Name]) {
					t.Fatalf("%s was on %v, and is on %v", s.Name, before[s.Name], now)
				}
				before[s.Name] = w.ready(s.Name)
			}
			for node, n := range used {
				if n > w.d.Hosts[node].Memory {
					t.Fatalf("%s is given %v of %v", node, n, w.d.Hosts[node].Memory)
				}
			}
			places := placements(w.d)
			for _, s := range w.d.Seeds {
				if p := places[s.Name]; len(p.Nodes) < p.Want && p.Problem == "" {
					t.Fatalf("nothing is said of %s: %+v", s.Name, p)
				}
			}
		}
	})
}

// TestNoRoomOnThisNode: in real processes, a seed that does not fit is not claimed, its node reports why, and it is
// placed when another seed is removed.
func TestNoRoomOnThisNode(t *testing.T) {
	t.Parallel()
	c := newCluster(t, embedtest.Start(t))
	m := c.start(1, "--memory", "200MiB")
	for _, name := range []string{"a", "b", "large"} {
		memory := map[bool]string{true: "100MiB", false: "64MiB"}[name == "large"]
		c.publish(m, fixture.Go(t, "reactor+"), name, map[string]any{"memory": memory})
		if name != "large" {
			c.ready(name, 1)
		}
	}
	c.until("it is said that it does not fit", func() bool {
		return strings.HasPrefix(c.said("n1", "large").Reason, "it may take 100MiB of memory, and of the 200MiB that this node has for seeds (--memory) 72MiB are left; 1 replicas are wanted and 0 of the 1 nodes that may have it have 100MiB of memory left for it")
	})
	if all := c.replicas("large"); len(all) > 0 {
		t.Errorf("it is claimed: %+v", all)
	}
	if err := c.store.Delete(t.Context(), c.tree.Seed("a")); err != nil {
		t.Fatal(err)
	}
	c.ready("large", 1)
}
