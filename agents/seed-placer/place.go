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
	Nodes   []string // the best first
	Want    int      // how many there should be
	Problem string   // what could not be satisfied; what could be is done, and holds steady
}

// slack is how far above its share of all replicas a node is filled before the next in rank is taken. It keeps the
// fullest node near the mean, and is wide enough for a seed to seldom move for another's sake.
const slack = 1.3

// placements chooses the nodes of every seed. Every node that sees the same nodes and the same load chooses the same.
func placements(d Desired) map[string]Placement {
	total, weights := 0, 0
	for _, wish := range d.Seeds {
		if wish.Invalid == "" {
			least, _ := wish.Seed.Replicas()
			total += least
		}
	}
	open := map[string]intent.Host{}
	for name, h := range d.Hosts {
		if !h.Closed {
			open[name] = h
			weights += max(1, h.Weight)
		}
	}
	held := map[string]int{}
	full := func(node string) bool {
		return float64(held[node]) >= math.Ceil(slack*float64(total)*float64(max(1, open[node].Weight))/float64(weights))
	}
	// The order decides who gets the last place on a node: by hash, so that no name is favoured.
	order := slices.SortedFunc(slices.Values(d.Seeds), func(a, b SeedWish) int {
		return cmp.Or(cmp.Compare(hashOf(a.Name), hashOf(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	all := map[string]Placement{}
	for _, wish := range order {
		if wish.Invalid != "" {
			continue
		}
		p := choose(d, wish, open, full)
		least, _ := wish.Seed.Replicas()
		for _, node := range p.Nodes[:min(least, len(p.Nodes))] { // what load adds takes no place from others
			held[node]++
		}
		all[wish.Name] = p
	}
	return all
}

// choose takes the nodes of one seed: of those that may have it the ones that rank highest and are not full, spread over
// the values of a label. Where that leaves too few, full ones do as well.
func choose(d Desired, wish SeedWish, open map[string]intent.Host, full func(string) bool) Placement {
	hosts := map[string]intent.Host{}
	for name, h := range open {
		if eligible(h, wish.Seed.Replication) {
			hosts[name] = h
		}
	}
	p := Placement{Want: replicas(d, wish)}
	ranked := rank("seed/"+wish.Name, hosts)
	if len(ranked) < p.Want {
		p.Problem = fmt.Sprintf("%d replicas are wanted and %d of %d nodes may have it", p.Want, len(ranked), len(d.Hosts))
	}
	over, used := wish.Seed.Over, map[string]int{}
	group := func(node string) string {
		if over == "" {
			return ""
		}
		return hosts[node].Labels[over]
	}
	least, _ := wish.Seed.Replicas()
	for len(p.Nodes) < p.Want && len(ranked) > 0 {
		best := slices.IndexFunc(ranked, func(node string) bool {
			return !slices.ContainsFunc(ranked, func(other string) bool {
				return used[group(other)] < used[group(node)] ||
					used[group(other)] == used[group(node)] && len(p.Nodes) < least && full(node) && !full(other)
			})
		})
		used[group(ranked[best])]++
		p.Nodes = append(p.Nodes, ranked[best])
		ranked = slices.Delete(ranked, best, best+1)
	}
	if over != "" && p.Problem == "" && uneven(used, hosts, over) {
		p.Problem = fmt.Sprintf("it cannot be spread evenly over %q: some value has too few nodes", over)
	}
	return p
}

// uneven reports whether replicas lie more than one apart over the values of a label that the nodes have.
func uneven(used map[string]int, hosts map[string]intent.Host, over string) bool {
	least, most := math.MaxInt, 0
	for _, h := range hosts {
		n := used[h.Labels[over]]
		least, most = min(least, n), max(most, n)
	}
	return most-least > 1
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
