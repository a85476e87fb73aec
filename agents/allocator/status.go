package main

import (
	"fmt"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

// maxStates bounds a report: converged instances are only counted, others are listed up to this number.
const maxStates = 200

// states builds the report: how many instances are placed, which are not and why, and which machines need attention.
func states(d Desired, a Actual) *statusBuilder {
	t := &statusBuilder{states: map[string]converge.State{}, closing: map[fleet.Spot]*fleet.Machine{}}
	entries := a.entries()
	for _, m := range a.Fleet.Machines {
		if a.Lost[m.Name()] || m.Index > 0 && (m.Spec.Is(intent.MachineDraining) || m.Spec.Is(intent.MachineDead)) {
			t.closing[m.Spot] = m
		}
	}
	for _, v := range d.VMs {
		if v.Fault != "" {
			t.add(string(v.Name), converge.State{Phase: intent.PhaseInvalid, Reason: v.Fault})
			continue
		}
		for n := range v.Spec.Count {
			t.wanted++
			t.addInstance(intent.Instance{VM: v.Name, Number: n}, v, a, entries)
		}
	}
	for vm, why := range d.Held {
		t.add(string(vm), converge.State{Phase: intent.PhaseHeld, Reason: why})
	}
	for _, m := range a.Fleet.Machines {
		t.addMachine(m, a)
	}
	phase := converge.Converged
	if t.placed < t.wanted {
		phase = converge.Waiting
	}
	t.states["vms"] = converge.State{Want: fmt.Sprint(t.wanted), Have: fmt.Sprint(t.placed), Phase: phase}
	if t.omitted > 0 {
		t.states["more"] = converge.State{Phase: converge.Waiting,
			Reason: fmt.Sprintf("%d more are not told here: platypus vms", t.omitted)}
	}
	return t
}

// statusBuilder accumulates a report.
type statusBuilder struct {
	states                  map[string]converge.State
	wanted, placed, omitted int
	closing                 map[fleet.Spot]*fleet.Machine // lost, draining or dead
}

func (t *statusBuilder) add(name string, s converge.State) {
	if len(t.states) >= maxStates {
		t.omitted++
		return
	}
	t.states[name] = s
}

func (t *statusBuilder) addInstance(i intent.Instance, v fleet.VM, a Actual, entries map[string][]fleet.Held) {
	name := i.String()
	for _, e := range entries[name] {
		if e.Phase == intent.PhasePlaced {
			t.placed++
			switch m := t.closing[e.Spot]; {
			case m == nil:
			case a.Lost[m.Name()]:
				t.add(name, converge.State{Have: e.Spot.String(), Phase: converge.Waiting,
					Reason: "its machine has not been heard of for long"})
			default:
				t.add(name, converge.State{Have: e.Spot.String(), Phase: converge.Waiting,
					Reason: "it is to leave its machine, which is " + string(m.Spec.State)})
			}
			return
		}
	}
	record := a.Fleet.Placements[name]
	if m := a.Fleet.Machine(fleet.Spot{Region: record.Region,
		Machine: record.Machine}); record.State == intent.Placed && m != nil && m.Corrupt {
		t.add(name, converge.State{Have: m.Spot.String(), Phase: intent.PhaseHeld,
			Reason: "the ledger of its machine cannot be read: platypus verify"})
		return
	}
	t.add(name, converge.State{Want: join(v.Spec.Region), Phase: converge.Waiting, Reason: record.Reason})
}

func (t *statusBuilder) addMachine(m *fleet.Machine, a Actual) {
	free := m.Free()
	switch {
	case m.Fault != "":
		t.add(m.Spot.String(), converge.State{Phase: intent.PhaseInvalid, Reason: m.Fault})
	case m.Index == 0 && len(m.Ledger.Entries) > 0:
		t.add(m.Spot.String(), converge.State{Phase: intent.PhaseIncomplete,
			Reason: fmt.Sprintf("it is not declared and holds %d instances: declare it, or move them away",
				len(m.Ledger.Entries))})
	case m.Overcommitted():
		t.add(m.Spot.String(), converge.State{Phase: "overcommitted",
			Reason: fmt.Sprintf("it holds %s too much: what is there stays; platypus rebalance moves some away",
				excess(free))})
	case a.Lost[m.Name()]:
		t.add(m.Spot.String(), converge.State{Phase: converge.Waiting,
			Reason: "it has not been heard of for long: its vms are replaced"})
	}
}

// excess formats the overcommitted amount.
func excess(free intent.Share) string {
	switch {
	case free.Memory >= 0:
		return fmt.Sprintf("%d cores", -free.Cores)
	case free.Cores >= 0:
		return (-free.Memory).Short()
	}
	return fmt.Sprintf("%d cores and %s", -free.Cores, (-free.Memory).Short())
}
