package main

import (
	"context"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

// look reads what a step is about from the store before it is taken, and reports whether it stands as it was planned
// for. Whoever steps in for another allocator may have heard less than that one has done: a read that shows it is
// cheaper than two transactions that get into each other's way.
func (h *hands) look(ctx context.Context, s fleet.Step) (asPlanned bool, err error) {
	wish, said := h.book.tree.VM(s.Instance.VM), h.book.tree.PlacedVM(s.Instance)
	keys := []string{wish, said}
	for _, spot := range []fleet.Spot{s.From, s.To} {
		if spot != (fleet.Spot{}) {
			keys = append(keys, h.book.tree.Ledger(spot.Region, spot.Machine))
		}
	}
	pairs, err := h.store.Together(ctx, keys)
	if err != nil {
		return false, err
	}
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	asPlanned = pairs[0].ModifyIndex == h.book.Wish(s.Instance.VM).Index && pairs[1].ModifyIndex == h.book.Placement(s.Instance.String()).Index
	for _, p := range pairs {
		h.book.newer(p)
	}
	return asPlanned, nil
}

// newer takes over a pair that was read by itself, unless as much is known already: it may have been read before, and
// taken over after, a transaction of this allocator's own.
func (b *book) newer(p intent.Pair) {
	if p.ModifyIndex > 0 {
		b.version++
		_ = b.papers.vms.newer(p) || b.papers.ledgers.newer(p) || b.papers.placements.newer(p)
	}
}

func (t *table[T]) newer(p intent.Pair) (mine bool) {
	rest, mine := t.prefix.Below(p.Key)
	if have := t.rows[rest]; mine && have.index < p.ModifyIndex {
		t.put(rest, p)
	}
	return mine
}
