package main

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
)

// exitTimeout bounds how long a reachable node can take to notice a leaving entry: nodes resync every minute.
const exitTimeout = 70 * time.Second

// observe returns the actual state from the cache. Without a watch it first reads the store.
func (al *allocator) observe(ctx context.Context) (Actual, error) {
	al.metrics.passStart = time.Now()
	if !al.watching.Load() {
		if err := al.loadAll(ctx); err != nil {
			return Actual{}, err
		}
	}
	now := time.Now()
	a := al.cache.actual(now, al.options.lossAfter)
	a.Budget = int(math.Floor(al.replaceLimit.TokensAt(now)))
	return a, nil
}

// loadAll lists every prefix once.
func (al *allocator) loadAll(ctx context.Context) error {
	for _, s := range al.cache.replicas() {
		pairs, index, err := al.store.List(ctx, s.watchPrefix(), store.Default)
		if err != nil {
			return err
		}
		al.cache.replace(s, store.Snapshot{Pairs: pairs, Index: index})
	}
	return nil
}

// actual returns the state of the cache at the given time.
func (c *cache) actual(now time.Time, lossAfter time.Duration) Actual {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, held := c.snapshotFleet()
	a := Actual{Fleet: f, held: held, InFlight: make(map[string]fleet.Step, len(c.inFlight)),
		Reclaimable: map[EntryID]bool{}, Now: now}
	for name, r := range c.inFlight {
		a.InFlight[name] = r.step
	}
	a.Lost = c.lost(a.Fleet, now, lossAfter)
	leavingSince := map[EntryID]time.Time{}
	for _, m := range a.Fleet.Machines {
		for _, e := range m.Ledger.Entries {
			if e.Phase == intent.PhasePlaced {
				continue
			}
			id := EntryID{m.Spot, e.VM, e.Phase}
			if leavingSince[id] = c.live.leavingSince[id]; leavingSince[id].IsZero() {
				leavingSince[id] = now
			}
			if c.isReclaimable(m, e, now.Sub(leavingSince[id])) {
				a.Reclaimable[id] = true
			}
		}
	}
	c.live.leavingSince = leavingSince
	return a
}

// snapshotFleet returns the fleet and its entries. It rebuilds them only when the cache has changed.
func (c *cache) snapshotFleet() (*fleet.Fleet, map[string][]fleet.Held) {
	if c.snapshot.fleet == nil || c.snapshot.version != c.version {
		f := c.fleet()
		c.snapshot = fleetSnapshot{f, f.Entries(), c.version}
	}
	return c.snapshot.fleet, c.snapshot.held
}

// fleet builds the fleet from all replicas except the VM specs.
func (c *cache) fleet() *fleet.Fleet {
	f := &fleet.Fleet{Regions: map[intent.Name]intent.Region{},
		Placements: make(map[string]fleet.Placed, len(c.alloc.placements.entries)), Apps: map[string]fleet.App{}}
	for code, r := range c.inventory.regions.entries {
		f.Regions[intent.Name(code)] = r.value
	}
	at := make(map[string]*fleet.Machine, len(c.inventory.machines.entries))
	machine := func(key string) *fleet.Machine {
		if m := at[key]; m != nil {
			return m
		}
		region, name, _ := strings.Cut(key, "/")
		m := &fleet.Machine{Spot: fleet.Spot{Region: intent.Name(region), Machine: intent.Name(name)},
			Away:    c.unreachable(intent.Name(name)),
			Claimed: c.inventory.pinnedApps[name]}
		at[key] = m
		f.Machines = append(f.Machines, m)
		return m
	}
	for key, r := range c.inventory.machines.entries {
		if !r.gone {
			machine(key).Declare(r.value, r.index, r.fault)
		}
	}
	for key, r := range c.alloc.ledgers.entries {
		if !r.gone {
			machine(key).Hold(r.value, r.index, r.fault)
		}
	}
	for name, r := range c.alloc.placements.entries {
		if !r.gone {
			f.Placements[name] = fleet.Placed{Placement: r.value, Index: r.index, Fault: r.fault}
		}
	}
	for key, r := range c.alloc.assignments.entries {
		if node, app, _ := strings.Cut(key, "/"); !r.gone {
			f.Apps[key] = fleet.App{Node: intent.Name(node), App: intent.Name(app), Cluster: r.value.Cluster,
				Index: r.index}
		}
	}
	fleet.Sort(f)
	return f
}

// unreachable reports whether a node has run agents and has none alive now. A node that never ran agents is not
// unreachable.
func (c *cache) unreachable(node intent.Name) bool {
	if _, ran := c.live.reports.get(string(node)); !ran {
		return false
	}
	return !c.live.reachable[string(node)]
}

// lost returns the machines that have been unreachable for at least `after`. If more than half of a region's machines
// are unreachable, the store or the network is the likelier cause, and none of them counts as lost.
func (c *cache) lost(f *fleet.Fleet, now time.Time, after time.Duration) map[intent.Name]bool {
	away, followed := map[intent.Name]int{}, map[intent.Name]int{}
	since := map[intent.Name]time.Time{}
	for _, m := range f.Machines {
		if _, ran := c.live.reports.get(string(m.Name())); ran {
			followed[m.Region]++
		}
		if m.Away {
			away[m.Region]++
			if since[m.Name()] = c.live.awaySince[m.Name()]; since[m.Name()].IsZero() {
				since[m.Name()] = now
			}
		}
	}
	c.live.awaySince = since
	lost := map[intent.Name]bool{}
	for _, m := range f.Machines {
		suspicious := away[m.Region] >= 2 && 2*away[m.Region] > followed[m.Region]
		if m.Away && !suspicious && now.Sub(since[m.Name()]) >= after {
			lost[m.Name()] = true
		}
	}
	return lost
}

// isReclaimable reports whether nothing of a leaving or lost entry can still be running.
func (c *cache) isReclaimable(m *fleet.Machine, e intent.Entry, leavingFor time.Duration) bool {
	report, ran := c.live.reports.get(string(m.Name()))
	_, alive := c.live.alive.get(string(m.Name()) + "/setlive")
	_, present := report.value.Subjects[string(e.App)]
	switch {
	case m.Index > 0 && m.Spec.Is(intent.MachineDead), !ran && !c.live.reachable[string(m.Name())]:
		return true // declared dead by an operator, or no agent ever ran there
	case !ran:
		return leavingFor > exitTimeout // its first report may be on its way
	case e.App == "":
		return !m.Away
	case !alive || present:
		return false
	}
	return report.value.IntentIndex >= m.LedgerIndex || leavingFor > exitTimeout
}

// readReport decodes a setlive report leniently: only the subjects and the intent index are used.
func readReport(p intent.Pair) (intent.Report, string) {
	var r intent.Report
	if err := json.Unmarshal(p.Value, &r); err != nil {
		return intent.Report{}, err.Error()
	}
	return r, ""
}

// peers returns the live allocators, sorted, always including this one.
func (c *cache) peers(self intent.Name) []intent.Name {
	c.mu.Lock()
	defer c.mu.Unlock()
	peers := []intent.Name{self}
	for key, r := range c.live.alive.entries {
		if node, ok := strings.CutSuffix(key, "/"+program); ok && !r.gone && node != string(self) {
			peers = append(peers, intent.Name(node))
		}
	}
	slices.Sort(peers)
	return peers
}
