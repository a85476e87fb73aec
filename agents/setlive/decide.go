package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/intent"
)

// Phases of setlive's own.
const (
	phaseGating   = "gating"   // the new version runs and has still to prove itself
	phaseReverted = "reverted" // the active version did not become healthy; the one before runs
	phaseFailing  = "failing"  // the active version did not become healthy, and there is none to go back to

	phaseUnhealthy = "unhealthy" // the active version was healthy once and is not now; nothing else is better
)

// maxRestarts is how often a version under trial may have to be started again before it counts as broken.
const maxRestarts = 3

// decision is what follows for one app.
type decision struct {
	steps []Step
	state converge.State
	lease bool // the cluster's lease is wanted
}

// decide says what follows for one app. It is the whole of setlive's mind.
func decide(name string, d Desired, a Actual) decision {
	w, named := d[name]
	app := a[name]
	state := converge.State{Want: w.Version, Have: app.live()}
	halt := func(phase, reason string) decision {
		state.Phase, state.Reason = phase, reason
		return decision{state: state}
	}
	switch {
	case named && w.Phase != "":
		return resume(name, w, app, state)
	case app.Unseen != "":
		return lookAgain(name, d, app, state)
	case !named:
		return remove(name, app)
	case app.Service.Bar != service.Open:
		return halt(converge.Waiting, app.Service.Problem)
	case app.Before.There:
		return before(w, app, state)
	case w.Version == "":
		return idle(w, app, state)
	case app.Links.Obstacle != "":
		return halt(converge.Waiting, app.Links.Obstacle)
	}
	return reap(w, app, live(w, app, state))
}

// remove takes a service away. The folder that makes it ours goes last.
func remove(name string, app App) decision {
	spec := service.Spec{App: name, Basedir: app.Service.Basedir, StopTimeout: app.Service.StopTimeout}
	const why = "it is no longer declared for this node"
	steps := []Step{{Verb: Stop, Spec: spec, Final: true, Why: why}}
	if !app.kept() {
		steps = nil
	}
	if app.Links.Current != "" || app.Links.Previous != "" || app.Attempt != (Attempt{}) {
		steps = append(steps, Step{Verb: Unlink, Spec: spec, Why: why})
	}
	steps = append(steps, Step{Verb: Remove, Spec: spec, Why: why})
	return withLease(Wanted{MinNodes: app.Peers.MinNodes}, app, steps, converge.State{Have: app.live(), Reason: why})
}

// before is for an app in whose place stands a service that setlive did not write: it is taken over as it is or left
// alone, and nothing it uses is touched.
func before(w Wanted, app App, state converge.State) decision {
	p, problem := app.Before.Process, app.Before.Problem
	state.Have, state.Phase = p.Version, converge.Waiting
	switch {
	case problem != "":
		state.Reason = problem
	case w.Version == "":
		state.Reason = fmt.Sprintf("no version is active, yet a service of 2014 has %s: stop it yourself, or make that active for the take-over",
			orSo(p.Version, "the app in hand"))
	case p.Running() && p.Version != w.Version:
		state.Reason = fmt.Sprintf("a service of 2014 runs %s: make that active for the take-over, and %s after it; or stop it yourself", p.Version, w.Version)
	default:
		step := Step{Verb: Adopt, Spec: w.Spec, Process: p, Why: "it runs what is active"}
		if !p.Running() {
			step.Why = "nothing of it runs"
		}
		state.Phase = ""
		return decision{steps: []Step{step}, state: state}
	}
	return decision{state: state}
}

// idle is for an app of which no version is active.
func idle(w Wanted, app App, state converge.State) decision {
	state.Reason = "no version is active"
	if !app.kept() {
		state.Phase = converge.Converged
		return decision{state: state}
	}
	stop := Step{Verb: Stop, Spec: w.Spec, Final: true, Why: state.Reason}
	return withLease(w, app, []Step{stop}, state)
}

// live is for an app that shall run a version.
func live(w Wanted, app App, state converge.State) decision {
	target, parked := w.Version, false
	if t := app.Attempt; t.Failed != "" && t.Goal == w.Goal && t.To == w.Version {
		state.Phase, state.Reason, parked = phaseFailing, fmt.Sprintf("%s: %s; nothing to go back to", t.To, t.Failed), true
		if t.From != "" {
			target = t.From
			state.Phase, state.Reason = phaseReverted, fmt.Sprintf("reverted from %s to %s: %s", t.To, t.From, t.Failed)
		}
	}
	missing, refused := !slices.Contains(app.Installed, target), ""
	if app.have() != target {
		refused = app.Unfit[target]
	}
	if missing || refused != "" {
		phase, why := converge.Waiting, fmt.Sprintf("waiting: version %s not installed", target)
		if refused != "" {
			phase, why = phaseFailing, refused
		}
		state.Phase, state.Reason = orSo(state.Phase, phase), strings.TrimPrefix(state.Reason+"; "+why, "; ")
		target, parked = app.Links.Current, true // what ran goes on
		runs := app.Service.Process.Running() || app.Service.Up
		if runs || !slices.Contains(app.Installed, target) || !app.owned() || app.Unfit[target] != "" {
			return decision{state: state}
		}
	}
	steps := towards(w, app, target, parked)
	refused = app.Unfit[target]
	if refused != "" && slices.ContainsFunc(steps, func(s Step) bool { return s.Verb == Start }) {
		state.Phase, state.Reason = phaseFailing, refused+"; what runs goes on as it is"
		return decision{state: state}
	}
	if len(steps) > 0 {
		if state.Phase == phaseReverted && app.have() != target {
			state.Phase, state.Reason = converge.Working, fmt.Sprintf("reverting from %s to %s: %s", w.Version, target, app.Attempt.Failed)
		}
		return withLease(w, app, steps, state)
	}
	d := settle(w, app, target, parked, state)
	if refused != "" && d.state.Reason == "" {
		d.state.Reason = "it goes on, but is not started again: " + refused
	}
	return d
}

// have is the version that runs. One that keeps ending counts as if it ran.
func (a App) have() string {
	if !a.Service.Process.Running() && a.Service.Past.Looping {
		return a.Links.Current
	}
	return a.Service.Process.Version
}

// live is the version that runs, for people: "" for one that keeps ending and has not been up for a while, so that nobody
// takes it for live. A report does not change each time that such an app ends.
func (a App) live() string {
	if a.Service.Past.Looping && !a.Service.Past.Steady {
		return ""
	}
	return a.Service.Process.Version
}

// towards returns what makes target run. Nothing of the old version may run when current names the new one. What may
// fail for want of room is done before anything is stopped.
func towards(w Wanted, app App, target string, parked bool) (steps []Step) {
	s, spec := app.Service, w.Spec
	why, differs := differs(spec, app, target)
	var trial Attempt
	if app.Links.Current != target && !parked && s.Process.Version != target {
		trial = Attempt{Goal: w.Goal, To: target, From: origin(app, target)}
	}
	if app.Links.Current != target {
		steps = append(steps, Step{Verb: Flip, Spec: spec, Attempt: trial, Version: target,
			Why: leadsTo(app.Links.Current)})
	}
	stopWhy := why
	if s.Process.Running() && s.Process.Version != target {
		stopWhy = fmt.Sprintf("%s is to run in place of %s", target, orUnknown(s.Process.Version))
	}
	if stop := (Step{Verb: Stop, Spec: spec, Attempt: trial, Version: target, Why: stopWhy}); differs && s.Process.Version == target {
		steps = append(steps, stop) // the link is mended first: it is what tells the truth should this be cut short
	} else if differs {
		steps = append([]Step{stop}, steps...)
	}
	if app.owned() && s.Basedir != "" && s.Basedir != spec.Basedir {
		old := service.Spec{App: spec.App, Basedir: s.Basedir}
		steps = append(steps, Step{Verb: Unlink, Spec: old, Why: "it has moved to " + spec.Basedir})
	}
	switch install := (Step{Verb: Install, Spec: spec}); {
	case !app.owned():
		install.Why = "there is none"
		steps = append(steps, install)
	case s.Fingerprint == "":
		install.Why = "it is not as it was written"
		steps = append([]Step{install}, steps...)
	case s.Fingerprint != spec.Fingerprint():
		install.Why = "it is to be different"
		steps = append([]Step{install}, steps...)
	case s.Node != spec.Node:
		install.Why = "it is recorded for " + orSo(s.Node, "no node") + " and is " + spec.Node + "'s"
		steps = append([]Step{install}, steps...)
	}
	switch {
	case differs || !s.Up || !app.owned():
		steps = append(steps, Step{Verb: Start, Spec: spec, Version: target, Why: orSo(why, "it is not kept up")})
	case !s.Boot:
		steps = append(steps, Step{Verb: Start, Spec: spec, Version: target, Why: "it would not come back at boot"})
	}
	if signal, _ := intent.OnConfig(spec.OnConfig).Signal(); !differs && reaction(s.Process, spec) == intent.ReactionSignal {
		steps = append(steps, Step{Verb: Tell, Spec: spec, Signal: signal, Why: "its user_config changed"})
	}
	return steps
}

// differs says why target has to be started, and whether what runs, or keeps ending, must be stopped for that.
func differs(spec service.Spec, app App, target string) (why string, differs bool) {
	s := app.Service
	switch p := s.Process; {
	case p.Running() && p.Version != target:
		return fmt.Sprintf("it takes the place of %s", orUnknown(p.Version)), true
	case reaction(p, spec) == intent.ReactionRestart:
		return "its settings changed", true
	case !p.Running() && s.Up && (app.Links.Current != target || s.Fingerprint != spec.Fingerprint()):
		return "what keeps ending is replaced", true
	case !p.Running():
		return "nothing runs", false
	}
	return "", false
}

// reaction is what the settings of a process need that are not those wanted. One that recorded none is left alone.
func reaction(p service.Process, spec service.Spec) intent.Reaction {
	if !p.Running() || p.Settings == "" || p.Settings == spec.Settings() {
		return intent.ReactionNone
	}
	return intent.OnConfig(spec.OnConfig).Reaction(p.Core != spec.Core(), true)
}

// origin is the version to go back to when target fails: the last one that was not on trial itself.
func origin(app App, target string) string {
	from := app.Links.Current
	if to := app.Attempt.To; to != "" && (to == from || to == target) { // it was, or this very attempt was noted before
		from = app.Attempt.From
	}
	if from == target {
		return ""
	}
	return from
}

// leadsTo says why the link current is to be changed.
func leadsTo(version string) string {
	if version == "" {
		return "it leads to no version yet"
	}
	return "it leads to " + version
}

func orUnknown(version string) string { return orSo(version, "an unknown version") }

func orSo(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// install is the directory of a version.
func install(s service.Spec, version string) string {
	return intent.Install(s.Basedir, intent.Name(s.App), intent.Name(version))
}

// kept reports whether something of an app runs, or is to be started again.
func (a App) kept() bool {
	return a.owned() && (a.Service.Up || a.Service.Process.Running() || a.Service.Boot || a.Service.Past.Stray.Proven)
}
