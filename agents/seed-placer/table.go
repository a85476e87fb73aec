package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
	"github.com/platypus-platform/platypus/intent"
)

// tableSet is what the workers shall be told: the first one, which owns the node's address, and one for each trusted
// seed, by the seed's name.
type tableSet map[string]wire.Table

// front is the name of the worker that owns the node's address.
const front = ""

// digest tells two sets apart.
func (t tableSet) digest() string {
	data, err := json.Marshal(t)
	if err != nil {
		return "" // there is nothing in a table that cannot be written
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// tables says what each worker shall do: run the seeds that this node has claimed and whose module is here, and send on
// what others have ready. A seed that is trusted, or may have ended the worker of all, is alone; one that is parked rests.
func tables(d Desired, a Actual) tableSet {
	routes := routesOf(d, a)
	first := wire.Table{Node: a.Node, Zone: zoneOf(a.Self), Routes: routes}
	set := tableSet{}
	places := sync.OnceValue(func() map[string]Placement { return placements(d) })
	for _, wish := range d.Seeds {
		seed, ok := running(d, a, wish, func() bool { return slices.Contains(places()[wish.Name].Nodes, a.Node) })
		record, sick := a.Ward[wish.Name]
		sick = sick && record.of(seed.Seed)
		switch {
		case !ok || sick && record.Parked():
		case seed.Seed.Trusted || sick:
			set[wish.Name] = wire.Table{Node: a.Node, Zone: first.Zone, Routes: routes, Seeds: []wire.Seed{seed}}
		default:
			first.Seeds = append(first.Seeds, seed)
		}
	}
	for name, seed := range a.Sent { // what is held back goes on as it is
		if d.Held[name] != "" && !d.declared()[name] && !seed.Seed.Trusted {
			first.Seeds = append(first.Seeds, seed)
		}
	}
	slices.SortFunc(first.Seeds, func(x, y wire.Seed) int { return strings.Compare(x.Name, y.Name) })
	first.Sites = sitesToServe(d, a)
	set[front] = first
	set.ration(int64(a.Self.Memory))
	return set
}

// ration shares the node's memory out: each worker has what one instance of each of its seeds may take, and all have the
// same part of the rest. A node without a bound gives none.
func (t tableSet) ration(total int64) {
	parts, sum := map[string]int64{}, int64(0)
	for name, table := range t {
		for _, s := range table.Seeds {
			parts[name] += int64(s.Seed.Need())
		}
		sum += parts[name]
	}
	for name, table := range t {
		if total > 0 {
			table.Memory = parts[name] + max(0, total-sum)/int64(len(t))
		}
		t[name] = table
	}
}

// running is how a seed runs here, if it shall. A seed whose intent cannot be used, or whose new module is not here yet,
// goes on as it did.
func running(d Desired, a Actual, wish SeedWish, mine func() bool) (wire.Seed, bool) {
	sent, was := a.Sent[wish.Name]
	if wish.Invalid != "" || d.Held[wish.Name] != "" {
		return sent, was
	}
	if _, claimed := d.Claims[wish.Name][a.Node]; !claimed {
		// A claim that fell away with a lost session, as after each restart, is taken again; until then, what runs goes on.
		return sent, was && (!a.Joined || mine())
	}
	seed := wire.Seed{Name: wish.Name, Digest: wish.Seed.Digest(), Seed: wish.Seed}
	if _, here := a.Blobs[seed.Digest]; !here {
		return sent, was
	}
	return seed, true
}

// routesOf lists who else has which seed ready, this node's trusted workers among them.
func routesOf(d Desired, a Actual) wire.Routes {
	routes := wire.Routes{}
	for name, claims := range d.Claims {
		for _, node := range slices.Sorted(maps.Keys(claims)) {
			c := claims[node]
			own := node == a.Node && c.Address == a.Self.Address
			if c.State == intent.ReplicaReady && c.Address != "" && !own {
				routes[name] = append(routes[name], wire.Peer{Node: node, Address: c.Address, Zone: c.Zone})
			}
		}
	}
	return routes
}
