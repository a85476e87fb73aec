package world

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// Place is an app on a node.
type Place struct {
	App     intent.Name `json:"app"`
	Node    intent.Name `json:"node"`
	Cluster intent.Name `json:"cluster,omitempty"` // "" when intent no longer puts the app there
}

// Row is where one app stands on one node.
type Row struct {
	Place
	Want      string    `json:"want"`      // the active version, "" for none
	Installed []string  `json:"installed"` // the versions that preparer says are on disk
	Ports     []string  `json:"ports"`     // what port-authority says is open
	Live      string    `json:"live"`      // what setlive says runs
	Phase     string    `json:"phase"`
	Since     time.Time `json:"since,omitzero"`
	Reason    string    `json:"reason,omitempty"`
	Links     []Link    `json:"chain"` // what it was computed from
}

// Converged reports whether nothing is left to do.
func (r Row) Converged() bool { return r.Phase == Converged }

// Deciding returns the first link of the chain that is not done: what all later ones wait for.
func (r Row) Deciding() (Link, bool) {
	for _, l := range r.Links {
		if !l.OK() {
			return l, true
		}
	}
	return Link{}, false
}

// Rows returns one row for each app on each node, sorted by app and node: those declared, and whatever else an agent
// reports as not done yet, such as an app that is leaving.
func (w World) Rows() []Row {
	var rows []Row
	known := map[Place]bool{}
	placed := w.placedApps()
	for _, node := range w.allNodes() {
		for _, app := range node.Apps {
			r := w.row(node.Name, app)
			if placed[Place{App: app.Name, Node: node.Name}] && r.Links[0].OK() {
				r.Links[0].State.Reason = byAllocator
			}
			rows = append(rows, r)
			known[Place{App: app.Name, Node: node.Name}] = true
		}
	}
	for who, report := range w.Reports {
		if who.Agent != Preparer && who.Agent != PortAuthority && who.Agent != Setlive {
			continue // what other agents speak of are no apps
		}
		for subject, state := range report.Subjects {
			subject, _, _ = strings.Cut(subject, "/") // what an agent does about one version of an app is the app's
			at := Place{App: intent.Name(subject), Node: who.Node}
			if !known[at] && state.Phase != Converged {
				rows = append(rows, w.leaving(at.Node, at.App))
				known[at] = true
			}
		}
	}
	slices.SortFunc(rows, func(a, b Row) int {
		if d := strings.Compare(string(a.App), string(b.App)); d != 0 {
			return d
		}
		return strings.Compare(string(a.Node), string(b.Node))
	})
	return rows
}

// placedApps are the apps that are where they are only because an allocator put them there.
func (w World) placedApps() map[Place]bool {
	all := map[Place]bool{}
	for node, pairs := range w.assignments() {
		own := map[string]bool{}
		for _, p := range pairs {
			if _, declared := w.Tree.Nodes().Below(p.Key); declared {
				own[path.Base(p.Key)] = true
			}
		}
		for _, p := range pairs {
			if app := path.Base(p.Key); !own[app] {
				all[Place{App: intent.Name(app), Node: node}] = true
			}
		}
	}
	return all
}

func (w World) row(node intent.Name, app intent.App) Row {
	r := Row{Place: Place{app.Name, node, app.Cluster}, Phase: Converged}
	active, _ := app.Config.Active()
	r.Want = string(active)
	var versions, ports []string
	for _, v := range app.Config.Wanted() {
		versions = append(versions, string(v))
	}
	for _, p := range app.Deploy.Ports {
		ports = append(ports, p.String())
	}
	r.Links = []Link{
		declared(app, w.Tree),
		w.link("installed", Preparer, node, app, strings.Join(versions, ", ")),
		w.link("opened", PortAuthority, node, app, strings.Join(ports, ", ")),
		w.link("live", Setlive, node, app, r.Want),
	}
	return r.judge()
}

// leaving is the row of an app that intent no longer names.
func (w World) leaving(node, app intent.Name) Row {
	r := Row{Place: Place{App: app, Node: node}}
	gone := intent.App{Name: app}
	for _, l := range []Link{
		w.link("installed", Preparer, node, gone, ""),
		w.link("opened", PortAuthority, node, gone, ""),
		w.link("live", Setlive, node, gone, ""),
	} {
		if _, known := w.Reports[Who{l.Agent, node}].Subjects[string(app)]; known {
			l.Idle = l.State.Phase == Converged
			r.Links = append(r.Links, l)
		}
	}
	return r.judge()
}

// list splits what agents report as "v1, v2".
func list(text string) []string {
	if text == "" {
		return []string{}
	}
	return strings.Split(text, ", ")
}

// judge fills in the columns from the links.
func (r Row) judge() Row {
	r.Installed, r.Ports = []string{}, []string{}
	for _, l := range r.Links {
		switch l.Stage {
		case "installed":
			r.Installed = list(l.State.Have)
		case "opened":
			r.Ports = list(l.State.Have)
		case "live":
			r.Live = l.State.Have
		}
		if !l.Idle && l.State.Since.After(r.Since) {
			r.Since = l.State.Since
		}
	}
	if l, open := r.Deciding(); open {
		r.Phase, r.Reason, r.Since = l.State.Phase, l.State.Reason, l.State.Since
		if l.State.Error != "" && !strings.Contains(r.Reason, l.State.Error) {
			r.Reason = strings.TrimPrefix(r.Reason+": "+l.State.Error, ": ")
		}
	}
	return r
}
