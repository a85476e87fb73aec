package main

import (
	"context"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

// recheck reads the keys of a step from the store before it is taken and reports whether they are still as planned.
// An allocator that takes over for another may lag behind it: one read is cheaper than two conflicting transactions.
func (al *allocator) recheck(ctx context.Context, s fleet.Step) (asPlanned bool, err error) {
	vmKey, placementKey := al.cache.tree.VM(s.Instance.VM), al.cache.tree.PlacedVM(s.Instance)
	keys := []string{vmKey, placementKey}
	for _, spot := range []fleet.Spot{s.From, s.To} {
		if spot != (fleet.Spot{}) {
			keys = append(keys, al.cache.tree.Ledger(spot.Region, spot.Machine))
		}
	}
	pairs, err := al.store.Together(ctx, keys)
	if err != nil {
		return false, err
	}
	al.cache.mu.Lock()
	defer al.cache.mu.Unlock()
	asPlanned = pairs[0].ModifyIndex == al.cache.Wish(s.Instance.VM).Index && pairs[1].ModifyIndex == al.cache.Placement(s.Instance.String()).Index
	for _, p := range pairs {
		al.cache.applyRead(p)
	}
	return asPlanned, nil
}

// applyRead caches a pair that was read by itself, unless a newer state is known: the read may be older than a
// transaction of this allocator that was applied first.
func (c *cache) applyRead(p intent.Pair) {
	if p.ModifyIndex > 0 {
		c.version++
		_ = c.alloc.vms.applyRead(p) || c.alloc.ledgers.applyRead(p) || c.alloc.placements.applyRead(p)
	}
}

func (r *replica[T]) applyRead(p intent.Pair) (mine bool) {
	rest, mine := r.prefix.Below(p.Key)
	if have := r.entries[rest]; mine && have.index < p.ModifyIndex {
		r.put(rest, p)
	}
	return mine
}
