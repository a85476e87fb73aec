package main

import (
	"context"
	"errors"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
)

// batch is the steps of one transaction.
type batch struct {
	requests []*request
	ops      []fleet.Op
}

// apply does one step: it returns when the store has taken it, or when it is clear that it must be planned anew.
func (h *hands) apply(ctx context.Context, s fleet.Step) error {
	if h.turn.isUnsure(s) {
		if asPlanned, err := h.look(ctx, s); err != nil || !asPlanned {
			return err
		}
	}
	r := &request{step: s, name: s.Instance.String(), done: make(chan error, 1)}
	h.waiting.add(r)
	return <-r.done // once its context has ended serve ends all that wait
}

// inFlight is how many transactions are under way at once, and ahead how many more are made meanwhile: when one ends the
// next goes out at once. A store writes those to disk together that come together.
const (
	inFlight = 4
	ahead    = 4
)

// serve makes transactions out of steps until ctx ends. While some are under way the steps that come meanwhile gather,
// so that many share one transaction, and a lone one goes as soon as it is clear that no other follows it. Steps that touch
// one machine never are in two transactions at once: an allocator has no conflicts with itself.
func (h *hands) serve(ctx context.Context) {
	busy := map[fleet.Spot]bool{}
	ready, ended := make(chan *batch, inFlight+ahead), make(chan *batch, inFlight+ahead)
	defer close(ready)
	for range inFlight {
		go h.send(ctx, ready, ended)
	}
	for running := 0; ; {
		most := inFlight
		if running == 0 {
			h.waiting.calm()
		} else if !h.waiting.comes() {
			most += ahead // but not while more comes, which might share what is made ahead
		}
		for running < most && ctx.Err() == nil {
			b := h.gather(busy)
			if b == nil {
				break
			}
			running++
			ready <- b
		}
		select {
		case <-h.waiting.news:
		case b := <-ended:
			running--
			for _, r := range b.requests {
				delete(busy, r.step.From)
				delete(busy, r.step.To)
			}
		case <-ctx.Done():
			if h.waiting.end(ctx.Err()); running == 0 {
				h.tell()
				return
			}
			<-ended
			running--
		}
	}
}

// send commits one transaction after the other. Those that have not gone out when ctx ends never do.
func (h *hands) send(ctx context.Context, ready <-chan *batch, ended chan<- *batch) {
	for b := range ready {
		if err := ctx.Err(); err != nil {
			h.settle(b, nil, err)
		} else {
			h.commit(ctx, b)
		}
		ended <- b
	}
}

// Bounds of one transaction, below those of every Consul there is.
const (
	maxOps   = store.MaxOps
	maxBytes = 400 << 10
)

// gather puts as many waiting steps of one machine as go into one transaction. Those that no longer fit what is known are
// ended, to be planned anew.
func (h *hands) gather(busy map[fleet.Spot]bool) *batch {
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	return h.waiting.first(func(to fleet.Spot) bool { return taken(busy, to) }, func(lane []*request) (*batch, []*request) {
		b, rest := h.fill(lane, busy)
		if b != nil {
			for _, r := range b.requests {
				busy[r.step.From], busy[r.step.To] = true, true
				h.book.moving[r.name] = r
			}
		}
		return b, rest
	})
}

func taken(busy map[fleet.Spot]bool, s fleet.Spot) bool { return s != fleet.Spot{} && busy[s] }

// fill makes one transaction out of steps of one lane, and returns those that are left for another.
func (h *hands) fill(lane []*request, busy map[fleet.Spot]bool) (b *batch, rest []*request) {
	draft := fleet.NewDraft(h.book.tree, h.book)
	b = &batch{requests: make([]*request, 0, min(len(lane), h.options.batch))}
	for i, r := range lane {
		if taken(busy, r.step.From) {
			rest = append(rest, r)
			continue
		}
		ops, bytes := draft.Size()
		if len(b.requests) >= h.options.batch || len(b.requests) > 0 && (ops+stepOps > maxOps || bytes > maxBytes) {
			if len(rest) == 0 {
				return sealed(draft, b), lane[i:]
			}
			return sealed(draft, b), append(rest, lane[i:]...)
		}
		if err := draft.Add(r.step); err != nil {
			r.done <- stale(err)
			continue
		}
		b.requests = append(b.requests, r)
	}
	return sealed(draft, b), rest
}

// sealed is a batch with its operations, or nil when there is nothing to do.
func sealed(draft *fleet.Draft, b *batch) *batch {
	if len(b.requests) == 0 {
		return nil
	}
	var err error
	if b.ops, err = draft.Ops(); err != nil {
		for _, r := range b.requests {
			r.done <- err
		}
		return nil
	}
	return b
}

// stepOps is how many operations one step adds at most: two ledgers and one that is only looked at, two machines, two
// apps and the person's own, the wish and the placement.
const stepOps = 10

// stale makes a step that cannot be done as planned end without a fault: the next pass plans it from what is known then.
func stale(err error) error {
	if errors.Is(err, fleet.ErrStale) {
		return nil
	}
	return err
}

// commit runs one transaction.
func (h *hands) commit(ctx context.Context, b *batch) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitPatience)
	defer cancel()
	start := time.Now()
	index, err := h.store.Commit(ctx, changes(b.ops))
	h.turn.took(time.Since(start))
	h.count(b, err)
	var news []news
	switch {
	case err == nil:
		news = written(b.ops, index)
	case errors.Is(err, store.ErrConflict):
		h.turn.trust()
		news, err = h.refresh(ctx, b.ops)
	}
	h.settle(b, news, err)
}

// settle takes over what became of a transaction, and tells every step of it.
func (h *hands) settle(b *batch, news []news, err error) {
	h.book.settle(news, b.requests)
	for _, r := range b.requests {
		if err == nil && r.step.Leaves == intent.PhaseLost {
			h.replacing.Allow()
		}
		r.done <- err
	}
}

// commitPatience bounds one transaction, so that an agent that is told to stop does.
const commitPatience = 4 * time.Second

func changes(ops []fleet.Op) []store.Change {
	all := make([]store.Change, 0, len(ops))
	for _, op := range ops {
		all = append(all, store.Change{Verb: store.Verb(op.Verb), Key: op.Key, Value: op.Value, Index: op.Index})
	}
	return all
}

// news is one pair as it is now known to be.
type news struct {
	pair  intent.Pair
	found bool // false: there is no such key
	noun  any  // what the value holds, when that is known already
}

// written is what a transaction that went through has made of its keys.
func written(ops []fleet.Op, index uint64) []news {
	all := make([]news, 0, len(ops))
	for _, op := range ops {
		switch op.Verb {
		case fleet.OpCAS, fleet.OpSet:
			all = append(all, news{intent.Pair{Key: op.Key, Value: op.Value, ModifyIndex: index}, true, op.Noun})
		case fleet.OpDelete, fleet.OpDeleteCAS:
			all = append(all, news{intent.Pair{Key: op.Key, ModifyIndex: index}, false, nil})
		}
	}
	return all
}

// refresh reads again what a refused transaction was about: somebody else came first, and the next pass must see it.
func (h *hands) refresh(ctx context.Context, ops []fleet.Op) (all []news, err error) {
	var keys []string
	for _, op := range ops {
		if op.Verb != fleet.OpSet && op.Verb != fleet.OpDelete {
			keys = append(keys, op.Key)
		}
	}
	pairs, err := h.store.Together(ctx, keys)
	for _, p := range pairs {
		all = append(all, news{p, p.ModifyIndex > 0, nil})
	}
	return all, err
}
