package fleet

import (
	"fmt"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// Reason is why a machine cannot take an instance.
type Reason uint8

// The reasons, in the order in which they are checked.
const (
	Fits        Reason = iota // feasible
	Undeclared                // the machine has a ledger but no declaration
	Unusable                  // its declaration or its ledger is invalid
	Cordoned                  // set by an operator
	Draining                  // set by an operator
	Dead                      // set by an operator
	Unreachable               // no agent is alive
	Label                     // a required label is missing
	SameApp                   // the app is on the machine already, or assigned to it by an operator
	SameVM                    // an instance of the VM is on the machine already
	NoCores
	NoMemory
	Crowded // its ledger is full
	reasons
)

var reasonNames = [reasons]string{"fits", "undeclared", "unusable", "cordoned", "draining", "dead", "unreachable", "label", "app", "spread",
	"cores", "memory", "crowded"}

// String is the name of the reason in stored values and tables.
func (r Reason) String() string { return reasonNames[r] }

// words follow the number of refusing machines in texts.
var words = [reasons]string{Undeclared: "not declared", Unusable: "unusable", Cordoned: "cordoned", Draining: "draining", Dead: "dead",
	Unreachable: "unreachable", Label: "without a label", SameApp: "have the app", SameVM: "have another instance", NoCores: "short of cores",
	NoMemory: "short of memory", Crowded: "crowded"}

// Refusals counts machines by the reason of their refusal.
type Refusals [reasons]int

// String is a text such as "7 short of cores, 2 cordoned", or "no machine there".
func (r Refusals) String() string {
	var parts []string
	for reason, n := range r {
		if n > 0 && Reason(reason) != Fits {
			parts = append(parts, fmt.Sprintf("%d %s", n, words[reason]))
		}
	}
	if len(parts) == 0 {
		return "no machine there"
	}
	return strings.Join(parts, ", ")
}

// Map is the form of the counts in stored values.
func (r Refusals) Map() map[string]int {
	counts := map[string]int{}
	for reason, n := range r {
		if n > 0 && Reason(reason) != Fits {
			counts[Reason(reason).String()] = n
		}
	}
	return counts
}

// Want is what an instance requires of a machine.
type Want struct {
	intent.Share
	VM          intent.Name
	App         intent.Name
	Apart       bool // no other instance of the VM on the machine
	Even        bool // spread over datacenters
	Constraints map[intent.Name]string
	Regions     intent.Regions
	Avoid       Spot // the current machine, if it must leave it
}

// WantOf returns what each instance of a VM requires.
func WantOf(v VM) Want {
	s := v.Spec
	return Want{Share: s.Share(), VM: v.Name, App: s.App, Apart: s.Spread == intent.SpreadMachine || s.Spread == intent.SpreadDatacenter,
		Even: s.Spread == intent.SpreadDatacenter, Constraints: s.Constraints, Regions: s.Region}
}

// Host is a machine with planned changes.
type Host struct {
	*Machine
	Left   intent.Share   // free capacity including the changes
	Lodged []intent.Entry // entries including the changes
}

// HostOf returns the machine without changes.
func HostOf(m *Machine) *Host { return &Host{m, m.Free(), m.Ledger.Entries} }

// Fits is the only feasibility rule: it returns why the machine cannot take the instance, or [Fits].
func (h *Host) Fits(w *Want) Reason {
	if r := h.Shut(); r != Fits {
		return r
	}
	return h.Holds(w)
}

// Shut returns why the machine takes no new instances at all, or [Fits].
func (h *Host) Shut() Reason {
	switch {
	case h.Index == 0:
		return Undeclared
	case h.Fault != "":
		return Unusable
	case h.Spec.State == "" || h.Spec.State == intent.MachineReady:
		if h.Away {
			return Unreachable
		}
		return Fits
	case h.Spec.State == intent.MachineCordoned:
		return Cordoned
	case h.Spec.State == intent.MachineDraining:
		return Draining
	}
	return Dead
}

// Holds checks labels, conflicts and capacity, regardless of whether the machine takes new instances.
func (h *Host) Holds(w *Want) Reason {
	switch {
	case len(w.Constraints) > 0 && !hasLabels(h.Spec.Labels, w.Constraints):
		return Label
	case w.App != "" && h.runs(w.App):
		return SameApp
	case w.Apart && h.Has(w.VM) > 0:
		return SameVM
	case h.Left.Cores < w.Cores:
		return NoCores
	case h.Left.Memory < w.Memory:
		return NoMemory
	case len(h.Lodged) >= intent.MaxEntries:
		return Crowded
	}
	return Fits
}

func hasLabels(labels, wanted map[intent.Name]string) bool {
	for name, text := range wanted {
		if have, there := labels[name]; !there || have != text {
			return false
		}
	}
	return true
}

// runs reports whether the app is on the machine. A leaving entry counts: its app may still run.
func (h *Host) runs(app intent.Name) bool {
	if h.Claimed[app] {
		return true
	}
	for i := range h.Lodged {
		if h.Lodged[i].App == app {
			return true
		}
	}
	return false
}

// Has counts the placed instances of a VM on the machine.
func (h *Host) Has(vm intent.Name) (n int) {
	for i := range h.Lodged {
		e := &h.Lodged[i]
		if len(e.VM) > len(vm) && e.VM[len(vm)] == '.' && e.VM[:len(vm)] == string(vm) && e.Phase == intent.PhasePlaced && VMOf(e.VM) == vm {
			n++
		}
	}
	return n
}

// Explain describes a reason for this instance and machine.
func (h *Host) Explain(w *Want, r Reason) string {
	switch r {
	case Fits:
		return "fits"
	case Undeclared:
		return "the machine is not declared"
	case Unusable:
		return h.Fault
	case Unreachable:
		return "no agent of it is heard of"
	case Label:
		return "lacks a label that is asked for"
	case SameApp:
		return fmt.Sprintf("app %s is there already", w.App)
	case SameVM:
		return fmt.Sprintf("an instance of %s is there already", w.VM)
	case NoCores:
		return fmt.Sprintf("%d cores free, %d wanted", h.Left.Cores, w.Cores)
	case NoMemory:
		return fmt.Sprintf("%s free, %s wanted", h.Left.Memory.Short(), w.Memory.Short())
	case Crowded:
		return fmt.Sprintf("holds %d instances, the most there may be", len(h.Lodged))
	}
	return fmt.Sprintf("the machine is %s", r)
}
