package merge

import (
	"slices"

	"github.com/platypus-platform/platypus/store/history/parts"
)

// merger merges one value. Absent parts are nil.
type merger struct {
	key       string
	rules     Rules
	conflicts []Conflict
}

func (m *merger) mergePart(pointer string, bases []*parts.Part, ours, theirs *parts.Part) *parts.Part {
	sameAs := func(p *parts.Part) bool {
		return !slices.ContainsFunc(bases, func(b *parts.Part) bool { return !equal(b, p) })
	}
	switch {
	case equal(ours, theirs):
		return ours
	case sameAs(theirs):
		return ours
	case sameAs(ours):
		return theirs
	case m.rules.Strict:
	case allOfKind(parts.Object, bases, ours, theirs):
		return m.mergeElements(pointer, bases, ours, theirs, memberName)
	case allOfKind(parts.List, bases, ours, theirs) && m.rules.Lists != nil:
		if identity := m.rules.Lists(m.key, pointer); identity != nil && allDistinct(identity, append(bases, ours, theirs)) {
			return m.mergeElements(pointer, bases, ours, theirs, func(e parts.Element) string {
				name, _ := identity(e.Value)
				return name
			})
		}
	}
	return m.conflict(pointer, bases, ours, theirs)
}

func (m *merger) conflict(pointer string, bases []*parts.Part, ours, theirs *parts.Part) *parts.Part {
	if m.rules.Prefer != nil {
		switch m.rules.Prefer(m.key, pointer) {
		case Ours:
			return ours
		case Theirs:
			return theirs
		}
	}
	var base *parts.Part
	if len(bases) > 0 {
		base = bases[0]
	}
	m.conflicts = append(m.conflicts, Conflict{m.key, pointer, rawOf(base), rawOf(ours), rawOf(theirs)})
	return ours
}

// memberName identifies an element of an object.
func memberName(e parts.Element) string { return e.Name }

// mergeElements merges two objects by member, or two lists by item. Elements that only theirs has are inserted after
// the same element as there.
func (m *merger) mergeElements(pointer string, bases []*parts.Part, ours, theirs *parts.Part, name func(parts.Element) string) *parts.Part {
	conflictsBefore, mine, other := len(m.conflicts), byName(ours, name), byName(theirs, name)
	baseElements := make([]map[string]*parts.Part, len(bases))
	for i, b := range bases {
		baseElements[i] = byName(b, name)
	}
	base := func(n string) []*parts.Part {
		found := make([]*parts.Part, len(bases))
		for i := range baseElements {
			found[i] = baseElements[i][n]
		}
		return found
	}
	var kept []parts.Element
	isKept := map[string]bool{}
	for _, e := range ours.Elements {
		n := name(e)
		if value := m.mergePart(parts.Below(pointer, n), base(n), &e.Value, other[n]); value != nil {
			e.Value = *value
			kept, isKept[n] = append(kept, e), true
		}
	}
	var first []parts.Element
	previous, added := "", map[string][]parts.Element{} // new elements, by the kept element before them
	seen := false
	for _, e := range theirs.Elements {
		n := name(e)
		if mine[n] != nil {
			if isKept[n] {
				previous, seen = n, true
			}
			continue
		}
		value := m.mergePart(parts.Below(pointer, n), base(n), nil, &e.Value)
		if value == nil {
			continue
		}
		e = parts.Element{Lead: leadFor(ours, e), Name: e.Name, Label: e.Label, Value: *value}
		if seen {
			added[previous] = append(added[previous], e)
		} else {
			first = append(first, e)
		}
	}
	merged := first
	for _, e := range kept {
		merged = append(append(merged, e), added[name(e)]...)
	}
	joined := parts.Join(ours.Kind, fixTrailingSpace(merged, ours, theirs), nil)
	if m.rules.Sound != nil && !m.rules.Sound(m.key, pointer, joined) {
		m.conflicts = m.conflicts[:conflictsBefore] // the whole object is the conflict
		return m.conflict(pointer, bases, ours, theirs)
	}
	return &joined
}

// leadFor is the white space before a new element: the same as before ours.
func leadFor(ours *parts.Part, e parts.Element) []byte {
	if len(ours.Elements) > 0 {
		return ours.Elements[len(ours.Elements)-1].Lead
	}
	return e.Lead
}

// fixTrailingSpace moves the white space before the closing bracket to the new last element.
func fixTrailingSpace(merged []parts.Element, ours, theirs *parts.Part) []parts.Element {
	model := ours
	if len(ours.Elements) == 0 {
		model = theirs
	}
	end := len(model.Elements) - 1
	for i := range merged {
		switch {
		case i == len(merged)-1:
			merged[i].Trail = model.Elements[end].Trail
		case end > 0 && string(merged[i].Trail) == string(model.Elements[end].Trail):
			merged[i].Trail = model.Elements[0].Trail
		case end == 0:
			merged[i].Trail = nil
		}
	}
	return merged
}

func byName(p *parts.Part, name func(parts.Element) string) map[string]*parts.Part {
	found := map[string]*parts.Part{}
	if p != nil {
		for i := range p.Elements {
			found[name(p.Elements[i])] = &p.Elements[i].Value
		}
	}
	return found
}

func equal(a, b *parts.Part) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

// allOfKind reports whether both sides, and all present bases, are of a kind.
func allOfKind(kind parts.Kind, bases []*parts.Part, ours, theirs *parts.Part) bool {
	return ours != nil && theirs != nil && ours.Kind == kind && theirs.Kind == kind &&
		!slices.ContainsFunc(bases, func(b *parts.Part) bool { return b != nil && b.Kind != kind })
}

func rawOf(p *parts.Part) []byte {
	if p == nil {
		return nil
	}
	return slices.Clip(p.Raw)
}
