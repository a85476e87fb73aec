package blame

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/store/history/parts"
)

func lines(values ...string) string {
	var versions []Version[int]
	for i, v := range values {
		version := Version[int]{Commit: i + 1}
		if v != "absent" {
			version.Value = []byte(v)
		}
		versions = append(versions, version)
	}
	var all []string
	for _, l := range Value(versions) {
		all = append(all, fmt.Sprintf("%s=%s@%d", l.Pointer, l.Value, l.Commit))
	}
	return strings.Join(all, " ")
}

func TestBlame(t *testing.T) {
	for _, c := range []struct {
		values []string
		want   string
	}{
		{nil, ""},
		{[]string{`{"a":1}`, "absent"}, ""},
		{[]string{`{"a":1,"b":{"c":[1]}}`, `{"a":1,"b":{"c":[2],"d":"x"}}`}, "/a=1@1 /b/c=[2]@2 /b/d=\"x\"@2"},
		{[]string{`{"a":1}`, `{ "a" : 1 }`}, "/a=1@1"},
		{[]string{`{"a":1}`, "absent", `{"a":1}`}, "/a=1@3"},
		{[]string{`{"a":1}`, `{"a":2}`, `{"a":1}`}, "/a=1@3"},
		{[]string{`{"a":{"x":1}}`, `{"a":{}}`, `{"a":{},"b":1}`}, "/a={}@2 /b=1@3"},
		{[]string{`junk`, `junk`, `"x"`}, "=\"x\"@3"},
		{[]string{`"x"`, `junk`, `junk`}, "=junk@2"},
		{[]string{`{"a/b":1}`}, "/a~1b=1@1"},
	} {
		if got := lines(c.values...); got != c.want {
			t.Errorf("%q: %s, want %s", c.values, got, c.want)
		}
	}
}

// TestValue_RandomVersions_MatchTheDiffs: applied in order, each difference attributes all it adds to its commit.
func TestValue_RandomVersions_MatchTheDiffs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var versions []Version[int]
		marks := map[string]int{}
		var before []byte
		for i := range rapid.IntRange(1, 8).Draw(t, "n") {
			var members []string
			for _, n := range []string{"a", "b", "c"} {
				if v := rapid.SampledFrom([]string{"", "1", "2", `{"x":1}`, `{"x":1,"y":2}`, `[1]`}).Draw(t, n); v != "" {
					members = append(members, fmt.Sprintf("%q:%s", n, v))
				}
			}
			after := []byte(`{"k":0,` + strings.Join(append(members, `"z":0`), ",") + "}")
			if i > 0 && rapid.IntRange(0, 6).Draw(t, "gone") == 0 {
				after = nil
			}
			for _, d := range parts.Diff(before, after) {
				for p := range marks {
					if parts.Covers(d.Pointer, p) {
						delete(marks, p)
					}
				}
				if d.After != nil {
					eachLeaf(parts.Parse(d.After), d.Pointer, nil, func(p string, _ []string, _ parts.Part) { marks[p] = i })
				}
			}
			versions = append(versions, Version[int]{i, after})
			before = after
		}
		got := Value(versions)
		if len(got) != len(marks) {
			t.Fatalf("%v, want %v", got, marks)
		}
		for _, l := range got {
			if marks[l.Pointer] != l.Commit {
				t.Fatalf("%s comes from %d, want %d", l.Pointer, l.Commit, marks[l.Pointer])
			}
		}
	})
}
