package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

// TestPlan_StaleConcurrentReads_Converges runs several allocators from possibly stale readings on a changing fleet,
// and checks the store after each transaction: no machine is overcommitted, no instance is placed twice, no machine
// has two instances of an app. When the changes end, everything that fits is placed and the plan is empty.
func TestPlan_StaleConcurrentReads_Converges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newMemStore(t)
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			w.previous = maps.Clone(w.kv)
			w.changeIntent(t)
			old := w.read() // both read now and act one after the other
			w.act(t, old)
			w.act(t, old)
			w.act(t, w.readMixed(t)) // one whose watches are not equally fast
		}
		for round := 0; ; round++ {
			steps := w.plan(w.read())
			if len(steps) == 0 {
				break
			}
			if round > 200 {
				t.Fatalf("still not done: %v", steps)
			}
			w.act(t, w.read())
		}
		w.checkConverged(t)
	})
}

func TestPlan_SameState_Deterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newMemStore(t)
		w.changeIntent(t)
		w.act(t, w.read())
		w.changeIntent(t)
		first, second := fmt.Sprintf("%+v", w.plan(w.read())), fmt.Sprintf("%+v", w.plan(w.read()))
		if first != second {
			t.Fatalf("%s\n%s", first, second)
		}
	})
}

// TestPlan_Frozen_KeepsEverything checks that nothing is released while releases are held, whatever changes.
func TestPlan_Frozen_KeepsEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newMemStore(t)
		w.changeIntent(t)
		w.act(t, w.read())
		f := w.read()
		before := w.placedOn()
		for key := range w.kv {
			if name, ok := tree.VMs().Below(key); ok && rapid.Bool().Draw(t, "drop "+name) {
				delete(w.kv, key)
			}
		}
		d, a := w.viewOf(w.read())
		d.Frozen = "held"
		for _, s := range plan(d, a) {
			if s.From != (fleet.Spot{}) || s.Verb == fleet.Forget {
				t.Fatalf("%v is planned", s)
			}
			_ = w.commit(f, s)
		}
		for name, spots := range before {
			if !slices.Equal(w.placedOn()[name], spots) {
				t.Fatalf("%s was on %v and is on %v", name, spots, w.placedOn()[name])
			}
		}
	})
}

// TestPlan_LimitedCapacity_OldestFirst checks that the oldest spec is placed first, and that a steady pending VM
// writes nothing.
func TestPlan_LimitedCapacity_OldestFirst(t *testing.T) {
	w := &memStore{kv: map[string]value{}}
	w.put(tree.Machine("R0", "m0"), `{"cores":4,"memory":"8GB"}`)
	w.put(tree.VM("zebra"), `{"region":"R0","cores":3,"memory":"1GB"}`)
	w.put(tree.VM("ant"), `{"region":"R0","cores":3,"memory":"1GB"}`)
	if got := fmt.Sprint(w.plan(w.read())); got != "[place on R0/m0: 3 cores, 1GB pending: no room in R0: 1 short of cores]" {
		t.Fatal(got)
	}
	w.act(nil, w.read())
	if steps := w.plan(w.read()); len(steps) > 0 {
		t.Fatal(steps)
	}
	w.remove(tree.VM("zebra"))
	for range 2 {
		w.act(nil, w.read())
	}
	if got := fmt.Sprint(w.placedOn()); got != "map[ant.0:[R0/m0]]" {
		t.Fatal(got)
	}
}

// TestPlan_DrainingMachine_RespectsLimits checks the drain parallelism, and that the deadline lifts it.
func TestPlan_DrainingMachine_RespectsLimits(t *testing.T) {
	for _, test := range []struct {
		machine string
		now     time.Time
		moves   int
	}{
		{`{"cores":32,"memory":"2TB","state":"draining"}`, time.Time{}, 2},
		{`{"cores":32,"memory":"2TB","state":"draining","drain":{"parallel":5}}`, time.Time{}, 5},
		{`{"cores":32,"memory":"2TB","state":"draining","drain":{"deadline":"2026-01-01T00:00:00Z"}}`, time.Date(2025, 12, 31, 0, 0, 0, 0, time.UTC), 2},
		{`{"cores":32,"memory":"2TB","state":"draining","drain":{"deadline":"2026-01-01T00:00:00Z"}}`, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 8},
	} {
		w := &memStore{kv: map[string]value{}, now: test.now}
		w.put(tree.Machine("R0", "m0"), `{"cores":32,"memory":"2TB"}`)
		w.put(tree.VM("web"), `{"region":"R0","cores":1,"memory":"1GB","count":8}`)
		w.act(nil, w.read())
		w.put(tree.Machine("R0", "m0"), test.machine)
		w.put(tree.Machine("R0", "m1"), `{"cores":6,"memory":"2TB"}`)
		moves, evictions := 0, 0
		for _, s := range w.plan(w.read()) {
			switch s.Verb {
			case fleet.Move:
				moves++
			case fleet.Evict:
				evictions++
			}
		}
		if moves+evictions != test.moves || evictions != max(0, test.moves-6) {
			t.Errorf("%s at %s: %d moves and %d evictions, want %d", test.machine, test.now, moves, evictions, test.moves)
		}
	}
}

// TestPlan_LostMachine_ReplacesWithinBudget checks that lost VMs are replaced within the budget, that those with
// on_host_loss=wait stay, and that the share is freed only when nothing can run on the machine.
func TestPlan_LostMachine_ReplacesWithinBudget(t *testing.T) {
	w := &memStore{kv: map[string]value{}}
	w.put(tree.Machine("R0", "m0"), `{"cores":32,"memory":"2TB"}`)
	w.put(tree.VM("web"), `{"region":"R0","cores":1,"memory":"1GB","count":3}`)
	w.put(tree.VM("pet"), `{"region":"R0","cores":1,"memory":"1GB","on_host_loss":"wait"}`)
	w.act(nil, w.read())
	w.put(tree.Machine("R0", "m1"), `{"cores":32,"memory":"2TB"}`)
	d, a := w.viewOf(w.read())
	a.Lost, a.Budget = map[intent.Name]bool{"m0": true}, 2
	a.Fleet.Machine(fleet.Spot{Region: "R0", Machine: "m0"}).Away = true
	steps := plan(d, a)
	if got := fmt.Sprint(steps); len(steps) != 2 || steps[0].Leaves != intent.PhaseLost || steps[0].To.Machine != "m1" {
		t.Fatal(got)
	}
	for _, s := range steps {
		if err := w.commit(a.Fleet, s); err != nil {
			t.Log(err)
		}
		_, a = w.viewOf(w.read())
	}
	m := w.read().Machine(fleet.Spot{Region: "R0", Machine: "m0"})
	if taken := m.Ledger.Taken(); taken.Cores != 4 {
		t.Fatalf("%d cores of the lost machine are taken, want 4 until it is known to be empty", taken.Cores)
	}
	a.Reclaimable = map[EntryID]bool{{m.Spot, "web.0", intent.PhaseLost}: true}
	d, now := w.viewOf(w.read())
	now.Reclaimable, now.Lost, now.Budget = a.Reclaimable, map[intent.Name]bool{"m0": true}, 0
	if got := fmt.Sprint(plan(d, now)); got != "[free 1 cores, 1GB on R0/m0 (nothing of it runs there any more)]" {
		t.Fatal(got)
	}
}

// TestPlan_CorruptLedger_LeavesMachineAlone checks that instances on a machine with an unreadable ledger are not
// placed twice and that nothing new goes there.
func TestPlan_CorruptLedger_LeavesMachineAlone(t *testing.T) {
	w := &memStore{kv: map[string]value{}}
	w.put(tree.Machine("R0", "m0"), `{"cores":32,"memory":"2TB"}`)
	w.put(tree.VM("web"), `{"region":"R0","cores":1,"memory":"1GB"}`)
	w.act(nil, w.read())
	w.put(tree.Ledger("R0", "m0"), `{"entries":[{"vm":`)
	w.put(tree.Machine("R0", "m1"), `{"cores":32,"memory":"2TB"}`)
	if steps := w.plan(w.read()); len(steps) > 0 {
		t.Fatal(steps)
	}
	w.put(tree.VM("new"), `{"region":"R0","cores":1,"memory":"1GB"}`)
	w.act(nil, w.read())
	if got := fmt.Sprint(w.placedOn()); got != "map[new.0:[R0/m1]]" {
		t.Fatal(got)
	}
	w.remove(tree.VM("web"))
	if steps := w.plan(w.read()); len(steps) > 0 {
		t.Fatal("the instance may still be there, and its placement is all that says so:", steps)
	}
}

// TestPlan_UndeclaredMachine_TakesNothingNew checks that an undeclared machine keeps its entries, and that they can
// still be released.
func TestPlan_UndeclaredMachine_TakesNothingNew(t *testing.T) {
	w := &memStore{kv: map[string]value{}}
	w.put(tree.Machine("R0", "m0"), `{"cores":32,"memory":"2TB"}`)
	w.put(tree.VM("web"), `{"region":"R0","cores":1,"memory":"1GB"}`)
	w.act(nil, w.read())
	w.remove(tree.Machine("R0", "m0"))
	w.put(tree.VM("new"), `{"region":"R0","cores":1,"memory":"1GB"}`)
	w.act(nil, w.read())
	if got := fmt.Sprint(w.placedOn()); got != "map[web.0:[R0/m0]]" {
		t.Fatal(got)
	}
	w.remove(tree.VM("web"))
	w.act(nil, w.read())
	if got := fmt.Sprint(w.placedOn()); got != "map[]" {
		t.Fatal(got)
	}
}

// TestPlan_SameState_SameBytes pins the plan of a fixed state.
func TestPlan_SameState_SameBytes(t *testing.T) {
	w := &memStore{kv: map[string]value{}}
	for n := range 5 {
		w.put(tree.Machine("R0", intent.Name(fmt.Sprintf("m%d", n))), `{"cores":8,"memory":"16GB"}`)
	}
	w.put(tree.VM("web"), `{"region":"any","cores":2,"memory":"3GB","count":4,"spread":"machine"}`)
	w.put(tree.VM("db"), `{"region":"R0","cores":7,"memory":"3GB","count":2}`)
	var b bytes.Buffer
	for _, s := range w.plan(w.read()) {
		fmt.Fprintf(&b, "%s: %s\n", s.Subject(), s)
	}
	const want = `web.0: place on R0/m2: 2 cores, 3GB
web.1: place on R0/m3: 2 cores, 3GB
web.2: place on R0/m4: 2 cores, 3GB
web.3: place on R0/m1: 2 cores, 3GB
db.0: place on R0/m0: 7 cores, 3GB
db.1: pending: no room in R0: 5 short of cores
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
