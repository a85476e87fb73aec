package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
	"github.com/platypus-platform/platypus/intent"
)

// simulation is a store and nodes without time: steps take effect at once, and all nodes see them at once.
type simulation struct {
	d     Desired
	nodes map[string]*Actual
}

func digestFor(name string) string {
	return strings.Repeat(fmt.Sprintf("%02x", len(name)+1), 31) + fmt.Sprintf("%02x", name[0])
}

func desiredSeed(name string, r intent.Replication) DesiredSeed {
	return DesiredSeed{Name: name, Seed: intent.Seed{Module: intent.Module{Source: "sha256:" + digestFor(name)}, Replication: r}}
}

func newSimulation() *simulation {
	return &simulation{nodes: map[string]*Actual{}, d: Desired{Hosts: map[string]intent.Host{}, Claims: map[string]map[string]intent.Replica{}, Holders: map[string][]string{}}}
}

func (w *simulation) add(name string, h intent.Host) {
	h.Address = name + ":80"
	w.nodes[name] = &Actual{Node: name, Self: h, Blobs: map[string]LocalBlob{}, Sent: map[string]wire.Seed{}, Workers: map[string]wire.Status{},
		Files: map[string][]string{}, Drained: map[string]bool{}}
}

// lose removes a node and everything held by its session.
func (w *simulation) lose(name string) {
	delete(w.nodes, name)
	delete(w.d.Hosts, name)
	for _, claims := range w.d.Claims {
		delete(claims, name)
	}
}

// do applies one step.
func (w *simulation) do(node string, s Step) {
	a := w.nodes[node]
	claim := func(r intent.Replica) {
		if w.d.Claims[s.About] == nil {
			w.d.Claims[s.About] = map[string]intent.Replica{}
		}
		w.d.Claims[s.About][node] = r
	}
	switch s.Kind {
	case Join:
		w.d.Hosts[node], a.Announced, a.Joined = a.Self, a.Self, true
	case Claim:
		claim(intent.Replica{State: intent.ReplicaClaimed, Digest: s.Digest, Zone: zoneOf(a.Self)})
	case Announce:
		claim(intent.Replica{State: s.State, Digest: s.Digest, Address: s.Address, Load: s.Load, Zone: zoneOf(a.Self)})
		a.Drained[s.About] = s.State == intent.ReplicaDraining
	case Release:
		delete(w.d.Claims[s.About], node)
	case Fetch:
		a.Blobs[s.Digest] = LocalBlob{Size: 1, Old: true}
	case Hold:
		w.d.Holders[s.Digest] = append(w.d.Holders[s.Digest], node)
	case Collect:
		delete(a.Blobs, s.Digest)
		w.d.Holders[s.Digest] = slices.DeleteFunc(w.d.Holders[s.Digest], func(n string) bool { return n == node })
	case Tell:
		set := desiredConfigs(w.d, *a)
		a.SentDigest = set.digest()
		clear(a.Sent)
		clear(a.Workers)
		for _, table := range set {
			for _, seed := range table.Seeds {
				a.Sent[seed.Name] = seed
				a.Workers[seed.Name] = wire.Status{Digest: seed.Digest, State: wire.Ready, Serves: true, Address: a.Self.Address}
			}
		}
	}
}

// settle runs one step of a node at a time, in the order that draw picks, until no node has a step left.
func (w *simulation) settle(t interface{ Fatal(...any) }, draw func(n int) int, after func()) {
	for round := 0; ; round++ {
		if round > 10000 {
			t.Fatal("it never settles")
		}
		busy := []string{}
		for _, node := range slices.Sorted(maps.Keys(w.nodes)) {
			if len(plan(w.d, *w.nodes[node])) > 0 {
				busy = append(busy, node)
			}
		}
		if len(busy) == 0 {
			return
		}
		node := busy[draw(len(busy))]
		steps := plan(w.d, *w.nodes[node])
		w.do(node, steps[draw(len(steps))])
		after()
	}
}

func (w *simulation) ready(seed string) (nodes []string) {
	for node, c := range w.d.Claims[seed] {
		if c.State == intent.ReplicaReady {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	return nodes
}

// TestPlan_AnyStepOrder_Converges: whatever the order of steps, as many replicas as possible become ready and no
// others remain; while nodes join, no seed loses ready replicas.
func TestPlan_AnyStepOrder_Converges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newSimulation()
		draw := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") }
		nodes := rapid.IntRange(1, 6).Draw(t, "nodes")
		for i := range nodes {
			w.add(fmt.Sprintf("n%d", i), intent.Host{Labels: map[string]string{"zone": fmt.Sprint(i % 3)}, Closed: i > 0 && rapid.IntRange(0, 9).Draw(t, "closed") == 0})
		}
		for i := range rapid.IntRange(1, 5).Draw(t, "seeds") {
			r := intent.Replication{MinReplicas: rapid.IntRange(0, 4).Draw(t, "min"), Over: rapid.SampledFrom([]string{"", "zone"}).Draw(t, "over")}
			w.d.Seeds = append(w.d.Seeds, desiredSeed(string(rune('a'+i)), r))
		}
		w.settle(t, draw, func() {})
		w.goal(t)
		for round := range 3 {
			least := map[string]int{}
			switch fewest := len(w.nodes) > 1 && rapid.Bool().Draw(t, "lose"); {
			case fewest:
				w.lose(slices.Sorted(maps.Keys(w.nodes))[draw(len(w.nodes))])
			default:
				w.add(fmt.Sprintf("n%d", 10+round), intent.Host{Labels: map[string]string{"zone": "0"}})
			}
			for _, s := range w.d.Seeds {
				least[s.Name] = len(w.ready(s.Name))
			}
			w.settle(t, draw, func() {
				for _, s := range w.d.Seeds {
					if n := len(w.ready(s.Name)); n < min(least[s.Name], len(placements(w.d)[s.Name].Nodes)) {
						t.Fatalf("%s fell to %d ready replicas from %d", s.Name, n, least[s.Name])
					}
				}
			})
			w.goal(t)
		}
	})
}

// goal checks the result without the plan: the right number of the eligible nodes has each seed ready.
func (w *simulation) goal(t *rapid.T) {
	for _, s := range w.d.Seeds {
		may := 0
		for _, h := range w.d.Hosts {
			if !h.Closed {
				may++
			}
		}
		least, _ := s.Seed.Replicas()
		if got := w.ready(s.Name); len(got) != min(least, may) || len(w.d.Claims[s.Name]) != len(got) {
			t.Fatalf("%s is ready on %v, claimed on %v, wanted %d of %d nodes", s.Name, got, w.d.Claims[s.Name], least, may)
		}
	}
}

// TestPlacements_Weights_Proportional: a node of weight 3 gets three times as much as one of weight 1.
func TestPlacements_Weights_Proportional(t *testing.T) {
	d := Desired{Hosts: map[string]intent.Host{"big": {Weight: 3}, "a": {Weight: 1}, "b": {}}}
	count := map[string]int{}
	for i := range 1000 {
		d.Seeds = append(d.Seeds, desiredSeed(fmt.Sprint("s", i), intent.Replication{}))
	}
	for _, p := range placements(d) {
		count[p.Nodes[0]]++
	}
	if share := float64(count["big"]) / 1000; share < 0.55 || share > 0.65 {
		t.Errorf("%v", count)
	}
}

// TestPlacements_Unsatisfiable_HoldSteady: an impossible spread is reported, and nothing keeps moving.
func TestPlacements_Unsatisfiable_HoldSteady(t *testing.T) {
	w := newSimulation()
	for i, zone := range []string{"a", "a", "a", "b"} {
		w.add(fmt.Sprint("n", i), intent.Host{Labels: map[string]string{"zone": zone}})
	}
	w.d.Seeds = []DesiredSeed{desiredSeed("s", intent.Replication{MinReplicas: 4, Over: "zone"}), desiredSeed("t", intent.Replication{MinReplicas: 9}),
		desiredSeed("u", intent.Replication{MinReplicas: 1, Labels: map[string]string{"zone": "c"}})}
	w.settle(t, func(int) int { return 0 }, func() {})
	for _, s := range w.d.Seeds {
		if p := placements(w.d)[s.Name]; p.Problem == "" {
			t.Errorf("%s: nothing is said of %v", s.Name, p)
		} else {
			t.Logf("%s: %s", s.Name, p.Problem)
		}
	}
	if got := w.ready("s"); len(got) != 4 {
		t.Errorf("ready on %v", got)
	}
}

// TestPlan_Load_AddsReplicas: load adds replicas up to the maximum, and less load removes them.
func TestPlan_Load_AddsReplicas(t *testing.T) {
	w := newSimulation()
	for i := range 6 {
		w.add(fmt.Sprint("n", i), intent.Host{})
	}
	w.d.Seeds = []DesiredSeed{desiredSeed("s", intent.Replication{MinReplicas: 2, MaxReplicas: 4})}
	still := func(int) int { return 0 }
	w.settle(t, still, func() {})
	for _, c := range []struct{ load, want int }{{0, 2}, {100, 2}, {150, 3}, {900, 4}} {
		for _, node := range w.ready("s") {
			r := w.d.Claims["s"][node]
			r.Load = c.load
			w.d.Claims["s"][node] = r
		}
		if got := wantedReplicas(w.d, w.d.Seeds[0]); got != c.want {
			t.Errorf("load %d: %d replicas, want %d", c.load, got, c.want)
		}
	}
}

// TestPlan_ParkedSeed_Stays: a parked seed is not ready, and does not move to another node unless its node is
// drained.
func TestPlan_ParkedSeed_Stays(t *testing.T) {
	w := newSimulation()
	for _, name := range []string{"n1", "n2"} {
		w.add(name, intent.Host{})
	}
	w.d.Seeds = []DesiredSeed{desiredSeed("s", intent.Replication{MinReplicas: 1})}
	first := func(int) int { return 0 }
	w.settle(t, first, func() {})
	at := w.ready("s")[0]
	other := map[string]string{"n1": "n2", "n2": "n1"}[at]
	w.nodes[at].Suspects = map[string]Suspect{"s": {Intent: fingerprint(w.d.Seeds[0].Seed), Strikes: maxStrikes, Why: "it is bad"}}
	w.settle(t, first, func() {})
	if c := w.d.Claims["s"]; len(c) != 1 || c[at].State != intent.ReplicaClaimed || len(w.nodes[at].Sent) != 0 {
		t.Errorf("%+v, runs %v", c, w.nodes[at].Sent)
	}
	if s := states(w.d, *w.nodes[at])["s"]; s.Phase != intent.PhaseQuarantined || !strings.Contains(s.Reason, "it is bad") || !strings.Contains(s.Reason, "platypus seed FILE s") {
		t.Errorf("%+v", s)
	}
	w.nodes[at].Self.Closed = true
	w.settle(t, first, func() {})
	if got := w.ready("s"); !slices.Equal(got, []string{other}) || len(w.d.Claims["s"]) != 1 {
		t.Errorf("drained, it is on %v", w.d.Claims["s"])
	}
}

// TestPlan_SiteAndSeedOfSameName: the errors of a site are not attributed to the seed of the same name.
func TestPlan_SiteAndSeedOfSameName(t *testing.T) {
	w := newSimulation()
	w.add("n", intent.Host{})
	w.d.Seeds = []DesiredSeed{desiredSeed("x", intent.Replication{})}
	w.settle(t, func(int) int { return 0 }, func() {})
	w.d.Sites = []DesiredSite{{Name: "x", Site: intent.Site{Manifest: "sha256:" + digestFor("site")}}}
	steps := plan(w.d, *w.nodes["n"])
	if len(steps) != 1 || steps[0].Kind != Fetch || steps[0].Subject() != "site/x" {
		t.Fatalf("%+v", steps)
	}
	w.nodes["n"].Faults = map[string]string{"site/x": "nobody holds it"}
	all := states(w.d, *w.nodes["n"])
	if s := all["x"]; s.Phase != converge.Converged || strings.Contains(s.Reason, "nobody") {
		t.Errorf("the seed: %+v", s)
	}
	if s := all["site/x"]; s.Phase != converge.Working || !strings.Contains(s.Reason, "nobody holds it") {
		t.Errorf("the site: %+v", s)
	}
}

// TestPlan_HeldSeed_Stays: a held seed keeps running.
func TestPlan_HeldSeed_Stays(t *testing.T) {
	w := newSimulation()
	w.add("n", intent.Host{})
	w.d.Seeds = []DesiredSeed{desiredSeed("s", intent.Replication{}), desiredSeed("t", intent.Replication{})}
	w.settle(t, func(int) int { return 0 }, func() {})
	w.d.Seeds, w.d.Held = nil, map[string]string{"s": "held", "t": "held"}
	w.settle(t, func(int) int { return 0 }, func() {})
	if len(w.ready("s")) != 1 || len(w.nodes["n"].Sent) != 2 {
		t.Errorf("%v, %v", w.d.Claims, w.nodes["n"].Sent)
	}
}
