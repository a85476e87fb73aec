package main

import (
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

// vm returns the wish of that name.
func (d Desired) vm(name intent.Name) (fleet.VM, bool) { return (&fleet.Fleet{VMs: d.VMs}).VM(name) }

// Actual is what is held and what is known of the machines. Its fleet has no VMs.
type Actual struct {
	Fleet  *fleet.Fleet
	Moving map[string]fleet.Step // by instance: being committed just now
	Gone   map[Trace]bool        // entries that left, or were lost, and of which nothing runs any more
	Lost   map[intent.Name]bool  // machines not heard of for so long that their vms get others
	Budget int                   // how many instances may be replaced now
	Now    time.Time

	held map[string][]fleet.Held // the entries of Fleet, when they were looked up already
}

// entries are those of all ledgers, by instance.
func (a *Actual) entries() map[string][]fleet.Held {
	if a.held == nil {
		a.held = a.Fleet.Entries()
	}
	return a.held
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
	line    []wish                  // every instance that is wanted, the oldest wish first
	told    int                     // of these, how many something is said of
	held    map[string][]fleet.Held // entries, by instance
	steps   []fleet.Step
	leaving map[fleet.Spot]int // instances on their way from a machine
	freeing bool               // something will be free that is not yet
}

// plan decides everything and touches nothing. The same state gives the same steps in the same order.
func plan(d Desired, a Actual) []fleet.Step {
	p := &planner{desired: d, actual: a, room: fleet.NewRoom(a.Fleet), held: a.entries(), leaving: map[fleet.Spot]int{}}
	p.queue()
	p.depict()
	p.depart()
	p.stay()
	p.arrive()
	p.forget()
	return p.steps
}

func (p *planner) add(s fleet.Step) { p.steps = append(p.steps, s) }

// depict notes what is on its way.
func (p *planner) depict() {
	for _, name := range sortedKeys(p.actual.Moving) {
		s := p.actual.Moving[name]
		p.room.Apply(s)
		p.freeing = p.freeing || s.From != fleet.Spot{}
		if s.Verb == fleet.Move {
			p.leaving[s.From]++
		}
	}
	for _, m := range p.actual.Fleet.Machines {
		for n := range m.Ledger.Entries {
			if m.Ledger.Entries[n].Phase == intent.PhaseLeaving {
				p.leaving[m.Spot]++
			}
		}
	}
}

// wanted reports whether an instance is wished for.
func (p *planner) wanted(i intent.Instance) bool {
	v, declared := p.desired.vm(i.VM)
	return declared && (v.Fault != "" || i.Number < v.Spec.Count)
}

// untouchable reports whether nothing of an instance may change.
func (p *planner) untouchable(i intent.Instance, name string) bool {
	_, moving := p.actual.Moving[name]
	_, held := p.desired.Held[i.VM]
	return moving || held
}

// fixed reports whether an instance must not lose the place that it has.
func (p *planner) fixed(i intent.Instance) bool {
	v, _ := p.desired.vm(i.VM)
	return p.desired.Frozen != "" || v.Fault != "" || p.untouchable(i, i.String())
}

// depart frees what is gone and releases what is not wanted.
func (p *planner) depart() {
	for _, name := range p.unsettled() {
		i, err := intent.ParseInstance(name)
		if err != nil {
			continue // no ledger that can be read holds such a name
		}
		if _, moving := p.actual.Moving[name]; moving {
			continue
		}
		wanted, home := p.wanted(i), p.home(name)
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
			case e.Spot != home.Spot:
				// Someone wrote this by hand: an instance has one place. What is taken away here must not take its
				// placement along, so it goes as an entry that is free.
				p.add(fleet.Step{Verb: fleet.Free, Instance: i, Entry: e.Entry, From: e.Spot, Why: "it is held on " + home.Spot.String() + " too"})
				p.freeing = true
			}
		}
	}
}

func (p *planner) unwanted(i intent.Instance) string {
	if _, declared := p.desired.vm(i.VM); declared {
		return "fewer are wanted"
	}
	return "it is no longer wanted"
}

// leaves is the phase of what stays behind when an instance goes: the share of an app is free when the app is gone, and
// not before, unless its machine is dead.
func (p *planner) leaves(e fleet.Held) intent.Phase {
	if e.App == "" {
		return intent.PhasePlaced
	}
	if m := p.actual.Fleet.Machine(e.Spot); m != nil && m.Spec.Is(intent.MachineDead) {
		return intent.PhasePlaced
	}
	return intent.PhaseLeaving
}

// arrive finds places for what has none.
func (p *planner) arrive() {
	for n := range p.line {
		w := &p.line[n]
		if w.home != nil || p.untouchable(w.instance, w.name) {
			continue
		}
		v, i, said := *w.vm, w.instance, p.said(w)
		if said.State == intent.Placed && p.corrupt(said) {
			continue
		}
		want := fleet.WantOf(v)
		attempt := said.Attempt + 1
		if c, ok := p.room.Choose(&want, fleet.Seed(i, attempt)); ok {
			s := fleet.Step{Verb: fleet.Place, Instance: i, Entry: entryOf(v, i), To: c.Spot, Attempt: attempt}
			p.room.Apply(s)
			p.add(s)
			continue
		}
		refused := p.room.Refusals(&want)
		if p.freeing || said.State == intent.Pending && said.Fault == "" && alike(said.Refused, refused.Map()) {
			continue // there may be room soon, or it was said already: a steady pending instance writes nothing
		}
		p.add(fleet.Step{Verb: fleet.Pend, Instance: i, Attempt: said.Attempt, Refused: refused, Why: p.noRoom(v, refused)})
	}
}

// corrupt reports whether the machine that an instance is said to be on has a ledger that cannot be read: it may well be
// there, and must not get a second place.
func (p *planner) corrupt(said fleet.Placed) bool {
	m := p.actual.Fleet.Machine(fleet.Spot{Region: said.Region, Machine: said.Machine})
	return m != nil && m.Corrupt
}

// forget removes what is said of instances that are not wanted and that nothing holds.
func (p *planner) forget() {
	if p.told == len(p.actual.Fleet.Placements) {
		return
	}
	var names []string
	wanted := p.inLine()
	for name := range p.actual.Fleet.Placements {
		if !wanted[name] && p.home(name) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		i, err := intent.ParseInstance(name)
		if said := p.actual.Fleet.Placements[name]; err == nil && !p.wanted(i) && !p.fixed(i) && !p.corrupt(said) {
			p.add(fleet.Step{Verb: fleet.Forget, Instance: i, Why: p.unwanted(i)})
		}
	}
}
