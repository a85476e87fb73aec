package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/embedtest"
)

// benchVMs is how many vms each round of BenchmarkCommit places.
const benchVMs = 960

// BenchmarkCommit places vms on 99 machines in 10 regions, with a transaction for each and with up to 16 in one, beside
// bare transactions of as many operations and bytes, as many at once.
func BenchmarkCommit(b *testing.B) {
	for name, start := range map[string]func(testing.TB) string{
		"embedded": embedtest.Start, "consul": func(t testing.TB) string { return testhost.Consul(t, "bench") },
	} {
		for kind, batch := range map[string]int{"one": 1, "batched": 16} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				s, err := store.Open(store.Config{Address: start(b)})
				if err != nil {
					b.Fatal(err)
				}
				var ours, raw time.Duration
				rounds := 0
				for b.Loop() {
					h, steps := benchHands(b, s, fmt.Sprintf("bench%d/", rounds), batch)
					txns := bare(b, h, steps, batch)
					rounds++
					if rounds%2 == 0 { // in turns, so that neither always finds the warmer store
						raw += committed(b, s, txns)
						ours += applied(b, h, steps)
					} else {
						ours += applied(b, h, steps)
						raw += committed(b, s, txns)
					}
				}
				vms := float64(benchVMs * rounds)
				b.ReportMetric(vms/ours.Seconds(), "vms/s")
				b.ReportMetric(vms/raw.Seconds(), "raw-vms/s")
				b.ReportMetric(raw.Seconds()/ours.Seconds(), "ours/raw")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// benchHands are hands on a tree of their own with a fleet and wishes, and what is to be done there.
func benchHands(b *testing.B, s *store.Store, root string, batch int) (*hands, []fleet.Step) {
	b.Helper()
	tree, err := intent.ParseRoot(root)
	if err != nil {
		b.Fatal(err)
	}
	h := &hands{self: "a1", store: s, options: options{batch: batch, lossAfter: time.Hour}, book: newBook(tree), asked: make(chan *request),
		wake: make(chan struct{}, 1), replacing: rate.NewLimiter(0, 0), turn: newTurn("a1", func() {})}
	var changes []store.Change
	for n := range 99 {
		key := tree.Machine(intent.Name(fmt.Sprintf("R%d", n%10)), intent.Name(fmt.Sprintf("m%d", n)))
		changes = append(changes, store.Change{Verb: store.Set, Key: key, Value: []byte(`{"cores":32,"memory":"2TB"}`)})
	}
	for n := range benchVMs {
		changes = append(changes, store.Change{Verb: store.Set, Key: tree.VM(intent.Name(fmt.Sprintf("vm%d", n))),
			Value: []byte(fmt.Sprintf(`{"region":"R%d","cores":1,"memory":"8GB"}`, n%10))})
	}
	for len(changes) > 0 {
		n := min(len(changes), store.MaxOps)
		if _, err := s.Commit(b.Context(), changes[:n]); err != nil {
			b.Fatal(err)
		}
		changes = changes[n:]
	}
	actual, err := h.observe(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	steps := plan(h.book.desired(), actual)
	if len(steps) != benchVMs {
		b.Fatalf("%d steps", len(steps))
	}
	return h, steps
}

// applied is how long the allocator takes for the steps.
func applied(b *testing.B, h *hands, steps []fleet.Step) time.Duration {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	var served sync.WaitGroup
	served.Go(func() { h.serve(ctx) })
	start := time.Now()
	var all sync.WaitGroup
	for _, s := range steps {
		all.Go(func() {
			if err := h.apply(ctx, s); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
	took := time.Since(start)
	stop()
	served.Wait()
	if n := h.steps.Load(); n != int64(len(steps)) {
		b.Fatalf("%d of %d steps were done", n, len(steps))
	}
	return took
}

// bare makes plain transactions out of the steps: as many operations of the same sizes, in another place.
func bare(b *testing.B, h *hands, steps []fleet.Step, batch int) (txns [][]store.Change) {
	b.Helper()
	scratch := &hands{store: h.store, book: newBook(h.book.tree), options: h.options, replacing: h.replacing}
	if err := scratch.read(b.Context()); err != nil {
		b.Fatal(err)
	}
	byMachine, order := map[fleet.Spot][]fleet.Step{}, []fleet.Spot{}
	for _, s := range steps {
		if byMachine[s.To] == nil {
			order = append(order, s.To)
		}
		byMachine[s.To] = append(byMachine[s.To], s)
	}
	for left := len(steps); left > 0; {
		for _, spot := range order {
			draft, n := fleet.NewDraft(scratch.book.tree, scratch.book), 0
			for ; n < len(byMachine[spot]) && n < batch; n++ {
				if err := draft.Add(byMachine[spot][n]); err != nil {
					b.Fatal(err)
				}
			}
			if n == 0 {
				continue
			}
			byMachine[spot], left = byMachine[spot][n:], left-n
			ops, err := draft.Ops()
			if err != nil {
				b.Fatal(err)
			}
			scratch.book.settle(written(ops, uint64(len(txns)+1_000_000)), nil)
			txns = append(txns, plain(ops, len(txns)))
		}
	}
	return txns
}

// plain is a transaction of as many operations that writes the same values elsewhere.
func plain(ops []fleet.Op, n int) (txn []store.Change) {
	for _, op := range ops {
		if op.Value != nil {
			txn = append(txn, store.Change{Verb: store.Set, Key: "raw/" + op.Key, Value: op.Value})
		} else {
			txn = append(txn, store.Change{Verb: store.CheckNotExists, Key: fmt.Sprintf("raw-not-there/%s-%d", op.Key, n)})
		}
	}
	return txn
}

// committed is how long plain transactions take, as many at once as the allocator has.
func committed(b *testing.B, s *store.Store, txns [][]store.Change) time.Duration {
	b.Helper()
	queue := make(chan []store.Change, len(txns))
	for _, t := range txns {
		queue <- t
	}
	close(queue)
	start := time.Now()
	var all sync.WaitGroup
	for range inFlight {
		all.Go(func() {
			for t := range queue {
				if _, err := s.Commit(b.Context(), t); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
	return time.Since(start)
}
