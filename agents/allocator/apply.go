package main

import (
	"context"
	"errors"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
)

// request is a step that waits for its transaction.
type request struct {
	step fleet.Step
	done chan error
}

// batch is the steps of one transaction.
type batch struct {
	requests []*request
	ops      []fleet.Op
}

// apply does one step: it returns when the store has taken it, or when it is clear that it must be planned anew.
func (h *hands) apply(ctx context.Context, s fleet.Step) error {
	r := &request{step: s, done: make(chan error, 1)}
	select {
	case h.asked <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-r.done
}

// inFlight is how many transactions are under way at once.
const inFlight = 4

// serve makes transactions out of steps until ctx ends. While some are under way the steps that come meanwhile gather,
// so that a lone step goes at once and many share one transaction. Steps that touch one machine never are in two
// transactions at once: an allocator has no conflicts with itself.
func (h *hands) serve(ctx context.Context) {
	var waiting []*request
	busy := map[fleet.Spot]bool{}
	ended := make(chan *batch)
	for running := 0; ; {
		for running < inFlight && len(waiting) > 0 && ctx.Err() == nil {
			var b *batch
			if b, waiting = h.gather(waiting, busy); b == nil {
				break
			}
			running++
			go func() {
				h.commit(ctx, b)
				ended <- b
			}()
		}
		select {
		case r := <-h.asked:
			waiting = append(waiting, r)
		case b := <-ended:
			running--
			for _, r := range b.requests {
				delete(busy, r.step.From)
				delete(busy, r.step.To)
			}
		case <-ctx.Done():
			for _, r := range waiting {
				r.done <- ctx.Err()
			}
			if waiting = nil; running == 0 {
				h.tell()
				return
			}
			<-ended
			running--
		}
		for more := true; more; { // take what is there already
			select {
			case r := <-h.asked:
				waiting = append(waiting, r)
			default:
				more = false
			}
		}
	}
}

// Bounds of one transaction, below those of every Consul there is.
const (
	maxOps   = store.MaxOps
	maxBytes = 400 << 10
)

// gather puts as many waiting steps of one machine as go into one transaction. Those that no longer fit what is known are ended, to be
// planned anew.
func (h *hands) gather(waiting []*request, busy map[fleet.Spot]bool) (*batch, []*request) {
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	draft, b := fleet.NewDraft(h.book.tree, h.book), &batch{}
	var rest []*request
	for i, r := range waiting {
		if busy[r.step.From] && r.step.From != (fleet.Spot{}) || busy[r.step.To] && r.step.To != (fleet.Spot{}) {
			rest = append(rest, r)
			continue
		}
		if ops, bytes := draft.Size(); len(b.requests) > 0 && (ops+stepOps > maxOps || bytes > maxBytes) {
			rest = append(rest, waiting[i:]...)
			break
		}
		if len(b.requests) > 0 && r.step.To != b.requests[0].step.To {
			rest = append(rest, r) // another machine's steps need not wait for these
			continue
		}
		if err := draft.Add(r.step); err != nil {
			r.done <- stale(err)
			continue
		}
		b.requests = append(b.requests, r)
		if len(b.requests) >= h.options.batch {
			rest = append(rest, waiting[i+1:]...)
			break
		}
	}
	if len(b.requests) == 0 {
		return nil, rest
	}
	var err error
	if b.ops, err = draft.Ops(); err != nil {
		for _, r := range b.requests {
			r.done <- err
		}
		return nil, rest
	}
	for _, r := range b.requests {
		busy[r.step.From], busy[r.step.To] = true, true
		h.book.moving[r.step.Instance.String()] = r.step
	}
	return b, rest
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

// commit runs one transaction and tells every step of it what became of it.
func (h *hands) commit(ctx context.Context, b *batch) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitPatience)
	defer cancel()
	index, err := h.store.Commit(ctx, changes(b.ops))
	h.count(b, err)
	var news []news
	switch {
	case err == nil:
		news = written(b.ops, index)
	case errors.Is(err, store.ErrConflict):
		h.turn.trust()
		news, err = h.refresh(ctx, b.ops)
	}
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
func written(ops []fleet.Op, index uint64) (all []news) {
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
	for _, op := range ops {
		if op.Verb == fleet.OpSet || op.Verb == fleet.OpDelete {
			continue
		}
		p, found, err := h.store.Get(ctx, op.Key, store.Default)
		if err != nil {
			return all, err
		}
		p.Key = op.Key
		all = append(all, news{p, found, nil})
	}
	return all, nil
}
