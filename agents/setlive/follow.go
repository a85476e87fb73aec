package main

import (
	"context"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/setlive/catalog"
	"github.com/platypus-platform/platypus/agents/setlive/health"
	"github.com/platypus-platform/platypus/agents/setlive/peers"
	"github.com/platypus-platform/platypus/intent"
)

// states says where each app stands, and lets what goes on in the background know what is wanted of it.
func (h *host) states(ctx context.Context, node intent.Node, a Actual) map[string]converge.State {
	d := desired(node)
	a = h.recall(h.complete(ctx, d, a))
	h.follow(d, a)
	states := map[string]converge.State{}
	for _, app := range subjects(d, a) {
		states[app] = decide(app, d, a).state
	}
	return states
}

// follow tells the watch, the peers and the catalog what to care for.
func (h *host) follow(d Desired, a Actual) {
	targets, entries, keep := map[string]health.Target{}, map[string]catalog.Entry{}, map[string]bool{}
	var wishes []peers.Wish
	for name, app := range a {
		w, named := d[name]
		doubted := h.doubted(name, w, app)
		if named && w.Phase == "" && !doubted {
			h.last.sound[name] = w
		}
		_, leaving := h.leaving.Load(name)
		if !named && app.Unseen == "" && (leaving || !app.owned()) {
			delete(h.last.sound, name)
		}
		last, known := h.last.sound[name]
		if _, seen := h.last.seen[name]; !seen || !known || !app.owned() {
			keep[name] = named && (w.Phase != "" || doubted) || app.Unseen != ""
			continue
		}
		why := "stopping it"
		if last.Version != "" {
			if named && !doubted {
				why = "switching to " + last.Version
			}
			entries[name] = entry(last, app)
		} else if !app.Service.Process.Running() {
			continue
		}
		targets[name] = target(last, app)
		if decide(name, d, a).lease {
			wishes = append(wishes, peers.Wish{App: name, Cluster: last.Cluster, Why: why})
		}
	}
	h.arrivals.want(awaited(d, a))
	h.watch.Follow(targets)
	h.peers.Want(wishes)
	h.catalog.Want(entries, keep)
}
