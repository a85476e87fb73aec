package main

import (
	"cmp"
	"slices"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

// wish is one instance that is wanted, with what there is of it: looking that up is most of what planning takes in a large
// fleet, so it is done once.
type wish struct {
	vm       *fleet.VM
	instance intent.Instance
	name     string      // of the instance
	home     *fleet.Held // its place, or nil
	told     bool        // it is said to be there
	settled  bool        // no other entry of it stands anywhere
}

// said is what is said of an instance.
func (p *planner) said(w *wish) fleet.Placed { return p.actual.Fleet.Placements[w.name] }

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
			if v.Fault != "" {
				continue
			}
			i := intent.Instance{VM: v.Name, Number: n}
			name := i.String()
			said, is := p.actual.Fleet.Placements[name]
			if is {
				p.told++
			}
			entries := p.held[name]
			w := wish{vm: v, instance: i, name: name, home: p.homeAmong(entries, said)}
			w.told = w.home != nil && said.State == intent.Placed && said.Fault == "" && on(said, w.home.Spot)
			w.settled = w.home != nil && len(entries) == 1
			p.line = append(p.line, w)
		}
	}
}

// home is the one entry of an instance that counts as its place, or nil.
func (p *planner) home(name string) *fleet.Held {
	return p.homeAmong(p.held[name], p.actual.Fleet.Placements[name])
}

// homeAmong finds it among the entries of the instance: where it is said to be, or the first.
func (p *planner) homeAmong(entries []fleet.Held, said fleet.Placed) (home *fleet.Held) {
	for n := range entries {
		e := &entries[n]
		if e.Phase == intent.PhasePlaced && (home == nil || on(said, e.Spot)) {
			home = e
		}
	}
	return home
}

func on(said fleet.Placed, s fleet.Spot) bool {
	return said.Region == s.Region && said.Machine == s.Machine
}

// unsettled are the instances, sorted, of which an entry may have to go: all but those that are wanted and stand in one
// place, which is nearly all there are.
func (p *planner) unsettled() (names []string) {
	settled := 0
	for n := range p.line {
		if p.line[n].settled {
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
