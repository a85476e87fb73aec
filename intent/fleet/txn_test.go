package fleet

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/intent"
)

// TestDraft_RandomSteps_Consistent checks that an impossible step leaves the transaction unchanged, that no key
// occurs twice, and that the input is not modified.
func TestDraft_RandomSteps_Consistent(t *testing.T) {
	tree, err := intent.ParseRoot(intent.DefaultRoot)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		f := nearlyFullFleet(rapid.IntRange(0, 5).Draw(t, "held"))
		known := make([][]intent.Entry, 0, len(f.Machines))
		for _, m := range f.Machines {
			known = append(known, slices.Clone(m.Ledger.Entries))
		}
		whole, good := NewDraft(tree, f.Look()), NewDraft(tree, f.Look())
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			s := anyStep(t, f)
			before := operations(t, whole)
			if err := whole.Add(s); err != nil {
				if after := operations(t, whole); !reflect.DeepEqual(before, after) {
					t.Fatalf("%s was refused (%v) and left\n%+v\nof\n%+v", s, err, after, before)
				}
				continue
			}
			if err := good.Add(s); err != nil {
				t.Fatalf("%s goes in when others were refused before, and not without: %v", s, err)
			}
		}
		ops := operations(t, whole)
		if without := operations(t, good); !reflect.DeepEqual(ops, without) {
			t.Fatalf("%+v\nwith refused steps, and without\n%+v", ops, without)
		}
		keys := map[string]bool{}
		for _, op := range ops {
			if keys[op.Key] {
				t.Fatalf("%s is there twice: %+v", op.Key, ops)
			}
			keys[op.Key] = true
		}
		for n, m := range f.Machines {
			if !slices.Equal(m.Ledger.Entries, known[n]) {
				t.Fatalf("the draft made %+v of %+v", m.Ledger.Entries, known[n])
			}
		}
	})
}

func operations(t *rapid.T, d *Draft) []Op {
	ops, err := d.Ops()
	if err != nil {
		t.Fatal(err)
	}
	return ops
}

// nearlyFullFleet has three machines with capacity for a few more instances, and VM specs for all that are placed and
// as many again. Every third has an app.
func nearlyFullFleet(held int) *Fleet {
	f := &Fleet{Placements: map[string]Placed{}}
	for n := range 3 {
		m := machine("R", n, 8, 64*intent.GB)
		m.LedgerIndex = 7
		m.Ledger.Entries = make([]intent.Entry, 0, 16) // spare capacity that must not be written to
		f.Machines = append(f.Machines, m)
	}
	for n := range 6 * held {
		v := vmOf(fmt.Sprintf("vm%02d", n), 1, intent.GB, "R")
		if n%3 == 0 {
			v.Spec.App, v.Spec.Cluster = "slug", "c"
		}
		f.VMs = append(f.VMs, v)
		if n%2 == 0 {
			m := f.Machines[n/2%3]
			e := intent.Entry{VM: string(v.Name) + ".0", Cores: 1, Memory: intent.GB, Intent: 1, App: v.Spec.App, Cluster: v.Spec.Cluster}
			m.Ledger.Entries = append(m.Ledger.Entries, e)
			f.Placements[e.VM] = Placed{Placement: intent.Placement{State: intent.Placed, Region: "R", Machine: m.Name(), Attempt: 1}, Index: 7}
		}
	}
	Sort(f)
	return f
}

// anyStep returns a step about one of the instances, possible or not.
func anyStep(t *rapid.T, f *Fleet) Step {
	spot := func(what string) Spot { return f.Machines[rapid.IntRange(0, 2).Draw(t, what)].Spot }
	n := rapid.IntRange(0, max(1, len(f.VMs))).Draw(t, "vm")
	v := vmOf(fmt.Sprintf("vm%02d", n), 1, intent.GB, "R")
	if known, is := f.VM(v.Name); is {
		v = known
	}
	i := intent.Instance{VM: v.Name}
	s := Step{Verb: rapid.SampledFrom([]Verb{Place, Move, Resize, Release, Evict, Free, Mend, Forget, Pend}).Draw(t, "verb"), Instance: i, Attempt: 2,
		Entry: intent.Entry{VM: i.String(), Cores: rapid.SampledFrom([]int{1, 2, 7}).Draw(t, "cores"), Memory: intent.GB, Intent: 1, App: v.Spec.App, Cluster: v.Spec.Cluster}}
	switch s.Verb {
	case Place, Resize, Mend:
		s.To = spot("to")
	case Move:
		s.From, s.To = spot("from"), spot("to")
		s.Leaves = rapid.SampledFrom([]intent.Phase{intent.PhasePlaced, intent.PhaseLeaving}).Draw(t, "leaves")
	case Release, Evict, Free:
		s.From = spot("from")
	}
	return s
}
