package fleet

import (
	"fmt"

	"github.com/platypus-platform/platypus/intent"
)

// Verb is the kind of a step.
type Verb string

// The verbs. A step is committed in one transaction, alone or with others.
const (
	Place   Verb = "place"   // puts an instance on a machine
	Move    Verb = "move"    // puts it on another machine
	Evict   Verb = "evict"   // takes it off its machine; it is pending until another has capacity
	Resize  Verb = "resize"  // changes its share in place
	Release Verb = "release" // removes an unwanted instance
	Free    Verb = "free"    // deletes a leaving or lost entry that is gone
	Pend    Verb = "pend"    // records why no machine can take it
	Mend    Verb = "mend"    // rewrites its placement record from the ledger
	Forget  Verb = "forget"  // deletes the placement record of an unwanted instance without an entry
)

// Step is one change of ledgers or placement records. It is comparable.
type Step struct {
	Verb     Verb
	Instance intent.Instance
	Entry    intent.Entry // Place, Move, Resize: the new entry; otherwise the affected one
	From     Spot         // Move, Evict, Release, Free: the current machine
	To       Spot         // Place, Move, Resize, Mend: the machine afterwards
	Leaves   intent.Phase // Move, Evict, Release: phase of the entry left at From; PhasePlaced: none
	Attempt  int
	Refused  Refusals // Pend, Evict
	Why      string
}

// Subject is the instance name.
func (s Step) Subject() string { return s.Instance.String() }

// String describes the step and its reason.
func (s Step) String() string {
	share := fmt.Sprintf("%d cores, %s", s.Entry.Cores, s.Entry.Memory)
	switch s.Verb {
	case Place:
		return fmt.Sprintf("place on %s: %s%s", s.To, share, because(s.Why))
	case Move:
		return fmt.Sprintf("move from %s to %s%s", s.From, s.To, because(s.Why))
	case Evict:
		return fmt.Sprintf("evict from %s%s", s.From, because(s.Why))
	case Resize:
		return fmt.Sprintf("resize on %s to %s%s", s.To, share, because(s.Why))
	case Release:
		return fmt.Sprintf("release from %s%s", s.From, because(s.Why))
	case Free:
		return fmt.Sprintf("free %s on %s%s", share, s.From, because(s.Why))
	case Pend:
		return "pending: " + s.Why
	case Mend:
		return fmt.Sprintf("mend the placement on %s%s", s.To, because(s.Why))
	}
	return "forget the placement" + because(s.Why)
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

// placement returns the placement record after the step; false: none.
func (s Step) placement() (intent.Placement, bool) {
	switch s.Verb {
	case Place, Move, Resize, Mend:
		return intent.Placement{State: intent.Placed, Region: s.To.Region, Machine: s.To.Machine, Attempt: s.Attempt}, true
	case Pend, Evict:
		return intent.Placement{State: intent.Pending, Reason: s.Why, Refused: s.Refused.Map(), Attempt: s.Attempt}, true
	}
	return intent.Placement{}, false
}

// apply updates the room.
func (s Step) apply(r *Room) {
	switch s.Verb {
	case Place:
		r.Take(s.To, s.Entry)
	case Move, Evict, Release:
		old := s.Entry
		old.Phase = intent.PhasePlaced
		h := r.Host(s.From)
		if h == nil {
			break
		}
		for _, e := range h.Lodged {
			if e.VM == old.VM && e.Phase == intent.PhasePlaced {
				old = e
			}
		}
		r.Give(s.From, old)
		if s.Leaves != intent.PhasePlaced {
			old.Phase = s.Leaves
			r.Take(s.From, old)
		}
		if s.Verb == Move {
			r.Take(s.To, s.Entry)
		}
	case Resize:
		r.Give(s.To, s.Entry)
		r.Take(s.To, s.Entry)
	case Free:
		r.Give(s.From, s.Entry)
	}
}

// Apply applies the step to the planned capacity.
func (r *Room) Apply(s Step) { s.apply(r) }
