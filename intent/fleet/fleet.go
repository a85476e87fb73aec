// Package fleet thinks about regions, machines and the vms on them: what is where, what fits where, where an instance
// would go and why it cannot, and whether all of it adds up. It imports the standard library and intent alone, and reads
// and writes nothing, so that the allocator, the command line and a test come to the same answer from the same state.
//
// There is one rule of what fits, [Host.Fits]. Choosing, committing and auditing all ask it.
package fleet

import (
	"cmp"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// Spot is one machine.
type Spot struct {
	Region  intent.Name `json:"region"`
	Machine intent.Name `json:"machine"`
}

// String is the form SIN/m1, or "" for no machine.
func (s Spot) String() string {
	if s.Machine == "" {
		return ""
	}
	return string(s.Region) + "/" + string(s.Machine)
}

// Compare orders spots by region, then by machine.
func (s Spot) Compare(o Spot) int {
	return cmp.Or(cmp.Compare(s.Region, o.Region), cmp.Compare(s.Machine, o.Machine))
}

// Machine is a machine with what is held on it.
type Machine struct {
	Spot
	Spec        intent.Machine
	Index       uint64 // ModifyIndex of its declaration; 0: it is not declared
	Ledger      intent.Ledger
	LedgerIndex uint64               // 0: it never held anything
	Fault       string               // why nothing is placed here: a value that cannot be used
	Corrupt     bool                 // it is the ledger that cannot be used: what is held is not known
	Away        bool                 // observed: agents ran here, and none of them is heard of now
	Claimed     map[intent.Name]bool // apps that people themselves put on this node
}

// Free is what vms may still take; it is negative where more is held than there is.
func (m *Machine) Free() intent.Share { return m.Spec.Usable().Minus(m.Ledger.Taken()) }

// Overcommitted reports whether more is held than there is.
func (m *Machine) Overcommitted() bool {
	free := m.Free()
	return len(m.Ledger.Entries) > 0 && !m.Corrupt && (free.Cores < 0 || free.Memory < 0)
}

// VM is a wish for a share of a machine.
type VM struct {
	Name  intent.Name
	Spec  intent.VM
	Index uint64 // ModifyIndex
	Fault string // why the wish cannot be used: then nothing of it changes
}

// Placed is where an instance is said to be.
type Placed struct {
	intent.Placement
	Index uint64 // ModifyIndex
	Fault string // why the value cannot be used
}

// Fleet is one complete reading of everything that placing depends on.
type Fleet struct {
	Regions    map[intent.Name]intent.Region
	Machines   []*Machine        // by spot; those that only have a ledger are here too
	VMs        []VM              // by name; those that cannot be used are here too
	Placements map[string]Placed // by instance
	Apps       map[string]App    // what placement/nodes/ says, by "<node>/<app>"
	Problems   intent.Problems   // of all values
}

// App is what placing brings to one node.
type App struct {
	Node, App, Cluster intent.Name
	Index              uint64
}

// Codes returns the regions that are known, by declaration or because a machine stands there, sorted.
func (f *Fleet) Codes() []intent.Name {
	seen := map[intent.Name]bool{}
	for code := range f.Regions {
		seen[code] = true
	}
	for _, m := range f.Machines {
		seen[m.Region] = true
	}
	codes := make([]intent.Name, 0, len(seen))
	for code := range seen {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return codes
}

// VM returns the wish of that name.
func (f *Fleet) VM(name intent.Name) (VM, bool) {
	at, found := slices.BinarySearchFunc(f.VMs, name, func(v VM, name intent.Name) int { return cmp.Compare(v.Name, name) })
	if !found {
		return VM{}, false
	}
	return f.VMs[at], true
}

// Machine returns the machine at a spot, or nil.
func (f *Fleet) Machine(spot Spot) *Machine {
	at, found := slices.BinarySearchFunc(f.Machines, spot, func(m *Machine, spot Spot) int { return m.Spot.Compare(spot) })
	if !found {
		return nil
	}
	return f.Machines[at]
}

// Named returns the machine of that name, in whatever region, or nil.
func (f *Fleet) Named(name intent.Name) *Machine {
	for _, m := range f.Machines {
		if m.Name() == name {
			return m
		}
	}
	return nil
}

// Name is the name of the machine, which is its node's.
func (m *Machine) Name() intent.Name { return m.Spot.Machine }

// Held is an entry and where it stands.
type Held struct {
	Spot
	intent.Entry
	at int // of the machine
}

// Holder is the machine on which an entry stands that Entries returned.
func (f *Fleet) Holder(h *Held) *Machine { return f.Machines[h.at] }

// Entries returns every entry of every ledger that can be read, by instance, in the order of the machines.
func (f *Fleet) Entries() map[string][]Held {
	n := 0
	for _, m := range f.Machines {
		n += len(m.Ledger.Entries)
	}
	held, all := make(map[string][]Held, n), make([]Held, 0, n)
	for at, m := range f.Machines {
		for _, e := range m.Ledger.Entries {
			all = append(all, Held{m.Spot, e, at})
			if others := held[e.VM]; others != nil {
				held[e.VM] = append(others, all[len(all)-1])
			} else {
				held[e.VM] = all[len(all)-1 : len(all) : len(all)]
			}
		}
	}
	return held
}

// VMOf is the vm that an instance belongs to.
func VMOf(instance string) intent.Name {
	if at := strings.LastIndexByte(instance, '.'); at >= 0 {
		return intent.Name(instance[:at])
	}
	return intent.Name(instance)
}
