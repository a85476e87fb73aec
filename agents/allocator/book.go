package main

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
)

// book is everything that is known of the store. It is only a cache: what it gets wrong, the store refuses.
type book struct {
	tree   intent.Tree
	mu     sync.Mutex
	stock  inventory
	papers papers
	signs  signs
	moving map[string]*request // by instance: being committed

	version uint64 // counts changes
	seen    view
}

// view is what was made of the book at some version of it. Nobody changes it.
type view struct {
	fleet   *fleet.Fleet
	held    map[string][]fleet.Held
	version uint64
}

// inventory is what people declare of machines.
type inventory struct {
	regions  *table[intent.Region]
	machines *table[intent.Machine]
	claims   *table[struct{}]                // apps that people put on nodes
	claimed  map[string]map[intent.Name]bool // the same, by node
}

// papers are the wishes, and what allocators write.
type papers struct {
	vms        *table[intent.VM]
	ledgers    *table[intent.Ledger]
	placements *table[intent.Placement]
	apps       *table[intent.Assignment]
}

// signs are what is heard of machines.
type signs struct {
	alive   *table[struct{}]
	nodes   map[string]bool       // that are heard of
	reports *table[intent.Report] // of setlive, which knows what runs
	away    map[intent.Name]time.Time
	fading  map[Trace]time.Time // when an entry was first seen to be on its way out
}

// source is a table, whatever it holds.
type source interface {
	from() intent.Prefix
	take(store.Snapshot)
	known() bool
}

func newBook(tree intent.Tree) *book {
	b := &book{tree: tree, moving: map[string]*request{},
		stock: inventory{regions: newTable[intent.Region](tree.Regions()), machines: newTable[intent.Machine](tree.Machines()),
			claims: newTable[struct{}](tree.Nodes())},
		papers: papers{newTable[intent.VM](tree.VMs()), newTable[intent.Ledger](tree.Ledgers()), newTable[intent.Placement](tree.PlacedVMs()),
			newTable[intent.Assignment](tree.PlacedNodes())},
		signs: signs{alive: newTable[struct{}](tree.Alives()), reports: newTable[intent.Report](tree.Statuses().Join("setlive")),
			away: map[intent.Name]time.Time{}, fading: map[Trace]time.Time{}}}
	b.stock.claims.parse = func(intent.Pair) (struct{}, string) { return struct{}{}, "" }
	b.signs.alive.parse = b.stock.claims.parse
	b.signs.reports.parse = readReport
	return b
}

func (b *book) sources() []source {
	return []source{b.papers.vms, b.stock.regions, b.stock.machines, b.stock.claims, b.papers.ledgers, b.papers.placements, b.papers.apps,
		b.signs.alive, b.signs.reports}
}

// complete reports whether everything has been read.
func (b *book) complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sources() {
		if !s.known() {
			return false
		}
	}
	return true
}

// take brings one table up to a snapshot.
func (b *book) take(s source, snapshot store.Snapshot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.take(snapshot)
	b.sort(s)
	if s != source(b.papers.vms) { // wishes are not part of the view
		b.version++
	}
}

// sort brings what is asked by node into that order.
func (b *book) sort(s source) {
	switch s {
	case b.signs.alive:
		b.signs.nodes = map[string]bool{}
		for key := range b.signs.alive.rows {
			node, _, _ := strings.Cut(key, "/")
			b.signs.nodes[node] = true
		}
	case b.stock.claims:
		b.stock.claimed = map[string]map[intent.Name]bool{}
		for key, r := range b.stock.claims.rows {
			node, app, _ := strings.Cut(key, "/")
			if b.stock.claimed[node] == nil {
				b.stock.claimed[node] = map[intent.Name]bool{}
			}
			if !r.gone {
				b.stock.claimed[node][intent.Name(app)] = true
			}
		}
	}
}

// listen has heard called, with the book locked, when a machine's ledger was changed by somebody else.
func (b *book) listen(heard func(region intent.Name)) {
	b.papers.ledgers.heard = func(rest string) {
		region, machine, _ := strings.Cut(rest, "/")
		spot := fleet.Spot{Region: intent.Name(region), Machine: intent.Name(machine)}
		for _, r := range b.moving {
			if r.step.To == spot || r.step.From == spot {
				return // the answer to this allocator's own transaction may be on its way
			}
		}
		heard(spot.Region)
	}
}

// settle takes over what became of a transaction. Until then its steps count as being under way, and never as both.
func (b *book) settle(all []news, requests []*request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(all) > 0 {
		b.version++
	}
	for _, n := range all {
		_ = b.papers.vms.note(n) || b.papers.ledgers.note(n) || b.papers.placements.note(n) ||
			b.papers.apps.note(n) || b.stock.machines.note(n)
		if b.stock.claims.note(n) {
			b.sort(b.stock.claims)
		}
	}
	for _, r := range requests {
		delete(b.moving, r.name)
	}
}

// desired returns the wishes.
func (b *book) desired() Desired {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := Desired{VMs: make([]fleet.VM, 0, len(b.papers.vms.rows)), Index: b.papers.vms.index}
	for _, name := range sortedKeys(b.papers.vms.rows) {
		if _, err := intent.ParseVMName(name); err == nil && !b.papers.vms.rows[name].gone {
			d.VMs = append(d.VMs, b.Wish(intent.Name(name)))
		}
	}
	return d
}

// current are the steps whose wish is still known as it was planned for. Of the others a refused transaction has shown
// that there is a newer one, which is on its way.
func (b *book) current(d Desired, steps []fleet.Step) []fleet.Step {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(steps, func(s fleet.Step) bool {
		planned, _ := d.vm(s.Instance.VM)
		return b.Wish(s.Instance.VM).Index != planned.Index
	})
}

// Wish returns a vm as it is known now.
func (b *book) Wish(name intent.Name) fleet.VM {
	r, ok := b.papers.vms.get(string(name))
	if !ok {
		return fleet.VM{Name: name}
	}
	return fleet.VM{Name: name, Spec: r.noun, Index: r.index, Fault: r.fault}
}

// Placement returns what is said of an instance.
func (b *book) Placement(instance string) fleet.Placed {
	r, ok := b.papers.placements.get(instance)
	if !ok {
		return fleet.Placed{Index: 0}
	}
	return fleet.Placed{Placement: r.noun, Index: r.index, Fault: r.fault}
}

// Machine returns a machine as it is known now, or nil.
func (b *book) Machine(s fleet.Spot) *fleet.Machine {
	declared, isDeclared := b.stock.machines.get(s.String())
	ledger, isHeld := b.papers.ledgers.get(s.String())
	if !isDeclared && !isHeld {
		return nil
	}
	m := &fleet.Machine{Spot: s, Away: b.isAway(s.Machine), Claimed: b.stock.claimed[string(s.Machine)]}
	if isDeclared {
		m.Declare(declared.noun, declared.index, declared.fault)
	}
	if isHeld {
		m.Hold(ledger.noun, ledger.index, ledger.fault)
	}
	return m
}
