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

// place chooses the nodes of a seed: of those that may have it the ones that rank highest, spread over the values of a
// label. Every node that sees the same nodes and the same load chooses the same.
func place(d Desired, wish SeedWish) Placement {
	hosts := map[string]intent.Host{}
	for name, h := range d.Hosts {
		if !h.Closed && eligible(h, wish.Seed.Replication) {
			hosts[name] = h
		}
	}
	p := Placement{Want: replicas(d, wish)}
	ranked := rank("seed/"+wish.Name, hosts)
	if len(ranked) < p.Want {
		p.Problem = fmt.Sprintf("%d replicas are wanted and %d of %d nodes may have it", p.Want, len(ranked), len(d.Hosts))
	}
	over := wish.Seed.Over
	if over == "" {
		p.Nodes = ranked[:min(p.Want, len(ranked))]
		return p
	}
	used := map[string]int{}
	for len(p.Nodes) < p.Want && len(ranked) > 0 {
		best := 0
		for i, node := range ranked {
			if used[hosts[node].Labels[over]] < used[hosts[ranked[best]].Labels[over]] {
				best = i
			}
		}
		used[hosts[ranked[best]].Labels[over]]++
		p.Nodes = append(p.Nodes, ranked[best])
		ranked = slices.Delete(ranked, best, best+1)
	}
	if p.Problem == "" && uneven(used, hosts, over) {
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
		hash := fnv.New64a()
		hash.Write([]byte(subject + "\x00" + name))
		// The upper 53 bits make an even number in (0, 1); -w/ln of it is an exponential race that weight w wins in its share.
		even := (float64(mix(hash.Sum64())>>11) + 0.5) / (1 << 53)
		scores[name] = -float64(max(1, h.Weight)) / math.Log(even)
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(a, b))
	})
	return names
}

// mix spreads the bits of a hash: FNV leaves the upper ones of short keys alike.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
