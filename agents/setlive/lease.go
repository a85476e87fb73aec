package main

import (
	"fmt"
	"slices"

	"github.com/platypus-platform/platypus/agents/converge"
)

// withLease holds steps that stop a healthy process back until the cluster can do without it.
func withLease(w Wanted, app App, steps []Step, state converge.State) decision {
	stops := slices.IndexFunc(steps, func(s Step) bool { return s.Verb == Stop })
	p, v := app.Service.Process, app.Verdict
	if w.MinNodes <= 0 || stops < 0 || !p.Running() || app.Service.Past.Looping {
		return decision{steps: steps, state: state, lease: w.MinNodes > 0}
	}
	wait := func(reason string) decision {
		state.Phase, state.Reason, state.Moves = converge.Waiting, "waiting: "+reason, false
		return decision{state: state, lease: true}
	}
	known := v.Process.Is(p) && (v.Passes > 0 || v.Reason != "")
	switch {
	case !known:
		d := wait("whether it is healthy is not known yet")
		d.state.Moves = true
		return d
	case !v.Passing:
		return decision{steps: steps, state: state, lease: true} // it is no loss
	case !app.Peers.Asked:
		d := wait("the other nodes of the cluster are asked")
		d.state.Moves = true
		return d
	case !app.Peers.Held:
		return wait(app.Peers.Reason)
	case app.Peers.Healthy < w.MinNodes:
		return wait(fmt.Sprintf("%d healthy elsewhere, %d are needed", app.Peers.Healthy, w.MinNodes))
	}
	steps[stops].Leased = true
	return decision{steps: steps, state: state, lease: true}
}
