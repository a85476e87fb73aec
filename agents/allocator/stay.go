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

// stay decides for the instances that have a place whether they keep it.
func (p *planner) stay() {
	for n := range p.line {
		w := &p.line[n]
		e := w.home
		if e == nil || p.untouchable(w.instance, w.name) {
			continue
		}
		m := p.actual.Fleet.Holder(e)
		if why, phase := p.mustGo(w.vm, e, m); why != "" && p.desired.Frozen == "" {
			p.move(*w.vm, w.instance, *e, why, phase)
			continue
		}
		p.tend(w, e)
	}
}

// mustGo says why an instance cannot stay where it is, and what is to stay behind of it.
func (p *planner) mustGo(v *fleet.VM, e *fleet.Held, m *fleet.Machine) (why string, leaves intent.Phase) {
	leaves = p.leaves(*e)
	switch {
	case m.Spec.Is(intent.MachineDead) && m.Index > 0:
		return "the machine is dead", leaves
	case m.Spec.Is(intent.MachineDraining) && m.Index > 0:
		return "the machine is draining", leaves
	case p.actual.Lost[m.Name()] && v.Spec.OnHostLoss != intent.LossWait:
		return "the machine has not been heard of for long", intent.PhaseLost
	case e.App != v.Spec.App:
		return fmt.Sprintf("it is to bring %s", cmp.Or(string(v.Spec.App), "no app")), leaves
	case m.Index > 0 && m.Fault == "" && !suits(v, m):
		return "the machine no longer suits what is wanted", leaves
	}
	return "", leaves
}

// suits reports whether an instance may be on a machine at all, room aside.
func suits(v *fleet.VM, m *fleet.Machine) bool {
	if !slices.Contains(v.Spec.Region, m.Region) && !slices.Contains(v.Spec.Region, intent.AnyRegion) {
		return false
	}
	for name, text := range v.Spec.Constraints {
		if have, there := m.Spec.Labels[name]; !there || have != text {
			return false
		}
	}
	return true
}

// move plans another place, as fast as the machine's drain and the rate of replacement allow.
func (p *planner) move(v fleet.VM, i intent.Instance, e fleet.Held, why string, leaves intent.Phase) {
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
	said := p.actual.Fleet.Placements[i.String()]
	s := fleet.Step{Instance: i, Entry: entryOf(v, i), From: e.Spot, Leaves: leaves, Attempt: said.Attempt + 1, Why: why}
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
		s.Attempt = said.Attempt
		s.Why = why + "; " + p.noRoom(v, s.Refused)
	default:
		return // it is better off where it is than nowhere
	}
	p.leaving[e.Spot]++
	p.freeing = true
	if leaves == intent.PhaseLost {
		p.actual.Budget--
	}
	p.room.Apply(s)
	p.add(s)
}

// tend keeps an instance where it is, in the size that is wanted, and what is said of it true.
func (p *planner) tend(w *wish, e *fleet.Held) {
	i := w.instance
	if spec := &w.vm.Spec; e.Share() != spec.Share() || e.Cluster != spec.Cluster {
		v := *w.vm
		s := fleet.Step{Verb: fleet.Resize, Instance: i, Entry: entryOf(v, i), To: e.Spot, Attempt: max(1, p.said(w).Attempt), Why: "another size is wanted"}
		if p.grows(v, *e) {
			p.room.Apply(s)
			p.add(s)
			return
		}
		if c := p.elsewhere(v, i, *e); c != nil {
			p.add(*c)
			return
		}
	}
	var app fleet.App
	brought := false
	if e.App != "" {
		app, brought = p.actual.Fleet.Apps[string(e.Spot.Machine)+"/"+string(e.App)]
	}
	switch {
	case !w.told:
		p.add(fleet.Step{Verb: fleet.Mend, Instance: i, Entry: e.Entry, To: e.Spot, Attempt: max(1, p.said(w).Attempt), Why: "it did not say so"})
	case e.App != "" && (!brought || app.Cluster != e.Cluster):
		p.add(fleet.Step{Verb: fleet.Mend, Instance: i, Entry: e.Entry, To: e.Spot, Attempt: p.said(w).Attempt, Why: "its app was not brought"})
	}
}

// grows reports whether an instance can have its new size where it is.
func (p *planner) grows(v fleet.VM, e fleet.Held) bool {
	h := *p.room.Host(e.Spot)
	h.Left = h.Left.Plus(e.Share())
	h.Lodged = slices.DeleteFunc(slices.Clone(h.Lodged), func(o intent.Entry) bool { return o.VM == e.VM && o.Phase == e.Phase })
	want := fleet.WantOf(v)
	return !h.Corrupt && h.Index > 0 && h.Holds(&want) == fleet.Fits
}

// elsewhere is the step to another machine, for an instance that has become too large for its own.
func (p *planner) elsewhere(v fleet.VM, i intent.Instance, e fleet.Held) *fleet.Step {
	want := fleet.WantOf(v)
	want.Avoid = e.Spot
	attempt := p.actual.Fleet.Placements[i.String()].Attempt + 1
	c, ok := p.room.Choose(&want, fleet.Seed(i, attempt))
	if !ok {
		return nil
	}
	s := fleet.Step{Verb: fleet.Move, Instance: i, Entry: entryOf(v, i), From: e.Spot, To: c.Spot, Leaves: p.leaves(e), Attempt: attempt,
		Why: "it has become too large for its machine"}
	p.room.Apply(s)
	p.freeing = true
	return &s
}

func entryOf(v fleet.VM, i intent.Instance) intent.Entry {
	return intent.Entry{VM: i.String(), Cores: v.Spec.Cores, Memory: v.Spec.Memory, Intent: v.Index, App: v.Spec.App, Cluster: v.Spec.Cluster}
}

// noRoom says in words why nothing takes an instance.
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

// alike reports whether the same kinds of reason keep an instance out; how many machines each keeps changes with
// everything else that is placed.
func alike(a, b map[string]int) bool {
	return maps.EqualFunc(a, b, func(x, y int) bool { return (x > 0) == (y > 0) })
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
