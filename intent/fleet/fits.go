package fleet

import (
	"fmt"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// Reason is the class of what keeps an instance off a machine.
type Reason uint8

// The reasons, in the order in which they are looked for.
const (
	Fits        Reason = iota // none
	Undeclared                // the machine has a ledger and no declaration
	Unusable                  // its declaration or its ledger cannot be used
	Cordoned                  // a person decided
	Draining                  // a person decided
	Dead                      // a person decided
	Unreachable               // its agents are not heard of
	Label                     // it lacks a label that is asked for
	SameApp                   // the app is there already, or a person put it there
	SameVM                    // an instance of the vm is there already
	NoCores
	NoMemory
	Crowded // its ledger is full
	reasons
)

var reasonNames = [reasons]string{"fits", "undeclared", "unusable", "cordoned", "draining", "dead", "unreachable", "label", "app", "spread",
	"cores", "memory", "crowded"}

// String is the name of the class in values and tables.
func (r Reason) String() string { return reasonNames[r] }

// words are how many machines are told of that refuse for a reason.
var words = [reasons]string{Undeclared: "not declared", Unusable: "unusable", Cordoned: "cordoned", Draining: "draining", Dead: "dead",
	Unreachable: "unreachable", Label: "without a label", SameApp: "have the app", SameVM: "have another instance", NoCores: "short of cores",
	NoMemory: "short of memory", Crowded: "crowded"}

// Refusals counts machines by what kept an instance off them.
type Refusals [reasons]int

// String is the form "7 short of cores, 2 cordoned", or "no machine there".
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

// Map is the form that values hold.
func (r Refusals) Map() map[string]int {
	counts := map[string]int{}
	for reason, n := range r {
		if n > 0 && Reason(reason) != Fits {
			counts[Reason(reason).String()] = n
		}
	}
	return counts
}

// Want is what an instance asks of a machine.
type Want struct {
	intent.Share
	VM          intent.Name
	App         intent.Name
	Apart       bool // from other instances of the vm
	Even        bool // over datacenters
	Constraints map[intent.Name]string
	Regions     intent.Regions
	Avoid       Spot // where it is now, when it is to leave
}

// WantOf is what each instance of a vm asks for.
func WantOf(v VM) Want {
	s := v.Spec
	return Want{Share: s.Share(), VM: v.Name, App: s.App, Apart: s.Spread == intent.SpreadMachine || s.Spread == intent.SpreadDatacenter,
		Even: s.Spread == intent.SpreadDatacenter, Constraints: s.Constraints, Regions: s.Region}
}

// Host is a machine as it would be once some steps were done.
type Host struct {
	*Machine
	Left   intent.Share   // Free, with the steps
	Lodged []intent.Entry // the ledger's entries, with the steps
}

// HostOf is the machine as it is.
func HostOf(m *Machine) *Host { return &Host{m, m.Free(), m.Ledger.Entries} }

// Fits is the one rule: it says what keeps an instance off the machine, or [Fits].
func (h *Host) Fits(w *Want) Reason {
	if r := h.Shut(); r != Fits {
		return r
	}
	return h.Holds(w)
}

// Shut says why the machine takes nothing new at all, or [Fits].
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

// Holds says what of the machine itself is too little or in the way, whether or not it takes anything new.
func (h *Host) Holds(w *Want) Reason {
	switch {
	case len(w.Constraints) > 0 && !carries(h.Spec.Labels, w.Constraints):
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

func carries(labels, wanted map[intent.Name]string) bool {
	for name, text := range wanted {
		if have, there := labels[name]; !there || have != text {
			return false
		}
	}
	return true
}

// runs reports whether the app is on the machine. An entry that is leaving still counts: its app may still run.
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

// Has counts the instances of a vm that are placed on the machine.
func (h *Host) Has(vm intent.Name) (n int) {
	for i := range h.Lodged {
		e := &h.Lodged[i]
		if len(e.VM) > len(vm) && e.VM[len(vm)] == '.' && e.VM[:len(vm)] == string(vm) && e.Phase == intent.PhasePlaced && VMOf(e.VM) == vm {
			n++
		}
	}
	return n
}

// Explain says in words what a reason means for this instance on this machine.
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
