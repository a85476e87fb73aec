package main

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
)

// settled is how long after an entry began to leave a node that is heard of must have noticed: nodes read everything
// again every minute.
const settled = 70 * time.Second

// observe puts together what is held and what is known of the machines. Without a watch it reads the store.
func (h *hands) observe(ctx context.Context) (Actual, error) {
	h.meters.began = time.Now()
	if !h.watching.Load() {
		if err := h.read(ctx); err != nil {
			return Actual{}, err
		}
	}
	now := time.Now()
	a := h.book.actual(now, h.options.lossAfter)
	a.Budget = int(math.Floor(h.replacing.TokensAt(now)))
	return a, nil
}

// read lists everything once.
func (h *hands) read(ctx context.Context) error {
	for _, s := range h.book.sources() {
		pairs, index, err := h.store.List(ctx, s.from(), store.Default)
		if err != nil {
			return err
		}
		h.book.take(s, store.Snapshot{Pairs: pairs, Index: index})
	}
	return nil
}

// actual is what the book says, at this time.
func (b *book) actual(now time.Time, lossAfter time.Duration) Actual {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, held := b.look()
	a := Actual{Fleet: f, held: held, Moving: make(map[string]fleet.Step, len(b.moving)), Gone: map[Trace]bool{}, Now: now}
	for name, r := range b.moving {
		a.Moving[name] = r.step
	}
	a.Lost = b.lost(a.Fleet, now, lossAfter)
	fading := map[Trace]time.Time{}
	for _, m := range a.Fleet.Machines {
		for _, e := range m.Ledger.Entries {
			if e.Phase == intent.PhasePlaced {
				continue
			}
			t := Trace{m.Spot, e.VM, e.Phase}
			if fading[t] = b.signs.fading[t]; fading[t].IsZero() {
				fading[t] = now
			}
			if b.isGone(m, e, now.Sub(fading[t])) {
				a.Gone[t] = true
			}
		}
	}
	b.signs.fading = fading
	return a
}

// look returns the fleet and its entries, which are put together anew only when something of them has changed.
func (b *book) look() (*fleet.Fleet, map[string][]fleet.Held) {
	if b.seen.fleet == nil || b.seen.version != b.version {
		f := b.fleet()
		b.seen = view{f, f.Entries(), b.version}
	}
	return b.seen.fleet, b.seen.held
}

// fleet is all tables but the wishes, put together.
func (b *book) fleet() *fleet.Fleet {
	f := &fleet.Fleet{Regions: map[intent.Name]intent.Region{}, Placements: make(map[string]fleet.Placed, len(b.papers.placements.rows)), Apps: map[string]fleet.App{}}
	for code, r := range b.stock.regions.rows {
		f.Regions[intent.Name(code)] = r.noun
	}
	at := make(map[string]*fleet.Machine, len(b.stock.machines.rows))
	machine := func(key string) *fleet.Machine {
		if m := at[key]; m != nil {
			return m
		}
		region, name, _ := strings.Cut(key, "/")
		m := &fleet.Machine{Spot: fleet.Spot{Region: intent.Name(region), Machine: intent.Name(name)}, Away: b.isAway(intent.Name(name)),
			Claimed: b.stock.claimed[name]}
		at[key] = m
		f.Machines = append(f.Machines, m)
		return m
	}
	for key, r := range b.stock.machines.rows {
		if !r.gone {
			machine(key).Declare(r.noun, r.index, r.fault)
		}
	}
	for key, r := range b.papers.ledgers.rows {
		if !r.gone {
			machine(key).Hold(r.noun, r.index, r.fault)
		}
	}
	for name, r := range b.papers.placements.rows {
		if !r.gone {
			f.Placements[name] = fleet.Placed{Placement: r.noun, Index: r.index, Fault: r.fault}
		}
	}
	for key, r := range b.papers.apps.rows {
		if node, app, _ := strings.Cut(key, "/"); !r.gone {
			f.Apps[key] = fleet.App{Node: intent.Name(node), App: intent.Name(app), Cluster: r.noun.Cluster, Index: r.index}
		}
	}
	fleet.Sort(f)
	return f
}

// isAway reports whether agents ran on a node and none is heard of: nothing is known of a node that never had any.
func (b *book) isAway(node intent.Name) bool {
	if _, ran := b.signs.reports.get(string(node)); !ran {
		return false
	}
	return !b.signs.nodes[string(node)]
}

// lost returns the machines that have been away for long. When most of a region's are away at once, it is more likely
// that the store or the network is at fault than all of them, and nobody is replaced.
func (b *book) lost(f *fleet.Fleet, now time.Time, after time.Duration) map[intent.Name]bool {
	away, followed := map[intent.Name]int{}, map[intent.Name]int{}
	since := map[intent.Name]time.Time{}
	for _, m := range f.Machines {
		if _, ran := b.signs.reports.get(string(m.Name())); ran {
			followed[m.Region]++
		}
		if m.Away {
			away[m.Region]++
			if since[m.Name()] = b.signs.away[m.Name()]; since[m.Name()].IsZero() {
				since[m.Name()] = now
			}
		}
	}
	b.signs.away = since
	lost := map[intent.Name]bool{}
	for _, m := range f.Machines {
		suspicious := away[m.Region] >= 2 && 2*away[m.Region] > followed[m.Region]
		if m.Away && !suspicious && now.Sub(since[m.Name()]) >= after {
			lost[m.Name()] = true
		}
	}
	return lost
}

// isGone reports whether nothing of an entry that leaves, or was lost, can still be running.
func (b *book) isGone(m *fleet.Machine, e intent.Entry, fading time.Duration) bool {
	report, ran := b.signs.reports.get(string(m.Name()))
	_, heard := b.signs.alive.get(string(m.Name()) + "/setlive")
	_, there := report.noun.Subjects[string(e.App)]
	switch {
	case m.Index > 0 && m.Spec.Is(intent.MachineDead), !ran && !b.signs.nodes[string(m.Name())]:
		return true // a person said so, or there never was an agent that could run anything
	case !ran:
		return fading > settled // its first report may be on its way
	case e.App == "":
		return !m.Away
	case !heard || there:
		return false
	}
	return report.noun.IntentIndex >= m.LedgerIndex || fading > settled
}

// readReport reads what setlive says. Only what it has and when it looked matters here.
func readReport(p intent.Pair) (intent.Report, string) {
	var r intent.Report
	if err := json.Unmarshal(p.Value, &r); err != nil {
		return intent.Report{}, err.Error()
	}
	return r, ""
}

// peers are the allocators that are heard of, sorted; this one is always among them.
func (b *book) peers(self intent.Name) []intent.Name {
	b.mu.Lock()
	defer b.mu.Unlock()
	peers := []intent.Name{self}
	for key, r := range b.signs.alive.rows {
		if node, ok := strings.CutSuffix(key, "/"+program); ok && !r.gone && node != string(self) {
			peers = append(peers, intent.Name(node))
		}
	}
	slices.Sort(peers)
	return peers
}
