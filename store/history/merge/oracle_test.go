package merge

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/store/history/parts"
)

// The oracle knows nothing of recursion over three values. It writes each side down as a list of small edits of the base,
// calls two edits a conflict when one touches what the other does, and otherwise makes all of them.

// edit sets one path to a scalar, makes it an object, or removes it.
type edit struct {
	path string
	what string // "remove", "object" or the JSON of a value
}

// edits lists how base becomes side. Ports are seen as objects by name.
func edits(path string, base, side any, inBase, inSide bool) []edit {
	b, bIsObject := base.(map[string]any)
	s, sIsObject := side.(map[string]any)
	switch {
	case inBase && inSide && reflect.DeepEqual(base, side), !inBase && !inSide:
		return nil
	case !inSide:
		return []edit{{path, "remove"}}
	case !sIsObject:
		return []edit{{path, text(side)}}
	case inBase && !bIsObject:
		return []edit{{path, text(side)}} // replaced as a whole
	}
	var list []edit
	if !inBase {
		list = append(list, edit{path, "object"})
	}
	names := map[string]bool{}
	for n := range b {
		names[n] = true
	}
	for n := range s {
		names[n] = true
	}
	for _, n := range slices.Sorted(maps.Keys(names)) {
		x, inX := b[n]
		y, inY := s[n]
		list = append(list, edits(path+"/"+n, x, y, inX, inY)...)
	}
	return list
}

func text(v any) string {
	data, _ := json.Marshal(v)
	return string(data)
}

// interfere lists the shortest paths at which edits of the two sides meet.
func interfere(ours, theirs []edit) []string {
	var met []string
	for _, a := range ours {
		for _, b := range theirs {
			short, long := a, b
			if len(b.path) < len(a.path) {
				short, long = b, a
			}
			// Making an object of what was not there leaves room for whatever the other puts into it.
			if a == b || !parts.Covers(short.path, long.path) || short.what == "object" && short.path != long.path {
				continue
			}
			met = append(met, short.path)
		}
	}
	slices.Sort(met)
	met = slices.Compact(met)
	return slices.DeleteFunc(slices.Clone(met), func(p string) bool {
		return slices.ContainsFunc(met, func(q string) bool { return q != p && parts.Covers(q, p) })
	})
}

func apply(base any, present bool, list []edit) (any, bool) {
	root := map[string]any{}
	if present {
		root["v"] = clone(base)
	}
	for _, e := range list {
		names := strings.Split("v"+e.path, "/")
		at := root
		for _, n := range names[:len(names)-1] {
			at = at[n].(map[string]any)
		}
		last := names[len(names)-1]
		switch e.what {
		case "remove":
			delete(at, last)
		case "object":
			if _, is := at[last].(map[string]any); !is {
				at[last] = map[string]any{}
			}
		default:
			at[last] = read(e.what)
		}
	}
	v, ok := root["v"]
	return v, ok
}

func clone(v any) any { return read(text(v)) }

func read(s string) (v any) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		panic(fmt.Sprintf("%q: %v", s, err))
	}
	return v
}

// draw makes a small value; few names and few scalars, so that the sides meet often.
func draw(t *rapid.T, depth int) any {
	if depth == 0 || rapid.IntRange(0, 3).Draw(t, "leaf") == 0 {
		return rapid.SampledFrom([]any{json.Number("1"), json.Number("1.0"), "x", true, []any{json.Number("1"), "y"}, nil}).Draw(t, "scalar")
	}
	object := map[string]any{}
	for _, n := range []string{"a", "b", "c"} {
		if rapid.Bool().Draw(t, n) {
			object[n] = draw(t, depth-1)
		}
	}
	return object
}

// vary changes a value here and there.
func vary(t *rapid.T, v any, depth int) any {
	object, is := v.(map[string]any)
	if !is || rapid.IntRange(0, 9).Draw(t, "all") == 0 {
		if rapid.IntRange(0, 3).Draw(t, "keep") > 0 {
			return v
		}
		return draw(t, depth)
	}
	varied := map[string]any{}
	for _, n := range []string{"a", "b", "c"} {
		x, has := object[n]
		switch choice := rapid.IntRange(0, 5).Draw(t, "fate"); {
		case has && choice == 0: // removed
		case has:
			varied[n] = vary(t, x, depth-1)
		case choice == 0:
			varied[n] = draw(t, max(0, depth-1))
		}
	}
	return varied
}

func bytesOf(v any, present, loose bool) []byte {
	if !present {
		return nil
	}
	data, _ := json.Marshal(v)
	if loose {
		data, _ = json.MarshalIndent(v, "", "  ")
	}
	return data
}

func TestValue_RandomValues_MatchTheOracle(t *testing.T) {
	conflicts, merges := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		inBase := rapid.IntRange(0, 5).Draw(t, "inBase") > 0
		inOurs, inTheirs := rapid.IntRange(0, 9).Draw(t, "inOurs") > 0, rapid.IntRange(0, 9).Draw(t, "inTheirs") > 0
		var base any
		if inBase {
			base = draw(t, 3)
		}
		ours, theirs := vary(t, base, 3), vary(t, base, 3)
		if !inBase {
			ours, theirs = draw(t, 2), draw(t, 2)
		}
		mine, other := edits("", base, ours, inBase, inOurs), edits("", base, theirs, inBase, inTheirs)
		want := interfere(mine, other)
		got, found := Value("k", [][]byte{bytesOf(base, inBase, false)}, bytesOf(ours, inOurs, true), bytesOf(theirs, inTheirs, false), Rules{})
		var at []string
		for _, c := range found {
			at = append(at, c.Pointer)
		}
		slices.Sort(at)
		if !slices.Equal(at, want) {
			t.Fatalf("base %s ours %s theirs %s: conflicts at %q, want %q", text(base), text(ours), text(theirs), at, want)
		}
		if conflicts += len(want); len(want) > 0 {
			return
		}
		merges++
		result, present := apply(base, inBase, append(mine, other...))
		if present != (got != nil) || present && !reflect.DeepEqual(read(string(got)), result) {
			t.Fatalf("base %s ours %s theirs %s: merged %s, want %s", text(base), text(ours), text(theirs), got, text(result))
		}
	})
	if conflicts == 0 || merges == 0 {
		t.Errorf("%d conflicts and %d merges: the oracle was not asked much", conflicts, merges)
	}
}

// TestValue_SwappedSides_GiveTheSameResult: the result does not depend on which side is ours, and merging it again with
// either side changes nothing.
func TestValue_SwappedSides_GiveTheSameResult(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := draw(t, 3)
		ours, theirs := vary(t, base, 3), vary(t, base, 3)
		b, o, th := bytesOf(base, true, false), bytesOf(ours, true, true), bytesOf(theirs, true, false)
		one, c1 := Value("k", [][]byte{b}, o, th, Rules{})
		two, c2 := Value("k", [][]byte{b}, th, o, Rules{})
		if len(c1) != len(c2) {
			t.Fatalf("%v and %v", c1, c2)
		}
		if len(c1) > 0 {
			return
		}
		if !reflect.DeepEqual(read(string(one)), read(string(two))) {
			t.Fatalf("%s and %s", one, two)
		}
		again, c3 := Value("k", [][]byte{th}, one, th, Rules{})
		if len(c3) > 0 || string(again) != string(one) {
			t.Fatalf("joined twice: %s became %s (%v)", one, again, c3)
		}
	})
}
