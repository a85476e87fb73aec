package world

import (
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

// Allocator is the agent that places vms on machines.
const Allocator = "allocator"

// vms returns one item for each declared vm: how many of its instances are placed.
func (w Snapshot) vms() (items []Item) {
	if len(w.pairsBelow(w.Tree.VMs())) == 0 {
		return nil
	}
	f := fleet.Read(w.Tree, slices.Concat(w.Pairs, w.AgentRecords))
	held := f.Entries()
	allocators := 0
	for who := range w.Alive {
		if who.Agent == Allocator {
			allocators++
		}
	}
	for _, v := range f.VMs {
		item := Item{Kind: KindVM, Name: string(v.Name), Wanted: v.Spec.Count, Nodes: []intent.Name{}, Phase: Converged}
		phase, reason, denied := w.unreadable(w.Tree.PlacedVMs())
		switch {
		case v.Fault != "":
			item.Phase, item.Reason = intent.PhaseInvalid, v.Fault
		case denied:
			item.Phase, item.Reason = phase, reason
		default:
			item.countInstances(v, f, held, allocators)
		}
		items = append(items, item)
	}
	return items
}

// countInstances counts the placed instances of a vm and describes the first that differs from its declaration.
func (i *Item) countInstances(v fleet.VM, f *fleet.Fleet, held map[string][]fleet.Held, allocators int) {
	var pending, differs string
	open := 0
	for n := range v.Spec.Count {
		instance := intent.Instance{VM: v.Name, Number: n}.String()
		switch p, answered := f.Placements[instance]; {
		case !answered || p.Fault != "":
			open++
		case p.State == intent.Placed:
			i.Ready++
			i.Nodes = append(i.Nodes, p.Machine)
			if differs == "" {
				differs = instanceMismatch(instance, v, p, held[instance])
			}
		case pending == "":
			pending = instance + ": " + p.Reason
		}
	}
	slices.Sort(i.Nodes)
	i.Nodes = slices.Compact(i.Nodes)
	switch {
	case open > 0 && allocators == 0:
		i.Phase, i.Reason = Silent, fmt.Sprintf("%d of %d instances unanswered, no allocator is alive; start one: allocator --node NAME", open, i.Wanted)
	case open > 0:
		i.Phase, i.Reason = Pending, fmt.Sprintf("%d of %d instances unanswered by the allocators that are alive", open, i.Wanted)
	case pending != "":
		i.Phase, i.Reason = Pending, pending
	case differs != "":
		i.Phase, i.Reason = Pending, differs
	}
}

// instanceMismatch describes how a placed instance differs from its declaration, or returns "".
func instanceMismatch(instance string, v fleet.VM, p fleet.Placed, held []fleet.Held) string {
	want := v.Spec.Share()
	for _, h := range held {
		if have := h.Share(); h.Machine == p.Machine && h.Phase == intent.PhasePlaced && have != want {
			return fmt.Sprintf("%s wants %d cores and %s, has %d cores and %s on %s", instance, want.Cores, want.Memory, have.Cores, have.Memory, h.Spot)
		}
	}
	if !slices.Contains(v.Spec.Region, p.Region) && !slices.Contains(v.Spec.Region, intent.AnyRegion) {
		var regions []string
		for _, r := range v.Spec.Region {
			regions = append(regions, string(r))
		}
		return fmt.Sprintf("%s is in %s, declared is %s", instance, p.Region, strings.Join(regions, ", "))
	}
	return ""
}
