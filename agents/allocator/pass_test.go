package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
)

// BenchmarkPass measures a pass over 10,000 machines in 10 regions with 80,000 placed VMs: without a change, with one
// new VM, and with a lost machine. The measured time includes applying the watch snapshot.
func BenchmarkPass(b *testing.B) {
	g := newLargeFleet(10_000, 80_000)
	b.Run("steady", func(b *testing.B) {
		h := g.allocator(b)
		d, start := h.cache.desired(), processor()
		for b.Loop() {
			if steps := g.pass(b, h, d); len(steps) != 0 {
				b.Fatal(steps[0])
			}
		}
		reportCPU(b, start, 1)
	})
	b.Run("one-vm", func(b *testing.B) {
		h, start := g.allocator(b), processor()
		for b.Loop() {
			g.index++
			added := intent.Pair{Key: tree.VM("zz-new"), Value: []byte(`{"region":"R3","cores":1,"memory":"8GB"}`), ModifyIndex: g.index}
			h.cache.replace(h.cache.alloc.vms, store.Snapshot{Pairs: append(g.vms[:len(g.vms):len(g.vms)], added),
				Index: g.index})
			if steps := g.pass(b, h, h.cache.desired()); len(steps) != 1 {
				b.Fatalf("%d steps", len(steps))
			}
		}
		reportCPU(b, start, 1)
	})
	b.Run("lost-machine", func(b *testing.B) {
		h := g.allocator(b)
		d, start := h.cache.desired(), processor()
		for b.Loop() {
			g.index++
			h.cache.replace(h.cache.live.alive, store.Snapshot{Pairs: g.alive[:len(g.alive)-1], Index: g.index})
			g.pass(b, h, d) // from now on it is known to be unreachable
			h.options.lossAfter = 0
			if steps := g.pass(b, h, d); len(steps) != 8 {
				b.Fatalf("%d steps", len(steps))
			}
			g.index++
			h.cache.replace(h.cache.live.alive, store.Snapshot{Pairs: g.alive, Index: g.index})
			h.options.lossAfter = time.Hour
		}
		reportCPU(b, start, 2)
	})
	b.Run("memory", func(b *testing.B) {
		before := heap()
		h := g.allocator(b)
		for b.Loop() {
			g.pass(b, h, h.cache.desired())
		}
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB-known")
		runtime.KeepAlive(h)
	})
}

// reportCPU reports the CPU time of a pass including garbage collection: wall time means little on a busy machine.
func reportCPU(b *testing.B, start time.Duration, passes int) {
	b.ReportMetric(float64((processor()-start).Milliseconds())/float64(b.N*passes), "cpu-ms/pass")
	b.ReportMetric(0, "ns/op")
}

func processor() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// largeFleet is a large converged fleet as store pairs.
type largeFleet struct {
	machines, vms, ledgers, placements, alive, reports []intent.Pair
	index                                              uint64
}

func newLargeFleet(machines, vms int) *largeFleet {
	g := &largeFleet{index: 1}
	pair := func(key string, value any) intent.Pair {
		data, _ := json.Marshal(value)
		return intent.Pair{Key: key, Value: data, ModifyIndex: 1}
	}
	entries := make([][]intent.Entry, machines)
	for n := range vms {
		region, at := intent.Name(fmt.Sprintf("R%d", n%10)), n%machines
		name := intent.Name(fmt.Sprintf("vm%06d", n))
		i := intent.Instance{VM: name}
		v := intent.VM{Region: intent.Regions{region}, Cores: 1, Memory: 8 * intent.GB, Count: 1}
		g.vms = append(g.vms, pair(tree.VM(name), v))
		entries[at] = append(entries[at], intent.Entry{VM: i.String(), Cores: 1, Memory: 8 * intent.GB, Intent: 1})
		g.placements = append(g.placements, pair(tree.PlacedVM(i), intent.Placement{State: intent.Placed, Region: region, Machine: machineName(at), Attempt: 1}))
	}
	for n := range machines {
		region, name := intent.Name(fmt.Sprintf("R%d", n%10)), machineName(n)
		g.machines = append(g.machines, pair(tree.Machine(region, name), intent.Machine{Cores: 32, Memory: 2 * intent.TB}))
		g.ledgers = append(g.ledgers, pair(tree.Ledger(region, name), intent.Ledger{Entries: entries[n]}))
		g.alive = append(g.alive, pair(tree.Alive(name, "setlive"), struct{}{}))
		g.reports = append(g.reports, pair(tree.Status("setlive", name), intent.Report{Agent: "setlive", Node: name, Subjects: map[string]intent.State{}}))
	}
	return g
}

func machineName(n int) intent.Name { return intent.Name(fmt.Sprintf("m%05d", n)) }

// allocator returns an allocator whose cache holds the whole fleet.
func (g *largeFleet) allocator(b *testing.B) *allocator {
	b.Helper()
	al := &allocator{self: "a1", options: options{batch: 16, lossAfter: time.Hour}, cache: newCache(tree),
		queue:   newBatcher(),
		wakeups: make(chan struct{}, 1), replaceLimit: rate.NewLimiter(1000, 1000),
		metrics: newMetrics(), share: newWorkShare("a1", func() {})}
	al.watching.Store(true)
	for s, pairs := range map[anyReplica][]intent.Pair{al.cache.alloc.vms: g.vms,
		al.cache.inventory.machines: g.machines, al.cache.alloc.ledgers: g.ledgers,
		al.cache.alloc.placements: g.placements, al.cache.live.alive: g.alive, al.cache.live.reports: g.reports} {
		al.cache.replace(s, store.Snapshot{Pairs: pairs, Index: g.index})
	}
	g.pass(b, al, al.cache.desired())
	return al
}

// pass runs observe, plan and states once.
func (g *largeFleet) pass(b *testing.B, al *allocator, d Desired) []fleet.Step {
	b.Helper()
	a, err := al.observe(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if o, w := owned(a), wanted(d); len(o) > len(w) {
		b.Fatal("more is held than wanted")
	}
	steps := al.plan(d, a)
	al.states(d, a)
	return steps
}
