package parts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParse_RandomText_MatchesStandardLibrary(t *testing.T) {
	for _, text := range []string{
		`{}`, ` { } `, `[]`, `[ ]`, `[1,2]`, `{"a":1 , "b" : [ true , null ]}`, `"x"`, `1`, `-0.5e7`, `"\u0041\"\\"`, `"é"`, "\"\xff\"",
		``, ` `, `{`, `[`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `[1 2]`, `nul`, `truefalse`, `1 2`, `01`, `+1`, `"`, `"\`, `"\x"`, `{a:1}`, `]`, `{"a":1]`, `[1}`,
		`{"a":1`, "\"\n\"", strings.Repeat("[", 150) + strings.Repeat("]", 150),
	} {
		p := Parse([]byte(text))
		want := json.Valid([]byte(text)) && text != "\"\xff\""
		if got := p.Kind != Opaque; got != want {
			t.Errorf("%q: taken apart %v, want %v", text, got, want)
		}
		if p.Kind == Opaque && string(p.Raw) != text {
			t.Errorf("%q: opaque as %q", text, p.Raw)
		}
	}
	if Parse([]byte(`{"a":1,"\u0061":2}`)).Kind != Opaque {
		t.Error("a member that is named twice is no member")
	}
	if Parse([]byte(strings.Repeat("[", 1000)+strings.Repeat("]", 1000))).Kind != Opaque {
		t.Error("a value of any depth is taken apart")
	}
}

// anyJSON draws a text in any layout.
func anyJSON(t *rapid.T, depth int) string {
	space := func() string { return rapid.SampledFrom([]string{"", " ", "\n  ", "\t"}).Draw(t, "space") }
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if depth == 0 {
		kind %= 4
	}
	switch kind {
	case 4, 5:
		var items []string
		for i := range rapid.IntRange(0, 3).Draw(t, "n") {
			item := anyJSON(t, depth-1)
			if kind == 5 {
				item = fmt.Sprintf(`"k%d"%s:%s%s`, i, space(), space(), item)
			}
			items = append(items, space()+item+space())
		}
		brackets := []string{"[]", "{}"}[kind-4]
		inner := strings.Join(items, ",")
		if len(items) == 0 {
			inner = space()
		}
		return brackets[:1] + inner + brackets[1:]
	case 0:
		return rapid.SampledFrom([]string{"1", "1.0", "-2e3", "12345678901234567890"}).Draw(t, "number")
	case 1:
		return rapid.SampledFrom([]string{`"a"`, `"\u0061"`, `"b/c~"`, `""`}).Draw(t, "string")
	}
	return rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "word")
}

// TestParse_Rejoined_KeepsEveryByte: joining the elements again gives the same bytes, at every level.
func TestParse_Rejoined_KeepsEveryByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := " " + anyJSON(t, 4) + "\n"
		lead, p, trail := Whole([]byte(text))
		if p.Kind == Opaque || string(lead)+string(p.Raw)+string(trail) != text {
			t.Fatalf("%q became %q %q %q", text, lead, p.Raw, trail)
		}
		var again func(p Part)
		again = func(p Part) {
			if p.Kind != Object && p.Kind != List {
				return
			}
			if joined := Join(p.Kind, p.Elements, p.Tail); !bytes.Equal(joined.Raw, p.Raw) {
				t.Fatalf("%q joined is %q", p.Raw, joined.Raw)
			}
			for _, e := range p.Elements {
				again(e.Value)
			}
		}
		again(p)
	})
}

// TestDiff_RandomValues_MatchesStandardLibrary compares Equal and Diff with encoding/json, numbers as text.
func TestDiff_RandomValues_MatchesStandardLibrary(t *testing.T) {
	read := func(text string) (v any) {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyJSON(t, 3), anyJSON(t, 3)
		same := reflect.DeepEqual(read(a), read(b))
		if got := Parse([]byte(a)).Equal(Parse([]byte(b))); got != same {
			t.Fatalf("%s and %s: equal %v", a, b, got)
		}
		found := Diff([]byte(a), []byte(b))
		if same != (len(found) == 0) {
			t.Fatalf("%s and %s differ in %v", a, b, found)
		}
		for _, d := range found {
			if x, ok := at(read(a), d.Pointer); ok != (d.Before != nil) || ok && !reflect.DeepEqual(x, read(string(d.Before))) {
				t.Fatalf("%s to %s: before of %s is %s", a, b, d.Pointer, d.Before)
			}
			if x, ok := at(read(b), d.Pointer); ok != (d.After != nil) || ok && !reflect.DeepEqual(x, read(string(d.After))) {
				t.Fatalf("%s to %s: after of %s is %s", a, b, d.Pointer, d.After)
			}
		}
	})
}

// at follows a JSON pointer through objects.
func at(v any, pointer string) (any, bool) {
	for _, name := range strings.Split(pointer, "/")[1:] {
		object, ok := v.(map[string]any)
		if v = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]; !ok {
			return nil, false
		}
		if _, ok := object[name]; !ok {
			return nil, false
		}
	}
	return v, true
}

func TestDiff_AbsentOrInvalidValues_AreCompared(t *testing.T) {
	for _, c := range []struct {
		before, after []byte
		want          []string
	}{
		{nil, nil, nil},
		{nil, []byte(`{"a":1}`), []string{" nil {\"a\":1}"}},
		{[]byte(`{"a":1}`), nil, []string{" {\"a\":1} nil"}},
		{[]byte(`not json`), []byte(`not  json`), []string{" not json not  json"}},
		{[]byte(`{"a/b":{"~":1,"x":2}}`), []byte(`{"a/b":{"x":3,"y":[1]}}`), []string{"/a~1b/~0 1 nil", "/a~1b/x 2 3", "/a~1b/y nil [1]"}},
	} {
		var got []string
		say := func(b []byte) string {
			if b == nil {
				return "nil"
			}
			return string(b)
		}
		for _, d := range Diff(c.before, c.after) {
			got = append(got, d.Pointer+" "+say(d.Before)+" "+say(d.After))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s to %s: %q, want %q", c.before, c.after, got, c.want)
		}
	}
	if !Covers("", "/a") || !Covers("/a", "/a") || Covers("/a", "/ab") || !Covers("/a", "/a/0") || Covers("/a/b", "/a") {
		t.Error("Covers minds no segments")
	}
}
