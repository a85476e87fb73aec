package main

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/platypus-platform/platypus/intent"
)

// How far a node's number of replicas may be from its share of all, as a part of it.
const (
	softMaxShare = 1.2 // it takes no more than this while another that may have the seed has less
	hardMaxShare = 1.4 // what it has beyond this goes elsewhere, even though it has it
	minShare     = 0.8 // it is given of what fuller ones have until it has this
)

// scheduler is the nodes while seeds are put on them, one after the other.
type scheduler struct {
	seeds         []*seedDemand // in the order in which they choose
	openNodes     map[string]intent.Host
	nodeCount     int // closed ones too
	totalReplicas int // replicas that there shall be at least
	totalWeight   int // of all weights
	replicaCount  map[string]int
	memoryUsed    map[string]intent.Size
}

func newScheduler(d Desired) *scheduler {
	g := &scheduler{openNodes: map[string]intent.Host{}, nodeCount: len(d.Hosts), replicaCount: map[string]int{}, memoryUsed: map[string]intent.Size{}}
	for name, h := range d.Hosts {
		if !h.Closed {
			g.openNodes[name] = h
			g.totalWeight += max(1, h.Weight)
		}
	}
	// Who was declared first chooses first: it never goes for want of room because something new is declared. Among those of
	// one age the hash decides, so that no name is favoured.
	order := slices.SortedFunc(slices.Values(d.Seeds), func(a, b DesiredSeed) int {
		return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(hashOf(a.Name), hashOf(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	for _, desired := range order {
		if desired.Invalid == "" {
			s := newSeedDemand(d, desired, g.openNodes)
			g.totalReplicas += s.minReplicas
			g.seeds = append(g.seeds, s)
		}
	}
	return g
}

// share is how many replicas a node would have if all had their part by weight.
func (g *scheduler) share(node string) float64 {
	return float64(g.totalReplicas) * float64(max(1, g.openNodes[node].Weight)) / float64(g.totalWeight)
}

// addReplicas adds or takes away what a seed needs of nodes.
func (g *scheduler) addReplicas(s *seedDemand, nodes []string, sign int) {
	for _, node := range nodes {
		g.replicaCount[node] += sign
		g.memoryUsed[node] += intent.Size(sign) * s.memoryNeed
	}
}

// freeMemory is how much memory of a node is not given to seeds, and whether that is enough for one more.
func (g *scheduler) freeMemory(s *seedDemand, node string) (free intent.Size, fits bool) {
	capacity := g.openNodes[node].Memory
	free = max(0, capacity-g.memoryUsed[node])
	return free, capacity == 0 || g.memoryUsed[node]+s.memoryNeed <= capacity
}

// cost is how willingly a seed goes to a node; less is better, and rank decides among equals. Spread comes before
// everything, then comes staying.
func (g *scheduler) cost(s *seedDemand, node string) int {
	class := 0
	switch count := float64(g.replicaCount[node]); {
	case s.hasClaim[node] && count < math.Ceil(hardMaxShare*g.share(node)):
	case count < math.Ceil(softMaxShare*g.share(node)):
		class = 1
	default:
		class = 2
	}
	return 3*s.groupCount[g.spreadGroup(s, node)] + class
}

// spreadGroup is the value of the label over which a seed is spread.
func (g *scheduler) spreadGroup(s *seedDemand, node string) string {
	if s.spreadLabel == "" {
		return ""
	}
	return g.openNodes[node].Labels[s.spreadLabel]
}

// assign gives a seed the best of the nodes that may have it and have room, until it has so many or there are no more.
func (g *scheduler) assign(s *seedDemand, want int) {
	for len(s.Nodes) < want {
		best, lowest := "", math.MaxInt
		for _, node := range s.ranked {
			if slices.Contains(s.Nodes, node) {
				continue
			}
			if free, fits := g.freeMemory(s, node); !fits {
				s.FreeMemory[node] = free
				continue
			}
			if cost := g.cost(s, node); cost < lowest {
				best, lowest = node, cost
			}
		}
		if best == "" {
			return
		}
		s.groupCount[g.spreadGroup(s, best)]++
		s.Nodes = append(s.Nodes, best)
	}
}

// rebalance gives nodes that have far less than their share, as new ones do, some of what fuller ones have. It ends, for each
// move brings a seed to a node that ranks higher.
func (g *scheduler) rebalance() {
	for changed := true; changed; {
		changed = false
		emptiest := slices.SortedFunc(maps.Keys(g.openNodes), func(a, b string) int {
			return cmp.Or(cmp.Compare(g.fillRatio(a, 0), g.fillRatio(b, 0)), cmp.Compare(a, b))
		})
		for _, node := range emptiest {
			for float64(g.replicaCount[node]+1) <= math.Max(1, minShare*g.share(node)) && g.moveOne(node) {
				changed = true
			}
		}
	}
}

// moveOne moves one replica to a node from the fullest that has one which ranks the new node higher: where both have a
// claim, it is the new one that stays.
func (g *scheduler) moveOne(to string) bool {
	var moved *seedDemand
	from, fullest := "", g.fillRatio(to, 1)
	for _, s := range g.seeds {
		rank, may := s.rankOf[to]
		_, fits := g.freeMemory(s, to)
		if !may || !fits || len(s.Nodes) == 0 || slices.Contains(s.Nodes, to) {
			continue
		}
		last := slices.MaxFunc(s.Nodes, func(a, b string) int { return cmp.Compare(s.rankOf[a], s.rankOf[b]) })
		if fill := g.fillRatio(last, -1); rank < s.rankOf[last] && fill >= fullest && g.spreadGroup(s, last) == g.spreadGroup(s, to) && (moved == nil || fill > fullest) {
			moved, from, fullest = s, last, fill
		}
	}
	if moved == nil {
		return false
	}
	g.addReplicas(moved, []string{from}, -1)
	g.addReplicas(moved, []string{to}, 1)
	moved.Nodes[slices.Index(moved.Nodes, from)] = to
	return true
}

// fillRatio is what part of its share a node has with so many more.
func (g *scheduler) fillRatio(node string, more int) float64 {
	return float64(g.replicaCount[node]+more) / g.share(node)
}

// uneven reports whether replicas lie more than one apart over the values of a label that the nodes have.
func (g *scheduler) uneven(s *seedDemand) bool {
	least, most := math.MaxInt, 0
	for _, node := range s.ranked {
		n := s.groupCount[g.spreadGroup(s, node)]
		least, most = min(least, n), max(most, n)
	}
	return most-least > 1
}
