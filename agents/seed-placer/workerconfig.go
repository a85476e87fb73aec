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

// workerConfigs is the configuration of each worker, by the name of its seed, or sharedWorker.
type workerConfigs map[string]wire.Config

// sharedWorker is the name of the worker that owns the node's address.
const sharedWorker = ""

// digest identifies a set of configurations.
func (configs workerConfigs) digest() string {
	data, err := json.Marshal(configs)
	if err != nil {
		return "" // every value of the type can be encoded
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// desiredConfigs returns what each worker must do: run the seeds that this node has claimed and whose module is here,
// and forward calls of the others. A trusted or suspected seed has a worker of its own; a parked one has none.
func desiredConfigs(d Desired, a Actual) workerConfigs {
	routes := readyElsewhere(d, a)
	shared := wire.Config{Node: a.Node, Zone: zoneOf(a.Self), Routes: routes}
	configs := workerConfigs{}
	placed := sync.OnceValue(func() map[string]Placement { return placements(d) })
	for _, desired := range d.Seeds {
		seed, ok := seedToRun(d, a, desired, func() bool { return slices.Contains(placed()[desired.Name].Nodes, a.Node) })
		record, suspected := a.Suspects[desired.Name]
		suspected = suspected && record.matches(seed.Seed)
		switch {
		case !ok || suspected && record.Parked():
		case seed.Seed.Trusted || suspected:
			configs[desired.Name] = wire.Config{Node: a.Node, Zone: shared.Zone, Routes: routes, Seeds: []wire.Seed{seed}}
		default:
			shared.Seeds = append(shared.Seeds, seed)
		}
	}
	for name, seed := range a.Sent { // seeds that are held keep running as they are
		if d.Held[name] != "" && !d.declared()[name] && !seed.Seed.Trusted {
			shared.Seeds = append(shared.Seeds, seed)
		}
	}
	slices.SortFunc(shared.Seeds, func(x, y wire.Seed) int { return strings.Compare(x.Name, y.Name) })
	shared.Sites = sitesToServe(d, a)
	configs[sharedWorker] = shared
	configs.divideMemory(int64(a.Self.Memory))
	return configs
}

// divideMemory splits the node's memory: each worker gets one instance's need of each of its seeds, and an equal part
// of the rest. Without a limit on the node the workers have none.
func (configs workerConfigs) divideMemory(total int64) {
	needs, totalNeed := map[string]int64{}, int64(0)
	for name, config := range configs {
		for _, s := range config.Seeds {
			needs[name] += int64(s.Seed.Need())
		}
		totalNeed += needs[name]
	}
	for name, config := range configs {
		if total > 0 {
			config.Memory = needs[name] + max(0, total-totalNeed)/int64(len(configs))
		}
		configs[name] = config
	}
}

// seedToRun returns the seed as it must run here, if at all. While its intent is invalid or its new module is
// missing, the running version stays.
func seedToRun(d Desired, a Actual, desired DesiredSeed, selected func() bool) (wire.Seed, bool) {
	sent, running := a.Sent[desired.Name]
	if desired.Invalid != "" || d.Held[desired.Name] != "" {
		return sent, running
	}
	if _, claimed := d.Claims[desired.Name][a.Node]; !claimed {
		// A claim that was lost with the session, as after each restart, is claimed again; until then the seed keeps
		// running.
		return sent, running && (!a.Joined || selected())
	}
	seed := wire.Seed{Name: desired.Name, Digest: desired.Seed.Digest(), Seed: desired.Seed}
	if _, here := a.Blobs[seed.Digest]; !here {
		return sent, running
	}
	return seed, true
}

// readyElsewhere lists the other workers that have each seed ready, this node's single-seed workers among them.
func readyElsewhere(d Desired, a Actual) wire.Routes {
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
