package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/intent"
)

var (
	someApps     = []intent.Name{"a", "b", "c"}
	someVersions = []intent.Name{"v1", "v2", "v3", "v4", "v5", "v6"}
	someBasedirs = []string{"/srv/a", "/srv/b"}
	someSums     = []string{"", strings.Repeat("1", 64), strings.Repeat("2", 64)}
)

func drawNode(t *rapid.T) (node intent.Node) {
	for i, name := range someApps {
		if rapid.IntRange(0, 3).Draw(t, "absent") == 0 {
			continue
		}
		app := intent.App{Name: name, Config: intent.Config{Versions: map[intent.Name]intent.Version{}}}
		app.Deploy.Basedir = someBasedirs[(i+rapid.IntRange(0, 1).Draw(t, "basedir"))%2] + "/" + string(name)
		app.Deploy.Keep = rapid.IntRange(0, 3).Draw(t, "keep")
		app.Phase = rapid.SampledFrom([]string{"", "", "", intent.PhaseInvalid, intent.PhaseIncomplete, intent.PhaseHeld}).Draw(t, "phase")
		status := intent.Active
		for _, v := range someVersions {
			if rapid.IntRange(0, 2).Draw(t, "wanted") == 0 {
				app.Config.Versions[v] = intent.Version{Status: status, SHA256: rapid.SampledFrom(someSums).Draw(t, "sum")}
				status = intent.Prep
			}
		}
		node.Apps = append(node.Apps, app)
	}
	return node
}

func drawActual(t *rapid.T) Actual {
	a := Actual{Keep: rapid.IntRange(0, 4).Draw(t, "keep")}
	for _, app := range someApps {
		for _, basedir := range someBasedirs {
			if rapid.Bool().Draw(t, "place") {
				a.AppDirs = append(a.AppDirs, drawAppDir(t, app, basedir+"/"+string(app)))
			}
		}
	}
	return a
}

func drawAppDir(t *rapid.T, app intent.Name, basedir string) AppDir {
	p := AppDir{App: app, Basedir: basedir, Known: rapid.Bool().Draw(t, "known"), DiskFull: rapid.IntRange(0, 4).Draw(t, "tight") == 0}
	if rapid.IntRange(0, 9).Draw(t, "fault") == 0 {
		p.Fault = "unsafe_basedir: drawn"
	}
	conditions := []Condition{Complete, Complete, Complete, Legacy, Incomplete, Foreign, Blocked}
	for i, v := range someVersions {
		if rapid.Bool().Draw(t, "present") {
			in := Install{Version: v, Condition: rapid.SampledFrom(conditions).Draw(t, "condition")}
			if in.Condition == Complete {
				in.SHA256 = rapid.SampledFrom(someSums[1:]).Draw(t, "recorded")
				in.At = time.Unix(int64(rapid.IntRange(1, 5).Draw(t, "at")), 0)
			}
			p.Installs = append(p.Installs, in)
		}
		if rapid.IntRange(0, 5).Draw(t, "left") == 0 {
			partial := rapid.Bool().Draw(t, "partial")
			p.Leftovers = append(p.Leftovers, Leftover{Path: fmt.Sprint(staging, "/", i), Version: v, Partial: partial, Busy: !partial && rapid.Bool().Draw(t, "busy")})
		}
	}
	if rapid.Bool().Draw(t, "current") {
		p.Current = []intent.Name{rapid.SampledFrom(someVersions).Draw(t, "current")}
	}
	if rapid.Bool().Draw(t, "previous") {
		p.Previous = []intent.Name{rapid.SampledFrom(someVersions).Draw(t, "previous")}
	}
	return p
}

// after is what the host looks like when a step has been done.
func after(a Actual, s Step) Actual {
	a.AppDirs = slices.Clone(a.AppDirs)
	i := slices.IndexFunc(a.AppDirs, func(p AppDir) bool { return p.App == s.App && p.Basedir == s.Basedir })
	if i < 0 {
		a.AppDirs = append(a.AppDirs, AppDir{App: s.App, Basedir: s.Basedir})
		i = len(a.AppDirs) - 1
	}
	p := &a.AppDirs[i]
	switch s.Kind {
	case Adopt:
		p.Known = true
	case Fetch:
		p.Known, p.DiskFull = true, false
		p.Installs = append(slices.Clone(p.Installs), Install{Version: s.Version, Condition: Complete, SHA256: s.SHA256, At: time.Unix(100, 0)})
	case Prune:
		p.Installs = slices.DeleteFunc(slices.Clone(p.Installs), func(i Install) bool { return i.Version == s.Version })
	case Sweep:
		p.Leftovers = slices.DeleteFunc(slices.Clone(p.Leftovers), func(l Leftover) bool { return l.Path == s.Path })
	case Forget:
		a.AppDirs = slices.Delete(a.AppDirs, i, i+1)
	}
	return a
}

// convergeAll plans and applies until only refusals are left.
func convergeAll(t *rapid.T, node intent.Node, a Actual) Actual {
	for range 10 {
		steps := plan(node, a)
		if !slices.ContainsFunc(steps, func(s Step) bool { return s.Kind != Refusal }) {
			return a
		}
		for _, s := range steps {
			a = after(a, s)
		}
	}
	t.Fatal("no fixpoint after ten passes")
	return a
}

func wants(app intent.App, v intent.Name) bool { _, ok := app.Config.Versions[v]; return ok }
func has(p AppDir, v intent.Name) bool         { _, ok := installOf(p, v); return ok }

func TestPlan_AnyState_Converges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node, a := drawNode(t), drawActual(t)
		steps := plan(node, a)
		k := rapid.IntRange(0, len(steps)).Draw(t, "crash after")
		for _, s := range steps[:k] {
			a = after(a, s)
		}
		end := convergeAll(t, node, a)
		if err := satisfies(node, end); err != nil {
			t.Fatalf("after a crash behind step %d: %v", k, err)
		}
	})
}

func TestPlan_AnyState_StepsAreSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node, a := drawNode(t), drawActual(t)
		for _, s := range plan(node, a) {
			if err := checkSafety(node, a, s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
			a = after(a, s)
		}
	})
}

// TestPlan_SpareInstalls_KeepsNewest: of the spare installs, those that stay are no older than those that go, and as
// many as may stay do, unless the disk is full.
func TestPlan_SpareInstalls_KeepsNewest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node, a := drawNode(t), drawActual(t)
		before := a
		for _, s := range plan(node, a) {
			a = after(a, s)
		}
		for _, app := range node.Apps {
			p, ok := appDirOf(before, app.Name, app.Deploy.Basedir)
			if !ok || app.Phase != "" || p.Fault != "" {
				continue
			}
			q, _ := appDirOf(a, app.Name, app.Deploy.Basedir)
			had, have := spares(p, app), spares(q, app)
			keep := a.Keep
			if app.Deploy.Keep > 0 {
				keep = app.Deploy.Keep
			}
			if p.DiskFull {
				keep = 0
			}
			if len(have) != min(keep, len(had)) {
				t.Fatalf("%s had %v, has %v, keep %d", app.Name, had, have, keep)
			}
			for n, i := range have {
				if i.At.Before(had[n].At) {
					t.Fatalf("%s kept %v of %v", app.Name, have, had)
				}
			}
		}
	})
}

func TestPlan_ObservationOrder_Irrelevant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node, a := drawNode(t), drawActual(t)
		want := words(plan(node, a))
		b := a
		b.AppDirs = rapid.Permutation(a.AppDirs).Draw(t, "places")
		for i := range b.AppDirs {
			b.AppDirs[i].Leftovers = rapid.Permutation(b.AppDirs[i].Leftovers).Draw(t, "leftovers")
		}
		if got := words(plan(node, b)); !slices.Equal(got, want) {
			t.Fatalf("%q and %q", got, want)
		}
	})
}

func words(steps []Step) (w []string) {
	for _, s := range steps {
		w = append(w, s.Subject()+": "+s.String())
	}
	slices.Sort(w)
	return w
}

func TestPlan(t *testing.T) {
	sum, other := strings.Repeat("1", 64), strings.Repeat("2", 64)
	app := func(versions map[intent.Name]intent.Version) intent.Node {
		return intent.Node{Apps: []intent.App{{Name: "slug", Config: intent.Config{Versions: versions}, Deploy: intent.DeployConfig{Basedir: "/srv/slug"}}}}
	}
	v1 := app(map[intent.Name]intent.Version{"v1": {Status: intent.Active, SHA256: sum}})
	place := func(p AppDir) Actual {
		p.App, p.Basedir, p.Known = "slug", "/srv/slug", true
		return Actual{Keep: 1, AppDirs: []AppDir{p}}
	}
	for _, c := range []struct {
		name   string
		node   intent.Node
		actual Actual
		want   string
	}{
		{"nothing there", v1, Actual{}, "slug: adopt /srv/slug: named by intent|slug/v1: install /srv/slug/installs/slug_v1: wanted, absent"},
		{"there", v1, place(AppDir{Installs: []Install{{Version: "v1", Condition: Complete, SHA256: sum}}}), ""},
		{"there since 2014", v1, place(AppDir{Installs: []Install{{Version: "v1", Condition: Legacy}}}), ""},
		{"other content under the same version", v1, place(AppDir{Installs: []Install{{Version: "v1", Condition: Complete, SHA256: other}}}), "slug/v1: refuse: digest_mismatch: version v1 is installed with sha256 " + other + ", intent says " + sum + ": publish other content as another version"},
		{"half there", v1, place(AppDir{Installs: []Install{{Version: "v1", Condition: Incomplete, Detail: "incomplete"}}}), "slug/v1: prune /srv/slug/installs/slug_v1: incomplete|slug/v1: install /srv/slug/installs/slug_v1: wanted, incomplete"},
		{"half there and live", v1, place(AppDir{Current: []intent.Name{"v1"}, Installs: []Install{{Version: "v1", Condition: Incomplete, Detail: "is incomplete"}}}), "slug/v1: refuse: in_the_way: /srv/slug/installs/slug_v1 is incomplete: move it away"},
		{"a file in its place", v1, place(AppDir{Installs: []Install{{Version: "v1", Condition: Blocked, Detail: "is not a directory"}}}), "slug/v1: refuse: in_the_way: /srv/slug/installs/slug_v1 is not a directory: move it away"},
		{"one spare too many", v1, place(AppDir{Installs: []Install{{Version: "v1", Condition: Complete, SHA256: sum}, {Version: "v2", Condition: Complete, At: time.Unix(2, 0)}, {Version: "v3", Condition: Legacy}}}), "slug/v3: prune /srv/slug/installs/slug_v3: not wanted, and older than the 1 kept"},
		{"the app has gone", intent.Node{}, place(AppDir{Current: []intent.Name{"v1"}, Installs: []Install{{Version: "v1", Condition: Complete}, {Version: "v2", Condition: Complete}}}), "slug/v2: prune /srv/slug/installs/slug_v2: the app has left this place"},
		{"the app has gone and is stopped", intent.Node{}, place(AppDir{}), "slug: forget /srv/slug: nothing is left of the app here"},
		{"the app is held", intent.Node{Apps: []intent.App{{Name: "slug", Phase: intent.PhaseHeld}}}, place(AppDir{Installs: []Install{{Version: "v1", Condition: Complete}}}), ""},
	} {
		var got []string
		for _, s := range plan(c.node, c.actual) {
			got = append(got, s.Subject()+": "+s.String())
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, strings.Join(got, "|"), c.want)
		}
	}
}
