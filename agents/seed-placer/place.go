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
	Nodes   []string               // the best first
	Want    int                    // how many there should be
	Problem string                 // what could not be satisfied; what could be is done, and holds steady
	Room    map[string]intent.Size // of nodes that would have it if it needed no more than this, in bytes
}

// placements chooses the nodes of every seed. Every node that sees the same nodes, claims and load chooses the same.
//
// Who has a seed keeps it, unless its node has far too many: a node that comes gets a share of what others have, and
// nothing moves among these. Where nobody has a seed yet, the hash of both names decides, up to about the node's share.
// No choice depends on how far others have come: a claim that follows it changes nothing, and one that is made stays.
func placements(d Desired) map[string]Placement {
	g := newGround(d)
	for _, s := range g.seeds {
		g.count(s, s.had, 1)
	}
	for _, s := range g.seeds {
		g.count(s, s.had, -1)
		g.choose(s, s.least)
		g.count(s, s.Nodes, 1)
	}
	g.level()
	all := map[string]Placement{}
	for _, s := range g.seeds {
		g.choose(s, s.Want) // what load adds comes last: it takes no place from others
		for _, node := range s.Nodes[min(s.least, len(s.Nodes)):] {
			g.taken[node] += s.need
		}
		slices.SortFunc(s.Nodes, func(a, b string) int { return cmp.Compare(s.place[a], s.place[b]) })
		s.Problem = g.problem(s)
		all[s.name] = s.Placement
	}
	return all
}

// seeking is a seed that looks for its nodes.
type seeking struct {
	Placement
	name   string
	over   string // the label over which it is spread
	need   intent.Size
	least  int
	ranked []string       // the nodes that may have it, the best first
	place  map[string]int // of a node within ranked
	had    []string       // of those that have it now, the best, as many as there shall be at least
	has    map[string]bool
	used   map[string]int // nodes chosen, by value of the label
}

func newSeeking(d Desired, wish SeedWish, open map[string]intent.Host) *seeking {
	s := &seeking{name: wish.Name, over: wish.Seed.Over, need: wish.Seed.Need(), place: map[string]int{},
		has: map[string]bool{}, used: map[string]int{}}
	s.Want, s.Room = replicas(d, wish), map[string]intent.Size{}
	s.least, _ = wish.Seed.Replicas()
	may := map[string]intent.Host{}
	for name, h := range open {
		c, claimed := d.Claims[wish.Name][name]
		s.has[name] = claimed && c.State != intent.ReplicaDraining
		if eligible(h, wish.Seed.Replication) && (s.has[name] || !h.Cordoned) {
			may[name] = h
		}
	}
	s.ranked = rank("seed/"+wish.Name, may)
	for i, node := range s.ranked {
		s.place[node] = i
		if s.has[node] && len(s.had) < s.least {
			s.had = append(s.had, node)
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

// replicas is how many of a seed there shall be: as many as the load of those that are ready asks for, within bounds.
func replicas(d Desired, wish SeedWish) int {
	least, most := wish.Seed.Replicas()
	load := 0
	for _, c := range d.Claims[wish.Name] {
		if c.State == intent.ReplicaReady {
			load += c.Load
		}
	}
	return min(max(least, (load+99)/100), most)
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
func (g *ground) problem(s *seeking) string {
	switch {
	case len(s.ranked) < s.Want:
		return fmt.Sprintf("%d replicas are wanted and %d of %d nodes may have it", s.Want, len(s.ranked), g.nodes)
	case len(s.Nodes) < s.Want:
		return fmt.Sprintf("%d replicas are wanted and %d of the %d nodes that may have it have %v of memory left for it", s.Want, len(s.Nodes), len(s.ranked), s.need)
	case s.over != "" && g.uneven(s):
		return fmt.Sprintf("it cannot be spread evenly over %q: some value has too few nodes", s.over)
	}
	return ""
}
