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
	slack = 1.2 // it takes no more than this while another that may have the seed has less
	most  = 1.4 // what it has beyond this goes elsewhere, even though it has it
	low   = 0.8 // it is given of what fuller ones have until it has this
)

// ground is the nodes while seeds are put on them, one after the other.
type ground struct {
	seeds []*seeking // in the order in which they choose
	open  map[string]intent.Host
	nodes int // closed ones too
	total int // replicas that there shall be at least
	sum   int // of all weights
	held  map[string]int
	taken map[string]intent.Size
}

func newGround(d Desired) *ground {
	g := &ground{open: map[string]intent.Host{}, nodes: len(d.Hosts), held: map[string]int{}, taken: map[string]intent.Size{}}
	for name, h := range d.Hosts {
		if !h.Closed {
			g.open[name] = h
			g.sum += max(1, h.Weight)
		}
	}
	// Who was declared first chooses first: it never goes for want of room because something new is declared. Among those of
	// one age the hash decides, so that no name is favoured.
	order := slices.SortedFunc(slices.Values(d.Seeds), func(a, b SeedWish) int {
		return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(hashOf(a.Name), hashOf(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	for _, wish := range order {
		if wish.Invalid == "" {
			s := newSeeking(d, wish, g.open)
			g.total += s.least
			g.seeds = append(g.seeds, s)
		}
	}
	return g
}

// share is how many replicas a node would have if all had their part by weight.
func (g *ground) share(node string) float64 {
	return float64(g.total) * float64(max(1, g.open[node].Weight)) / float64(g.sum)
}

// count adds or takes away what a seed needs of nodes.
func (g *ground) count(s *seeking, nodes []string, sign int) {
	for _, node := range nodes {
		g.held[node] += sign
		g.taken[node] += intent.Size(sign) * s.need
	}
}

// left is how much memory of a node is not given to seeds, and whether that is enough for one more.
func (g *ground) left(s *seeking, node string) (left intent.Size, enough bool) {
	all := g.open[node].Memory
	left = max(0, all-g.taken[node])
	return left, all == 0 || g.taken[node]+s.need <= all
}

// rate is how willingly a seed goes to a node; less is better, and rank decides among equals. Spread comes before
// everything, then comes staying.
func (g *ground) rate(s *seeking, node string) int {
	class := 0
	switch held := float64(g.held[node]); {
	case s.has[node] && held < math.Ceil(most*g.share(node)):
	case held < math.Ceil(slack*g.share(node)):
		class = 1
	default:
		class = 2
	}
	return 3*s.used[g.group(s, node)] + class
}

// group is the value of the label over which a seed is spread.
func (g *ground) group(s *seeking, node string) string {
	if s.over == "" {
		return ""
	}
	return g.open[node].Labels[s.over]
}

// choose gives a seed the best of the nodes that may have it and have room, until it has so many or there are no more.
func (g *ground) choose(s *seeking, want int) {
	for len(s.Nodes) < want {
		best, rate := "", math.MaxInt
		for _, node := range s.ranked {
			if slices.Contains(s.Nodes, node) {
				continue
			}
			if left, enough := g.left(s, node); !enough {
				s.Room[node] = left
				continue
			}
			if r := g.rate(s, node); r < rate {
				best, rate = node, r
			}
		}
		if best == "" {
			return
		}
		s.used[g.group(s, best)]++
		s.Nodes = append(s.Nodes, best)
	}
}

// level gives nodes that have far less than their share, as new ones do, some of what fuller ones have. It ends, for each
// move brings a seed to a node that ranks higher.
func (g *ground) level() {
	for again := true; again; {
		again = false
		emptiest := slices.SortedFunc(maps.Keys(g.open), func(a, b string) int {
			return cmp.Or(cmp.Compare(g.fill(a, 0), g.fill(b, 0)), cmp.Compare(a, b))
		})
		for _, node := range emptiest {
			for float64(g.held[node]+1) <= math.Max(1, low*g.share(node)) && g.relieve(node) {
				again = true
			}
		}
	}
}

// relieve moves one replica to a node from the fullest that has one which ranks the new node higher: where both have a
// claim, it is the new one that stays.
func (g *ground) relieve(to string) bool {
	var moved *seeking
	from, fullest := "", g.fill(to, 1)
	for _, s := range g.seeds {
		at, may := s.place[to]
		_, enough := g.left(s, to)
		if !may || !enough || len(s.Nodes) == 0 || slices.Contains(s.Nodes, to) {
			continue
		}
		last := slices.MaxFunc(s.Nodes, func(a, b string) int { return cmp.Compare(s.place[a], s.place[b]) })
		if fill := g.fill(last, -1); at < s.place[last] && fill >= fullest && g.group(s, last) == g.group(s, to) && (moved == nil || fill > fullest) {
			moved, from, fullest = s, last, fill
		}
	}
	if moved == nil {
		return false
	}
	g.count(moved, []string{from}, -1)
	g.count(moved, []string{to}, 1)
	moved.Nodes[slices.Index(moved.Nodes, from)] = to
	return true
}

// fill is what part of its share a node has with so many more.
func (g *ground) fill(node string, more int) float64 {
	return float64(g.held[node]+more) / g.share(node)
}

// uneven reports whether replicas lie more than one apart over the values of a label that the nodes have.
func (g *ground) uneven(s *seeking) bool {
	least, most := math.MaxInt, 0
	for _, node := range s.ranked {
		n := s.used[g.group(s, node)]
		least, most = min(least, n), max(most, n)
	}
	return most-least > 1
}
