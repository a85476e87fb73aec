package main

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"slices"

	"github.com/platypus-platform/platypus/intent"
)

// Placement is the set of nodes that must run a seed.
type Placement struct {
	Nodes      []string               // in order of rank
	Want       int                    // number of replicas
	Problem    string                 // why the placement is incomplete; the feasible part stands
	FreeMemory map[string]intent.Size // free memory, in bytes, of nodes where the seed does not fit
}

// placements chooses the nodes of every seed. Every node that reads the same nodes, claims and load computes the same
// result.
//
// A node keeps the seeds that it has, unless it has far more than its share: a new node gets a share of the others'
// seeds, and nothing moves between those. Seeds without claims go by the hash of both names, up to about the node's
// share. The result does not depend on the progress of other nodes: claims that follow it do not change it.
func placements(d Desired) map[string]Placement {
	g := newScheduler(d)
	for _, s := range g.seeds {
		g.addReplicas(s, s.current, 1)
	}
	for _, s := range g.seeds {
		g.addReplicas(s, s.current, -1)
		g.assign(s, s.minReplicas)
		g.addReplicas(s, s.Nodes, 1)
	}
	g.rebalance()
	all := map[string]Placement{}
	for _, s := range g.seeds {
		g.assign(s, s.Want) // replicas for load come last: they take no place from others
		for _, node := range s.Nodes[min(s.minReplicas, len(s.Nodes)):] {
			g.memoryUsed[node] += s.memoryNeed
		}
		slices.SortFunc(s.Nodes, func(a, b string) int { return cmp.Compare(s.rankOf[a], s.rankOf[b]) })
		s.Problem = g.problem(s)
		all[s.name] = s.Placement
	}
	return all
}

// seedDemand is one seed during scheduling.
type seedDemand struct {
	Placement
	name        string
	spreadLabel string // label over which the seed is spread
	memoryNeed  intent.Size
	minReplicas int
	ranked      []string       // candidates, best first
	rankOf      map[string]int // index of a node in ranked
	current     []string       // best nodes that have it now, at most minReplicas
	hasClaim    map[string]bool
	groupCount  map[string]int // chosen nodes by value of the label
}

func newSeedDemand(d Desired, desired DesiredSeed, open map[string]intent.Host) *seedDemand {
	s := &seedDemand{name: desired.Name, spreadLabel: desired.Seed.Over, memoryNeed: desired.Seed.Need(), rankOf: map[string]int{},
		hasClaim: map[string]bool{}, groupCount: map[string]int{}}
	s.Want, s.FreeMemory = wantedReplicas(d, desired), map[string]intent.Size{}
	s.minReplicas, _ = desired.Seed.Replicas()
	allowed := map[string]intent.Host{}
	for name, h := range open {
		c, claimed := d.Claims[desired.Name][name]
		s.hasClaim[name] = claimed && c.State != intent.ReplicaDraining
		if eligible(h, desired.Seed.Replication) && (s.hasClaim[name] || !h.Cordoned) {
			allowed[name] = h
		}
	}
	s.ranked = rank("seed/"+desired.Name, allowed)
	for i, node := range s.ranked {
		s.rankOf[node] = i
		if s.hasClaim[node] && len(s.current) < s.minReplicas {
			s.current = append(s.current, node)
		}
	}
	return s
}

func eligible(h intent.Host, r intent.Replication) bool {
	if r.Region != "" && h.Region != r.Region {
		return false
	}
	for label, value := range r.Labels {
		if h.Labels[label] != value {
			return false
		}
	}
	return true
}

// wantedReplicas derives the number of replicas from the load of the ready ones, within the declared bounds.
func wantedReplicas(d Desired, desired DesiredSeed) int {
	minimum, maximum := desired.Seed.Replicas()
	load := 0
	for _, c := range d.Claims[desired.Name] {
		if c.State == intent.ReplicaReady {
			load += c.Load
		}
	}
	return min(max(minimum, (load+99)/100), maximum)
}

// rank orders nodes for a subject by weighted rendezvous hashing: a node that joins or leaves moves only its own
// share.
func rank(subject string, hosts map[string]intent.Host) []string {
	scores := make(map[string]float64, len(hosts))
	names := make([]string, 0, len(hosts))
	for name, h := range hosts {
		// The upper 53 bits make a uniform number in (0, 1); -w/ln of it is an exponential race that weight w wins in
		// proportion.
		even := (float64(hashOf(subject+"\x00"+name)>>11) + 0.5) / (1 << 53)
		scores[name] = -float64(max(1, h.Weight)) / math.Log(even)
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b))
	})
	return names
}

func hashOf(text string) uint64 {
	hash := fnv.New64a()
	hash.Write([]byte(text))
	return mix(hash.Sum64())
}

// mix spreads the bits of a hash: FNV leaves the upper bits of short keys alike.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// problem returns why the placement of s is incomplete, or "".
func (g *scheduler) problem(s *seedDemand) string {
	switch {
	case len(s.ranked) < s.Want:
		return fmt.Sprintf("%d replicas are wanted and %d of %d nodes may have it", s.Want, len(s.ranked), g.nodeCount)
	case len(s.Nodes) < s.Want:
		return fmt.Sprintf("%d replicas are wanted and %d of the %d nodes that may have it have %v of memory left for it", s.Want, len(s.Nodes), len(s.ranked), s.memoryNeed)
	case s.spreadLabel != "" && g.uneven(s):
		return fmt.Sprintf("it cannot be spread evenly over %q: some value has too few nodes", s.spreadLabel)
	}
	return ""
}
