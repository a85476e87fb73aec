package main

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/intent"
)

// TestPlanRunsAgainWhatASwitchLeftDown cuts a switch short after any step, by intent that may not be acted on: what ran
// before runs again.
func TestPlanRunsAgainWhatASwitchLeftDown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWanted(t)
		w.MinNodes = 0
		m := anyModel(t, w)
		w.Version = rapid.SampledFrom(all).Draw(t, "switch to")
		m.Installed, m.Links.Current, m.Attempt = all, rapid.SampledFrom(all).Draw(t, "live"), Attempt{}
		was := m.Links.Current
		m.Service = service.State{App: "slug", Basedir: "/srv/slug", Up: true, Boot: true, Supervised: true, Fingerprint: "other",
			Process: service.Process{PID: 7, Started: 1, Version: was, Settings: "other", Core: "other"}}
		for _, s := range cut(t, plan(Desired{"slug": w}, Actual{"slug": m.App})) {
			m.after(t, s)
		}
		stopped := !m.Service.Up
		w = Wanted{Phase: anyPhase(t), Reason: "so"}
		for _, s := range plan(Desired{"slug": w}, Actual{"slug": m.App}) {
			if !stopped {
				t.Fatalf("it runs, and yet: %v", s)
			}
			m.after(t, s)
		}
		p := m.Service.Process
		if !m.Service.Up || p.Version != m.Links.Current || stopped && p.Version != was {
			t.Fatalf("%s ran, and now %+v", was, m.App)
		}
		if left := plan(Desired{"slug": w}, Actual{"slug": m.App}); len(left) > 0 {
			t.Fatalf("it goes on with %v", left)
		}
	})
}

func cut(t *rapid.T, steps []Step) []Step {
	return steps[:rapid.IntRange(0, len(steps)).Draw(t, "cut after")]
}

func anyPhase(t *rapid.T) string {
	return rapid.SampledFrom([]string{intent.PhaseHeld, intent.PhaseInvalid, intent.PhaseIncomplete}).Draw(t, "phase")
}

// TestPlanLeavesDownWhatIsToBeDown is about what no switch has stopped, or cannot be started.
func TestPlanLeavesDownWhatIsToBeDown(t *testing.T) {
	down := App{Installed: all, Links: Links{Current: "v1"},
		Service: service.State{App: "slug", Basedir: "/srv/slug", Boot: true, Supervised: true}}
	d := Desired{"slug": {Phase: intent.PhaseHeld, Reason: "so"}}
	if steps := plan(d, Actual{"slug": down}); len(steps) != 1 || steps[0].Verb != Start {
		t.Fatalf("what is down by a switch: %v", steps)
	}
	for name, change := range map[string]func(*App){
		"stopped for good":      func(a *App) { a.Service.Boot = false },
		"unsupervised":          func(a *App) { a.Service.Supervised = false },
		"blocked":               func(a *App) { a.Service.Bar = service.Blocked },
		"not looked at":         func(a *App) { a.Unseen = "no open files" },
		"not installed":         func(a *App) { a.Installed = nil },
		"never live":            func(a *App) { a.Links.Current = "" },
		"not to be trusted":     func(a *App) { a.Unfit = map[string]string{"v1": "others may write it"} },
		"not setlive's":         func(a *App) { a.Service.App = "" },
		"a folder in its place": func(a *App) { a.Links.Obstacle = "a folder" },
	} {
		app := down
		change(&app)
		if steps := plan(d, Actual{"slug": app}); len(steps) > 0 {
			t.Errorf("%s: %v", name, steps)
		}
	}
}

// TestPlanRemovesWithTheStopTimeoutThatWasRecorded: intent of the app is gone by then.
func TestPlanRemovesWithTheStopTimeoutThatWasRecorded(t *testing.T) {
	app := App{Service: service.State{App: "slug", Basedir: "/srv/slug", Up: true, Boot: true, StopTimeout: 4 * time.Second}}
	steps := plan(Desired{}, Actual{"slug": app})
	if len(steps) == 0 || steps[0].Verb != Stop || steps[0].Spec.Grace() != 4*time.Second {
		t.Errorf("%+v", steps)
	}
}

// TestPlanEndsWhatRestartsLeftBehind of a version that was given up, and of one that is merely unhealthy.
func TestPlanEndsWhatRestartsLeftBehind(t *testing.T) {
	w := Wanted{Spec: service.Spec{App: "slug", Basedir: "/srv/slug"}, Version: "v1", Goal: "g"}
	app := App{Installed: all, Links: Links{Current: "v1"}}
	app.Service = service.State{App: "slug", Basedir: "/srv/slug", Up: true, Boot: true, Fingerprint: w.Spec.Fingerprint(),
		Process: service.Process{PID: 7, Started: 1, Version: "v1", Settings: w.Spec.Settings()},
		Past:    service.Past{Restarts: 9, Looping: true, Orphans: 2}}
	for _, failed := range []Attempt{{}, {Goal: "g", To: "v1", Failed: "it ended 3 times"}} {
		app.Attempt = failed
		d := decide("slug", Desired{"slug": w}, Actual{"slug": app})
		if len(d.steps) != 1 || d.steps[0].Verb != Reap || d.state.Phase == converge.Converged {
			t.Errorf("%+v", d)
		}
		app := app
		app.Service.Past.Orphans = 0
		if steps := plan(Desired{"slug": w}, Actual{"slug": app}); len(steps) > 0 {
			t.Errorf("with none left: %v", steps)
		}
	}
}
