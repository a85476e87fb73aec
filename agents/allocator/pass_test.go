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

// BenchmarkPass is what a pass costs at 10,000 machines in 10 regions with 80,000 vms, each of which has its place: when
// nothing has changed, when one vm came, and when a machine with its vms is lost. The watch's part is in it: the
// snapshot that brings the change is taken over within the time.
func BenchmarkPass(b *testing.B) {
	g := newGiant(10_000, 80_000)
	b.Run("steady", func(b *testing.B) {
		h := g.hands(b)
		d, start := h.book.desired(), processor()
		for b.Loop() {
			if steps := g.pass(b, h, d); len(steps) != 0 {
				b.Fatal(steps[0])
			}
		}
		busy(b, start, 1)
	})
	b.Run("one-vm", func(b *testing.B) {
		h, start := g.hands(b), processor()
		for b.Loop() {
			g.index++
			added := intent.Pair{Key: tree.VM("zz-new"), Value: []byte(`{"region":"R3","cores":1,"memory":"8GB"}`), ModifyIndex: g.index}
			h.book.take(h.book.papers.vms, store.Snapshot{Pairs: append(g.vms[:len(g.vms):len(g.vms)], added), Index: g.index})
			if steps := g.pass(b, h, h.book.desired()); len(steps) != 1 {
				b.Fatalf("%d steps", len(steps))
			}
		}
		busy(b, start, 1)
	})
	b.Run("lost-machine", func(b *testing.B) {
		h := g.hands(b)
		d, start := h.book.desired(), processor()
		for b.Loop() {
			g.index++
			h.book.take(h.book.signs.alive, store.Snapshot{Pairs: g.alive[:len(g.alive)-1], Index: g.index})
			g.pass(b, h, d) // from now on it is known to be away
			h.options.lossAfter = 0
			if steps := g.pass(b, h, d); len(steps) != 8 {
				b.Fatalf("%d steps", len(steps))
			}
			g.index++
			h.book.take(h.book.signs.alive, store.Snapshot{Pairs: g.alive, Index: g.index})
			h.options.lossAfter = time.Hour
		}
		busy(b, start, 2)
	})
	b.Run("memory", func(b *testing.B) {
		before := heap()
		h := g.hands(b)
		for b.Loop() {
			g.pass(b, h, h.book.desired())
		}
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB-known")
		runtime.KeepAlive(h)
	})
}

// busy reports the processor time of a pass since start, the collector's included: how long it takes on a machine that has
// other things to do says little.
func busy(b *testing.B, start time.Duration, passes int) {
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

// giant is a large fleet at rest, as a store would tell of it.
type giant struct {
	machines, vms, ledgers, placements, alive, reports []intent.Pair
	index                                              uint64
}

func newGiant(machines, vms int) *giant {
	g := &giant{index: 1}
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

// hands know all of it.
func (g *giant) hands(b *testing.B) *hands {
	b.Helper()
	h := &hands{self: "a1", options: options{batch: 16, lossAfter: time.Hour}, book: newBook(tree), waiting: newQueue(),
		wake: make(chan struct{}, 1), replacing: rate.NewLimiter(1000, 1000), tally: tally{meters: newMeters()}, turn: newTurn("a1", func() {})}
	h.watching.Store(true)
	for s, pairs := range map[source][]intent.Pair{h.book.papers.vms: g.vms, h.book.stock.machines: g.machines, h.book.papers.ledgers: g.ledgers,
		h.book.papers.placements: g.placements, h.book.signs.alive: g.alive, h.book.signs.reports: g.reports} {
		h.book.take(s, store.Snapshot{Pairs: pairs, Index: g.index})
	}
	g.pass(b, h, h.book.desired())
	return h
}

// pass is all that the loop does in one: what to do, and what to tell.
func (g *giant) pass(b *testing.B, h *hands, d Desired) []fleet.Step {
	b.Helper()
	a, err := h.observe(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if o, w := owned(a), wanted(d); len(o) > len(w) {
		b.Fatal("more is held than wanted")
	}
	steps := h.plan(d, a)
	h.states(d, a)
	return steps
}
