package main

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/setlive/health"
	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/intent"
)

// goal is the oracle: it says what must be so in the end, given what was so at first, and never asks plan.
func goal(w Wanted, first, last *model) string {
	p := last.Service.Process
	allowed := []string{w.Version}
	gaveUp := first.Attempt.Failed != "" && first.Attempt.Goal == w.Goal && first.Attempt.To == w.Version
	switch {
	case w.Version == "":
		if first.owned() && (p.Running() || last.Service.Up || last.Service.Boot) {
			return "no version is active, yet it is kept up"
		}
		return ""
	case gaveUp && slices.Contains(first.Installed, first.Attempt.From):
		allowed = []string{first.Attempt.From}
	case gaveUp && first.Attempt.From != "":
		return "" // what it would go back to has vanished: whatever ran goes on
	case !slices.Contains(first.Installed, w.Version):
		if first.Service.Process.Running() && p != first.Service.Process {
			return "what ran was touched though the new version is not there"
		}
		return ""
	}
	trial := !gaveUp && (first.Links.Current != w.Version && first.Service.Process.Version != w.Version ||
		first.Attempt.To == w.Version && first.Attempt.Failed == "")
	from := first.Links.Current
	if first.Attempt.To == from || first.Attempt.To == w.Version {
		from = first.Attempt.From
	}
	switch {
	case trial && !first.good[w.Version] && last.Attempt.From != "":
		allowed = []string{last.Attempt.From}
		if !slices.Contains(first.Installed, last.Attempt.From) {
			allowed = []string{w.Version}
		}
		if last.Attempt.From != from && last.Attempt.From != first.Links.Current {
			return "it went back to " + last.Attempt.From + ", a version that was never live"
		}
	}
	switch {
	case !p.Running() || !slices.Contains(allowed, p.Version):
		return "it runs " + orSo(p.Version, "nothing") + ", want " + strings.Join(allowed, " or ")
	case last.Links.Current != p.Version:
		return "current is " + orSo(last.Links.Current, "absent") + " while " + p.Version + " runs"
	case p.Settings != "" && p.Settings != w.Spec.Settings() && (w.Spec.OnConfig != "nothing" || p.Core != w.Spec.Core()):
		return "it runs with old settings"
	case !last.Service.Up || !last.Service.Boot || last.Service.Fingerprint != w.Spec.Fingerprint():
		return "the service is not as it should be"
	case trial && first.good[w.Version] && last.Attempt != (Attempt{}):
		return "a healthy version is still on trial"
	}
	return ""
}

func TestPlanReachesTheGoalFromAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWanted(t)
		first := anyModel(t, w)
		last := first.clone()
		steps := last.settle(t, w)
		if wrong := goal(w, first, last); wrong != "" {
			t.Fatalf("%s\nfirst %+v\nlast %+v\nby %v", wrong, first.App, last.App, steps)
		}
	})
}

// TestPlanSurvivesACrashAnywhere stops after any step and goes on with a setlive that knows nothing.
func TestPlanSurvivesACrashAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWanted(t)
		first := anyModel(t, w)
		whole := first.clone()
		steps := whole.settle(t, w)
		cut := first.clone()
		rounds := rapid.IntRange(0, len(steps)).Draw(t, "crash after")
		for done := 0; done < rounds; {
			planned := plan(Desired{"slug": w}, Actual{"slug": cut.App})
			if len(planned) == 0 {
				cut.patience(w)
				if planned = plan(Desired{"slug": w}, Actual{"slug": cut.App}); len(planned) == 0 {
					break
				}
			}
			for _, s := range planned[:min(len(planned), rounds-done)] {
				cut.after(t, s)
				done++
			}
		}
		cut.Verdict, cut.Peers = health.Verdict{}, Peers{}
		cut.settle(t, w)
		if p, q := cut.Service.Process, whole.Service.Process; p.Version != q.Version || cut.Links.Current != whole.Links.Current {
			t.Fatalf("first %+v\nafter a crash %+v\nwithout %+v by %v", first.App, cut.App, whole.App, steps)
		}
	})
}

func TestPlanNeverStopsWhatTheClusterNeeds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWanted(t)
		w.MinNodes = rapid.IntRange(1, 3).Draw(t, "needed")
		m := anyModel(t, w)
		p := m.Service.Process
		m.Peers = Peers{Asked: rapid.Bool().Draw(t, "asked"), Held: rapid.Bool().Draw(t, "held"), Healthy: rapid.IntRange(0, 3).Draw(t, "healthy")}
		m.Peers.Held = m.Peers.Held && m.Peers.Asked
		m.Verdict = health.Verdict{Process: p, Install: install(w.Spec, p.Version)}
		switch rapid.SampledFrom([]string{"passing", "failing", "unknown"}).Draw(t, "verdict") {
		case "passing":
			m.Verdict.Passing, m.Verdict.Passes, m.Verdict.Healthy = true, 3, true
		case "failing":
			m.Verdict.Reason = "sick"
		}
		for _, s := range plan(Desired{"slug": w}, Actual{"slug": m.App}) {
			if s.Verb != Stop || !p.Running() || m.Verdict.Reason != "" {
				continue
			}
			if !m.Peers.Held || m.Peers.Healthy < w.MinNodes || !s.Leased || m.Verdict.Passes == 0 {
				t.Fatalf("%v, though %+v of %d and %+v", s, m.Peers, w.MinNodes, m.Verdict)
			}
		}
	})
}

// TestPlanRestartsNothingForAConfigThatNeedsNone is about an app in which user_config alone differs.
func TestPlanRestartsNothingForAConfigThatNeedsNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWanted(t)
		w.Version, w.Spec.OnConfig = "v1", rapid.SampledFrom([]string{"", "nothing", "signal:USR1"}).Draw(t, "policy")
		m := &model{good: map[string]bool{"v1": true}}
		m.Installed, m.Links.Current = []string{"v1"}, "v1"
		was := w.Spec
		was.Config = `{"was":"other"}`
		m.Service = service.State{App: "slug", Basedir: "/srv/slug", Up: true, Boot: true, Fingerprint: was.Fingerprint(),
			Process: service.Process{PID: 7, Started: 1, Version: "v1", Settings: was.Settings(), Core: was.Core()}}
		before := m.Service.Process
		var verbs []Verb
		for _, s := range m.settle(t, w) {
			verbs = append(verbs, s.Verb)
		}
		want := map[string][]Verb{"": {Install, Stop, Start}, "nothing": {Install}, "signal:USR1": {Install, Tell}}[w.Spec.OnConfig]
		if !slices.Equal(verbs, want) || before.Is(m.Service.Process) != (w.Spec.OnConfig != "") {
			t.Fatalf("%q does %v", w.Spec.OnConfig, verbs)
		}
	})
}

func TestPlanLeavesAloneWhatItMustNotTouch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWanted(t)
		m := anyModel(t, w)
		switch rapid.SampledFrom([]string{"invalid", "blocked", "obstacle"}).Draw(t, "because") {
		case "invalid":
			w.Phase, w.Reason = intent.PhaseInvalid, "two active versions"
		case "blocked":
			m.Service.Bar, m.Service.Problem = service.Blocked, "masked"
		case "obstacle":
			m.Links.Obstacle = "a folder"
			if w.Version == "" {
				w.Version = "v1"
			}
		}
		if steps := plan(Desired{"slug": w}, Actual{"slug": m.App}); len(steps) > 0 {
			t.Fatalf("%v", steps)
		}
		if s := decide("slug", Desired{"slug": w}, Actual{"slug": m.App}).state; s.Phase == converge.Converged || s.Reason == "" {
			t.Fatalf("nothing is said of it: %+v", s)
		}
	})
}

// TestPlanDoesNothingOnWhatItCouldNotLookAt: whatever else is said of the app, and whether it is wanted or not, it is looked
// at again and that is all; the lease is wanted as before.
func TestPlanDoesNothingOnWhatItCouldNotLookAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWanted(t)
		m := anyModel(t, w)
		m.Verdict = health.Verdict{Process: m.Service.Process, Passing: true, Passes: 1}
		d := Desired{"slug": w}
		if rapid.Bool().Draw(t, "no longer declared") {
			d, m.Service.App = Desired{}, "slug"
		}
		before := decide("slug", d, Actual{"slug": m.App})
		m.Unseen = "could not look: open /proc/7/stat: too many open files"
		steps := plan(d, Actual{"slug": m.App})
		if len(steps) != 1 || steps[0].Verb != Look || steps[0].Subject() != "slug" || steps[0].Destroys() || !strings.Contains(steps[0].String(), m.Unseen) {
			t.Fatalf("%v", steps)
		}
		after := decide("slug", d, Actual{"slug": m.App})
		if after.lease != before.lease || after.state.Phase == converge.Converged || after.state.Reason != m.Unseen {
			t.Fatalf("%+v, and before %+v", after, before)
		}
	})
}

func TestPlanRemovesWhatIsNoLongerDeclaredAndOnlyThat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWanted(t)
		m, sibling := anyModel(t, w), anyModel(t, w)
		a := Actual{"slug": m.App, "other": sibling.App}
		a["other"] = App{Links: sibling.Links, Installed: sibling.Installed}
		steps := plan(Desired{}, a)
		if !m.owned() && len(steps) > 0 {
			t.Fatalf("what setlive did not write is touched: %v", steps)
		}
		for _, s := range steps {
			if s.Subject() != "slug" {
				t.Fatalf("a stranger is touched: %v", s)
			}
			m.after(t, s)
		}
		if m.owned() || len(steps) > 0 && m.Links.Current != "" {
			t.Fatalf("left: %+v", m.App)
		}
		again := plan(Desired{}, a)
		if !slices.Equal(steps, again) {
			t.Fatalf("another order: %v and %v", steps, again)
		}
	})
}

func TestDesiredGoalChangesWithIntentOnly(t *testing.T) {
	node := func(versions map[intent.Name]intent.Version, index uint64) Wanted {
		return desired(intent.Node{Apps: []intent.App{{Name: "slug", Cluster: "c", Index: index,
			Config: intent.Config{Versions: versions}, Deploy: intent.DeployConfig{Basedir: "/srv/slug"}}}})["slug"]
	}
	v1 := map[intent.Name]intent.Version{"v1": {Status: intent.Active}, "v2": {Status: intent.Prep}}
	v2 := map[intent.Name]intent.Version{"v1": {Status: intent.Prep}, "v2": {Status: intent.Active}}
	if node(v1, 1).Goal != node(v1, 2).Goal {
		t.Error("the store's index is no part of intent")
	}
	if node(v1, 1).Goal == node(v2, 1).Goal {
		t.Error("another version is another goal")
	}
	if got := node(v2, 1); got.Version != "v2" || got.Check.Type != intent.HealthUp {
		t.Errorf("%+v", got)
	}
}

// TestDecide_RevertUnderWay_IsNotSaidToBeOver: until the version before runs, the one that failed is still what answers.
func TestDecide_RevertUnderWay_IsNotSaidToBeOver(t *testing.T) {
	w := Wanted{Spec: service.Spec{App: "slug", Basedir: "/srv/slug"}, Version: "v2", Goal: "g"}
	app := App{Installed: []string{"v1", "v2"}, Links: Links{Current: "v2", Previous: "v1"}, Attempt: Attempt{Goal: "g", To: "v2", From: "v1", Failed: "sick"}}
	app.Service = service.State{App: "slug", Basedir: "/srv/slug", Up: true, Boot: true, Fingerprint: w.Spec.Fingerprint(),
		Process: service.Process{PID: 7, Started: 1, Version: "v2", Settings: w.Spec.Settings()}}
	s := decide("slug", Desired{"slug": w}, Actual{"slug": app}).state
	if s.Phase != converge.Working || s.Have != "v2" || s.Reason != "reverting from v2 to v1: sick" {
		t.Errorf("while v2 runs: %+v", s)
	}
	app.Links.Current, app.Service.Process.Version = "v1", "v1"
	s = decide("slug", Desired{"slug": w}, Actual{"slug": app}).state
	if s.Phase != phaseReverted || s.Have != "v1" || s.Reason != "reverted from v2 to v1: sick" {
		t.Errorf("once v1 runs: %+v", s)
	}
}
