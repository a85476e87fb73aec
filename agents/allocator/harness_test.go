package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

var tree, _ = intent.ParseRoot("platypus/")

// memStore is an in-memory store with transactions, and the operators that change the intent in it.
type memStore struct {
	kv       map[string]value
	previous map[string]value // an older state
	index    uint64
	now      time.Time
}

type value struct {
	text  string
	index uint64
}

func newMemStore(t *rapid.T) *memStore {
	w := &memStore{kv: map[string]value{}}
	for n := range rapid.IntRange(1, 6).Draw(t, "machines") {
		w.declare(t, n)
	}
	return w
}

func (w *memStore) put(key, text string) {
	w.index++
	w.kv[key] = value{text, w.index}
}

func (w *memStore) remove(key string) { delete(w.kv, key) }

// declare writes a machine to the inventory. A machine never shrinks, so it must never become overcommitted.
func (w *memStore) declare(t *rapid.T, n int) {
	region := intent.Name(fmt.Sprintf("R%d", n%2))
	key := tree.Machine(region, intent.Name(fmt.Sprintf("m%d", n)))
	m := intent.Machine{Cores: 4 + n, Memory: intent.Size(4+n) * intent.GB, Reserved: intent.Share{Cores: n % 2}}
	m.State = rapid.SampledFrom([]intent.MachineState{"", "", "", intent.MachineCordoned, intent.MachineDraining, intent.MachineDead}).Draw(t, "state")
	m.Labels = rapid.SampledFrom([]map[intent.Name]string{nil, {"disk": "ssd"}}).Draw(t, "labels")
	data, _ := json.Marshal(m)
	w.put(key, string(data))
}

// changeIntent makes random changes as operators would.
func (w *memStore) changeIntent(t *rapid.T) {
	for range rapid.IntRange(1, 3).Draw(t, "changes") {
		name := rapid.SampledFrom([]intent.Name{"a", "b", "c", "d"}).Draw(t, "vm")
		switch rapid.IntRange(0, 5).Draw(t, "what") {
		case 0:
			w.remove(tree.VM(name))
		case 1:
			w.declare(t, rapid.IntRange(0, 5).Draw(t, "n"))
		case 2:
			w.put(tree.Assignment(intent.Name(fmt.Sprintf("m%d", rapid.IntRange(0, 5).Draw(t, "node"))), "slug"), `{"cluster":"own"}`)
		default:
			v := intent.VM{Cores: rapid.IntRange(1, 6).Draw(t, "cores"), Memory: intent.Size(rapid.IntRange(1, 5).Draw(t, "memory")) * intent.GB,
				Count: rapid.IntRange(0, 4).Draw(t, "count"), Region: rapid.SampledFrom([]intent.Regions{{"any"}, {"R0"}, {"R1", "R0"}, {"R9"}}).Draw(t, "region"),
				Spread: rapid.SampledFrom([]intent.Spread{"", intent.SpreadMachine}).Draw(t, "spread")}
			if app := rapid.SampledFrom([]intent.Name{"", "slug", "other"}).Draw(t, "app"); app != "" {
				v.App, v.Cluster = app, "c"
			}
			v.Constraints = rapid.SampledFrom([]map[intent.Name]string{nil, nil, {"disk": "ssd"}}).Draw(t, "constraints")
			data, _ := json.Marshal(v)
			w.put(tree.VM(name), string(data))
		}
	}
}

func (w *memStore) read() *fleet.Fleet {
	var pairs []intent.Pair
	for key, v := range w.kv {
		pairs = append(pairs, intent.Pair{Key: key, Value: []byte(v.text), ModifyIndex: v.index})
	}
	return fleet.Read(tree, pairs)
}

// readMixed returns a fleet whose prefixes are read at different times, as from independent watches.
func (w *memStore) readMixed(t *rapid.T) *fleet.Fleet {
	var pairs []intent.Pair
	for _, prefix := range fleet.Prefixes(tree) {
		from := w.kv
		if rapid.Bool().Draw(t, "old "+string(prefix)) {
			from = w.previous
		}
		for key, v := range from {
			if _, below := prefix.Below(key); below {
				pairs = append(pairs, intent.Pair{Key: key, Value: []byte(v.text), ModifyIndex: v.index})
			}
		}
	}
	return fleet.Read(tree, pairs)
}

// viewOf returns what an allocator observes. Every leaving entry is reclaimable at once.
func (w *memStore) viewOf(f *fleet.Fleet) (Desired, Actual) {
	a := Actual{Fleet: f, Reclaimable: map[EntryID]bool{}, Now: w.now, Budget: 100}
	for _, m := range f.Machines {
		for _, e := range m.Ledger.Entries {
			if e.Phase != intent.PhasePlaced {
				a.Reclaimable[EntryID{m.Spot, e.VM, e.Phase}] = true
			}
		}
	}
	return Desired{VMs: f.VMs}, a
}

func (w *memStore) plan(f *fleet.Fleet) []fleet.Step {
	d, a := w.viewOf(f)
	return plan(d, a)
}

// act applies the plan for one reading, or part of it; with a nil t all of it.
func (w *memStore) act(t *rapid.T, f *fleet.Fleet) {
	for _, s := range w.plan(f) {
		if t != nil && rapid.IntRange(0, 9).Draw(t, "killed") == 0 {
			return
		}
		seen := f
		switch {
		case t == nil || rapid.Bool().Draw(t, "look again"):
			seen = w.read()
		case rapid.Bool().Draw(t, "look at some of it"):
			seen = w.readMixed(t)
		}
		if err := w.commit(seen, s); err != nil && !errors.Is(err, fleet.ErrStale) && !errors.Is(err, errConflict) {
			panic(err)
		}
		if t != nil {
			w.checkInvariants(t)
		}
	}
}

var errConflict = errors.New("conflict")

// commit applies one step with the store's transaction semantics.
func (w *memStore) commit(f *fleet.Fleet, s fleet.Step) error {
	d := fleet.NewDraft(tree, f.Look())
	if err := d.Add(s); err != nil {
		return err
	}
	ops, err := d.Ops()
	if err != nil {
		return err
	}
	for _, op := range ops {
		have, there := w.kv[op.Key]
		switch op.Verb {
		case fleet.OpCAS, fleet.OpDeleteCAS, fleet.OpCheckIndex:
			if have.index != op.Index {
				return errConflict
			}
		case fleet.OpCheckNotExists:
			if there {
				return errConflict
			}
		}
	}
	w.index++
	for _, op := range ops {
		switch op.Verb {
		case fleet.OpCAS, fleet.OpSet:
			w.kv[op.Key] = value{string(op.Value), w.index}
		case fleet.OpDelete, fleet.OpDeleteCAS:
			delete(w.kv, op.Key)
		}
	}
	return nil
}

// placedOn returns the machines of each instance according to the ledgers.
func (w *memStore) placedOn() map[string][]string {
	held := map[string][]string{}
	for name, entries := range w.read().Entries() {
		for _, e := range entries {
			if e.Phase == intent.PhasePlaced {
				held[name] = append(held[name], e.Spot.String())
			}
		}
	}
	return held
}

// checkInvariants recomputes the resource sums without the code under test.
func (w *memStore) checkInvariants(t *rapid.T) {
	t.Helper()
	for name, spots := range w.placedOn() {
		if len(spots) != 1 {
			t.Fatalf("%s is on %v", name, spots)
		}
	}
	for _, m := range w.read().Machines {
		cores, memory, apps := 0, intent.Size(0), map[intent.Name]int{}
		for _, e := range m.Ledger.Entries {
			cores, memory = cores+e.Cores, memory+e.Memory
			apps[e.App]++
		}
		delete(apps, "")
		if cores > m.Spec.Cores-m.Spec.Reserved.Cores || memory > m.Spec.Memory {
			t.Fatalf("%s holds %d cores, %s: %+v", m.Spot, cores, memory, m.Spec)
		}
		for app, n := range apps {
			if n > 1 {
				t.Fatalf("%s has %d instances of %s", m.Spot, n, app)
			}
		}
	}
}

// checkConverged checks the final state: unplaced instances fit nowhere, and all placement records are correct.
func (w *memStore) checkConverged(t *rapid.T) {
	t.Helper()
	f, held := w.read(), w.placedOn()
	wanted := map[string]fleet.VM{}
	for _, v := range f.VMs {
		for n := range v.Spec.Count {
			wanted[intent.Instance{VM: v.Name, Number: n}.String()] = v
		}
	}
	for name := range held {
		if _, is := wanted[name]; !is {
			t.Fatalf("%s has a place, and nobody wants it", name)
		}
	}
	if record := slices.Sorted(maps.Keys(f.Placements)); !slices.Equal(record, slices.Sorted(maps.Keys(wanted))) {
		t.Fatalf("placements %v, wanted %v", record, wanted)
	}
	for name, v := range wanted {
		record := f.Placements[name]
		spots := held[name]
		switch {
		case len(spots) == 1 && (record.State != intent.Placed || fmt.Sprintf("%s/%s", record.Region,
			record.Machine) != spots[0]):
			t.Fatalf("%s is on %v, and %+v is said", name, spots, record)
		case len(spots) == 0 && record.State != intent.Pending:
			t.Fatalf("%s is nowhere, and %+v is said", name, record)
		case len(spots) == 0:
			for _, m := range f.Machines {
				if free(f, m, v, name) {
					t.Fatalf("%s is pending, and %s has room: %+v", name, m.Spot, v.Spec)
				}
			}
		default:
			w.checkAppAssigned(t, f, v, name, spots[0])
		}
	}
}

func (w *memStore) checkAppAssigned(t *rapid.T, f *fleet.Fleet, v fleet.VM, name, spot string) {
	for _, m := range f.Machines {
		if e, here := m.Ledger.Entry(name, intent.PhasePlaced); here && m.Spot.String() == spot && e.App != "" {
			if _, brought := f.Apps[string(m.Name())+"/"+string(e.App)]; !brought {
				t.Fatalf("%s of %s is not brought to %s", e.App, v.Name, spot)
			}
		}
	}
}

// free computes independently whether an instance fits on a machine.
func free(f *fleet.Fleet, m *fleet.Machine, v fleet.VM, name string) bool {
	cores, memory := m.Spec.Cores-m.Spec.Reserved.Cores, m.Spec.Memory
	for _, e := range m.Ledger.Entries {
		cores, memory = cores-e.Cores, memory-e.Memory
		if v.Spec.App != "" && e.App == v.Spec.App || v.Spec.Spread != "" && fleet.VMOf(e.VM) == v.Name {
			return false
		}
	}
	for label, text := range v.Spec.Constraints {
		if m.Spec.Labels[label] != text {
			return false
		}
	}
	if v.Spec.App != "" && m.Claimed[v.Spec.App] {
		return false
	}
	here := slices.Contains(v.Spec.Region, m.Region) || slices.Contains(v.Spec.Region, intent.AnyRegion)
	return here && m.Index > 0 && m.Spec.State == "" && cores >= v.Spec.Cores && memory >= v.Spec.Memory
}
