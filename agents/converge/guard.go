package converge

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// Guard prevents removals by mistake: an empty or denied answer is not an order to delete.
//
// A subject that the agent owns on the host and that intent no longer names has vanished. It may be removed only after
// Gone, a consistent read of its own key, confirms it. All removals are held until a person confirms when
//   - more than half of what is owned, and at least two, vanish at once;
//   - all of it vanishes, even one of one, while the store declares nothing for anybody (Blank);
//   - the agent itself has a reason to suspect a mistake (Suspect).
//
// With a Memory, what was held stays held until a person confirms or it is declared again, also once it is too little
// to be held by itself: a mass removal may be repaired one subject at a time. The rest of the host goes on then.
type Guard[D, A any] struct {
	Owned  func(A) []string // subjects recognisable on the host as this agent's
	Wanted func(D) []string // subjects that intent names, usable or not
	// Gone is a consistent read of one key; false means that the subject is still declared.
	Gone      func(ctx context.Context, subject string) (bool, error)
	Confirmed func(ctx context.Context, removes []string) (bool, error) // a person agreed to these removals
	Blank     func(ctx context.Context) (bool, error)                   // optional: the store declares nothing at all
	Settled   func(D)                                                   // optional: called when no owned subject has vanished
	Reread    func(ctx context.Context) (D, error)                      // optional: a consistent read before a destructive step
	// Hold marks what must not be touched, with the reason.
	Hold func(d D, subjects map[string]string, everything *Held) D

	// Suspect is optional. It returns why the removal is likely a mistake, or "". all is set when everything the agent
	// owns has vanished.
	Suspect func(d D, a A, vanished []string, all bool) string
	// Confirm is the command with which a person confirms; "platypus confirm" when empty.
	Confirm string
	Memory  Memory // optional: of what was held
}

// Memory remembers which subjects were held. Its methods may be called from several goroutines.
type Memory interface {
	// Held returns those of the subjects held before that are still owned and not wanted, and forgets the others. It is
	// called in each pass.
	Held(ctx context.Context, owned, wanted []string) []string
	// Hold adds subjects to those that are held.
	Hold(subjects []string)
}

// heldBefore is what makes a mistake likely when nothing else does any more.
const heldBefore = "what was held before is not declared again"

// Held says what is held back.
type Held struct {
	Removes []string // what would be removed, sorted
	Owned   int      // how many subjects the agent owns in all
	Why     string   // why a mistake is likely, besides their number
	Confirm string   // the command with which a person confirms
}

// String returns the reason and the next step.
func (h Held) String() string {
	why := ""
	if h.Why != "" {
		why = ", and " + h.Why
	}
	return fmt.Sprintf("held: %d of %d would be removed at once%s; if that is meant, run: %s",
		len(h.Removes), h.Owned, why, cmp.Or(h.Confirm, "platypus confirm"))
}

// check returns d with everything marked that must not be touched, and the removals that are held as a whole, if any.
func (g *Guard[D, A]) check(ctx context.Context, d D, a A) (D, *Held) {
	if g == nil {
		return d, nil
	}
	owned := slices.Compact(slices.Sorted(slices.Values(g.Owned(a))))
	wanted := g.Wanted(d)
	vanished, before := difference(owned, wanted), g.remembered(ctx, owned, wanted)
	if len(vanished) == 0 {
		if g.Settled != nil {
			g.Settled(d)
		}
		return d, nil
	}
	all := len(vanished) == len(owned)
	why := g.suspectReason(d, a, vanished, all)
	held := &Held{Removes: vanished, Owned: len(owned), Why: why, Confirm: g.Confirm}
	everything := held
	switch {
	case why != "" || len(vanished) >= 2 && 2*len(vanished) > len(owned) || all && g.storeEmpty(ctx):
	case len(before) > 0:
		held.Why, everything = heldBefore, nil
	default:
		return g.Hold(d, g.unconfirmed(ctx, vanished), nil), nil
	}
	confirmed, err := g.Confirmed(ctx, vanished)
	if err == nil && confirmed {
		return g.Hold(d, g.unconfirmed(ctx, vanished), nil), nil
	}
	if g.Memory != nil {
		g.Memory.Hold(vanished)
	}
	reason := held.String()
	if err != nil {
		reason = fmt.Sprintf("%s (no confirmation could be read: %v)", held, err)
	}
	return g.Hold(d, reasons(vanished, reason), everything), held
}

// remembered returns what was held before and would still be removed.
func (g *Guard[D, A]) remembered(ctx context.Context, owned, wanted []string) []string {
	if g.Memory == nil {
		return nil
	}
	return g.Memory.Held(ctx, owned, wanted)
}

func (g *Guard[D, A]) suspectReason(d D, a A, vanished []string, all bool) string {
	if g.Suspect == nil {
		return ""
	}
	return g.Suspect(d, a, vanished, all)
}

// storeEmpty reports whether the store looks like a new or a wrong one. A read error counts as no: Gone then fails,
// too.
func (g *Guard[D, A]) storeEmpty(ctx context.Context) bool {
	if g.Blank == nil {
		return false
	}
	blank, err := g.Blank(ctx)
	return err == nil && blank
}

// difference returns the owned subjects, in order, that are not wanted.
func difference(owned, wanted []string) (vanished []string) {
	stays := make(map[string]bool, len(wanted))
	for _, subject := range wanted {
		stays[subject] = true
	}
	for _, subject := range owned {
		if !stays[subject] {
			vanished = append(vanished, subject)
		}
	}
	return vanished
}

// unconfirmed returns the subjects whose disappearance a consistent read does not confirm.
func (g *Guard[D, A]) unconfirmed(ctx context.Context, vanished []string) map[string]string {
	keep := map[string]string{}
	for _, subject := range vanished {
		gone, err := g.Gone(ctx, subject)
		switch {
		case err != nil:
			keep[subject] = fmt.Sprintf("held: its removal is not confirmed: %v", err)
		case !gone:
			keep[subject] = "held: it is still declared"
		}
	}
	return keep
}

func reasons(subjects []string, reason string) map[string]string {
	reasons := make(map[string]string, len(subjects))
	for _, subject := range subjects {
		reasons[subject] = reason
	}
	return reasons
}
