package converge

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// Guard keeps removals from happening by mistake: an empty or refused answer is not an order to delete.
//
// A subject that the agent owns on the host and that intent no longer names has vanished. It may be removed only when
// Gone says so, from a consistent read of its own key. Everything is held until a person confirms when
//   - more than half of what is owned, and at least two, vanish at once;
//   - all of it vanishes, even one of one, while the store declares nothing for anybody (Blank);
//   - the agent has a reason of its own to think it a mistake (Suspect).
//
// With a Memory, what was held stays held until a person confirms or it is declared again, also once it is too little
// to be held by itself: a mass removal may be repaired one subject at a time. The rest of the host goes on then.
type Guard[D, A any] struct {
	Owned     func(A) []string                                          // subjects recognisable on the host as this agent's
	Wanted    func(D) []string                                          // subjects that intent names, usable or not
	Gone      func(ctx context.Context, subject string) (bool, error)   // false: it is still declared
	Confirmed func(ctx context.Context, removes []string) (bool, error) // a person agreed to these removals
	Blank     func(ctx context.Context) (bool, error)                   // optional: the store declares nothing for anybody
	Settled   func(D)                                                   // optional: called when nothing that is owned has vanished
	Reread    func(ctx context.Context) (D, error)                      // optional: a consistent read, before anything is destroyed
	Hold      func(d D, subjects map[string]string, everything *Held) D // marks what must be left as it is, with the reason

	// Suspect, optional, says why the removal of what vanished is likely a mistake, "" when nothing speaks against it. all
	// says that it is everything the agent owns.
	Suspect func(d D, a A, vanished []string, all bool) string
	// Confirm is the command by which a person confirms; "platypus confirm" when empty.
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
	Why     string   // what makes a mistake likely, besides their number
	Confirm string   // the command by which a person confirms
}

// String says why, and what to do next.
func (h Held) String() string {
	why := ""
	if h.Why != "" {
		why = ", and " + h.Why
	}
	return fmt.Sprintf("held: %d of %d would be removed at once%s; if that is meant, run: %s",
		len(h.Removes), h.Owned, why, cmp.Or(h.Confirm, "platypus confirm"))
}

// check returns d with everything marked that must be left alone, and what is held back as a whole.
func (g *Guard[D, A]) check(ctx context.Context, d D, a A) (D, *Held) {
	if g == nil {
		return d, nil
	}
	owned := slices.Compact(slices.Sorted(slices.Values(g.Owned(a))))
	wanted := g.Wanted(d)
	vanished, before := without(owned, wanted), g.remembered(ctx, owned, wanted)
	if len(vanished) == 0 {
		if g.Settled != nil {
			g.Settled(d)
		}
		return d, nil
	}
	all := len(vanished) == len(owned)
	why := g.suspicion(d, a, vanished, all)
	held := &Held{Removes: vanished, Owned: len(owned), Why: why, Confirm: g.Confirm}
	everything := held
	switch {
	case why != "" || len(vanished) >= 2 && 2*len(vanished) > len(owned) || all && g.blank(ctx):
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

func (g *Guard[D, A]) suspicion(d D, a A, vanished []string, all bool) string {
	if g.Suspect == nil {
		return ""
	}
	return g.Suspect(d, a, vanished, all)
}

// blank reports whether the store looks like a new or a wrong one. When that cannot be read, neither can any Gone.
func (g *Guard[D, A]) blank(ctx context.Context) bool {
	if g.Blank == nil {
		return false
	}
	blank, err := g.Blank(ctx)
	return err == nil && blank
}

// without returns those of owned, in order, that are not wanted.
func without(owned, wanted []string) (vanished []string) {
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
