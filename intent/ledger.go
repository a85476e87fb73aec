package intent

import (
	"cmp"
	"fmt"
	"slices"
)

// Ledger lists everything held on one machine: the value of ledger/<region>/<machine>. It is always written as a whole,
// so that the allocated share is the sum of its entries.
type Ledger struct {
	Entries []Entry `json:"entries"` // sorted by instance
}

// MaxEntries keeps a ledger well below [MaxValue].
const MaxEntries = 1024

// Entry is the share of one instance.
type Entry struct {
	VM      string `json:"vm"` // an [Instance]
	Cores   int    `json:"cores"`
	Memory  Size   `json:"memory"`
	Intent  uint64 `json:"intent"` // ModifyIndex of the vm declaration that it was made from
	App     Name   `json:"app,omitempty"`
	Cluster Name   `json:"cluster,omitempty"`
	Phase   Phase  `json:"phase,omitempty"`
}

// Phase is how close an entry is to being released.
type Phase string

// The phases. An entry counts in every phase until it is removed.
const (
	PhasePlaced  Phase = ""        // the instance is here
	PhaseLeaving Phase = "leaving" // no longer wanted here; its app may still be running
	PhaseLost    Phase = "lost"    // replaced elsewhere while the machine was unreachable
)

// Share is the share that the entry allocates.
func (e Entry) Share() Share { return Share{e.Cores, e.Memory} }

// Taken is the sum of all entries.
func (l Ledger) Taken() (sum Share) {
	for _, e := range l.Entries {
		sum = sum.Plus(e.Share())
	}
	return sum
}

// Entry returns the entry of an instance in a phase.
func (l Ledger) Entry(vm string, phase Phase) (Entry, bool) {
	for _, e := range l.Entries {
		if e.VM == vm && e.Phase == phase {
			return e, true
		}
	}
	return Entry{}, false
}

// With returns a ledger in which e replaces the entry with its instance and phase.
func (l Ledger) With(e Entry) Ledger {
	out := Ledger{make([]Entry, 0, len(l.Entries)+1)}
	for _, old := range l.Entries {
		if old.VM != e.VM || old.Phase != e.Phase {
			out.Entries = append(out.Entries, old)
		}
	}
	out.Entries = append(out.Entries, e)
	slices.SortFunc(out.Entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.VM, b.VM), cmp.Compare(a.Phase, b.Phase))
	})
	return out
}

// Without returns a ledger without the entry of an instance in a phase.
func (l Ledger) Without(vm string, phase Phase) Ledger {
	out := Ledger{make([]Entry, 0, len(l.Entries))}
	for _, old := range l.Entries {
		if old.VM != vm || old.Phase != phase {
			out.Entries = append(out.Entries, old)
		}
	}
	return out
}

func (l *Ledger) check(p *parser, v *value, pointer string) {
	if e := v.memberNamed("entries"); e == nil || e.kind == 'n' {
		p.errorf(v, pointer, "\"entries\" is missing: write [] when nothing is held")
	}
	seen := map[string]bool{}
	for i, e := range l.Entries {
		at := fmt.Sprintf("%s/entries/%d", pointer, i)
		if name := e.VM + " " + string(e.Phase); seen[name] {
			p.errorf(v.memberNamed("entries").items[i], at, "%s is held here twice", e.VM)
		} else {
			seen[name] = true
		}
	}
}

func (e *Entry) check(p *parser, v *value, pointer string) {
	if _, err := ParseInstance(e.VM); err != nil {
		p.errorf(v, pointer, "%v", err)
	}
	checkCapacity(p, v, pointer, e.Cores, e.Memory, "such as \"8GB\"")
	switch e.Phase {
	case PhasePlaced, PhaseLeaving, PhaseLost:
	default:
		p.errorf(v.memberNamed("phase"), pointer+"/phase", "phase %q is not leaving or lost", truncate(string(e.Phase)))
	}
}
