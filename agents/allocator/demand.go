package main

import (
	"cmp"
	"slices"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

// instance is one wanted instance with its entry and record. These lookups dominate planning in a large fleet, so
// they are done once.
type instance struct {
	vm       *fleet.VM
	id       intent.Instance
	name     string      // of the instance
	current  *fleet.Held // the entry that counts as its place, or nil
	recorded bool        // the placement record names that place
	stable   bool        // it has no other entry
}

// record returns the placement record of an instance.
func (p *planner) record(in *instance) fleet.Placed { return p.actual.Fleet.Placements[in.name] }

// collect builds the list of wanted instances, oldest VM spec first.
func (p *planner) collect() {
	vms := make([]*fleet.VM, 0, len(p.desired.VMs))
	for n := range p.desired.VMs {
		vms = append(vms, &p.desired.VMs[n])
	}
	slices.SortFunc(vms, func(a, b *fleet.VM) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Name, b.Name))
	})
	p.instances = make([]instance, 0, len(vms))
	for _, v := range vms {
		for n := range v.Spec.Count {
			if v.Fault != "" {
				continue
			}
			i := intent.Instance{VM: v.Name, Number: n}
			name := i.String()
			record, is := p.actual.Fleet.Placements[name]
			if is {
				p.recorded++
			}
			entries := p.held[name]
			in := instance{vm: v, id: i, name: name, current: p.chooseCurrent(entries, record)}
			in.recorded = in.current != nil && record.State == intent.Placed && record.Fault == "" && recordedOn(record, in.current.Spot)
			in.stable = in.current != nil && len(entries) == 1
			p.instances = append(p.instances, in)
		}
	}
}

// currentEntry returns the entry that counts as the place of an instance, or nil.
func (p *planner) currentEntry(name string) *fleet.Held {
	return p.chooseCurrent(p.held[name], p.actual.Fleet.Placements[name])
}

// chooseCurrent prefers the entry that the placement record names over the first one.
func (p *planner) chooseCurrent(entries []fleet.Held, record fleet.Placed) (current *fleet.Held) {
	for n := range entries {
		e := &entries[n]
		if e.Phase == intent.PhasePlaced && (current == nil || recordedOn(record, e.Spot)) {
			current = e
		}
	}
	return current
}

func recordedOn(record fleet.Placed, s fleet.Spot) bool {
	return record.Region == s.Region && record.Machine == s.Machine
}

// toReview returns, sorted, the instances that may have an entry to release: all but those that are wanted and have
// exactly one placed entry. In a steady fleet this is empty.
func (p *planner) toReview() (names []string) {
	stable := 0
	for n := range p.instances {
		if p.instances[n].stable {
			stable++
		}
	}
	if stable == len(p.held) {
		return nil
	}
	wanted := p.wantedNames()
	for name, entries := range p.held {
		if len(entries) != 1 || entries[0].Phase != intent.PhasePlaced || !wanted[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (p *planner) wantedNames() map[string]bool {
	names := make(map[string]bool, len(p.instances))
	for n := range p.instances {
		names[p.instances[n].name] = true
	}
	return names
}
