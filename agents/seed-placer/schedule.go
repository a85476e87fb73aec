package main

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"slices"

	"github.com/platypus-platform/platypus/intent"
)

// Placement is where a seed shall be.
type Placement struct {
	Nodes      []string               // the best first
	Want       int                    // how many there should be
	Problem    string                 // what could not be satisfied; what could be is done, and holds steady
	FreeMemory map[string]intent.Size // of nodes that would have it if it needed no more than this, in bytes
}

// placements chooses the nodes of every seed. Every node that sees the same nodes, claims and load chooses the same.
//
// Who has a seed keeps it, unless its node has far too many: a node that comes gets a share of what others have, and
// nothing moves among these. Where nobody has a seed yet, the hash of both names decides, up to about the node's share.
// No choice depends on how far others have come: a claim that follows it changes nothing, and one that is made stays.
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
		g.assign(s, s.Want) // what load adds comes last: it takes no place from others
		for _, node := range s.Nodes[min(s.minReplicas, len(s.Nodes)):] {
			g.memoryUsed[node] += s.memoryNeed
		}
		slices.SortFunc(s.Nodes, func(a, b string) int { return cmp.Compare(s.rankOf[a], s.rankOf[b]) })
		s.Problem = g.problem(s)
		all[s.name] = s.Placement
	}
	return all
}

// seedDemand is a seed that looks for its nodes.
type seedDemand struct {
	Placement
	name        string
	spreadLabel string // the label over which it is spread
	memoryNeed  intent.Size
	minReplicas int
	ranked      []string       // the nodes that may have it, the best first
	rankOf      map[string]int // of a node within ranked
	current     []string       // of those that have it now, the best, as many as there shall be at least
	hasClaim    map[string]bool
	groupCount  map[string]int // nodes chosen, by value of the label
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

// wantedReplicas is how many of a seed there shall be: as many as the load of those that are ready asks for, within bounds.
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

// rank orders nodes for a subject by weighted rendezvous hashing: a node that comes or goes moves only what is its own.
func rank(subject string, hosts map[string]intent.Host) []string {
	scores := make(map[string]float64, len(hosts))
	names := make([]string, 0, len(hosts))
	for name, h := range hosts {
		// The upper 53 bits make an even number in (0, 1); -w/ln of it is an exponential race that weight w wins in its share.
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

// mix spreads the bits of a hash: FNV leaves the upper ones of short keys alike.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// problem says what a seed must do without, or nothing.
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
