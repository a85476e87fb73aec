package change

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/history"
)

// drawEdits draws edits of a few keys, so that they collide; a nil value removes the key.
func drawEdits(t *rapid.T, label string) []world.Edit {
	var edits []world.Edit
	for _, app := range []string{"a", "b"} {
		values := map[string][]string{
			"nodes/n1/" + app:                       {"", `{"cluster":"p"}`, `{ "cluster": "p" }`, `{"cluster":"q"}`},
			"nodes/n2/" + app:                       {"", `{"cluster":"p"}`},
			"clusters/" + app + "/p/config":         {"", `{"versions":{"1":"active"}}`, `{"versions":{"1":"prep","2":"active"}}`, `{"versions":{"2":"active"},"user_config":{"x":1}}`},
			"clusters/" + app + "/p/deploy_config":  {"", `{"basedir":"/srv/` + app + `"}`, `{"basedir":"/srv/` + app + `","ports":[80,{"port":53,"protocol":"udp","source":["10.0.0.0/8"]}]}`, `{"basedir":"/srv/shared","ports":[80]}`},
			"clusters/" + app + "/q/config":         {"", `{"versions":{}}`},
			"clusters/" + app + "/q/deploy_config":  {"", `{"basedir":"/srv/` + app + `/q"}`},
			"clusters/" + app + "/q/deploy_config2": {""},
		}
		keys := make([]string, 0, len(values))
		for key := range values {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			if value := rapid.SampledFrom(values[key]).Draw(t, label+" "+key); value != "" {
				edits = append(edits, world.Edit{Key: key, Value: []byte(value)})
			} else if rapid.Bool().Draw(t, label+" remove "+key) {
				edits = append(edits, world.Edit{Key: key})
			}
		}
	}
	return edits
}

func drawSnapshot(t *rapid.T) world.Snapshot {
	tree, err := intent.ParseRoot("platypus")
	if err != nil {
		t.Fatal(err)
	}
	w := world.Snapshot{Tree: tree, Reports: map[world.AgentID]intent.Report{}, Alive: map[world.AgentID]bool{}}
	w = w.Apply(drawEdits(t, "before"))
	for i := range w.Pairs {
		w.Pairs[i].ModifyIndex = uint64(i + 1)
	}
	w.Index = uint64(len(w.Pairs))
	return w
}

// applyEdits applies edits to a snapshot as the history does.
func applyEdits(t *rapid.T, w world.Snapshot, edits []history.Edit, expect map[string]uint64) world.Snapshot {
	w.Pairs = slices.Clone(w.Pairs)
	for _, e := range edits {
		key := string(w.Tree.Intent()) + e.Key
		at := slices.IndexFunc(w.Pairs, func(p intent.Pair) bool { return p.Key == key })
		var index uint64
		if at >= 0 {
			index = w.Pairs[at].ModifyIndex
		}
		if wanted, asked := expect[e.Key]; !asked || index != wanted {
			t.Fatalf("%s asks for index %d (%v), there is %d", e.Key, wanted, asked, index)
		}
		switch {
		case e.Delete:
			w.Pairs = slices.Delete(w.Pairs, at, at+1)
		case at < 0:
			w.Pairs = append(w.Pairs, intent.Pair{Key: key, Value: e.Value})
		default:
			w.Pairs[at].Value = e.Value
		}
	}
	return w
}

// After the edits, the store equals the files, a second plan is empty and no agent has anything left to do.
func TestEdits_Applied_MatchPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := drawSnapshot(t)
		edits := drawEdits(t, "after")
		changes := Changes(before, edits)
		wanted, expect := Edits(changes)
		after := applyEdits(t, before, wanted, expect)
		for _, e := range edits {
			pair, found := after.Get(e.Key)
			if found != (e.Value != nil) || found && compact(pair.Value) != compact(e.Value) {
				t.Fatalf("%s is %s, declared was %s", e.Key, pair.Value, e.Value)
			}
		}
		if again := Changes(after, edits); len(again) > 0 {
			t.Fatalf("planned again: %+v", again)
		}
		if left := Effects(after, after.Apply(edits)); len(left) > 0 {
			t.Fatalf("still to do: %+v", left)
		}
		for _, c := range changes {
			if len(c.Members) == 0 && c.Verb == Update {
				t.Fatalf("%s changes in nothing", c.Key)
			}
		}
	})
}

// Only apps whose intent differs have effects, each of every kind at most once.
func TestEffects_OnlyChangedApps_EachOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := drawSnapshot(t)
		after := before.Apply(drawEdits(t, "after"))
		seen := map[string]bool{}
		for _, e := range Effects(before, after) {
			was, had := before.Node(e.Node).App(e.App)
			is, has := after.Node(e.Node).App(e.App)
			if had == has && equal(was, is) {
				t.Fatalf("%+v though nothing changed", e)
			}
			if text := fmt.Sprint(e.Node, e.Agent, e.App, e.Action, e.What); seen[text] {
				t.Fatalf("%+v twice", e)
			} else {
				seen[text] = true
			}
			if e.Action == "stop" {
				if _, active := is.Config.Active(); active && has && is.Sound() {
					t.Fatalf("%+v though a version is active", e)
				}
			}
			if e.Action == "close" && slices.ContainsFunc(is.Deploy.Ports, func(p intent.Port) bool { return describe(p) == e.What }) && has {
				t.Fatalf("%+v though it is declared", e)
			}
		}
	})
}

func TestActivate(t *testing.T) {
	const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, test := range []struct{ config, version, sha256, want string }{
		{`{"versions":{"1":"active"}}`, "2", "", `{"versions":{"1":"prep","2":"active"}}`},
		{`{"versions":{"1":"active","2":"prep"},"x":[1,{"b":2}]}`, "2", "", `{"versions":{"1":"prep","2":"active"},"x":[1,{"b":2}]}`},
		{`{"Versions":{"1":{"Status":"active","sha256":"` + digest + `"}}}`, "2", "", `{"Versions":{"1":{"sha256":"` + digest + `","status":"prep"},"2":"active"}}`},
		{`{"versions":{"2":{"status":"prep","sha256":"old"}}}`, "2", digest, `{"versions":{"2":{"sha256":"` + digest + `","status":"active"}}}`},
		{`{"versions":{"2":{"status":"prep","sha256":"` + digest + `"}}}`, "2", "", `{"versions":{"2":{"sha256":"` + digest + `","status":"active"}}}`},
		{`{"versions":{}}`, "1<2", "", `{"versions":{"1<2":"active"}}`},
	} {
		got, err := Activate([]byte(test.config), intent.Name(test.version), test.sha256)
		if err != nil || string(got) != test.want {
			t.Errorf("%s with %s: %s, %v; want %s", test.config, test.version, got, err, test.want)
		}
	}
	if got, err := Activate([]byte(`[]`), "1", ""); err == nil {
		t.Errorf("an array became %s", got)
	}
}

// A plan encodes as JSON whatever values it contains.
func TestPlan_AnyValue_EncodesAsJSON(t *testing.T) {
	now := world.Snapshot{Pairs: []intent.Pair{{Key: "platypus/intent/nodes/n/a", Value: []byte("\xff not JSON")}}}
	now.Tree, _ = intent.ParseRoot("platypus")
	changes := Changes(now, []world.Edit{{Key: "nodes/n/a", Value: []byte(`{"cluster":"p"}`)}})
	if _, err := json.Marshal(changes); err != nil || len(changes) != 1 || changes[0].Verb != Update {
		t.Errorf("%+v: %v", changes, err)
	}
}
