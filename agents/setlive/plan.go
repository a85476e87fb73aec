package main

import (
	"maps"
	"slices"

	"github.com/platypus-platform/platypus/agents/setlive/health"
	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/intent"
)

// Desired is what intent says of the node, by app.
type Desired map[string]Wanted

// Wanted is what intent says of one app.
type Wanted struct {
	Spec     service.Spec
	Cluster  string
	Version  string        // the active one; "" for none
	Goal     string        // changes with everything intent says of the active version: then a parked one is tried again
	Check    intent.Health // how it is found healthy
	Port     int           // that it is registered with; 0 for none
	MinNodes int           // instances elsewhere that must be healthy while this one is stopped
	Phase    string        // why nothing may change, or ""
	Reason   string
}

// Actual is what was observed, by app: all that setlive owns, and the places of what intent names.
type Actual map[string]App

// App is what was observed of one app.
type App struct {
	Service   service.State // zero when setlive has written none
	Links     Links
	Installed []string          // versions on disk
	Unfit     map[string]string // those of them that cannot or may not be started, and why
	Before    service.Old
	Attempt   Attempt
	Verdict   health.Verdict
	Peers     Peers
	Listing   Listing
	Unseen    string // why something of it could not be looked at: then the rest says nothing; "" when all could
}

// Links are the links below basedir.
type Links struct {
	Current  string // version; "" when there is no such link or it leads nowhere
	Previous string // version that was live and healthy before
	Obstacle string // why nothing can be done there: in words, "" when something can
}

// Attempt is a version on trial. It is noted before the first step of a switch and forgotten when the version is
// healthy; a failed one stays until intent changes.
type Attempt struct {
	Goal   string `json:"goal"`
	To     string `json:"to"`
	From   string `json:"from,omitempty"`   // to go back to
	Failed string `json:"failed,omitempty"` // why it was given up
}

// Peers is what is known of the other nodes of a cluster, while it matters.
type Peers struct {
	Asked    bool   // an answer has come
	Held     bool   // this node has the cluster's lease
	Healthy  int    // instances elsewhere
	Reason   string // why it has not got the lease, or cannot know
	MinNodes int    // that the cluster needed when intent named the app last; 0 when that is not known
}

// Listing is how an app stands in the catalog.
type Listing struct {
	Pending bool   // it was not tried yet
	Problem string // why it is not there as it should be, or ""
}

// Verb is what a step does.
type Verb string

// The verbs, in the order of a switch.
const (
	Look    Verb = "look again"
	Stop    Verb = "stop"
	Flip    Verb = "flip"
	Install Verb = "install"
	Adopt   Verb = "adopt"
	Start   Verb = "start"
	Commit  Verb = "commit"
	Revert  Verb = "revert"
	Reap    Verb = "end what earlier starts left behind"
	Tell    Verb = "tell"
	Unlink  Verb = "unlink"
	Remove  Verb = "remove"
)

// Step is one change to one app.
type Step struct {
	Verb    Verb
	Spec    service.Spec    // of the service; for Unlink and Remove only app and basedir
	Attempt Attempt         // Stop, Flip: noted first, when there is one; Revert: noted
	Version string          // Flip, Start: that shall be live
	Signal  string          // Tell: that is sent
	Process service.Process // Adopt: that goes on
	Final   bool            // Stop: it stays stopped
	Leased  bool            // Stop: only with the cluster's lease
	Why     string
}

// Destroys implements [converge.Destroyer]: what is stopped for good nobody starts again.
func (s Step) Destroys() bool { return s.Verb == Stop && s.Final }

// Subject implements [converge.Step].
func (s Step) Subject() string { return s.Spec.App }

// String implements [converge.Step].
func (s Step) String() string {
	what := string(s.Verb)
	switch s.Verb {
	case Flip:
		what = "point current to " + s.Version
	case Start, Commit:
		what += " " + s.Version
	case Install:
		what = "write service"
	case Adopt:
		what = "take over the service of 2014"
	case Tell:
		what = "send " + s.Signal
	case Remove:
		what = "remove service"
	case Unlink:
		what = "remove current"
	}
	return what + ": " + s.Why
}

// desired takes out of intent what concerns setlive.
func desired(node intent.Node) Desired {
	d := make(Desired, len(node.Apps))
	for _, app := range node.Apps {
		w := Wanted{
			Cluster: string(app.Cluster), MinNodes: app.Config.MinNodes, Phase: app.Phase, Reason: app.Reason,
			Spec: service.Spec{
				App: string(app.Name), Basedir: app.Deploy.Basedir, RunAs: app.Deploy.RunAs, Node: string(node.Name),
				Config: string(app.Config.UserConfig), OnConfig: string(app.Config.OnConfig), StopTimeout: app.Deploy.StopTimeout.Or(intent.DefaultStopTimeout),
				Restart: app.Config.Restart,
			},
			Check: intent.Health{Type: intent.HealthUp},
		}
		if app.Deploy.Health != nil {
			w.Check = *app.Deploy.Health
		}
		if len(app.Deploy.Ports) > 0 {
			w.Port = app.Deploy.Ports[0].First
		}
		if app.Config.OnConfig == intent.OnConfigRestart {
			w.Spec.OnConfig = "" // the same, spelled out
		}
		version, _ := app.Config.Active()
		w.Version = string(version)
		w.Goal = service.Digest(w.Spec, w.Version, app.Config.Versions[version], w.Check)
		d[string(app.Name)] = w
	}
	return d
}

// plan returns the steps that lead from a to d.
func plan(d Desired, a Actual) (steps []Step) {
	for _, app := range subjects(d, a) {
		steps = append(steps, decide(app, d, a).steps...)
	}
	return steps
}

// subjects are the apps that intent names or setlive owns, sorted.
func subjects(d Desired, a Actual) []string {
	names := slices.Collect(maps.Keys(d))
	for name, app := range a {
		if _, named := d[name]; !named && app.owned() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (a App) owned() bool { return a.Service.App != "" }
