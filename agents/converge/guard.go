package converge

import (
	"context"
	"fmt"
	"slices"
)

// Guard keeps removals from happening by mistake: an empty or refused answer is not an order to delete.
//
// A subject that the agent owns on the host and that intent no longer names has vanished. It may be removed only when
// Gone says so, from a consistent read of its own key. When more than half of what is owned, and at least two, vanish
// at once, or all of it while the store declares nothing at all, or any of it since the agent works for another node or
// root than before, everything is held until a person confirms.
type Guard[D, A any] struct {
	Owned     func(A) []string                                          // subjects recognisable on the host as this agent's
	Wanted    func(D) []string                                          // subjects that intent names, usable or not
	Gone      func(ctx context.Context, subject string) (bool, error)   // false: it is still declared
	Confirmed func(ctx context.Context, removes []string) (bool, error) // a person agreed to these removals
	Blank     func(ctx context.Context) (bool, error)                   // optional: the store declares nothing for anybody
	Moved     func() string                                             // optional: why what is owned may be another's, "" when it is not
	Settled   func()                                                    // optional: called when nothing that is owned has vanished
	Reread    func(ctx context.Context) (D, error)                      // optional: a consistent read, before anything is destroyed
	Hold      func(d D, subjects map[string]string, everything *Held) D // marks what must be left as it is, with the reason
}

// Held says what is held back.
type Held struct {
	Removes []string // what would be removed, sorted
	Owned   int      // how many subjects the agent owns in all
	Why     string   // what makes a mistake likely, besides their number
}

// String says why, and what to do next.
func (h Held) String() string {
	why := ""
	if h.Why != "" {
		why = ", and " + h.Why
	}
	return fmt.Sprintf("held: %d of %d would be removed at once%s; if that is meant, run: platypus confirm", len(h.Removes), h.Owned, why)
}

// check returns d with everything marked that must be left alone, and what is held back as a whole.
func (g *Guard[D, A]) check(ctx context.Context, d D, a A) (D, *Held) {
	if g == nil {
		return d, nil
	}
	owned := slices.Compact(slices.Sorted(slices.Values(g.Owned(a))))
	vanished := without(owned, g.Wanted(d))
	if len(vanished) == 0 {
		if g.Settled != nil {
			g.Settled()
		}
		return d, nil
	}
	why := g.moved()
	if why != "" || len(vanished) >= 2 && 2*len(vanished) > len(owned) || len(vanished) == len(owned) && g.blank(ctx) {
		held := &Held{Removes: vanished, Owned: len(owned), Why: why}
		confirmed, err := g.Confirmed(ctx, vanished)
		switch {
		case err != nil:
			return g.Hold(d, reasons(vanished, fmt.Sprintf("%s (no confirmation could be read: %v)", held, err)), held), held
		case !confirmed:
			return g.Hold(d, reasons(vanished, held.String()), held), held
		}
	}
	return g.Hold(d, g.unconfirmed(ctx, vanished), nil), nil
}

func (g *Guard[D, A]) moved() string {
	if g.Moved == nil {
		return ""
	}
	return g.Moved()
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
