// Package fleet models regions, machines and the VMs placed on them: which instance is where, what fits where and why
// not, and whether the stored state is consistent. It has no I/O and imports only the standard library and intent, so
// that the allocator, the command line and tests reach the same decision from the same state.
//
// There is one feasibility rule, [Host.Fits], used by choosing, committing and auditing.
package fleet

import (
	"cmp"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// Spot identifies one machine.
type Spot struct {
	Region  intent.Name `json:"region"`
	Machine intent.Name `json:"machine"`
}

// String returns the form SIN/m1, or "" for no machine.
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

// Machine is a machine with its ledger.
type Machine struct {
	Spot
	Spec        intent.Machine
	Index       uint64 // ModifyIndex of its declaration; 0: not declared
	Ledger      intent.Ledger
	LedgerIndex uint64               // 0: it has no ledger
	Fault       string               // an invalid value, which prevents placements here
	Corrupt     bool                 // the ledger is invalid: the entries are unknown
	Away        bool                 // agents ran here, and none is alive now
	Claimed     map[intent.Name]bool // apps that operators assign to this node
}

// Free is the capacity left for VMs; it is negative on an overcommitted machine.
func (m *Machine) Free() intent.Share { return m.Spec.Usable().Minus(m.Ledger.Taken()) }

// Overcommitted reports whether the entries exceed the capacity.
func (m *Machine) Overcommitted() bool {
	free := m.Free()
	return len(m.Ledger.Entries) > 0 && !m.Corrupt && (free.Cores < 0 || free.Memory < 0)
}

// VM is a declared VM.
type VM struct {
	Name  intent.Name
	Spec  intent.VM
	Index uint64 // ModifyIndex
	Fault string // why the spec is invalid: then nothing of the VM changes
}

// Placed is the placement record of an instance.
type Placed struct {
	intent.Placement
	Index uint64 // ModifyIndex
	Fault string // why the value is invalid
}

// Fleet is a complete reading of everything that placement depends on.
type Fleet struct {
	Regions    map[intent.Name]intent.Region
	Machines   []*Machine        // sorted by Spot; includes machines that only have a ledger
	VMs        []VM              // sorted by name; includes invalid ones
	Placements map[string]Placed // by instance
	Apps       map[string]App    // placement/nodes/, by "<node>/<app>"
	Problems   intent.Problems   // of all values
}

// App is an app assignment of one node made by placement.
type App struct {
	Node, App, Cluster intent.Name
	Index              uint64
}

// Codes returns the regions that are declared or have a machine, sorted.
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

// VM returns the VM of that name.
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

// Named returns the machine of that name in any region, or nil.
func (f *Fleet) Named(name intent.Name) *Machine {
	for _, m := range f.Machines {
		if m.Name() == name {
			return m
		}
	}
	return nil
}

// Name is the name of the machine and of its node.
func (m *Machine) Name() intent.Name { return m.Spot.Machine }

// Held is an entry and its machine.
type Held struct {
	Spot
	intent.Entry
	at int // index of the machine
}

// Holder returns the machine of an entry returned by Entries.
func (f *Fleet) Holder(h *Held) *Machine { return f.Machines[h.at] }

// Entries returns the entries of all readable ledgers by instance, in the order of the machines.
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

// VMOf returns the VM of an instance name.
func VMOf(instance string) intent.Name {
	if at := strings.LastIndexByte(instance, '.'); at >= 0 {
		return intent.Name(instance[:at])
	}
	return intent.Name(instance)
}
