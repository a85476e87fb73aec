package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/platypus-platform/platypus/agents/internal/testhost"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
)

// benchPairs is how many blocks of the allocator and of bare transactions BenchmarkCommit has in turn: what the machine
// does besides comes and goes by the second.
const benchPairs = 15

// BenchmarkCommit places vms on 99 machines in 10 regions, with a transaction for each and with up to 16 in one, beside
// bare transactions of the same operations and bytes, as many at once. The store is a process of its own. A figure is
// the median of blocks in turn, and ours/raw that of what two neighbours say of each other.
func BenchmarkCommit(b *testing.B) {
	for name, start := range map[string]func(testing.TB) string{
		"embedded": storeProcess, "consul": func(t testing.TB) string { return testhost.Consul(t, "bench") },
	} {
		for kind, n := range map[string]struct{ batch, vms int }{"one": {1, 240}, "batched": {16, 960}} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				s, err := store.Open(store.Config{Address: start(b)})
				if err != nil {
					b.Fatal(err)
				}
				var ours, raw []time.Duration
				var ratios []float64
				commits, bares := int64(0), 0
				for b.Loop() {
					for range benchPairs {
						h, steps := benchHands(b, s, fmt.Sprintf("bench%d/", len(ours)), n.batch, n.vms)
						twin, same := benchHands(b, s, fmt.Sprintf("twin%d/", len(ours)), n.batch, n.vms)
						txns := bare(b, twin, same)
						if len(ours)%2 == 0 { // so that neither always finds the warmer store
							raw = append(raw, committed(b, s, txns))
						}
						ours = append(ours, applied(b, h, steps))
						if len(raw) < len(ours) {
							raw = append(raw, committed(b, s, txns))
						}
						ratios = append(ratios, raw[len(raw)-1].Seconds()/ours[len(ours)-1].Seconds())
						commits, bares = commits+h.commits.Load(), bares+len(txns)
					}
				}
				b.ReportMetric(float64(n.vms)/median(ours).Seconds(), "vms/s")
				b.ReportMetric(float64(n.vms)/median(raw).Seconds(), "raw-vms/s")
				b.ReportMetric(median(ratios), "ours/raw")
				b.ReportMetric(float64(commits)/float64(bares), "txns/raw-txns")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkConflicts is how many transactions are refused when four allocators, as processes, place vms undisturbed.
func BenchmarkConflicts(b *testing.B) {
	address := storeProcess(b)
	const vms = 120
	all, refused := 0, 0
	for b.Loop() {
		root := fmt.Sprintf("calm%d/", all)
		k := newKitchen(b, address, root)
		k.inventory(99, 32)
		crew := newCrew(b, 4, root, address)
		testhost.Eventually(b, "all are heard of", func() bool {
			alive, _, err := k.store.List(b.Context(), k.tree.Alives(), store.Consistent)
			return err == nil && len(alive) == 4
		})
		for n := range vms {
			k.put(k.tree.VM(intent.Name(fmt.Sprintf("vm%d", n))), fmt.Sprintf(`{"region":%q,"cores":1,"memory":"8GB"}`, k.region(n)))
		}
		k.settled(vms)
		commits, _, conflicts := crew.end()
		all, refused = all+commits, refused+conflicts
	}
	b.ReportMetric(100*float64(refused)/float64(all), "conflicts-%")
	b.ReportMetric(0, "ns/op")
}

func median[T cmp.Ordered](of []T) T {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// storeProcess runs the one-machine store as a process that ends with the test, and returns its address.
func storeProcess(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, t.TempDir())
	cmd.Env = append(os.Environ(), "PLATYPUS_TEST_PROGRAM="+storeProgram)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// benchHands are hands on a tree of their own with a fleet and wishes, and what is to be done there.
func benchHands(b *testing.B, s *store.Store, root string, batch, vms int) (*hands, []fleet.Step) {
	b.Helper()
	tree, err := intent.ParseRoot(root)
	if err != nil {
		b.Fatal(err)
	}
	h := &hands{self: "a1", store: s, options: options{batch: batch, lossAfter: time.Hour}, book: newBook(tree), waiting: newQueue(),
		wake: make(chan struct{}, 1), replacing: rate.NewLimiter(0, 0), tally: tally{meters: newMeters()}, turn: newTurn("a1", func() {})}
	var changes []store.Change
	for n := range 99 {
		key := tree.Machine(intent.Name(fmt.Sprintf("R%d", n%10)), intent.Name(fmt.Sprintf("m%d", n)))
		changes = append(changes, store.Change{Verb: store.Set, Key: key, Value: []byte(`{"cores":32,"memory":"2TB"}`)})
	}
	for n := range vms {
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
	if len(steps) != vms {
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
	runtime.GC() // what was prepared is not to be swept up in the measured time
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

// bare makes plain transactions out of the steps: the same operations on another tree, where they have not been done. Only
// the ledgers, whose indexes are not known beforehand, are set instead of compared.
func bare(b *testing.B, twin *hands, steps []fleet.Step) (txns [][]store.Change) {
	b.Helper()
	byMachine, order := map[fleet.Spot][]fleet.Step{}, []fleet.Spot{}
	for _, s := range steps {
		if byMachine[s.To] == nil {
			order = append(order, s.To)
		}
		byMachine[s.To] = append(byMachine[s.To], s)
	}
	for left := len(steps); left > 0; {
		for _, spot := range order {
			draft, n := fleet.NewDraft(twin.book.tree, twin.book), 0
			for ; n < len(byMachine[spot]) && n < twin.options.batch; n++ {
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
			twin.book.settle(written(ops, uint64(len(txns)+1_000_000)), nil)
			for i, op := range ops {
				if _, ledger := op.Noun.(intent.Ledger); ledger {
					ops[i].Verb, ops[i].Index = fleet.OpSet, 0
				}
			}
			txns = append(txns, changes(ops))
		}
	}
	return txns
}

// committed is how long plain transactions take, as many at once as the allocator has.
func committed(b *testing.B, s *store.Store, txns [][]store.Change) time.Duration {
	b.Helper()
	queue := make(chan []store.Change, len(txns))
	for _, t := range txns {
		queue <- t
	}
	close(queue)
	runtime.GC() // what was prepared is not to be swept up in the measured time
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
