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

func (m *merger) part(pointer string, bases []*parts.Part, ours, theirs *parts.Part) *parts.Part {
	sameAs := func(p *parts.Part) bool {
		return !slices.ContainsFunc(bases, func(b *parts.Part) bool { return !same(b, p) })
	}
	switch {
	case same(ours, theirs):
		return ours
	case sameAs(theirs):
		return ours
	case sameAs(ours):
		return theirs
	case m.rules.Strict:
	case all(parts.Object, bases, ours, theirs):
		return m.elements(pointer, bases, ours, theirs, member)
	case all(parts.List, bases, ours, theirs) && m.rules.Lists != nil:
		if identity := m.rules.Lists(m.key, pointer); identity != nil && tellsApart(identity, append(bases, ours, theirs)) {
			return m.elements(pointer, bases, ours, theirs, func(e parts.Element) string {
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
	m.conflicts = append(m.conflicts, Conflict{m.key, pointer, raw(base), raw(ours), raw(theirs)})
	return ours
}

// member names an element of an object.
func member(e parts.Element) string { return e.Name }

// elements merges two objects by member, or two lists by item. What only they have is put behind the element that it
// follows there.
func (m *merger) elements(pointer string, bases []*parts.Part, ours, theirs *parts.Part, name func(parts.Element) string) *parts.Part {
	before, mine, other := len(m.conflicts), byName(ours, name), byName(theirs, name)
	past := make([]map[string]*parts.Part, len(bases))
	for i, b := range bases {
		past[i] = byName(b, name)
	}
	base := func(n string) []*parts.Part {
		found := make([]*parts.Part, len(bases))
		for i := range past {
			found[i] = past[i][n]
		}
		return found
	}
	var kept []parts.Element
	stays := map[string]bool{}
	for _, e := range ours.Elements {
		n := name(e)
		if value := m.part(parts.Below(pointer, n), base(n), &e.Value, other[n]); value != nil {
			e.Value = *value
			kept, stays[n] = append(kept, e), true
		}
	}
	var first []parts.Element
	behind, follows := "", map[string][]parts.Element{} // what is new, by the element that stays before it
	seen := false
	for _, e := range theirs.Elements {
		n := name(e)
		if mine[n] != nil {
			if stays[n] {
				behind, seen = n, true
			}
			continue
		}
		value := m.part(parts.Below(pointer, n), base(n), nil, &e.Value)
		if value == nil {
			continue
		}
		e = parts.Element{Lead: lead(ours, e), Name: e.Name, Label: e.Label, Value: *value}
		if seen {
			follows[behind] = append(follows[behind], e)
		} else {
			first = append(first, e)
		}
	}
	merged := first
	for _, e := range kept {
		merged = append(append(merged, e), follows[name(e)]...)
	}
	joined := parts.Join(ours.Kind, closed(merged, ours, theirs), nil)
	if m.rules.Sound != nil && !m.rules.Sound(m.key, pointer, joined) {
		m.conflicts = m.conflicts[:before] // the whole is the conflict
		return m.conflict(pointer, bases, ours, theirs)
	}
	return &joined
}

// lead is the white space before an element that is new: as elements have it among ours.
func lead(ours *parts.Part, e parts.Element) []byte {
	if len(ours.Elements) > 0 {
		return ours.Elements[len(ours.Elements)-1].Lead
	}
	return e.Lead
}

// closed moves the white space before the closing bracket to the element that is now the last.
func closed(merged []parts.Element, ours, theirs *parts.Part) []parts.Element {
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

func same(a, b *parts.Part) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}

// all reports whether both sides are of the kind and the bases are too or absent.
func all(kind parts.Kind, bases []*parts.Part, ours, theirs *parts.Part) bool {
	return ours != nil && theirs != nil && ours.Kind == kind && theirs.Kind == kind &&
		!slices.ContainsFunc(bases, func(b *parts.Part) bool { return b != nil && b.Kind != kind })
}

func raw(p *parts.Part) []byte {
	if p == nil {
		return nil
	}
	return slices.Clip(p.Raw)
}
