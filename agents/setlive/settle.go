package main

import (
	"fmt"
	"math/bits"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/setlive/health"
	"github.com/platypus-platform/platypus/agents/setlive/service"
)

// settle is for an app that is as it shall be, but for its health.
func settle(w Wanted, app App, target string, parked bool, state converge.State) decision {
	p, v, t := app.Service.Process, app.Verdict, app.Attempt
	if v.Install != install(w.Spec, target) {
		v = health.Verdict{} // of another version
	}
	onTrial := !parked && t.To == target && t.Failed == ""
	known := p.Running() && v.Process.Is(p)
	broken, stray := "", app.stray()
	switch {
	case stray != "" && (app.Service.Past.Restarts >= maxRestarts || v.Expired || known && v.Healthy):
		broken = stray
	case app.Service.Past.Restarts >= maxRestarts:
		broken = fmt.Sprintf("it ended %d times", app.Service.Past.Restarts) + app.why()
	case v.Expired:
		broken = "not healthy in time: " + orSo(v.Reason, "no answer")
	}
	step := Step{Spec: w.Spec, Version: target}
	switch {
	case onTrial && broken != "":
		t.Goal, t.Failed = w.Goal, broken
		step.Verb, step.Attempt, step.Why = Revert, t, broken
		return decision{steps: []Step{step}, state: state}
	case onTrial && known && v.Healthy:
		step.Verb, step.Why = Commit, "it is healthy"
		return decision{steps: []Step{step}, state: state}
	case onTrial:
		state.Phase, state.Moves, state.Reason = phaseGating, true, strings.TrimSuffix("not healthy yet: "+orSo(stray, v.Reason), ": ")
		return decision{state: state, lease: w.MinNodes > 0}
	case !parked && t != (Attempt{}):
		step.Verb, step.Why = Commit, "what was tried before is over"
		return decision{steps: []Step{step}, state: state}
	case parked:
		switch who := "what runs in its place "; {
		case app.Service.Past.Looping && t.To == target:
			state.Reason += "; it " + keepsEnding(app.Service.Past)
		case app.Service.Past.Looping:
			state.Reason += "; " + who + keepsEnding(app.Service.Past) + app.why()
		}
		return decision{state: state}
	}
	state.Phase = converge.Converged
	switch {
	case stray != "":
		state.Phase, state.Reason = phaseUnhealthy, "unhealthy: "+stray
	case app.Service.Past.Looping:
		state.Phase, state.Reason = phaseUnhealthy, "unhealthy: it "+keepsEnding(app.Service.Past)+app.why()
	case !p.Running():
		state.Phase, state.Moves, state.Reason = converge.Working, true, "it ended; the supervisor starts it again"
	case known && !v.Passing && v.Reason != "":
		state.Phase, state.Reason = phaseUnhealthy, "unhealthy: "+v.Reason
	default:
		state.Reason, state.Moves = app.Listing.Problem, app.Listing.Pending
	}
	return decision{state: state}
}

// stray says which process of an app goes on although the one that the supervisor started has ended, "" when none does.
func (a App) stray() string {
	if !a.Service.Past.Stray.Running() || a.Service.Process.Running() && a.Service.Past.Restarts == 0 {
		return ""
	}
	return a.Service.Past.Stray.String()
}

// why is the evidence of how an app ended, for the end of a sentence.
func (a App) why() string {
	if a.Service.Past.Evidence == "" {
		return ""
	}
	return ": " + a.Service.Past.Evidence
}

// keepsEnding says how often. The count of all restarts is told in powers of two, so that the words seldom change.
func keepsEnding(p service.Past) string {
	return fmt.Sprintf("ended %d times or more in %s; it was restarted %d times or more in all",
		service.LoopEnds, span(service.LoopWindow), 1<<(bits.Len(uint(max(p.Restarts, 1)))-1))
}

// span is a time in whole minutes, for people.
func span(d time.Duration) string { return fmt.Sprintf("%d min", int(d.Minutes())) }
