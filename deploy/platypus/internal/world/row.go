package world

import (
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
	Installed string    `json:"installed"` // what preparer says is on disk
	Ports     string    `json:"ports"`     // what port-authority says is open
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
	for _, node := range w.Nodes() {
		for _, app := range w.Node(node).Apps {
			rows = append(rows, w.row(node, app))
		}
	}
	for who, report := range w.Reports {
		if who.Agent != Preparer && who.Agent != PortAuthority && who.Agent != Setlive {
			continue // what other agents speak of are no apps
		}
		for subject, state := range report.Subjects {
			subject, _, _ = strings.Cut(subject, "/") // what an agent does about one version of an app is the app's
			if !slices.ContainsFunc(rows, func(r Row) bool { return string(r.App) == subject && r.Node == who.Node }) &&
				state.Phase != Converged {
				rows = append(rows, w.leaving(who.Node, intent.Name(subject)))
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

// judge fills in the columns from the links.
func (r Row) judge() Row {
	for _, l := range r.Links {
		switch l.Stage {
		case "installed":
			r.Installed = l.State.Have
		case "opened":
			r.Ports = l.State.Have
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
