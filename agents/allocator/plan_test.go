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

// TestPlanReaches lets several allocators work from readings that may be old, in any order, on a fleet that changes, and
// looks at the store after each transaction: nothing may ever hold more than it has, no instance two places, no machine
// two instances of an app. When the changes end, everything that can have a place gets one and the plan is empty.
func TestPlanReaches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			w.past = maps.Clone(w.kv)
			w.people(t)
			old := w.read() // both look now, and act one after the other
			w.act(t, old)
			w.act(t, old)
			w.act(t, w.mixed(t)) // one whose watches are not equally fast
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
		w.reached(t)
	})
}

// TestPlanIsTheSame whenever the state is.
func TestPlanIsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.people(t)
		w.act(t, w.read())
		w.people(t)
		first, second := fmt.Sprintf("%+v", w.plan(w.read())), fmt.Sprintf("%+v", w.plan(w.read()))
		if first != second {
			t.Fatalf("%s\n%s", first, second)
		}
	})
}

// TestHeldStays: what must be left as it is loses nothing, whatever was declared.
func TestHeldStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.people(t)
		w.act(t, w.read())
		f := w.read()
		before := w.holding()
		for key := range w.kv {
			if name, ok := tree.VMs().Below(key); ok && rapid.Bool().Draw(t, "drop "+name) {
				delete(w.kv, key)
			}
		}
		d, a := w.view(w.read())
		d.Frozen = "held"
		for _, s := range plan(d, a) {
			if s.From != (fleet.Spot{}) || s.Verb == fleet.Forget {
				t.Fatalf("%v is planned", s)
			}
			_ = w.commit(f, s)
		}
		for name, spots := range before {
			if !slices.Equal(w.holding()[name], spots) {
				t.Fatalf("%s was on %v and is on %v", name, spots, w.holding()[name])
			}
		}
	})
}

// TestOldest: who asked first is placed first, and a steady pending vm writes nothing.
func TestOldest(t *testing.T) {
	w := &world{kv: map[string]value{}}
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
	if got := fmt.Sprint(w.holding()); got != "map[ant.0:[R0/m0]]" {
		t.Fatal(got)
	}
}

// TestDrain empties a machine a few at a time, and all at once when its time is over.
func TestDrain(t *testing.T) {
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
		w := &world{kv: map[string]value{}, now: test.now}
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

// TestLostMachine: its vms are replaced within the budget, those that wait stay, and its share is free only when it is
// known that nothing runs there.
func TestLostMachine(t *testing.T) {
	w := &world{kv: map[string]value{}}
	w.put(tree.Machine("R0", "m0"), `{"cores":32,"memory":"2TB"}`)
	w.put(tree.VM("web"), `{"region":"R0","cores":1,"memory":"1GB","count":3}`)
	w.put(tree.VM("pet"), `{"region":"R0","cores":1,"memory":"1GB","on_host_loss":"wait"}`)
	w.act(nil, w.read())
	w.put(tree.Machine("R0", "m1"), `{"cores":32,"memory":"2TB"}`)
	d, a := w.view(w.read())
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
		_, a = w.view(w.read())
	}
	m := w.read().Machine(fleet.Spot{Region: "R0", Machine: "m0"})
	if taken := m.Ledger.Taken(); taken.Cores != 4 {
		t.Fatalf("%d cores of the lost machine are taken, want 4 until it is known to be empty", taken.Cores)
	}
	a.Gone = map[Trace]bool{{m.Spot, "web.0", intent.PhaseLost}: true}
	d, now := w.view(w.read())
	now.Gone, now.Lost, now.Budget = a.Gone, map[intent.Name]bool{"m0": true}, 0
	if got := fmt.Sprint(plan(d, now)); got != "[free 1 cores, 1GB on R0/m0 (nothing of it runs there any more)]" {
		t.Fatal(got)
	}
}

// TestCorruptLedger: what is on a machine whose ledger cannot be read gets no second place, and nothing new goes there.
func TestCorruptLedger(t *testing.T) {
	w := &world{kv: map[string]value{}}
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
	if got := fmt.Sprint(w.holding()); got != "map[new.0:[R0/m1]]" {
		t.Fatal(got)
	}
	w.remove(tree.VM("web"))
	if steps := w.plan(w.read()); len(steps) > 0 {
		t.Fatal("the instance may still be there, and its placement is all that says so:", steps)
	}
}

// TestUndeclaredMachine keeps what it has and takes nothing new; a vm there can still be released.
func TestUndeclaredMachine(t *testing.T) {
	w := &world{kv: map[string]value{}}
	w.put(tree.Machine("R0", "m0"), `{"cores":32,"memory":"2TB"}`)
	w.put(tree.VM("web"), `{"region":"R0","cores":1,"memory":"1GB"}`)
	w.act(nil, w.read())
	w.remove(tree.Machine("R0", "m0"))
	w.put(tree.VM("new"), `{"region":"R0","cores":1,"memory":"1GB"}`)
	w.act(nil, w.read())
	if got := fmt.Sprint(w.holding()); got != "map[web.0:[R0/m0]]" {
		t.Fatal(got)
	}
	w.remove(tree.VM("web"))
	w.act(nil, w.read())
	if got := fmt.Sprint(w.holding()); got != "map[]" {
		t.Fatal(got)
	}
}

// TestPlanOfOneSeed is the same bytes as ever: a plan can be made again from the same state.
func TestPlanOfOneSeed(t *testing.T) {
	w := &world{kv: map[string]value{}}
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
