package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	agenthost "github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/agents/setlive/catalog"
	"github.com/platypus-platform/platypus/agents/setlive/health"
	"github.com/platypus-platform/platypus/agents/setlive/peers"
	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/intent"
)

// host is the machine as setlive works on it. Only the loop's own goroutine observes and says where things stand; steps
// are planned and applied side by side.
type host struct {
	services     service.Supervisor
	attempts     attempts
	watch        *health.Watch
	peers        *peers.Peers
	catalog      *catalog.Catalog
	arrivals     *arrivals
	leaving      sync.Map // apps that a confirmed step stops for good, until they are wanted again
	passive      bool     // nothing may be asked, taken or told: --dry-run
	requireRunAs bool     // nothing is started as root
	last         memory
}

// memory is what was last known of each app.
type memory struct {
	sound    map[string]Wanted   // what was wanted of it when that could last be used
	seen     map[string]App      // as it was when it could last be looked at
	evidence map[string]evidence // why it ended
}

func newMemory() memory {
	return memory{map[string]Wanted{}, map[string]App{}, map[string]evidence{}}
}

// observe reads all that setlive owns.
func (h *host) observe(ctx context.Context) (Actual, error) {
	states, err := h.services.List(ctx)
	if err != nil {
		return nil, err
	}
	verdicts, seen, standing := h.watch.Verdicts(), h.peers.Seen(), h.catalog.Standing()
	a := make(Actual, len(states))
	for _, s := range states {
		s.Past.Evidence = h.evidence(ctx, s)
		app := App{Service: s, Verdict: verdicts[s.App], Peers: h.peersOf(s.App, seen), Unseen: verdicts[s.App].Unseen}
		if s.Bar == service.Unseen {
			app.Unseen = s.Problem
		}
		app.Listing = Listing(standing[s.App])
		if h.passive { // what would be done is shown as if the app and its cluster were well
			app.Verdict = health.Verdict{Process: s.Process, Passing: true, Passes: 1}
			app.Peers = Peers{Asked: true, Held: true, Healthy: math.MaxInt}
		}
		if app.Unseen == "" {
			app = h.look(app, s.App, s.Basedir)
		}
		a[s.App] = app
	}
	return a, nil
}

// peersOf is what is known of the cluster of an app.
func (h *host) peersOf(app string, seen map[string]peers.Seen) Peers {
	s := seen[app]
	return Peers{Asked: s.Asked, Held: s.Held, Healthy: s.Healthy, Reason: s.Reason, MinNodes: h.last.sound[app].MinNodes}
}

// complete adds what can be seen where intent says that an app lies: setlive owns nothing there yet, or elsewhere.
// What was observed stays as it is.
func (h *host) complete(ctx context.Context, d Desired, a Actual) Actual {
	whole := maps.Clone(a)
	for name, w := range d {
		app, known := a[name]
		if w.Phase != "" {
			if app.Unseen == "" && app.interrupted() {
				whole[name] = h.guarded(app, app.recorded())
			}
			continue
		}
		if !known || app.Service.Basedir != w.Spec.Basedir {
			app = h.look(app, name, w.Spec.Basedir)
			if !app.owned() {
				var err error
				if app.Before, err = h.services.Before(ctx, w.Spec); err != nil {
					app.Unseen = err.Error()
				}
			}
		}
		whole[name] = h.guarded(app, w)
	}
	return whole
}

// guarded adds which of the versions that could be started may not be.
func (h *host) guarded(app App, w Wanted) App {
	if w.Version == "" || app.Unseen != "" {
		return app
	}
	var users []uint32
	if id, err := service.UserID(w.Spec.RunAs); err == nil {
		users = append(users, id)
	}
	trust := agenthost.NewTrust(users...)
	app.Unfit = maps.Clone(app.Unfit)
	for _, version := range []string{w.Version, app.Attempt.From, app.Links.Current} {
		if !slices.Contains(app.Installed, version) {
			continue
		}
		why, err := h.untrusted(trust, w.Spec, version)
		if err != nil {
			app.Unseen = err.Error()
		}
		if why != "" && app.Unfit[version] == "" {
			app.Unfit[version] = fmt.Sprintf("%s is not started as %s: %s", version, orSo(w.Spec.RunAs, "root"), why)
		}
	}
	return app
}

// plan is [plan] on all that matters to it.
func (h *host) plan(ctx context.Context, node intent.Node, a Actual) []Step {
	d := desired(node)
	return plan(d, h.complete(ctx, d, a))
}

// doubted reports whether an app is to be stopped for good and that is not confirmed yet: until then it is listed and
// asked after as before.
func (h *host) doubted(name string, w Wanted, app App) bool {
	if w.Version != "" {
		h.leaving.Delete(name)
	}
	_, leaving := h.leaving.Load(name)
	return w.Phase == "" && w.Version == "" && app.kept() && !leaving
}

// target is what is asked after an app's health.
func target(w Wanted, app App) health.Target {
	version := orSo(app.Service.Process.Version, app.Links.Current)
	return health.Target{
		App: w.Spec.App, RunAs: w.Spec.RunAs, Check: w.Check, Process: app.Service.Process,
		Install: install(w.Spec, version),
	}
}

// entry is an app as the catalog shall list it. A version on trial is healthy once it has proved itself; one that has
// long done so is healthy while it passes. What a setlive that has just begun does not know yet it does not tell.
func entry(w Wanted, app App) catalog.Entry {
	p, v := app.Service.Process, app.Verdict
	e := catalog.Entry{
		App: w.Spec.App, Cluster: w.Cluster, Version: orSo(p.Version, app.Links.Current), Port: w.Port,
		Known: v.Process.Is(p) && (v.Passes > 0 || v.Reason != ""), Healthy: v.Passing, Reason: v.Reason,
	}
	if t := app.Attempt; t.To == e.Version && t.Failed == "" {
		e.Healthy = v.Healthy
	}
	switch {
	case app.Service.Past.Looping && app.Attempt == (Attempt{}):
		e.Known, e.Healthy, e.Reason = true, false, "it "+keepsEnding(app.Service.Past)
	case !p.Running():
		e.Known, e.Healthy, e.Reason = true, false, "it does not run"
	case e.Healthy:
		e.Reason = "it passes"
	}
	interval, timeout := w.Check.Interval.Or(intent.DefaultInterval), w.Check.Timeout.Or(intent.DefaultTimeout)
	switch w.Check.Type {
	case intent.HealthHTTP:
		e.Check.HTTP, e.Check.Interval, e.Check.Timeout = health.URL(w.Check), interval, timeout
	case intent.HealthTCP:
		e.Check.TCP, e.Check.Interval, e.Check.Timeout = health.Address(w.Check.Port), interval, timeout
	}
	return e
}
