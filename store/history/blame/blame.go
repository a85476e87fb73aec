// Package blame finds the commit that last changed each part of a value.
package blame

import "github.com/platypus-platform/platypus/store/history/parts"

// Version is a value after one commit. M identifies the commit.
type Version[M any] struct {
	Commit M
	Value  []byte // nil: the key was absent
}

// Line is one part of the newest value.
type Line[M any] struct {
	Pointer string // JSON pointer
	Value   []byte // as written
	Commit  M      // the commit that last changed it
}

// Value returns the parts of the newest value in order: each scalar, each list and each empty object, which change as a
// whole. Versions are ordered oldest first; an absent value has no parts. A part that was removed and restored is
// attributed to the commit that restored it.
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
	eachLeaf(*read[newest], "", nil, func(pointer string, names []string, leaf parts.Part) {
		since := newest
		for since > 0 && hasLeaf(read[since-1], names, leaf) {
			since--
		}
		lines = append(lines, Line[M]{pointer, leaf.Raw, versions[since].Commit})
	})
	return lines
}

// eachLeaf calls do for the parts of p that have no members.
func eachLeaf(p parts.Part, pointer string, names []string, do func(string, []string, parts.Part)) {
	if p.Kind != parts.Object || len(p.Elements) == 0 {
		do(pointer, names, p)
		return
	}
	for _, e := range p.Elements {
		eachLeaf(e.Value, parts.Below(pointer, e.Name), append(names[:len(names):len(names)], e.Name), do)
	}
}

// hasLeaf reports whether value has an equal part at that path.
func hasLeaf(value *parts.Part, names []string, leaf parts.Part) bool {
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
