package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

// Desired is every vm that people wish for.
type Desired struct {
	VMs    []fleet.VM // by name; those that cannot be used are here too
	Index  uint64
	Held   map[intent.Name]string // vms that vanished and must be left as they are, with the reason
	Frozen string                 // why nothing at all may be released or moved
}

// Actual is what is held and what is known of the machines. Its fleet has no VMs.
type Actual struct {
	Fleet  *fleet.Fleet
	Moving map[string]fleet.Step // by instance: being committed just now
	Gone   map[Trace]bool        // entries that left, or were lost, and of which nothing runs any more
	Lost   map[intent.Name]bool  // machines not heard of for so long that their vms get others
	Budget int                   // how many instances may be replaced now
	Now    time.Time
}

// Trace is one entry on one machine.
type Trace struct {
	fleet.Spot
	VM    string
	Phase intent.Phase
}

// planner decides for all instances, one after the other, over room that fills as it does.
type planner struct {
	desired Desired
	actual  Actual
	room    *fleet.Room
	wishes  map[intent.Name]fleet.VM
	held    map[string][]fleet.Held // entries, by instance
	home    map[string]fleet.Held   // the one entry of each instance that counts as its place
	steps   []fleet.Step
	leaving map[fleet.Spot]int // instances on their way from a machine
	freeing bool               // something will be free that is not yet
}

// plan decides everything and touches nothing. The same state gives the same steps in the same order.
func plan(d Desired, a Actual) []fleet.Step {
	p := &planner{desired: d, actual: a, room: fleet.NewRoom(a.Fleet), wishes: make(map[intent.Name]fleet.VM, len(d.VMs)),
		held: a.Fleet.Entries(), home: map[string]fleet.Held{}, leaving: map[fleet.Spot]int{}}
	for _, v := range d.VMs {
		p.wishes[v.Name] = v
	}
	p.settle()
	p.depart()
	p.stay()
	p.arrive()
	p.forget()
	return p.steps
}

func (p *planner) add(s fleet.Step) { p.steps = append(p.steps, s) }

// settle finds the place of each instance, and notes what is on its way.
func (p *planner) settle() {
	for _, name := range sortedKeys(p.actual.Moving) {
		s := p.actual.Moving[name]
		p.room.Apply(s)
		p.freeing = p.freeing || s.From != fleet.Spot{}
		if s.Verb == fleet.Move {
			p.leaving[s.From]++
		}
	}
	for name, entries := range p.held {
		said := p.actual.Fleet.Placements[name]
		for _, e := range entries {
			if e.Phase == intent.PhaseLeaving {
				p.leaving[e.Spot]++
			}
			if e.Phase != intent.PhasePlaced {
				continue
			}
			if _, known := p.home[name]; !known || said.Region == e.Region && said.Machine == e.Spot.Machine {
				p.home[name] = e
			}
		}
	}
}

// wanted returns the vm of an instance, and whether this instance of it is wished for.
func (p *planner) wanted(i intent.Instance) (fleet.VM, bool) {
	v, declared := p.wishes[i.VM]
	return v, declared && (v.Fault != "" || i.Number < v.Spec.Count)
}

// untouchable reports whether nothing of an instance may change.
func (p *planner) untouchable(i intent.Instance) bool {
	_, moving := p.actual.Moving[i.String()]
	_, held := p.desired.Held[i.VM]
	return moving || held || p.wishes[i.VM].Fault != ""
}

// fixed reports whether an instance must not lose the place that it has.
func (p *planner) fixed(i intent.Instance) bool { return p.desired.Frozen != "" || p.untouchable(i) }

// depart frees what is gone and releases what is not wanted.
func (p *planner) depart() {
	for _, name := range sortedKeys(p.held) {
		i, err := intent.ParseInstance(name)
		if err != nil {
			continue // no ledger that can be read holds such a name
		}
		if _, moving := p.actual.Moving[name]; moving {
			continue
		}
		_, wanted := p.wanted(i)
		for _, e := range p.held[name] {
			switch {
			case e.Phase != intent.PhasePlaced:
				if p.actual.Gone[Trace{e.Spot, e.VM, e.Phase}] {
					p.add(fleet.Step{Verb: fleet.Free, Instance: i, Entry: e.Entry, From: e.Spot, Why: "nothing of it runs there any more"})
					p.freeing = true
				}
			case p.fixed(i):
			case !wanted:
				p.add(fleet.Step{Verb: fleet.Release, Instance: i, Entry: e.Entry, From: e.Spot, Leaves: p.leaves(e), Why: p.unwanted(i)})
				p.freeing = true
			case e.Spot != p.home[name].Spot:
				// Someone wrote this by hand: an instance has one place. What is taken away here must not take its
				// placement along, so it goes as an entry that is free.
				p.add(fleet.Step{Verb: fleet.Free, Instance: i, Entry: e.Entry, From: e.Spot, Why: "it is held on " + p.home[name].Spot.String() + " too"})
				p.freeing = true
			}
		}
	}
}

func (p *planner) unwanted(i intent.Instance) string {
	if _, declared := p.wishes[i.VM]; declared {
		return "fewer are wanted"
	}
	return "it is no longer wanted"
}

// leaves is the phase of what stays behind when an instance goes: the share of an app is free when the app is gone, and
// not before, unless its machine is dead.
func (p *planner) leaves(e fleet.Held) intent.Phase {
	m := p.actual.Fleet.Machine(e.Spot)
	if e.App == "" || m != nil && m.Spec.Is(intent.MachineDead) {
		return intent.PhasePlaced
	}
	return intent.PhaseLeaving
}

// inOrder are the instances that are wanted, the oldest wish first.
func (p *planner) inOrder(do func(fleet.VM, intent.Instance)) {
	vms := slices.Clone(p.desired.VMs)
	slices.SortFunc(vms, func(a, b fleet.VM) int { return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Name, b.Name)) })
	for _, v := range vms {
		for n := range v.Spec.Count {
			i := intent.Instance{VM: v.Name, Number: n}
			if v.Fault == "" && !p.untouchable(i) {
				do(v, i)
			}
		}
	}
}

// arrive finds places for what has none.
func (p *planner) arrive() {
	p.inOrder(func(v fleet.VM, i intent.Instance) {
		name := i.String()
		said := p.actual.Fleet.Placements[name]
		if _, placed := p.home[name]; placed || said.State == intent.Placed && p.corrupt(said) {
			return
		}
		want := fleet.WantOf(v)
		attempt := said.Attempt + 1
		if c, ok := p.room.Choose(&want, fleet.Seed(i, attempt)); ok {
			s := fleet.Step{Verb: fleet.Place, Instance: i, Entry: entryOf(v, i), To: c.Spot, Attempt: attempt}
			p.room.Apply(s)
			p.add(s)
			return
		}
		refused := p.room.Refusals(&want)
		if p.freeing || said.State == intent.Pending && said.Fault == "" && alike(said.Refused, refused.Map()) {
			return // there may be room soon, or it was said already: a steady pending instance writes nothing
		}
		p.add(fleet.Step{Verb: fleet.Pend, Instance: i, Attempt: said.Attempt, Refused: refused, Why: p.noRoom(v, refused)})
	})
}

// corrupt reports whether the machine that an instance is said to be on has a ledger that cannot be read: it may well be
// there, and must not get a second place.
func (p *planner) corrupt(said fleet.Placed) bool {
	m := p.actual.Fleet.Machine(fleet.Spot{Region: said.Region, Machine: said.Machine})
	return m != nil && m.Corrupt
}

// forget removes what is said of instances that are not wanted and that nothing holds.
func (p *planner) forget() {
	for _, name := range sortedKeys(p.actual.Fleet.Placements) {
		i, err := intent.ParseInstance(name)
		_, wanted := p.wanted(i)
		_, placed := p.home[name]
		if said := p.actual.Fleet.Placements[name]; err == nil && !wanted && !placed && !p.fixed(i) && !p.corrupt(said) {
			p.add(fleet.Step{Verb: fleet.Forget, Instance: i, Why: p.unwanted(i)})
		}
	}
}
