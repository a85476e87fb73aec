package main

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"github.com/platypus-platform/platypus/intent"
)

// Bounds of a node's number of replicas, as a multiple of its fair share.
const (
	softMaxShare = 1.2 // a node above it gets no more while another candidate has less
	hardMaxShare = 1.4 // replicas above it move away even from nodes that have claimed them
	minShare     = 0.8 // a node below it is given replicas of fuller nodes
)

// scheduler holds the state of the nodes while seeds are assigned one after the other.
type scheduler struct {
	seeds         []*seedDemand // in scheduling order
	openNodes     map[string]intent.Host
	nodeCount     int // including closed ones
	totalReplicas int // sum of the seeds' minimum replicas
	totalWeight   int // of the open nodes
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
	// Oldest first: a new declaration never takes the memory of an existing seed. Among equals the hash decides, so
	// that no name is favoured.
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

// share is the number of replicas that a node would have in proportion to its weight.
func (g *scheduler) share(node string) float64 {
	return float64(g.totalReplicas) * float64(max(1, g.openNodes[node].Weight)) / float64(g.totalWeight)
}

// addReplicas adds the replicas of s on nodes to the totals, or subtracts them if sign is -1.
func (g *scheduler) addReplicas(s *seedDemand, nodes []string, sign int) {
	for _, node := range nodes {
		g.replicaCount[node] += sign
		g.memoryUsed[node] += intent.Size(sign) * s.memoryNeed
	}
}

// freeMemory returns the memory of a node that is not assigned yet, and whether one more replica of s fits.
func (g *scheduler) freeMemory(s *seedDemand, node string) (free intent.Size, fits bool) {
	capacity := g.openNodes[node].Memory
	free = max(0, capacity-g.memoryUsed[node])
	return free, capacity == 0 || g.memoryUsed[node]+s.memoryNeed <= capacity
}

// cost rates a node for a seed; lower is better, and the rank breaks ties. Even spread weighs most, then staying in
// place.
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

// spreadGroup returns the node's value of the label over which the seed is spread.
func (g *scheduler) spreadGroup(s *seedDemand, node string) string {
	if s.spreadLabel == "" {
		return ""
	}
	return g.openNodes[node].Labels[s.spreadLabel]
}

// assign picks the cheapest nodes with enough memory until the seed has want nodes or no candidate is left.
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

// rebalance moves replicas from full nodes to nodes far below their share, such as new ones. It terminates, because
// each move takes a seed to a node of higher rank.
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

// moveOne moves one replica to a node from the fullest node that ranks lower for that seed. The rank decides which of
// two claims stays, so all nodes agree.
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

// fillRatio returns the node's replicas, plus more, relative to its share.
func (g *scheduler) fillRatio(node string, more int) float64 {
	return float64(g.replicaCount[node]+more) / g.share(node)
}

// uneven reports whether the replica counts of the label's values differ by more than one.
func (g *scheduler) uneven(s *seedDemand) bool {
	least, most := math.MaxInt, 0
	for _, node := range s.ranked {
		n := s.groupCount[g.spreadGroup(s, node)]
		least, most = min(least, n), max(most, n)
	}
	return most-least > 1
}
