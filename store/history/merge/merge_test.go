package merge

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/store/history/parts"
)

// absent stands for no value in the tables below.
const absent = "absent"

func value(s string) []byte {
	if s == absent {
		return nil
	}
	return []byte(s)
}

func TestValue_EachCombination_MatchesTheTable(t *testing.T) {
	const deploy, vm = "clusters/a/p/deploy_config", "vms/v"
	for _, c := range []struct {
		name, key, base, ours, theirs, want string
		conflicts                           string // pointers
	}{
		{"one side changed, its bytes are kept", "k", `{"a":1}`, `{"a":1}`, `{ "a" : 2 }`, `{ "a" : 2 }`, ""},
		{"the other side", "k", `{"a":1}`, "{\n  \"a\": 2\n}\n", `{"a":1}`, "{\n  \"a\": 2\n}\n", ""},
		{"one of them only laid it out anew", "k", `{"a":1,"b":1}`, "{\n  \"a\": 1,\n  \"b\": 1\n}\n", `{"a":1,"b":2}`, `{"a":1,"b":2}`, ""},
		{"layout of ours, members of both", "k", "{\n  \"a\": 1,\n  \"b\": 1\n}\n", "{\n  \"a\": 2,\n  \"b\": 1\n}\n", `{"a":1,"b":3,"c":[4]}`,
			"{\n  \"a\": 2,\n  \"b\": 3,\n  \"c\":[4]\n}\n", ""},
		{"the last member goes", "k", "{\n  \"a\": 1,\n  \"b\": 1\n}", "{\n  \"a\": 2,\n  \"b\": 1\n}", `{"a":1}`, "{\n  \"a\": 2\n}", ""},
		{"all members go", "k", `{"a":1,"b":2}`, `{ "a":1 }`, `{"b":2}`, `{}`, ""},
		{"into an empty object", "k", `{"a":1}`, `{ }`, "{\"a\":1,\n \"b\":2\n}", "{\n \"b\":2\n}", ""},
		{"a new member stands where it stood", "k", `{"a":1,"z":1}`, `{"a":2,"z":1}`, `{"a":1,"m":5,"z":1}`, `{"a":2,"m":5,"z":1}`, ""},
		{"a member without a name", "k", `{"":1,"a":1}`, `{"":1,"a":2}`, `{"b":1,"":1,"a":1}`, `{"b":1,"":1,"a":2}`, ""},
		{"both the same", "k", `{"a":1}`, `{"a":2}`, `{"a": 2}`, `{"a":2}`, ""},
		{"both removed", "k", `1`, absent, absent, absent, ""},
		{"theirs removed", "k", `1`, `1`, absent, absent, ""},
		{"removed and changed", "k", `{"a":1}`, absent, `{"a":2}`, absent, "(all)"},
		{"changed and removed", "k", `{"a":1}`, `{"a":2}`, absent, `{"a":2}`, "(all)"},
		{"a member removed and changed", "k", `{"a":{"x":1}}`, `{}`, `{"a":{"x":2}}`, `{}`, "/a"},
		{"both new, by member", "k", absent, `{"a":1}`, `{"b":1}`, `{"b":1,"a":1}`, ""},
		{"numbers by text", "k", `{"a":1}`, `{"a":1.0}`, `{"a":1e0}`, `{"a":1.0}`, "/a"},
		{"long numbers", "k", `{"a":12345678901234567890,"b":1}`, `{"a":12345678901234567890,"b":2}`, `{"a":12345678901234567891,"b":1}`, `{"a":12345678901234567891,"b":2}`, ""},
		{"strings by meaning", "k", `{"a":"A","b":1}`, `{"a":"\u0041","b":1,"c":1}`, `{"a":"A","b":2}`, `{"a":"\u0041","b":2,"c":1}`, ""},
		{"not JSON", "k", `abc`, `abd`, `abe`, `abd`, "(all)"},
		{"not JSON, one side", "k", `abc`, `abc`, `abe`, `abe`, ""},
		{"empty and absent differ", "k", ``, ``, absent, absent, ""},
		{"names in pointers", "k", `{"a/b":{"~":1}}`, `{"a/b":{"~":2}}`, `{"a/b":{"~":3}}`, `{"a/b":{"~":2}}`, "/a~1b/~0"},
		{"lists are one piece", deploy, `{"health":{"command":["a"]}}`, `{"health":{"command":["a","b"]}}`, `{"health":{"command":["a","c"]}}`,
			`{"health":{"command":["a","b"]}}`, "/health/command"},
		{"ports by name", deploy, `{"ports":[80,81]}`, `{"ports":[80,81,82]}`, `{"ports":[{"port":53,"protocol":"udp"},81]}`,
			`{"ports":[{"port":53,"protocol":"udp"},81,82]}`, ""},
		{"one port changed by both", deploy, `{"ports":[{"port":53,"source":["10.0.0.0/8"]}]}`, `{"ports":[{"port":53,"source":["10.0.0.0/8","::1"]}]}`,
			`{"ports":[{"port":53,"source":["192.0.2.1"]},8080]}`, `{"ports":[{"port":53,"source":["192.0.2.1","::1"]},8080]}`, ""},
		{"a port closed and changed", deploy, `{"ports":[{"port":53,"source":["::1"]}]}`, `{"ports":[]}`, `{"ports":[{"port":53}]}`, `{"ports":[]}`, "/ports/53~1tcp"},
		{"a port twice is no name", deploy, `{"ports":[80]}`, `{"ports":[80,80]}`, `{"ports":[80,81]}`, `{"ports":[80,80]}`, "/ports"},
		{"regions are a set", vm, `{"region":["SIN","NRT"]}`, `{"region":["SIN","NRT","FRA"]}`, `{"region":["NRT"]}`, `{"region":["NRT","FRA"]}`, ""},
		{"lists below user_config", "clusters/a/p/config", `{"user_config":{"ports":[1]}}`, `{"user_config":{"ports":[1,2]}}`, `{"user_config":{"ports":[1,3]}}`,
			`{"user_config":{"ports":[1,2]}}`, "/user_config/ports"},
		{"two versions made active", "clusters/a/p/config", `{"versions":{"1":"active"},"min_nodes":1}`, `{"versions":{"1":"prep","2":"active"},"min_nodes":1}`,
			`{"versions":{"1":"prep","3":{"status":"active"}},"min_nodes":2}`, `{"versions":{"1":"prep","2":"active"},"min_nodes":2}`, "/versions"},
		{"one version made active, another prepared", "clusters/a/p/config", `{"versions":{"1":"active"}}`, `{"versions":{"1":"prep","2":"active"}}`,
			`{"versions":{"1":"active","3":"prep"}}`, `{"versions":{"1":"prep","3":"prep","2":"active"}}`, ""},
	} {
		got, found := Value(c.key, [][]byte{value(c.base)}, value(c.ours), value(c.theirs), Rules{Lists: Intent, Sound: OneActive})
		if string(got) != string(value(c.want)) || (got == nil) != (value(c.want) == nil) || pointers(found) != c.conflicts {
			t.Errorf("%s: %q with conflicts %q, want %q with %q", c.name, got, pointers(found), c.want, c.conflicts)
		}
	}
}

func pointers(conflicts []Conflict) string {
	var all []string
	for _, c := range conflicts {
		if c.Pointer == "" {
			c.Pointer = "(all)"
		}
		all = append(all, c.Pointer)
	}
	return strings.Join(all, " ")
}

func TestConflict_Fields_AreFilled(t *testing.T) {
	_, found := Value("k", [][]byte{[]byte(`{"a":{"b":1}}`)}, []byte(`{"a":{"b":2}}`), []byte(`{"a":{}}`), Rules{})
	if len(found) != 1 || found[0].Key != "k" || found[0].Pointer != "/a/b" || string(found[0].Base) != "1" || string(found[0].Ours) != "2" || found[0].Theirs != nil {
		t.Errorf("%+v", found)
	}
}

func TestValue_StrictTwoChanges_Conflict(t *testing.T) {
	base, ours, theirs := []byte(`{"a":1,"b":1}`), []byte(`{"a":2,"b":1}`), []byte(`{"a":1,"b":2}`)
	if _, found := Value("k", [][]byte{base}, ours, theirs, Rules{Strict: true}); pointers(found) != "(all)" {
		t.Errorf("two changes of one key: %v", found)
	}
	if got, found := Value("k", [][]byte{base}, ours, []byte(`{"b":1, "a":2}`), Rules{Strict: true}); found != nil || string(got) != string(ours) {
		t.Errorf("two equal changes: %s, %v", got, found)
	}
}

func TestResolution(t *testing.T) {
	base, ours, theirs := []byte(`{"a":{"x":1,"y":1},"b":1}`), []byte(`{"a":{"x":2,"y":2},"b":2}`), []byte(`{"a":{"x":3,"y":3},"b":3}`)
	for _, c := range []struct{ ours, theirs, want, conflicts string }{
		{"", "", `{"a":{"x":2,"y":2},"b":2}`, "/a/x /a/y /b"},
		{"p/k", "", `{"a":{"x":2,"y":2},"b":2}`, ""},
		{"", "p/", `{"a":{"x":3,"y":3},"b":3}`, ""},
		{"", "p/k#/a", `{"a":{"x":3,"y":3},"b":2}`, "/b"},
		{"p/k", "p/k#/a/y", `{"a":{"x":2,"y":3},"b":2}`, ""},
		{"p/", "p/k", `{"a":{"x":3,"y":3},"b":3}`, ""},
		{"p", "p/k2", `{"a":{"x":2,"y":2},"b":2}`, "/a/x /a/y /b"},
	} {
		words := func(s string) []string { return strings.Fields(s) }
		got, found := Value("p/k", [][]byte{base}, ours, theirs, Rules{Prefer: Resolution(words(c.ours), words(c.theirs))})
		if string(got) != c.want || pointers(found) != c.conflicts {
			t.Errorf("ours %q theirs %q: %s %q, want %s %q", c.ours, c.theirs, got, pointers(found), c.want, c.conflicts)
		}
	}
	got, found := Value("k", [][]byte{[]byte("1")}, []byte("2"), nil, Rules{Prefer: Resolution(nil, []string{"k"})})
	if got != nil || found != nil {
		t.Errorf("theirs removed it: %q, %v", got, found)
	}
}

func TestValue_TwoBases_MergesOnlyWhereTheyAgree(t *testing.T) {
	bases := [][]byte{[]byte(`{"a":1,"b":1}`), []byte(`{"a":2,"b":1}`)}
	got, found := Value("k", bases, []byte(`{"a":1,"b":1}`), []byte(`{"a":2,"b":5}`), Rules{})
	if pointers(found) != "/a" || string(got) != `{"a":1,"b":5}` {
		t.Errorf("%s, %v", got, found)
	}
	rapid.Check(t, func(t *rapid.T) {
		one, two := draw(t, 2), draw(t, 2)
		ours, theirs := bytesOf(vary(t, one, 2), true, false), bytesOf(vary(t, two, 2), true, false)
		b1, b2 := bytesOf(one, true, false), bytesOf(two, true, false)
		both, found := Value("k", [][]byte{b1, b2}, ours, theirs, Rules{})
		if len(found) > 0 {
			return
		}
		first, c1 := Value("k", [][]byte{b1}, ours, theirs, Rules{})
		second, c2 := Value("k", [][]byte{b2}, ours, theirs, Rules{})
		if len(c1)+len(c2) > 0 || text(read(string(first))) != text(read(string(second))) || text(read(string(both))) != text(read(string(first))) {
			t.Fatalf("bases %s %s, ours %s, theirs %s: %s, alone %s %v and %s %v", b1, b2, ours, theirs, both, first, c1, second, c2)
		}
	})
}

func TestTrees(t *testing.T) {
	b := Tree{"same": []byte("1"), "ours": []byte("1"), "theirs": []byte("1"), "gone": []byte("1"), "both": []byte("1"), "empty": nil}
	o := Tree{"same": []byte("1"), "ours": []byte("2"), "theirs": []byte("1"), "gone": []byte("1"), "both": []byte("2"), "new": []byte("1"), "empty": nil}
	th := Tree{"same": []byte("1"), "ours": []byte("1"), "theirs": []byte("2"), "both": []byte("3"), "other": []byte("1"), "empty": {}}
	got, found := Trees([]Tree{b}, o, th, Rules{})
	if len(found) != 1 || found[0].Key != "both" {
		t.Errorf("%v", found)
	}
	var lines []string
	for key, v := range got {
		lines = append(lines, key+"="+string(v))
	}
	slices.Sort(lines)
	if s := strings.Join(lines, " "); s != "both=2 empty= new=1 other=1 ours=2 same=1 theirs=2" {
		t.Error(s)
	}
}

// TestValue_LargestSize_IsFast: a quadratic search of members would take minutes.
func TestValue_LargestSize_IsFast(t *testing.T) {
	object := func(change int) []byte {
		var b strings.Builder
		b.WriteString("{")
		for i := range 25000 {
			fmt.Fprintf(&b, "%q:%d,", fmt.Sprint(i), i%2+change*(i%change%2))
		}
		return []byte(b.String() + `"z":0}`)
	}
	base, ours, theirs := object(1), object(3), object(5)
	if _, found := Value("k", [][]byte{base}, ours, theirs, Rules{}); len(found) == 0 {
		t.Error("both changed much, and there is no conflict")
	}
	if d := parts.Diff(base, ours); len(d) == 0 {
		t.Error("much was changed, and nothing differs")
	}
}
