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
	wishes  map[intent.Name]*fleet.VM
	line    []wish                  // every instance that is wanted, the oldest wish first
	held    map[string][]fleet.Held // entries, by instance
	home    map[string]*fleet.Held  // the one entry of each instance that counts as its place
	steps   []fleet.Step
	leaving map[fleet.Spot]int // instances on their way from a machine
	freeing bool               // something will be free that is not yet
}

// plan decides everything and touches nothing. The same state gives the same steps in the same order.
func plan(d Desired, a Actual) []fleet.Step {
	p := &planner{desired: d, actual: a, room: fleet.NewRoom(a.Fleet), wishes: make(map[intent.Name]*fleet.VM, len(d.VMs)),
		held: a.entries(), leaving: map[fleet.Spot]int{}}
	p.home = make(map[string]*fleet.Held, len(p.held))
	for n := range d.VMs {
		p.wishes[d.VMs[n].Name] = &d.VMs[n]
	}
	p.queue()
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
		for n := range entries {
			e := &entries[n]
			if e.Phase == intent.PhaseLeaving {
				p.leaving[e.Spot]++
			}
			if e.Phase != intent.PhasePlaced {
				continue
			}
			if p.home[name] == nil || p.saidToBeOn(name, e.Spot) {
				p.home[name] = e
			}
		}
	}
}

func (p *planner) saidToBeOn(name string, s fleet.Spot) bool {
	said := p.actual.Fleet.Placements[name]
	return said.Region == s.Region && said.Machine == s.Machine
}

// wanted reports whether an instance is wished for.
func (p *planner) wanted(i intent.Instance) bool {
	v := p.wishes[i.VM]
	return v != nil && (v.Fault != "" || i.Number < v.Spec.Count)
}

// untouchable reports whether nothing of an instance may change.
func (p *planner) untouchable(i intent.Instance) bool {
	_, moving := p.actual.Moving[i.String()]
	_, held := p.desired.Held[i.VM]
	v := p.wishes[i.VM]
	return moving || held || v != nil && v.Fault != ""
}

// fixed reports whether an instance must not lose the place that it has.
func (p *planner) fixed(i intent.Instance) bool { return p.desired.Frozen != "" || p.untouchable(i) }

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
		wanted := p.wanted(i)
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

// unsettled are the instances, sorted, of which an entry may have to go: all but those that are wanted and stand in one
// place, which is nearly all there are.
func (p *planner) unsettled() (names []string) {
	settled := 0
	for n := range p.line {
		w := &p.line[n]
		if entries := p.held[w.name]; len(entries) == 1 && entries[0].Phase == intent.PhasePlaced {
			settled++
		}
	}
	if settled == len(p.held) {
		return nil
	}
	wanted := p.inLine()
	for name, entries := range p.held {
		if len(entries) != 1 || entries[0].Phase != intent.PhasePlaced || !wanted[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// inLine are the names of the instances that are wanted.
func (p *planner) inLine() map[string]bool {
	names := make(map[string]bool, len(p.line))
	for n := range p.line {
		names[p.line[n].name] = true
	}
	return names
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

// wish is one instance that is wanted.
type wish struct {
	vm       *fleet.VM
	instance intent.Instance
	name     string // of the instance
}

// queue lines up what is wanted.
func (p *planner) queue() {
	vms := make([]*fleet.VM, 0, len(p.desired.VMs))
	for n := range p.desired.VMs {
		vms = append(vms, &p.desired.VMs[n])
	}
	slices.SortFunc(vms, func(a, b *fleet.VM) int { return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Name, b.Name)) })
	p.line = make([]wish, 0, len(vms))
	for _, v := range vms {
		for n := range v.Spec.Count {
			if v.Fault == "" {
				i := intent.Instance{VM: v.Name, Number: n}
				p.line = append(p.line, wish{v, i, i.String()})
			}
		}
	}
}

// arrive finds places for what has none.
func (p *planner) arrive() {
	for n := range p.line {
		w := &p.line[n]
		if p.home[w.name] != nil || p.untouchable(w.instance) {
			continue
		}
		v, i, said := *w.vm, w.instance, p.actual.Fleet.Placements[w.name]
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
	said := 0
	for n := range p.line {
		if _, is := p.actual.Fleet.Placements[p.line[n].name]; is {
			said++
		}
	}
	if said == len(p.actual.Fleet.Placements) {
		return
	}
	var names []string
	wanted := p.inLine()
	for name := range p.actual.Fleet.Placements {
		if !wanted[name] && p.home[name] == nil {
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
