package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/platypus-platform/platypus/intent"
)

// spread is a fleet in which claims follow the placement at once.
type spread struct {
	d    Desired
	name func() string
}

// newSpread returns a fleet of seeds with two replicas each, with random names.
func newSpread(draw *rand.Rand, seeds, nodes int) *spread {
	patterns := []string{"seed-%d", "app%04d", "svc.%d.prod", "x%x", "team-a-%d", "%d", "n%03d.example.com", "web%d"}
	pattern, other := patterns[draw.IntN(len(patterns))], patterns[draw.IntN(len(patterns))]
	seedsFrom, nodesFrom := draw.IntN(1e6), draw.IntN(1e6)
	s := &spread{d: Desired{Hosts: map[string]intent.Host{}, Claims: map[string]map[string]intent.Replica{}}}
	s.name = func() string { nodesFrom++; return fmt.Sprintf(other, nodesFrom) }
	for i := range seeds {
		s.d.Seeds = append(s.d.Seeds, desiredSeed(fmt.Sprintf(pattern, seedsFrom+i), intent.Replication{MinReplicas: 2}))
	}
	for range nodes {
		s.d.Hosts[s.name()] = intent.Host{}
	}
	s.settle()
	return s
}

// settle updates the claims, and returns how many replicas are new on a node.
func (s *spread) settle() (moved int) {
	for name, p := range placements(s.d) {
		claims := map[string]intent.Replica{}
		for _, node := range p.Nodes {
			claims[node] = intent.Replica{State: intent.ReplicaReady}
			if _, had := s.d.Claims[name][node]; !had {
				moved++
			}
		}
		s.d.Claims[name] = claims
	}
	return moved
}

// lose removes a node with all its claims.
func (s *spread) lose(node string) {
	delete(s.d.Hosts, node)
	for _, claims := range s.d.Claims {
		delete(claims, node)
	}
}

// fullest returns the number of replicas of the fullest node relative to the mean.
func (s *spread) fullest() float64 {
	count, total := map[string]int{}, 0
	for _, claims := range s.d.Claims {
		for node := range claims {
			count[node]++
			total++
		}
	}
	return float64(slices.Max(slices.Collect(maps.Values(count)))) * float64(len(s.d.Hosts)) / float64(total)
}

// TestPlacements_ManyFleets_EvenAndStable checks many fleets of ten nodes: replicas are even, a new node takes at
// most its share plus two percent, a lost one moves only its own, and this still holds after many changes.
func TestPlacements_ManyFleets_EvenAndStable(t *testing.T) {
	t.Parallel()
	var added, ratios []float64
	for n := range 200 {
		draw := rand.New(rand.NewPCG(uint64(n), 7))
		s := newSpread(draw, 100, 10)
		ratios = append(ratios, s.fullest())
		rounds := 1
		if n%40 == 0 {
			rounds = 10
		}
		for range rounds {
			s.d.Hosts[s.name()] = intent.Host{}
			ideal, moved := 1/float64(len(s.d.Hosts)), float64(s.settle())/200
			if len(s.d.Hosts) == 11 {
				added = append(added, 100*moved)
			}
			if ratios = append(ratios, s.fullest()); moved > ideal+0.02 {
				t.Errorf("fleet %d: the node after %d moves %.1f %%", n, len(s.d.Hosts)-1, 100*moved)
			}
			if again := s.settle(); again > 0 {
				t.Fatalf("fleet %d: it does not stay: %d replicas move once more", n, again)
			}
		}
		for range rounds {
			nodes := slices.Sorted(maps.Keys(s.d.Hosts))
			gone, had := nodes[draw.IntN(len(nodes))], 0
			for _, claims := range s.d.Claims {
				if _, has := claims[gone]; has {
					had++
				}
			}
			s.lose(gone)
			if moved := s.settle(); moved > had+4 {
				t.Errorf("fleet %d: a node that had %d is lost, and %d move", n, had, moved)
			}
			ratios = append(ratios, s.fullest())
		}
	}
	t.Logf("the eleventh node moves %s %% of all, ideal %.1f; max/mean over all that comes and goes %s", quantiles(added), 100.0/11, quantiles(ratios))
	if worst := slices.Max(ratios); worst > 1.5 {
		t.Errorf("max/mean %.2f", worst)
	}
}

func quantiles(v []float64) string {
	v = slices.Sorted(slices.Values(v))
	at := func(q float64) float64 { return v[min(len(v)-1, int(q*float64(len(v))))] }
	return fmt.Sprintf("min %.2f, median %.2f, p95 %.2f, max %.2f", v[0], at(0.5), at(0.95), v[len(v)-1])
}

// BenchmarkSpread measures how much a new node moves beyond its share, and how even the fleet is: the worst of 200
// fleets of 100 seeds with two replicas each, on ten nodes and then eleven.
func BenchmarkSpread(b *testing.B) {
	var over, ratio []float64
	for b.Loop() {
		over, ratio = nil, nil
		for n := range 200 {
			s := newSpread(rand.New(rand.NewPCG(uint64(n), 7)), 100, 10)
			ratio = append(ratio, s.fullest())
			s.d.Hosts[s.name()] = intent.Host{}
			over = append(over, 100*(float64(s.settle())/200-1.0/11))
			ratio = append(ratio, s.fullest())
		}
	}
	b.ReportMetric(median(over), "moved-%-over-ideal-p50")
	b.ReportMetric(slices.Max(over), "moved-%-over-ideal")
	b.ReportMetric(slices.Max(ratio), "max/mean")
	b.ReportMetric(0, "ns/op")
}
