package main

import (
	"fmt"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

// mostStates bounds a report: what is well is counted, and of what is not so many are told one by one.
const mostStates = 200

// tell says to a person how many instances have a place, which have none and why, and which machines need a look.
func tell(d Desired, a Actual) *telling {
	t := &telling{all: map[string]converge.State{}, closing: map[fleet.Spot]*fleet.Machine{}}
	entries := a.entries()
	for _, m := range a.Fleet.Machines {
		if a.Lost[m.Name()] || m.Index > 0 && (m.Spec.Is(intent.MachineDraining) || m.Spec.Is(intent.MachineDead)) {
			t.closing[m.Spot] = m
		}
	}
	for _, v := range d.VMs {
		if v.Fault != "" {
			t.tell(string(v.Name), converge.State{Phase: intent.PhaseInvalid, Reason: v.Fault})
			continue
		}
		for n := range v.Spec.Count {
			t.wanted++
			t.instance(intent.Instance{VM: v.Name, Number: n}, v, a, entries)
		}
	}
	for vm, why := range d.Held {
		t.tell(string(vm), converge.State{Phase: intent.PhaseHeld, Reason: why})
	}
	for _, m := range a.Fleet.Machines {
		t.machine(m, a)
	}
	phase := converge.Converged
	if t.placed < t.wanted {
		phase = converge.Waiting
	}
	t.all["vms"] = converge.State{Want: fmt.Sprint(t.wanted), Have: fmt.Sprint(t.placed), Phase: phase}
	if t.left > 0 {
		t.all["more"] = converge.State{Phase: converge.Waiting, Reason: fmt.Sprintf("%d more are not told here: platypus vms", t.left)}
	}
	return t
}

// telling is a report in the making.
type telling struct {
	all                  map[string]converge.State
	wanted, placed, left int
	closing              map[fleet.Spot]*fleet.Machine // that are lost, or to be left
}

func (t *telling) tell(name string, s converge.State) {
	if len(t.all) >= mostStates {
		t.left++
		return
	}
	t.all[name] = s
}

func (t *telling) instance(i intent.Instance, v fleet.VM, a Actual, entries map[string][]fleet.Held) {
	name := i.String()
	for _, e := range entries[name] {
		if e.Phase == intent.PhasePlaced {
			t.placed++
			switch m := t.closing[e.Spot]; {
			case m == nil:
			case a.Lost[m.Name()]:
				t.tell(name, converge.State{Have: e.Spot.String(), Phase: converge.Waiting, Reason: "its machine has not been heard of for long"})
			default:
				t.tell(name, converge.State{Have: e.Spot.String(), Phase: converge.Waiting, Reason: "it is to leave its machine, which is " + string(m.Spec.State)})
			}
			return
		}
	}
	said := a.Fleet.Placements[name]
	if m := a.Fleet.Machine(fleet.Spot{Region: said.Region, Machine: said.Machine}); said.State == intent.Placed && m != nil && m.Corrupt {
		t.tell(name, converge.State{Have: m.Spot.String(), Phase: intent.PhaseHeld, Reason: "the ledger of its machine cannot be read: platypus verify"})
		return
	}
	t.tell(name, converge.State{Want: join(v.Spec.Region), Phase: converge.Waiting, Reason: said.Reason})
}

func (t *telling) machine(m *fleet.Machine, a Actual) {
	free := m.Free()
	switch {
	case m.Fault != "":
		t.tell(m.Spot.String(), converge.State{Phase: intent.PhaseInvalid, Reason: m.Fault})
	case m.Index == 0 && len(m.Ledger.Entries) > 0:
		t.tell(m.Spot.String(), converge.State{Phase: intent.PhaseIncomplete,
			Reason: fmt.Sprintf("it is not declared and holds %d instances: declare it, or move them away", len(m.Ledger.Entries))})
	case m.Overcommitted():
		t.tell(m.Spot.String(), converge.State{Phase: "overcommitted",
			Reason: fmt.Sprintf("it holds %s too much: what is there stays; platypus rebalance moves some away", tooMuch(free))})
	case a.Lost[m.Name()]:
		t.tell(m.Spot.String(), converge.State{Phase: converge.Waiting, Reason: "it has not been heard of for long: its vms are replaced"})
	}
}

// tooMuch is what is missing, in words.
func tooMuch(free intent.Share) string {
	switch {
	case free.Memory >= 0:
		return fmt.Sprintf("%d cores", -free.Cores)
	case free.Cores >= 0:
		return (-free.Memory).Short()
	}
	return fmt.Sprintf("%d cores and %s", -free.Cores, (-free.Memory).Short())
}
