// Package blame says of every part of a value which commit it comes from.
package blame

import "github.com/platypus-platform/platypus/store/history/parts"

// Version is a value as one commit left it. M is whatever stands for the commit.
type Version[M any] struct {
	Commit M
	Value  []byte // nil: the key was absent
}

// Line is one part of the newest value.
type Line[M any] struct {
	Pointer string // JSON pointer
	Value   []byte // as written
	Commit  M      // the one since which it says this
}

// Value returns the parts of the newest value, in their order: each scalar, each list and each empty object, for they
// are what changes as one piece. Versions come oldest first; of an absent value nothing is left to blame. A part that
// went away and came back comes from the commit that brought it back.
func Value[M any](versions []Version[M]) []Line[M] {
	if len(versions) == 0 || versions[len(versions)-1].Value == nil {
		return nil
	}
	read := make([]*parts.Part, len(versions))
	for i, v := range versions {
		if v.Value != nil {
			p := parts.Parse(v.Value)
			read[i] = &p
		}
	}
	var lines []Line[M]
	newest := len(versions) - 1
	each(*read[newest], "", nil, func(pointer string, names []string, leaf parts.Part) {
		since := newest
		for since > 0 && says(read[since-1], names, leaf) {
			since--
		}
		lines = append(lines, Line[M]{pointer, leaf.Raw, versions[since].Commit})
	})
	return lines
}

// each calls do for the parts of p that have no members.
func each(p parts.Part, pointer string, names []string, do func(string, []string, parts.Part)) {
	if p.Kind != parts.Object || len(p.Elements) == 0 {
		do(pointer, names, p)
		return
	}
	for _, e := range p.Elements {
		each(e.Value, parts.Below(pointer, e.Name), append(names[:len(names):len(names)], e.Name), do)
	}
}

// says reports whether value holds the leaf at that place.
func says(value *parts.Part, names []string, leaf parts.Part) bool {
	if value == nil {
		return false
	}
	at, ok := *value, true
	for _, name := range names {
		if at, ok = at.Get(name); !ok {
			return false
		}
	}
	return at.Equal(leaf)
}
