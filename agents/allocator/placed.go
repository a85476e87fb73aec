package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

// planPlaced decides whether each placed instance stays, moves or is updated.
func (p *planner) planPlaced() {
	for n := range p.instances {
		in := &p.instances[n]
		e := in.current
		if e == nil || p.untouchable(in.id, in.name) {
			continue
		}
		m := p.actual.Fleet.Holder(e)
		if why, phase := p.evictionReason(in.vm, e, m); why != "" && p.desired.Frozen == "" {
			p.planMove(*in.vm, in.id, *e, why, phase)
			continue
		}
		p.updateInPlace(in, e)
	}
}

// evictionReason returns why an instance must leave its machine, and the phase of the entry it leaves behind.
func (p *planner) evictionReason(v *fleet.VM, e *fleet.Held, m *fleet.Machine) (why string, leaves intent.Phase) {
	leaves = p.leftPhase(*e)
	switch {
	case m.Spec.Is(intent.MachineDead) && m.Index > 0:
		return "the machine is dead", leaves
	case m.Spec.Is(intent.MachineDraining) && m.Index > 0:
		return "the machine is draining", leaves
	case p.actual.Lost[m.Name()] && v.Spec.OnHostLoss != intent.LossWait:
		return "the machine has not been heard of for long", intent.PhaseLost
	case e.App != v.Spec.App:
		return fmt.Sprintf("it is to bring %s", cmp.Or(string(v.Spec.App), "no app")), leaves
	case m.Index > 0 && m.Fault == "" && !matches(v, m):
		return "the machine no longer suits what is wanted", leaves
	}
	return "", leaves
}

// matches reports whether a machine satisfies region and constraints; capacity is not checked.
func matches(v *fleet.VM, m *fleet.Machine) bool {
	if !slices.Contains(v.Spec.Region, m.Region) && !slices.Contains(v.Spec.Region, intent.AnyRegion) {
		return false
	}
	for name, text := range v.Spec.Constraints {
		if have, labelled := m.Spec.Labels[name]; !labelled || have != text {
			return false
		}
	}
	return true
}

// planMove plans a new machine, as fast as the drain's parallelism and the replacement rate allow.
func (p *planner) planMove(v fleet.VM, i intent.Instance, e fleet.Held, why string, leaves intent.Phase) {
	m := p.actual.Fleet.Machine(e.Spot)
	due := false
	switch {
	case leaves == intent.PhaseLost:
		if p.actual.Budget <= 0 {
			return
		}
	case m.Spec.Is(intent.MachineDraining):
		parallel := intent.DefaultDrainParallel
		if d := m.Spec.Drain; d != nil {
			parallel = cmp.Or(d.Parallel, parallel)
			due = !d.Deadline.IsZero() && !p.actual.Now.Before(d.Deadline)
		}
		if !due && p.leaving[e.Spot] >= parallel {
			return
		}
	}
	record := p.actual.Fleet.Placements[i.String()]
	s := fleet.Step{Instance: i, Entry: entryOf(v, i), From: e.Spot, Leaves: leaves, Attempt: record.Attempt + 1,
		Why: why}
	want := fleet.WantOf(v)
	if e.App == v.Spec.App {
		want.Avoid = e.Spot
	}
	c, ok := p.room.Choose(&want, fleet.Seed(i, s.Attempt))
	switch {
	case ok:
		s.Verb, s.To = fleet.Move, c.Spot
	case due || m.Spec.Is(intent.MachineDead) || e.App != v.Spec.App:
		s.Verb, s.Entry, s.Refused = fleet.Evict, e.Entry, p.room.Refusals(&want)
		s.Attempt = record.Attempt
		s.Why = why + "; " + p.noRoom(v, s.Refused)
	default:
		return // better placed on a bad machine than not at all
	}
	p.leaving[e.Spot]++
	p.willFree = true
	if leaves == intent.PhaseLost {
		p.actual.Budget--
	}
	p.room.Apply(s)
	p.add(s)
}

// updateInPlace resizes an instance and repairs its placement record and app assignment.
func (p *planner) updateInPlace(in *instance, e *fleet.Held) {
	i := in.id
	if spec := &in.vm.Spec; e.Share() != spec.Share() || e.Cluster != spec.Cluster {
		v := *in.vm
		s := fleet.Step{Verb: fleet.Resize, Instance: i, Entry: entryOf(v, i), To: e.Spot,
			Attempt: max(1, p.record(in).Attempt), Why: "another size is wanted"}
		if p.fitsInPlace(v, *e) {
			p.room.Apply(s)
			p.add(s)
			return
		}
		if c := p.relocate(v, i, *e); c != nil {
			p.add(*c)
			return
		}
	}
	var app fleet.App
	assigned := false
	if e.App != "" {
		app, assigned = p.actual.Fleet.Apps[string(e.Spot.Machine)+"/"+string(e.App)]
	}
	switch {
	case !in.recorded:
		p.add(fleet.Step{Verb: fleet.Mend, Instance: i, Entry: e.Entry, To: e.Spot,
			Attempt: max(1, p.record(in).Attempt), Why: "it did not say so"})
	case e.App != "" && (!assigned || app.Cluster != e.Cluster):
		p.add(fleet.Step{Verb: fleet.Mend, Instance: i, Entry: e.Entry, To: e.Spot, Attempt: p.record(in).Attempt,
			Why: "its app was not brought"})
	}
}

// fitsInPlace reports whether the wanted size fits on the current machine.
func (p *planner) fitsInPlace(v fleet.VM, e fleet.Held) bool {
	h := *p.room.Host(e.Spot)
	h.Left = h.Left.Plus(e.Share())
	h.Lodged = slices.DeleteFunc(slices.Clone(h.Lodged), func(o intent.Entry) bool { return o.VM == e.VM && o.Phase == e.Phase })
	want := fleet.WantOf(v)
	return !h.Corrupt && h.Index > 0 && h.Holds(&want) == fleet.Fits
}

// relocate returns the step that moves an instance that has outgrown its machine, or nil.
func (p *planner) relocate(v fleet.VM, i intent.Instance, e fleet.Held) *fleet.Step {
	want := fleet.WantOf(v)
	want.Avoid = e.Spot
	attempt := p.actual.Fleet.Placements[i.String()].Attempt + 1
	c, ok := p.room.Choose(&want, fleet.Seed(i, attempt))
	if !ok {
		return nil
	}
	s := fleet.Step{Verb: fleet.Move, Instance: i, Entry: entryOf(v, i), From: e.Spot, To: c.Spot,
		Leaves: p.leftPhase(e), Attempt: attempt,
		Why: "it has become too large for its machine"}
	p.room.Apply(s)
	p.willFree = true
	return &s
}

func entryOf(v fleet.VM, i intent.Instance) intent.Entry {
	return intent.Entry{VM: i.String(), Cores: v.Spec.Cores, Memory: v.Spec.Memory, Intent: v.Index, App: v.Spec.App, Cluster: v.Spec.Cluster}
}

// noRoom returns the message of a pending instance.
func (p *planner) noRoom(v fleet.VM, refused fleet.Refusals) string {
	if known := p.actual.Fleet.Codes(); len(refused.Map()) == 0 {
		return fmt.Sprintf("no machine in %s: known are %s", join(v.Spec.Region), join(known))
	}
	return fmt.Sprintf("no room in %s: %s", join(v.Spec.Region), refused)
}

func join(names []intent.Name) string {
	words := make([]string, 0, len(names))
	for _, n := range names {
		words = append(words, string(n))
	}
	return strings.Join(words, " ")
}

// sameReasons compares the kinds of refusal only: the number of machines for each changes with every other placement.
func sameReasons(a, b map[string]int) bool {
	return maps.EqualFunc(a, b, func(x, y int) bool { return (x > 0) == (y > 0) })
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
