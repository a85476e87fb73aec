package main

import (
	"fmt"
	"slices"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// resume is for an app whose intent says nothing that may be acted on. What runs, or was stopped for good, stays as it is.
// What was stopped only to be switched is started again: with the last good version.
func resume(name string, w Wanted, app App, state converge.State) decision {
	state.Phase, state.Reason = w.Phase, w.Reason
	target := app.lastGood()
	if app.Unseen != "" || !app.interrupted() || !app.startable(target) {
		return decision{state: state}
	}
	spec := service.Spec{App: name, Basedir: app.Service.Basedir}
	const why = "a switch was cut short"
	start := Step{Verb: Start, Spec: spec, Version: target, Why: why}
	if app.Links.Current == target {
		return decision{steps: []Step{start}, state: state}
	}
	return decision{steps: []Step{{Verb: Flip, Spec: spec, Version: target, Why: why}, start}, state: state}
}

// interrupted reports whether a service is down that was not stopped for good: it would come back at boot.
func (a App) interrupted() bool {
	s := a.Service
	return a.owned() && s.Supervised && s.Boot && !s.Up && !s.Process.Running() && s.Bar == service.Open
}

// lastGood is the version to be live while nothing is known of what is wanted: not one that is on trial, or failed, when
// there is one to go back to.
func (a App) lastGood() string {
	if t := a.Attempt; t.To == a.Links.Current && a.startable(t.From) {
		return t.From
	}
	return a.Links.Current
}

func (a App) startable(version string) bool {
	return version != "" && slices.Contains(a.Installed, version) && a.Unfit[version] == "" && a.Links.Obstacle == ""
}

// recorded is what the host alone says of an app: as it was installed, with the version that is current.
func (a App) recorded() Wanted {
	s := a.Service
	spec := service.Spec{App: s.App, Basedir: s.Basedir, RunAs: s.RunAs, StopTimeout: s.StopTimeout}
	return Wanted{Spec: spec, Version: a.Links.Current}
}

// reap adds the end of what earlier starts left behind to the decision for an app that keeps ending, when nothing else is
// to be done: each start would leave more of it, without end.
func reap(w Wanted, app App, d decision) decision {
	past := app.Service.Past
	if len(d.steps) == 0 && past.Orphans > 0 && (past.Looping || past.Restarts >= maxRestarts) {
		d.steps = []Step{{Verb: Reap, Spec: w.Spec, Why: fmt.Sprintf("it was restarted, and %d are not supervised", past.Orphans)}}
	}
	return d
}
