// Package merge does three-way merges of values: ours and theirs, each compared with their common base. It is pure.
//
// Per key, and within JSON objects per member:
//
//	               ours same   ours changed                            ours removed
//	theirs same    -           ours                                    removed
//	theirs changed theirs      the same: fine; two objects: by member; conflict
//	                           else conflict
//	theirs removed removed     conflict                                removed
//
// A list is one piece unless the schema identifies its items (the ports of an app): then it is merged by item. A value
// that is not JSON is one piece. Numbers are compared by their text. If only one side changed a value, its bytes are
// kept; if both did, the layout is ours.
//
// Histories with crossing joins have more than one base. A part is then merged only if all bases agree on which side
// changed it.
package merge

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/store/history/parts"
)

// Side is one of the two sides of a merge.
type Side string

// The sides. Nobody means no preference.
const (
	Nobody Side = ""
	Ours   Side = "ours"
	Theirs Side = "theirs"
)

// Rules are the options of a merge.
type Rules struct {
	Strict bool                           // two changes of one key conflict, whichever members they touch
	Lists  Lists                          // identifies lists to merge by item; nil: none
	Sound  Sound                          // validates merged objects; nil: all are valid
	Prefer func(key, pointer string) Side // the winner of a conflict; nil: nobody
}

// Conflict is a part of a value that both sides changed differently. Nil means absent.
type Conflict struct {
	Key     string
	Pointer string // JSON pointer; an item of a list merged by item is named by its identity instead of its index
	Base    []byte // of the newest base, if there are several
	Ours    []byte
	Theirs  []byte
}

// Tree maps keys to values.
type Tree = map[string][]byte

// Trees merges trees key by key, against one or more bases. Where there is a conflict the result has ours; such a
// result is only for display. Conflicts are in key order.
func Trees(bases []Tree, ours, theirs Tree, rules Rules) (Tree, []Conflict) {
	merged, conflicts := Tree{}, []Conflict(nil)
	keys := slices.AppendSeq(slices.Collect(maps.Keys(ours)), maps.Keys(theirs))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		before := make([][]byte, len(bases))
		for i, b := range bases {
			before[i] = lookup(b, key)
		}
		value, found := Value(key, before, lookup(ours, key), lookup(theirs, key), rules)
		conflicts = append(conflicts, found...)
		if value != nil {
			merged[key] = value
		}
	}
	return merged, conflicts
}

// lookup returns a value: nil only if it is absent.
func lookup(t Tree, key string) []byte {
	value, found := t[key]
	if found && value == nil {
		return []byte{}
	}
	return value
}

// Value merges the value of one key. Nil means absent, in parameters and result.
func Value(key string, bases [][]byte, ours, theirs []byte, rules Rules) ([]byte, []Conflict) {
	sameAs := func(value []byte) bool {
		return !slices.ContainsFunc(bases, func(b []byte) bool { return (b == nil) != (value == nil) || !bytes.Equal(b, value) })
	}
	switch {
	case sameAs(theirs):
		return ours, nil
	case sameAs(ours):
		return theirs, nil
	}
	m := merger{key: key, rules: rules}
	mine, other := parse(ours), parse(theirs)
	before := make([]*parts.Part, len(bases))
	for i, b := range bases {
		before[i] = parse(b)
	}
	switch merged := m.mergePart("", before, mine, other); merged {
	case nil:
		return nil, m.conflicts
	case mine:
		return ours, m.conflicts
	case other:
		return theirs, m.conflicts
	default:
		lead, _, trail := parts.Whole(ours)
		return slices.Concat(lead, merged.Raw, trail), m.conflicts
	}
}

func parse(value []byte) *parts.Part {
	if value == nil {
		return nil
	}
	p := parts.Parse(value)
	return &p
}

// Resolution returns a Prefer function in which ours wins at one list of paths and theirs at the other. A path is a
// key, a prefix that ends in "/", or a key, "#" and a JSON pointer; it includes everything below, and the longest
// matching path decides.
func Resolution(ours, theirs []string) func(key, pointer string) Side {
	return func(key, pointer string) Side {
		winner, longest := Nobody, -1
		for side, paths := range map[Side][]string{Ours: ours, Theirs: theirs} {
			for _, path := range paths {
				if pathMatches(path, key, pointer) && len(path) > longest {
					winner, longest = side, len(path)
				}
			}
		}
		return winner
	}
}

func pathMatches(path, key, pointer string) bool {
	of, at, pointed := strings.Cut(path, "#")
	switch {
	case pointed:
		return of == key && parts.Covers(at, pointer)
	case path == "" || strings.HasSuffix(path, "/"):
		return strings.HasPrefix(key, path)
	}
	return of == key
}
