package parts

import "slices"

// Difference is one part that differs between two values.
type Difference struct {
	Pointer       string // JSON pointer, "" for the whole value
	Before, After []byte // as written; nil if absent
}

// Diff returns the differences between two values, in the order of the members of before, followed by new members. It
// descends into objects and compares everything else as a whole; a nil value is absent.
func Diff(before, after []byte) []Difference {
	switch {
	case before == nil && after == nil:
		return nil
	case before == nil || after == nil:
		return []Difference{{"", before, after}}
	}
	return diff(nil, "", Parse(before), Parse(after))
}

func diff(all []Difference, pointer string, a, b Part) []Difference {
	switch {
	case a.Equal(b):
		return all
	case a.Kind != Object || b.Kind != Object:
		return append(all, Difference{pointer, slices.Clip(a.Raw), slices.Clip(b.Raw)})
	}
	for _, e := range a.Elements {
		if other, ok := b.Get(e.Name); ok {
			all = diff(all, Below(pointer, e.Name), e.Value, other)
		} else {
			all = append(all, Difference{Below(pointer, e.Name), e.Value.Raw, nil})
		}
	}
	for _, e := range b.Elements {
		if _, ok := a.Get(e.Name); !ok {
			all = append(all, Difference{Below(pointer, e.Name), nil, e.Value.Raw})
		}
	}
	return all
}
