// Package merge joins two changes of the same values: ours and theirs, each seen against the base that both began with.
// It computes and touches nothing.
//
// Per key, and within JSON objects per member:
//
//	               ours same   ours changed                            ours removed
//	theirs same    -           ours                                    removed
//	theirs changed theirs      the same: fine; two objects: by member; conflict
//	                           else conflict
//	theirs removed removed     conflict                                removed
//
// A list is one piece, unless the schema says what its items are known by (the ports of an app): then it is joined item
// by item. What is not JSON is one piece. Numbers count by their text. Where only one side changed a value, its bytes
// are kept as they are; where both did, the layout is ours.
//
// Histories that crossed have more than one base. A part is then joined only where all of them agree on who changed it.
package merge

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/store/history/parts"
)

// Side is one of the two that are joined.
type Side string

// The sides. Nobody stands for no choice.
const (
	Nobody Side = ""
	Ours   Side = "ours"
	Theirs Side = "theirs"
)

// Rules are how strict a merge is and who wins.
type Rules struct {
	Strict bool                           // two changes of one key are a conflict, whichever members they touch
	Lists  Lists                          // which lists are joined item by item; nil: none
	Sound  Sound                          // which joined objects make sense; nil: all
	Prefer func(key, pointer string) Side // who wins a conflict; nil: nobody
}

// Conflict is a part of a value that both changed, each in its own way. Nil means that there is no such part.
type Conflict struct {
	Key     string
	Pointer string // JSON pointer; an item of a list that is joined by item has its identity in place of its number
	Base    []byte // of the newest base, when there are several
	Ours    []byte
	Theirs  []byte
}

// Tree is values by key.
type Tree = map[string][]byte

// Trees merges trees key by key, against one or more bases. The tree that it returns holds ours where a conflict was
// found; with conflicts it is of no use but to look at. Conflicts are in the order of keys.
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

// lookup returns a value, nil when it is absent and never nil otherwise.
func lookup(t Tree, key string) []byte {
	value, found := t[key]
	if found && value == nil {
		return []byte{}
	}
	return value
}

// Value merges the value of one key. Nil stands for an absent value, in what it takes and in what it returns.
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
	switch merged := m.part("", before, mine, other); merged {
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

// Resolution returns a Prefer that lets ours win at the paths of the one list and theirs at those of the other. A path is
// a key, a prefix that ends in "/", or a key, "#" and a JSON pointer; it holds for all that lies below it, and the
// longest one that fits decides.
func Resolution(ours, theirs []string) func(key, pointer string) Side {
	return func(key, pointer string) Side {
		winner, longest := Nobody, -1
		for side, paths := range map[Side][]string{Ours: ours, Theirs: theirs} {
			for _, path := range paths {
				if fits(path, key, pointer) && len(path) > longest {
					winner, longest = side, len(path)
				}
			}
		}
		return winner
	}
}

func fits(path, key, pointer string) bool {
	of, at, pointed := strings.Cut(path, "#")
	switch {
	case pointed:
		return of == key && parts.Covers(at, pointer)
	case path == "" || strings.HasSuffix(path, "/"):
		return strings.HasPrefix(key, path)
	}
	return of == key
}
