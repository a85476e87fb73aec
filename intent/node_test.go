package intent

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const hang = 2 * time.Minute // more than any of this may ever take

func tree(t testing.TB, root string) Tree {
	t.Helper()
	parsed, err := ParseRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// pairsOf makes pairs of keys below the intent prefix, with increasing indices in key order.
func pairsOf(tree Tree, values map[string]string) (pairs []Pair) {
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for i, key := range keys {
		pairs = append(pairs, Pair{Key: string(tree.Intent()) + key, Value: []byte(values[key]), CreateIndex: uint64(10 + i), ModifyIndex: uint64(100 + i)})
	}
	return pairs
}

// sound returns the values of one valid app.
func sound(name, basedir string) map[string]string {
	return map[string]string{
		"nodes/web1/" + name:                             `{"cluster":"production"}`,
		"clusters/" + name + "/production/config":        `{"versions":{"abc123":"active"}}`,
		"clusters/" + name + "/production/deploy_config": fmt.Sprintf(`{"basedir":%q}`, basedir),
	}
}

func merge(parts ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, part := range parts {
		for key, value := range part {
			all[key] = value
		}
	}
	return all
}

// Reads the sample data of 2014 unchanged, at the top of the store and under a root.
func TestIntentOf2014(t *testing.T) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(read(t, "../testdata/intent/2014.json"), &raw); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for key, value := range raw {
		values[key] = string(value)
	}
	for _, root := range []string{"", "platypus/", "platypus", "a/b/"} {
		t.Run("root "+root, func(t *testing.T) {
			tree := tree(t, root)
			node := ReadNode(tree, "web1", pairsOf(tree, values))
			if len(node.Apps) != 1 || len(node.Warnings) != 0 {
				t.Fatalf("apps %+v, warnings %v", node.Apps, node.Warnings)
			}
			app := node.Apps[0]
			active, _ := app.Config.Active()
			ports := []Port{{First: 1212, Last: 1212, Protocol: TCP}, {First: 1231, Last: 1231, Protocol: TCP}}
			if !app.Sound() || app.Name != "slug" || app.Cluster != "development" || app.Deploy.Basedir != "/tmp/slug" ||
				active != "56d459e7c581b913ad5afa627064d62aea2cfac3" || len(app.Config.Wanted()) != 2 ||
				!reflect.DeepEqual(app.Deploy.Ports, ports) || string(app.Config.UserConfig) != `{"some_value": "hello"}` {
				t.Errorf("app %+v", app)
			}
		})
	}
}

func TestRoots(t *testing.T) {
	old, now := tree(t, ""), tree(t, "platypus/")
	for got, want := range map[string]string{
		old.Assignment("web1", "slug"):      "nodes/web1/slug",
		now.Assignment("web1", "slug"):      "platypus/intent/nodes/web1/slug",
		old.Config("slug", "production"):    "clusters/slug/production/config",
		old.Status("setlive", "web1"):       "platypus/status/setlive/web1",
		now.Status("setlive", "web1"):       "platypus/status/setlive/web1",
		now.Alive("web1", "setlive"):        "platypus/alive/web1/setlive",
		now.Lock("slug", "prod", "setlive"): "platypus/locks/slug/prod/setlive",
	} {
		if got != want {
			t.Errorf("key %s, want %s", got, want)
		}
	}
	for _, root := range []string{"/", "//", "a//b", "../x", "/platypus", "a/../b", "pläty", ".hidden", strings.Repeat("a", 129)} {
		if _, err := ParseRoot(root); err == nil {
			t.Errorf("root %q is allowed", root)
		}
	}
}

func TestSiblingNodesDoNotLeak(t *testing.T) {
	for _, root := range []string{"", "platypus/"} {
		tree := tree(t, root)
		values := map[string]string{}
		for _, node := range []string{"web1", "web10", "web1.x", "web1-b", "web", "WEB1"} {
			values["nodes/"+node+"/on-"+node] = `{"cluster":"c"}`
		}
		for _, node := range []Name{"web1", "web10", "web1.x", "web1-b", "web", "WEB1"} {
			apps := ReadNode(tree, node, pairsOf(tree, values)).Apps
			if len(apps) != 1 || apps[0].Name != "on-"+node {
				t.Errorf("node %s has %+v", node, apps)
			}
		}
	}
}

// Reads assignments of the allocator and of people; a person's wins, even a damaged one.
func TestPlacedApps(t *testing.T) {
	for _, root := range []string{"", "platypus/"} {
		tree := tree(t, root)
		values := merge(sound("own", "/srv/own"), sound("placed", "/srv/placed"), sound("bad", "/srv/bad"))
		delete(values, "nodes/web1/placed")
		values["nodes/web1/bad"] = "{"
		pairs := pairsOf(tree, values)
		for _, app := range []Name{"placed", "own", "bad"} {
			cluster := map[Name]string{"placed": "production", "own": "elsewhere", "bad": "production"}[app]
			pairs = append(pairs, Pair{Key: tree.Placement("web1", app), Value: []byte(`{"cluster":"` + cluster + `"}`)})
		}
		pairs = append(pairs, Pair{Key: tree.Placement("web10", "other"), Value: []byte(`{"cluster":"production"}`)})
		node := ReadNode(tree, "web1", pairs)
		bad, _ := node.App("bad")
		own, _ := node.App("own")
		placed, _ := node.App("placed")
		if len(node.Apps) != 3 || bad.Phase != PhaseInvalid || own.Cluster != "production" || !placed.Sound() {
			t.Errorf("root %q: %+v", root, node.Apps)
		}
		if got := len(Assignments(tree, "web1", pairs)); got != 4 { // two clusters of own: the watch covers both
			t.Errorf("root %q: %d clusters to watch", root, got)
		}
	}
}

// Replaces each of an app's three values with each bad example in turn.
func TestOneBadValueTouchesNoSibling(t *testing.T) {
	tree := tree(t, "")
	for _, path := range examples(t, "bad") {
		if key := keyOf(t, path); !strings.HasPrefix(key, "nodes/") && !strings.HasPrefix(key, "clusters/") {
			continue // no value of an app
		}
		values := merge(sound("slug", "/srv/slug"), sound("other", "/srv/other"))
		values[keyOf(t, path)] = string(read(t, path))
		node := ReadNode(tree, "web1", pairsOf(tree, values))
		slug, there := node.App("slug")
		other, _ := node.App("other")
		if !there || slug.Phase != PhaseInvalid || !strings.HasPrefix(slug.Reason, keyOf(t, path)) || !other.Sound() {
			t.Errorf("%s: slug %+v, other %+v", path, slug, other)
		}
	}
}

func TestIncompleteAppsAreKept(t *testing.T) {
	tree := tree(t, "")
	for _, missing := range []string{"config", "deploy_config"} {
		values := sound("slug", "/srv/slug")
		key := "clusters/slug/production/" + missing
		delete(values, key)
		slug, there := ReadNode(tree, "web1", pairsOf(tree, values)).App("slug")
		if !there || slug.Phase != PhaseIncomplete || slug.Reason != "waiting: "+key+" is not declared" {
			t.Errorf("without %s: %+v", missing, slug)
		}
	}
	values := sound("slug", "relative")
	delete(values, "clusters/slug/production/config")
	if slug, _ := ReadNode(tree, "web1", pairsOf(tree, values)).App("slug"); slug.Phase != PhaseInvalid || slug.Deploy.Basedir != "" {
		t.Errorf("what is wrong must be told before what is absent: %+v", slug)
	}
}

func TestKeysThatAreNoApps(t *testing.T) {
	tree := tree(t, "")
	values := merge(sound("slug", "/srv/slug"), map[string]string{
		"nodes/web1/":            "", // the folder key that Consul's UI creates
		"nodes/web1/folder/":     "",
		"nodes/web1/slug/deeper": `{"cluster":"c"}`,
		"nodes/web1/.hidden":     `{"cluster":"c"}`,
		"nodes/web1/a..b":        `{"cluster":"c"}`,
	})
	node := ReadNode(tree, "web1", pairsOf(tree, values))
	if len(node.Apps) != 1 || len(node.Warnings) != 3 {
		t.Fatalf("apps %+v, warnings %v", node.Apps, node.Warnings)
	}
	for _, w := range node.Warnings {
		if w.Key == "" || w.Text == "" || !w.Warning {
			t.Errorf("warning %+v", w)
		}
	}
}

func TestBasedirsThatOverlap(t *testing.T) {
	for _, test := range []struct {
		name    string
		older   string // basedirs of the apps a and b; a is the older
		younger string
		overlap bool
	}{
		{"same", "/srv/x", "/srv/x", true},
		{"same with slash", "/srv/x/", "/srv/x", true},
		{"inside", "/srv/x", "/srv/x/installs/y", true},
		{"around", "/srv/x/y", "/srv/x", true},
		{"sibling with prefix", "/srv/x", "/srv/x1", false},
		{"other", "/srv/x", "/srv/y", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			tree := tree(t, "")
			read := func(spoil map[string]string) (App, App) {
				node := ReadNode(tree, "web1", pairsOf(tree, merge(sound("a", test.older), sound("b", test.younger), spoil)))
				a, _ := node.App("a")
				b, _ := node.App("b")
				return a, b
			}
			if a, b := read(nil); !a.Sound() || b.Sound() == test.overlap {
				t.Errorf("a %+v, b %+v", a, b)
			}
			// A mistake in another value of the older app must not give its directory to the younger.
			if a, b := read(map[string]string{"clusters/a/production/config": `{"version":{}}`}); a.Sound() || b.Sound() == test.overlap {
				t.Errorf("older broken: a %+v, b %+v", a, b)
			}
		})
	}
	t.Run("a loser claims nothing", func(t *testing.T) {
		tree := tree(t, "")
		node := ReadNode(tree, "web1", pairsOf(tree, merge(sound("a", "/srv/x"), sound("b", "/srv"+"/x/y"), sound("c", "/srv/x1"))))
		for name, want := range map[Name]bool{"a": true, "b": false, "c": true} {
			if app, _ := node.App(name); app.Sound() != want {
				t.Errorf("%s: %+v", name, app)
			}
		}
	})
}

func TestOrderOfPairsDoesNotMatter(t *testing.T) {
	tree := tree(t, "")
	pairs := pairsOf(tree, merge(sound("a", "/srv/x"), sound("b", "/srv/x"), sound("c", "relative"), map[string]string{"nodes/web1/.x": "{}"}))
	want := ReadNode(tree, "web1", pairs)
	reversed := slices.Clone(pairs)
	slices.Reverse(reversed)
	if got := ReadNode(tree, "web1", append(reversed, pairs...)); !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v\nwant %+v", got, want)
	}
}

// Limits the time for a node with ten thousand apps that all claim one directory.
func TestManyApps(t *testing.T) {
	tree := tree(t, "")
	var parts []map[string]string
	for i := range 10_000 {
		parts = append(parts, sound(fmt.Sprintf("app%05d", i), "/srv/shared/"+strings.Repeat("d/", i%20)+"x"))
	}
	pairs := pairsOf(tree, merge(parts...))
	start := time.Now()
	node := ReadNode(tree, "web1", pairs)
	if took := time.Since(start); took > hang {
		t.Errorf("took %s", took)
	}
	if len(node.Apps) != 10_000 {
		t.Errorf("%d apps", len(node.Apps))
	}
	if clusters := Assignments(tree, "web1", pairs); len(clusters) != 10_000 {
		t.Errorf("%d clusters", len(clusters))
	}
}
