package fleet

import (
	"fmt"

	"github.com/platypus-platform/platypus/intent"
)

// Verb is what a step does.
type Verb string

// The verbs. Each is one transaction, or part of one.
const (
	Place   Verb = "place"   // an instance gets a machine
	Move    Verb = "move"    // it gets another one, and leaves the old
	Evict   Verb = "evict"   // it leaves its machine and waits for another
	Resize  Verb = "resize"  // its share changes where it is
	Release Verb = "release" // it is no longer wanted
	Free    Verb = "free"    // what left, or was lost, is known to be gone
	Pend    Verb = "pend"    // no machine takes it, and the reason is told
	Mend    Verb = "mend"    // its placement is written anew from the ledger
	Forget  Verb = "forget"  // its placement is removed: nothing wants it and nothing holds it
)

// Step is one change to what is held. It is a comparable value.
type Step struct {
	Verb     Verb
	Instance intent.Instance
	Entry    intent.Entry // Place, Move, Resize: the new one; otherwise the one that is meant
	From     Spot         // Move, Evict, Release, Free: where it is
	To       Spot         // Place, Move, Resize, Mend: where it goes, or is
	Leaves   intent.Phase // Move, Evict, Release: the phase that stays behind at From, or PhasePlaced when nothing stays
	Attempt  int
	Refused  Refusals // Pend, Evict
	Why      string
}

// Subject is the instance.
func (s Step) Subject() string { return s.Instance.String() }

// String says what is done and why.
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

// placement is what placement/vms/ says once the step is done; false: nothing.
func (s Step) placement() (intent.Placement, bool) {
	switch s.Verb {
	case Place, Move, Resize, Mend:
		return intent.Placement{State: intent.Placed, Region: s.To.Region, Machine: s.To.Machine, Attempt: s.Attempt}, true
	case Pend, Evict:
		return intent.Placement{State: intent.Pending, Reason: s.Why, Refused: s.Refused.Map(), Attempt: s.Attempt}, true
	}
	return intent.Placement{}, false
}

// apply changes the room as the step would.
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

// Apply changes the room as the step would change what is held.
func (r *Room) Apply(s Step) { s.apply(r) }
