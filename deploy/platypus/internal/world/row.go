package world

import (
	"path"
	"slices"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// AppOnNode is an app on a node.
type AppOnNode struct {
	App     intent.Name `json:"app"`
	Node    intent.Name `json:"node"`
	Cluster intent.Name `json:"cluster,omitempty"` // "" if intent no longer assigns the app
}

// Row is the state of one app on one node.
type Row struct {
	AppOnNode
	Want      string    `json:"want"`      // the active version, "" if none
	Installed []string  `json:"installed"` // versions on disk, as preparer reports
	Ports     []string  `json:"ports"`     // open ports, as port-authority reports
	Live      string    `json:"live"`      // the running version, as setlive reports
	Phase     string    `json:"phase"`
	Since     time.Time `json:"since,omitzero"`
	Reason    string    `json:"reason,omitempty"`
	Stages    []Stage   `json:"chain"` // what the row was computed from
}

// Converged reports whether nothing is left to do.
func (r Row) Converged() bool { return r.Phase == Converged }

// FirstPending returns the first stage that is not done; all later ones wait for it.
func (r Row) FirstPending() (Stage, bool) {
	for _, l := range r.Stages {
		if !l.OK() {
			return l, true
		}
	}
	return Stage{}, false
}

// Rows returns one row for each app on each node, sorted by app and node: declared apps, and apps that an agent reports
// as not done yet, such as one that is being removed.
func (w Snapshot) Rows() []Row {
	var rows []Row
	known := map[AppOnNode]bool{}
	placed := w.placedApps()
	for _, node := range w.allNodes() {
		for _, app := range node.Apps {
			r := w.row(node.Name, app)
			if placed[AppOnNode{App: app.Name, Node: node.Name}] && r.Stages[0].OK() {
				r.Stages[0].State.Reason = byAllocator
			}
			rows = append(rows, r)
			known[AppOnNode{App: app.Name, Node: node.Name}] = true
		}
	}
	for who, report := range w.Reports {
		if who.Agent != Preparer && who.Agent != PortAuthority && who.Agent != Setlive {
			continue // other agents do not report apps
		}
		for subject, state := range report.Subjects {
			subject, _, _ = strings.Cut(subject, "/") // a subject about one version belongs to the app
			at := AppOnNode{App: intent.Name(subject), Node: who.Node}
			if !known[at] && state.Phase != Converged {
				rows = append(rows, w.removedRow(at.Node, at.App))
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

// placedApps returns the apps that only an allocator assigned.
func (w Snapshot) placedApps() map[AppOnNode]bool {
	all := map[AppOnNode]bool{}
	for node, pairs := range w.assignments() {
		own := map[string]bool{}
		for _, p := range pairs {
			if _, declared := w.Tree.Nodes().Below(p.Key); declared {
				own[path.Base(p.Key)] = true
			}
		}
		for _, p := range pairs {
			if app := path.Base(p.Key); !own[app] {
				all[AppOnNode{App: intent.Name(app), Node: node}] = true
			}
		}
	}
	return all
}

func (w Snapshot) row(node intent.Name, app intent.App) Row {
	r := Row{AppOnNode: AppOnNode{app.Name, node, app.Cluster}, Phase: Converged}
	active, _ := app.Config.Active()
	r.Want = string(active)
	var versions, ports []string
	for _, v := range app.Config.Wanted() {
		versions = append(versions, string(v))
	}
	for _, p := range app.Deploy.Ports {
		ports = append(ports, p.String())
	}
	r.Stages = []Stage{
		declaredStage(app, w.Tree),
		w.stage("installed", Preparer, node, app, strings.Join(versions, ", ")),
		w.stage("opened", PortAuthority, node, app, strings.Join(ports, ", ")),
		w.stage("live", Setlive, node, app, r.Want),
	}
	return r.summarize()
}

// removedRow is the row of an app that intent no longer names.
func (w Snapshot) removedRow(node, app intent.Name) Row {
	r := Row{AppOnNode: AppOnNode{App: app, Node: node}}
	gone := intent.App{Name: app}
	for _, l := range []Stage{
		w.stage("installed", Preparer, node, gone, ""),
		w.stage("opened", PortAuthority, node, gone, ""),
		w.stage("live", Setlive, node, gone, ""),
	} {
		if _, known := w.Reports[AgentID{l.Agent, node}].Subjects[string(app)]; known {
			l.Idle = l.State.Phase == Converged
			r.Stages = append(r.Stages, l)
		}
	}
	return r.summarize()
}

// splitList splits a list in a report, such as "v1, v2".
func splitList(text string) []string {
	if text == "" {
		return []string{}
	}
	return strings.Split(text, ", ")
}

// summarize fills in the columns from the stages.
func (r Row) summarize() Row {
	r.Installed, r.Ports = []string{}, []string{}
	for _, l := range r.Stages {
		switch l.Name {
		case "installed":
			r.Installed = splitList(l.State.Have)
		case "opened":
			r.Ports = splitList(l.State.Have)
		case "live":
			r.Live = l.State.Have
		}
		if !l.Idle && l.State.Since.After(r.Since) {
			r.Since = l.State.Since
		}
	}
	if l, open := r.FirstPending(); open {
		r.Phase, r.Reason, r.Since = l.State.Phase, l.State.Reason, l.State.Since
		if l.State.Error != "" && !strings.Contains(r.Reason, l.State.Error) {
			r.Reason = strings.TrimPrefix(r.Reason+": "+l.State.Error, ": ")
		}
	}
	return r
}
