package main

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
)

// cache holds the allocator's copy of the store. It may be stale: transactions are conditional, so the store rejects
// steps planned from outdated data.
type cache struct {
	tree      intent.Tree
	mu        sync.Mutex
	inventory inventory
	alloc     allocations
	live      liveness
	inFlight  map[string]*request // by instance: steps whose transaction is not decided yet

	version  uint64 // incremented by every change that affects snapshot
	snapshot fleetSnapshot
}

// fleetSnapshot is the fleet built from the cache at one version. It is read-only.
type fleetSnapshot struct {
	fleet   *fleet.Fleet
	held    map[string][]fleet.Held
	version uint64
}

// inventory is what operators declare about machines.
type inventory struct {
	regions    *replica[intent.Region]
	machines   *replica[intent.Machine]
	pins       *replica[struct{}]              // apps that operators assign to nodes
	pinnedApps map[string]map[intent.Name]bool // the same, by node
}

// allocations are the VM specs and the keys that allocators write.
type allocations struct {
	vms         *replica[intent.VM]
	ledgers     *replica[intent.Ledger]
	placements  *replica[intent.Placement]
	assignments *replica[intent.Assignment]
}

// liveness is what is known about the agents on machines.
type liveness struct {
	alive        *replica[struct{}]
	reachable    map[string]bool         // nodes with at least one live agent
	reports      *replica[intent.Report] // of setlive, which knows the running apps
	awaySince    map[intent.Name]time.Time
	leavingSince map[EntryID]time.Time // when an entry was first seen leaving or lost
}

// anyReplica is a replica of any value type.
type anyReplica interface {
	watchPrefix() intent.Prefix
	replace(store.Snapshot)
	loaded() bool
}

func newCache(tree intent.Tree) *cache {
	c := &cache{tree: tree, inFlight: map[string]*request{},
		inventory: inventory{regions: newReplica[intent.Region](tree.Regions()),
			machines: newReplica[intent.Machine](tree.Machines()),
			pins:     newReplica[struct{}](tree.Nodes())},
		alloc: allocations{newReplica[intent.VM](tree.VMs()), newReplica[intent.Ledger](tree.Ledgers()),
			newReplica[intent.Placement](tree.PlacedVMs()),
			newReplica[intent.Assignment](tree.PlacedNodes())},
		live: liveness{alive: newReplica[struct{}](tree.Alives()),
			reports:   newReplica[intent.Report](tree.Statuses().Join("setlive")),
			awaySince: map[intent.Name]time.Time{}, leavingSince: map[EntryID]time.Time{}}}
	c.inventory.pins.parse = func(intent.Pair) (struct{}, string) { return struct{}{}, "" }
	c.live.alive.parse = c.inventory.pins.parse
	c.live.reports.parse = readReport
	return c
}

func (c *cache) replicas() []anyReplica {
	return []anyReplica{c.alloc.vms, c.inventory.regions, c.inventory.machines, c.inventory.pins, c.alloc.ledgers,
		c.alloc.placements, c.alloc.assignments,
		c.live.alive, c.live.reports}
}

// allLoaded reports whether every prefix has been read at least once.
func (c *cache) allLoaded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.replicas() {
		if !s.loaded() {
			return false
		}
	}
	return true
}

// replace updates one replica from a snapshot.
func (c *cache) replace(s anyReplica, snapshot store.Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.replace(snapshot)
	c.reindex(s)
	if s != anyReplica(c.alloc.vms) { // VM specs are not part of fleetSnapshot
		c.version++
	}
}

// reindex rebuilds the by-node index that belongs to a replica.
func (c *cache) reindex(s anyReplica) {
	switch s {
	case c.live.alive:
		c.live.reachable = map[string]bool{}
		for key := range c.live.alive.entries {
			node, _, _ := strings.Cut(key, "/")
			c.live.reachable[node] = true
		}
	case c.inventory.pins:
		c.inventory.pinnedApps = map[string]map[intent.Name]bool{}
		for key, r := range c.inventory.pins.entries {
			node, app, _ := strings.Cut(key, "/")
			if c.inventory.pinnedApps[node] == nil {
				c.inventory.pinnedApps[node] = map[intent.Name]bool{}
			}
			if !r.gone {
				c.inventory.pinnedApps[node][intent.Name(app)] = true
			}
		}
	}
}

// onForeignWrite registers notify, which is called with the cache locked when another process changed a machine's
// ledger.
func (c *cache) onForeignWrite(notify func(region intent.Name)) {
	c.alloc.ledgers.onNew = func(rest string) {
		region, machine, _ := strings.Cut(rest, "/")
		spot := fleet.Spot{Region: intent.Name(region), Machine: intent.Name(machine)}
		for _, r := range c.inFlight {
			if r.step.To == spot || r.step.From == spot {
				return // this may be the allocator's own write: its response can still be on the way
			}
		}
		notify(spot.Region)
	}
}

// completeTxn applies the result of a transaction and ends its in-flight steps under one lock, so that no pass counts
// a step twice.
func (c *cache) completeTxn(updates []update, requests []*request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(updates) > 0 {
		c.version++
	}
	for _, n := range updates {
		_ = c.alloc.vms.applyWrite(n) || c.alloc.ledgers.applyWrite(n) || c.alloc.placements.applyWrite(n) ||
			c.alloc.assignments.applyWrite(n) || c.inventory.machines.applyWrite(n)
		if c.inventory.pins.applyWrite(n) {
			c.reindex(c.inventory.pins)
		}
	}
	for _, r := range requests {
		delete(c.inFlight, r.name)
	}
}

// desired returns the valid VM specs, sorted by name.
func (c *cache) desired() Desired {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := Desired{VMs: make([]fleet.VM, 0, len(c.alloc.vms.entries)), Index: c.alloc.vms.index}
	for _, name := range sortedKeys(c.alloc.vms.entries) {
		if _, err := intent.ParseVMName(name); err == nil && !c.alloc.vms.entries[name].gone {
			d.VMs = append(d.VMs, c.Wish(intent.Name(name)))
		}
	}
	return d
}

// dropStale removes steps whose VM spec has changed since they were planned. A rejected transaction can bring a newer
// spec into the cache before the watch delivers it.
func (c *cache) dropStale(d Desired, steps []fleet.Step) []fleet.Step {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(steps, func(s fleet.Step) bool {
		planned, _ := d.vm(s.Instance.VM)
		return c.Wish(s.Instance.VM).Index != planned.Index
	})
}

// Wish returns the cached spec of a VM.
func (c *cache) Wish(name intent.Name) fleet.VM {
	r, ok := c.alloc.vms.get(string(name))
	if !ok {
		return fleet.VM{Name: name}
	}
	return fleet.VM{Name: name, Spec: r.value, Index: r.index, Fault: r.fault}
}

// Placement returns the cached placement record of an instance; its Index is 0 if there is none.
func (c *cache) Placement(instance string) fleet.Placed {
	r, ok := c.alloc.placements.get(instance)
	if !ok {
		return fleet.Placed{Index: 0}
	}
	return fleet.Placed{Placement: r.value, Index: r.index, Fault: r.fault}
}

// Machine returns a machine from the cache, or nil if it has neither a declaration nor a ledger.
func (c *cache) Machine(s fleet.Spot) *fleet.Machine {
	declared, isDeclared := c.inventory.machines.get(s.String())
	ledger, isHeld := c.alloc.ledgers.get(s.String())
	if !isDeclared && !isHeld {
		return nil
	}
	m := &fleet.Machine{Spot: s, Away: c.unreachable(s.Machine), Claimed: c.inventory.pinnedApps[string(s.Machine)]}
	if isDeclared {
		m.Declare(declared.value, declared.index, declared.fault)
	}
	if isHeld {
		m.Hold(ledger.value, ledger.index, ledger.fault)
	}
	return m
}
