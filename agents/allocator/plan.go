package main

import (
	"slices"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

// Desired is the set of declared VMs.
type Desired struct {
	VMs    []fleet.VM // by name; invalid ones are included
	Index  uint64
	Held   map[intent.Name]string // vms that vanished and must not change, with the reason
	Frozen string                 // why nothing at all may be released or moved
}

// vm returns the VM of that name.
func (d Desired) vm(name intent.Name) (fleet.VM, bool) { return (&fleet.Fleet{VMs: d.VMs}).VM(name) }

// Actual is the observed state of the fleet. Its Fleet has no VMs.
type Actual struct {
	Fleet       *fleet.Fleet
	InFlight    map[string]fleet.Step // by instance: steps being committed
	Reclaimable map[EntryID]bool      // leaving or lost entries with nothing running any more
	Lost        map[intent.Name]bool  // unreachable for so long that their vms are replaced
	Budget      int                   // how many instances may be replaced now
	Now         time.Time

	held map[string][]fleet.Held // cached entries of Fleet
}

// entries returns the entries of all ledgers by instance.
func (a *Actual) entries() map[string][]fleet.Held {
	if a.held == nil {
		a.held = a.Fleet.Entries()
	}
	return a.held
}

// EntryID identifies one entry on one machine.
type EntryID struct {
	fleet.Spot
	VM    string
	Phase intent.Phase
}

// planner plans all instances in sequence against capacity that shrinks with each step.
type planner struct {
	desired   Desired
	actual    Actual
	room      *fleet.Room
	instances []instance              // every wanted instance, oldest spec first
	recorded  int                     // number of these that have a placement record
	held      map[string][]fleet.Held // entries, by instance
	steps     []fleet.Step
	leaving   map[fleet.Spot]int // instances moving off a machine
	willFree  bool               // some capacity is about to become free
}

// plan computes all steps and has no side effects. The same state gives the same steps in the same order.
func plan(d Desired, a Actual) []fleet.Step {
	p := &planner{desired: d, actual: a, room: fleet.NewRoom(a.Fleet), held: a.entries(), leaving: map[fleet.Spot]int{}}
	p.collect()
	p.applyInFlight()
	p.planReleases()
	p.planPlaced()
	p.planUnplaced()
	p.planCleanup()
	return p.steps
}

func (p *planner) add(s fleet.Step) { p.steps = append(p.steps, s) }

// applyInFlight applies the steps being committed to the planner's capacity.
func (p *planner) applyInFlight() {
	for _, name := range sortedKeys(p.actual.InFlight) {
		s := p.actual.InFlight[name]
		p.room.Apply(s)
		p.willFree = p.willFree || s.From != fleet.Spot{}
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

func (p *planner) wanted(i intent.Instance) bool {
	v, declared := p.desired.vm(i.VM)
	return declared && (v.Fault != "" || i.Number < v.Spec.Count)
}

// untouchable reports whether an instance must not change at all.
func (p *planner) untouchable(i intent.Instance, name string) bool {
	_, moving := p.actual.InFlight[name]
	_, held := p.desired.Held[i.VM]
	return moving || held
}

// mustKeep reports whether an instance must keep its current place.
func (p *planner) mustKeep(i intent.Instance) bool {
	v, _ := p.desired.vm(i.VM)
	return p.desired.Frozen != "" || v.Fault != "" || p.untouchable(i, i.String())
}

// planReleases frees reclaimable entries and releases unwanted instances.
func (p *planner) planReleases() {
	for _, name := range p.toReview() {
		i, err := intent.ParseInstance(name)
		if err != nil {
			continue // no valid ledger contains such a name
		}
		if _, moving := p.actual.InFlight[name]; moving {
			continue
		}
		wanted, current := p.wanted(i), p.currentEntry(name)
		for _, e := range p.held[name] {
			switch {
			case e.Phase != intent.PhasePlaced:
				if p.actual.Reclaimable[EntryID{e.Spot, e.VM, e.Phase}] {
					p.add(fleet.Step{Verb: fleet.Free, Instance: i, Entry: e.Entry, From: e.Spot, Why: "nothing of it runs there any more"})
					p.willFree = true
				}
			case p.mustKeep(i):
			case !wanted:
				p.add(fleet.Step{Verb: fleet.Release, Instance: i, Entry: e.Entry, From: e.Spot,
					Leaves: p.leftPhase(e), Why: p.releaseReason(i)})
				p.willFree = true
			case e.Spot != current.Spot:
				// Only a manual edit places an instance twice. Freeing the extra entry, unlike releasing it, keeps
				// the placement record.
				p.add(fleet.Step{Verb: fleet.Free, Instance: i, Entry: e.Entry, From: e.Spot,
					Why: "it is held on " + current.Spot.String() + " too"})
				p.willFree = true
			}
		}
	}
}

func (p *planner) releaseReason(i intent.Instance) string {
	if _, declared := p.desired.vm(i.VM); declared {
		return "fewer are wanted"
	}
	return "it is no longer wanted"
}

// leftPhase is the phase of the entry left behind by an instance: with an app, the share becomes free only after the
// app has stopped, unless the machine is dead.
func (p *planner) leftPhase(e fleet.Held) intent.Phase {
	if e.App == "" {
		return intent.PhasePlaced
	}
	if m := p.actual.Fleet.Machine(e.Spot); m != nil && m.Spec.Is(intent.MachineDead) {
		return intent.PhasePlaced
	}
	return intent.PhaseLeaving
}

// planUnplaced places the instances that have no place.
func (p *planner) planUnplaced() {
	for n := range p.instances {
		in := &p.instances[n]
		if in.current != nil || p.untouchable(in.id, in.name) {
			continue
		}
		v, i, record := *in.vm, in.id, p.record(in)
		if record.State == intent.Placed && p.onCorruptLedger(record) {
			continue
		}
		want := fleet.WantOf(v)
		attempt := record.Attempt + 1
		if c, ok := p.room.Choose(&want, fleet.Seed(i, attempt)); ok {
			s := fleet.Step{Verb: fleet.Place, Instance: i, Entry: entryOf(v, i), To: c.Spot, Attempt: attempt}
			p.room.Apply(s)
			p.add(s)
			continue
		}
		refused := p.room.Refusals(&want)
		if p.willFree ||
			record.State == intent.Pending && record.Fault == "" && sameReasons(record.Refused, refused.Map()) {
			continue // capacity may come soon, or the reason is unchanged: a steady pending instance writes nothing
		}
		p.add(fleet.Step{Verb: fleet.Pend, Instance: i, Attempt: record.Attempt, Refused: refused,
			Why: p.noRoom(v, refused)})
	}
}

// onCorruptLedger reports whether the recorded machine has an unreadable ledger: the instance may be on it and must
// not be placed twice.
func (p *planner) onCorruptLedger(record fleet.Placed) bool {
	m := p.actual.Fleet.Machine(fleet.Spot{Region: record.Region, Machine: record.Machine})
	return m != nil && m.Corrupt
}

// planCleanup deletes placement records of unwanted instances without entries.
func (p *planner) planCleanup() {
	if p.recorded == len(p.actual.Fleet.Placements) {
		return
	}
	var names []string
	wanted := p.wantedNames()
	for name := range p.actual.Fleet.Placements {
		if !wanted[name] && p.currentEntry(name) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		i, err := intent.ParseInstance(name)
		if record := p.actual.Fleet.Placements[name]; err == nil && !p.wanted(i) && !p.mustKeep(i) && !p.onCorruptLedger(record) {
			p.add(fleet.Step{Verb: fleet.Forget, Instance: i, Why: p.releaseReason(i)})
		}
	}
}
