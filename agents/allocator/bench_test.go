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

// benchPairs is how many allocator and raw blocks BenchmarkCommit alternates, because background load varies by the
// second.
const benchPairs = 15

// BenchmarkCommit places VMs on 99 machines in 10 regions, with one and with up to 16 steps a transaction, and
// compares this with raw transactions of the same operations, sizes and concurrency. The store runs in its own
// process. Each figure is the median over alternating blocks; ours/raw is the median ratio of neighbouring blocks.
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
						h, steps := benchAllocator(b, s, fmt.Sprintf("bench%d/", len(ours)), n.batch, n.vms)
						twin, same := benchAllocator(b, s, fmt.Sprintf("twin%d/", len(ours)), n.batch, n.vms)
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

// BenchmarkConflicts measures the share of rejected transactions when four allocator processes place VMs undisturbed.
func BenchmarkConflicts(b *testing.B) {
	address := storeProcess(b)
	const vms = 120
	all, refused := 0, 0
	for b.Loop() {
		root := fmt.Sprintf("calm%d/", all)
		h := newHarness(b, address, root)
		h.inventory(99, 32)
		group := startGroup(b, 4, root, address)
		testhost.Eventually(b, "all are heard of", func() bool {
			alive, _, err := h.store.List(b.Context(), h.tree.Alives(), store.Consistent)
			return err == nil && len(alive) == 4
		})
		for n := range vms {
			h.put(h.tree.VM(intent.Name(fmt.Sprintf("vm%d", n))), fmt.Sprintf(`{"region":%q,"cores":1,"memory":"8GB"}`, h.region(n)))
		}
		h.waitPlaced(vms)
		commits, _, conflicts := group.end()
		all, refused = all+commits, refused+conflicts
	}
	b.ReportMetric(100*float64(refused)/float64(all), "conflicts-%")
	b.ReportMetric(0, "ns/op")
}

func median[T cmp.Ordered](of []T) T {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// storeProcess runs the embedded store as a process until the test ends and returns its address.
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

// benchAllocator returns an allocator with its own tree, a fleet and VM specs, and the steps to place them.
func benchAllocator(b *testing.B, s *store.Store, root string, batch, vms int) (*allocator, []fleet.Step) {
	b.Helper()
	tree, err := intent.ParseRoot(root)
	if err != nil {
		b.Fatal(err)
	}
	al := &allocator{self: "a1", store: s, options: options{batch: batch, lossAfter: time.Hour},
		cache: newCache(tree), queue: newBatcher(),
		wakeups: make(chan struct{}, 1), replaceLimit: rate.NewLimiter(0, 0),
		metrics: newMetrics(), share: newWorkShare("a1", func() {})}
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
	actual, err := al.observe(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	steps := plan(al.cache.desired(), actual)
	if len(steps) != vms {
		b.Fatalf("%d steps", len(steps))
	}
	return al, steps
}

// applied returns how long the allocator takes to apply the steps.
func applied(b *testing.B, h *allocator, steps []fleet.Step) time.Duration {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	var served sync.WaitGroup
	served.Go(func() { h.commitLoop(ctx) })
	runtime.GC() // keep garbage of the setup out of the measured time
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

// bare builds raw transactions from the steps: the same operations in another tree where they have not been applied.
// Ledgers, whose indexes are not known in advance, are set instead of compared.
func bare(b *testing.B, twin *allocator, steps []fleet.Step) (txns [][]store.Change) {
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
			draft, n := fleet.NewDraft(twin.cache.tree, twin.cache), 0
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
			twin.cache.completeTxn(written(ops, uint64(len(txns)+1_000_000)), nil)
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

// committed returns how long the raw transactions take at the allocator's concurrency.
func committed(b *testing.B, s *store.Store, txns [][]store.Change) time.Duration {
	b.Helper()
	queue := make(chan []store.Change, len(txns))
	for _, t := range txns {
		queue <- t
	}
	close(queue)
	runtime.GC() // keep garbage of the setup out of the measured time
	start := time.Now()
	var all sync.WaitGroup
	for range maxInFlight {
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
