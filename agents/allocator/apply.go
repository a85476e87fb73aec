package main

import (
	"context"
	"errors"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
)

// batch is the set of steps of one transaction.
type batch struct {
	requests []*request
	ops      []fleet.Op
}

// apply commits one step. It returns when the store has accepted it, or when the step must be planned again.
func (al *allocator) apply(ctx context.Context, s fleet.Step) error {
	if al.share.needsRecheck(s) {
		if asPlanned, err := al.recheck(ctx, s); err != nil || !asPlanned {
			return err
		}
	}
	r := &request{step: s, name: s.Instance.String(), done: make(chan error, 1)}
	al.queue.add(r)
	return <-r.done // commitLoop closes the queue when its context ends, so this always returns
}

// maxInFlight bounds the concurrent transactions; maxAhead is how many more are prepared meanwhile, so that the next
// goes out as soon as one ends. The store syncs transactions to disk together when they arrive together.
const (
	maxInFlight = 4
	maxAhead    = 4
)

// commitLoop batches queued steps into transactions until ctx ends. While transactions are in flight, new steps
// accumulate so that many share one transaction; a lone step goes out as soon as no other follows it. Two concurrent
// transactions never touch the same machine, so an allocator does not conflict with itself.
func (al *allocator) commitLoop(ctx context.Context) {
	busy := map[fleet.Spot]bool{}
	ready, ended := make(chan *batch, maxInFlight+maxAhead), make(chan *batch, maxInFlight+maxAhead)
	defer close(ready)
	for range maxInFlight {
		go al.commitWorker(ctx, ready, ended)
	}
	for running := 0; ; {
		most := maxInFlight
		if running == 0 {
			al.queue.waitQuiet()
		} else if !al.queue.yieldToProducers() {
			most += maxAhead // not while steps still arrive: they might share a batch prepared ahead
		}
		for running < most && ctx.Err() == nil {
			b := al.nextBatch(busy)
			if b == nil {
				break
			}
			running++
			ready <- b
		}
		select {
		case <-al.queue.notEmpty:
		case b := <-ended:
			running--
			for _, r := range b.requests {
				delete(busy, r.step.From)
				delete(busy, r.step.To)
			}
		case <-ctx.Done():
			if al.queue.close(ctx.Err()); running == 0 {
				al.logTotals()
				return
			}
			<-ended
			running--
		}
	}
}

// commitWorker commits one batch after another. Batches that have not been sent when ctx ends are dropped.
func (al *allocator) commitWorker(ctx context.Context, ready <-chan *batch, ended chan<- *batch) {
	for b := range ready {
		if err := ctx.Err(); err != nil {
			al.complete(b, nil, err)
		} else {
			al.commit(ctx, b)
		}
		ended <- b
	}
}

// Bounds of one transaction, below the limits of every Consul version.
const (
	maxOps   = store.MaxOps
	maxBytes = 400 << 10
)

// nextBatch takes as many queued steps of one machine as fit into one transaction. Steps that no longer match the
// cache are completed without an error, to be planned again.
func (al *allocator) nextBatch(busy map[fleet.Spot]bool) *batch {
	al.cache.mu.Lock()
	defer al.cache.mu.Unlock()
	return al.queue.take(func(to fleet.Spot) bool { return isBusy(busy, to) },
		func(requests []*request) (*batch, []*request) {
			b, rest := al.fillBatch(requests, busy)
			if b != nil {
				for _, r := range b.requests {
					busy[r.step.From], busy[r.step.To] = true, true
					al.cache.inFlight[r.name] = r
				}
			}
			return b, rest
		})
}

func isBusy(busy map[fleet.Spot]bool, s fleet.Spot) bool { return s != fleet.Spot{} && busy[s] }

// fillBatch builds one transaction from the requests of one machine and returns the requests left over.
func (al *allocator) fillBatch(requests []*request, busy map[fleet.Spot]bool) (b *batch, rest []*request) {
	draft := fleet.NewDraft(al.cache.tree, al.cache)
	b = &batch{requests: make([]*request, 0, min(len(requests), al.options.batch))}
	for i, r := range requests {
		if isBusy(busy, r.step.From) {
			rest = append(rest, r)
			continue
		}
		ops, bytes := draft.Size()
		if len(b.requests) >= al.options.batch || len(b.requests) > 0 && (ops+maxStepOps > maxOps || bytes > maxBytes) {
			if len(rest) == 0 {
				return finish(draft, b), requests[i:]
			}
			return finish(draft, b), append(rest, requests[i:]...)
		}
		if err := draft.Add(r.step); err != nil {
			r.done <- ignoreStale(err)
			continue
		}
		b.requests = append(b.requests, r)
	}
	return finish(draft, b), rest
}

// finish adds the operations to the batch. It returns nil when the batch is empty or cannot be encoded.
func finish(draft *fleet.Draft, b *batch) *batch {
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

// maxStepOps is the most operations one step adds: two ledgers and a third that is only checked, two machines, two
// assignments and the operator's own, the VM spec and the placement.
const maxStepOps = 10

// ignoreStale drops ErrStale: the next pass plans the step again from newer data.
func ignoreStale(err error) error {
	if errors.Is(err, fleet.ErrStale) {
		return nil
	}
	return err
}

// commit runs one transaction. A conflict refreshes the cache from the store.
func (al *allocator) commit(ctx context.Context, b *batch) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	start := time.Now()
	index, err := al.store.Commit(ctx, changes(b.ops))
	al.share.observeLatency(time.Since(start))
	al.countTxn(b, err)
	var updates []update
	switch {
	case err == nil:
		updates = written(b.ops, index)
	case errors.Is(err, store.ErrConflict):
		al.share.clearSuspects()
		updates, err = al.readAgain(ctx, b.ops)
	}
	al.complete(b, updates, err)
}

// complete applies the result to the cache and reports it to every waiting step.
func (al *allocator) complete(b *batch, updates []update, err error) {
	al.cache.completeTxn(updates, b.requests)
	for _, r := range b.requests {
		if err == nil && r.step.Leaves == intent.PhaseLost {
			al.replaceLimit.Allow()
		}
		r.done <- err
	}
}

// commitTimeout bounds one transaction, so that shutdown cannot hang on the store.
const commitTimeout = 4 * time.Second

func changes(ops []fleet.Op) []store.Change {
	all := make([]store.Change, 0, len(ops))
	for _, op := range ops {
		all = append(all, store.Change{Verb: store.Verb(op.Verb), Key: op.Key, Value: op.Value, Index: op.Index})
	}
	return all
}

// update is the new state of one key.
type update struct {
	pair  intent.Pair
	found bool // false: the key does not exist
	value any  // the decoded value, if it is already known
}

// written returns the state of the keys after a committed transaction.
func written(ops []fleet.Op, index uint64) []update {
	updates := make([]update, 0, len(ops))
	for _, op := range ops {
		switch op.Verb {
		case fleet.OpCAS, fleet.OpSet:
			updates = append(updates, update{intent.Pair{Key: op.Key, Value: op.Value, ModifyIndex: index}, true,
				op.Noun})
		case fleet.OpDelete, fleet.OpDeleteCAS:
			updates = append(updates, update{intent.Pair{Key: op.Key, ModifyIndex: index}, false, nil})
		}
	}
	return updates
}

// readAgain reads the keys of a rejected transaction, so that the next pass sees the concurrent change.
func (al *allocator) readAgain(ctx context.Context, ops []fleet.Op) (updates []update, err error) {
	var keys []string
	for _, op := range ops {
		if op.Verb != fleet.OpSet && op.Verb != fleet.OpDelete {
			keys = append(keys, op.Key)
		}
	}
	pairs, err := al.store.Together(ctx, keys)
	for _, p := range pairs {
		updates = append(updates, update{p, p.ModifyIndex > 0, nil})
	}
	return updates, err
}
