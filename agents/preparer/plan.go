package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
)

// Kind is what a step does.
type Kind string

// The kinds of steps.
const (
	Adopt   Kind = "adopt"   // remember a basedir, so that it is found again when intent no longer names it
	Fetch   Kind = "install" // fetch, verify and extract one version, as one atomic step
	Prune   Kind = "prune"   // move one install out of the way and delete it
	Sweep   Kind = "sweep"   // delete what a killed predecessor left
	Forget  Kind = "forget"  // give up a basedir that holds nothing of ours any more
	Refusal Kind = "refuse"  // say loudly that something in the way needs a person
)

// Step is one change to the host.
type Step struct {
	Kind    Kind
	App     intent.Name
	Version intent.Name // "" when it is not about one version
	Basedir string
	Path    string // below Basedir: what a sweep deletes
	SHA256  string // what an install must have, when intent says so
	Require intent.Require
	Why     string
}

// Subject is the app, or one version of it: versions are brought side by side, and one that fails delays no other.
func (s Step) Subject() string {
	if s.Version == "" {
		return string(s.App)
	}
	return string(s.App) + "/" + string(s.Version)
}

// Destroys reports whether an install goes: it can be had back only as long as its artifact can.
func (s Step) Destroys() bool { return s.Kind == Prune }

// String says what is done and why.
func (s Step) String() string {
	switch s.Kind {
	case Fetch, Prune:
		return fmt.Sprintf("%s %s: %s", s.Kind, intent.Install(s.Basedir, s.App, s.Version), s.Why)
	case Sweep:
		return fmt.Sprintf("sweep %s/%s: %s", s.Basedir, s.Path, s.Why)
	case Refusal:
		return fmt.Sprintf("refuse: %s", s.Why)
	default:
		return fmt.Sprintf("%s %s: %s", s.Kind, s.Basedir, s.Why)
	}
}

// Actual is what was observed of the host.
type Actual struct {
	AppDirs    []AppDir          // sorted by basedir and app
	Keep       int               // installs to keep besides those in use, where intent is silent
	Working    map[string]string // by subject: how far a fetch under way is
	LastErrors map[string]string // by subject: what the last try met
}

// AppDir is what one app has below one basedir.
type AppDir struct {
	App       intent.Name
	Basedir   string
	Node      intent.Name // that it was brought for; "" when that was not recorded
	Known     bool        // remembered across restarts
	DiskFull  bool        // the last install here met a full disk
	Fault     string
	Denied    string    // why nothing can be written here
	Installs  []Install // sorted by version
	Current   []intent.Name
	Previous  []intent.Name
	Leftovers []Leftover
}

// Condition is what an install is in.
type Condition string

// The conditions of an install.
const (
	Complete   Condition = "complete"   // it holds its record
	Legacy     Condition = "legacy"     // no record, but something to launch: made by a Platypus of 2014 or by hand
	Incomplete Condition = "incomplete" // neither
	Foreign    Condition = "foreign"    // its record names another app or version
	Blocked    Condition = "blocked"    // not a directory
)

// Install is one entry of installs/.
type Install struct {
	Version   intent.Name
	Condition Condition
	SHA256    string    // of the artifact it was made from, when it was recorded
	Verified  string    // what vouched for it
	At        time.Time // when it was made; zero without a record
	Detail    string    // of what is wrong with it
}

func (i Install) usable() bool { return i.Condition == Complete || i.Condition == Legacy }

// Leftover is an entry of .staging/ or .trash/.
type Leftover struct {
	Path    string // below the basedir
	Version intent.Name
	Partial bool // a download that may be resumed
	Busy    bool // somebody works on it
}

// plan decides everything and touches nothing.
func plan(node intent.Node, a Actual) (steps []Step) {
	for _, app := range node.Apps {
		if app.Sound() {
			dir := a.appDir(app.Name, app.Deploy.Basedir)
			steps = append(steps, dir.adopt(node.Name)...)
			steps = append(steps, dir.planApp(app, a.Keep)...)
		}
	}
	for _, dir := range a.AppDirs {
		if dir.abandoned(node) {
			steps = append(steps, dir.planRemoval()...)
		}
	}
	return steps
}

// appDir returns what was observed of an app below a basedir, which may be nothing.
func (a Actual) appDir(app intent.Name, basedir string) AppDir {
	for _, p := range a.AppDirs {
		if p.App == app && p.Basedir == basedir {
			return p
		}
	}
	return AppDir{App: app, Basedir: basedir}
}

// abandoned reports whether the app has moved out for certain: it is gone from intent, or sound and elsewhere. An app
// that cannot be judged stays as it is.
func (p AppDir) abandoned(node intent.Node) bool {
	app, declared := node.App(p.App)
	return !declared || app.Sound() && app.Deploy.Basedir != p.Basedir
}

// planApp makes one app's share of a basedir what intent wants.
func (p AppDir) planApp(app intent.App, keep int) (steps []Step) {
	if p.Fault != "" {
		return []Step{p.refuse("", p.Fault)}
	}
	for _, l := range p.Leftovers {
		if why := p.sweepReason(l, app.Config); why != "" {
			steps = append(steps, Step{Kind: Sweep, App: p.App, Basedir: p.Basedir, Path: l.Path, Why: why})
		}
	}
	for _, v := range activeFirst(app.Config) {
		steps = append(steps, p.planVersion(v, app.Config.Versions[v], app.Deploy.Require)...)
	}
	if p.Denied != "" && slices.ContainsFunc(steps, func(s Step) bool { return s.Kind == Fetch }) {
		return []Step{p.refuse("", p.Denied)}
	}
	if app.Deploy.Keep > 0 {
		keep = app.Deploy.Keep
	}
	return append(steps, p.planPrune(app.Config, keep)...)
}

// activeFirst returns the wanted versions, the active one first.
func activeFirst(c intent.Config) []intent.Name {
	versions := c.Wanted()
	if active, ok := c.Active(); ok {
		i := slices.Index(versions, active)
		versions = slices.Insert(slices.Delete(versions, i, i+1), 0, active)
	}
	return versions
}

// sweepReason says why something left over is of no use any more, or "".
func (p AppDir) sweepReason(l Leftover, c intent.Config) string {
	_, wanted := c.Versions[l.Version]
	_, present := p.find(l.Version)
	switch {
	case l.Busy:
		return ""
	case !l.Partial:
		return "left over"
	case !wanted:
		return "download of a version nobody wants"
	case present:
		return "download of a version that is installed"
	}
	return ""
}

func (p AppDir) find(v intent.Name) (Install, bool) {
	for _, i := range p.Installs {
		if i.Version == v {
			return i, true
		}
	}
	return Install{}, false
}

// planVersion brings one wanted version. What is there is never changed: a whole install is right or is refused.
func (p AppDir) planVersion(v intent.Name, want intent.Version, require intent.Require) []Step {
	fetch := Step{Kind: Fetch, App: p.App, Version: v, Basedir: p.Basedir, SHA256: strings.ToLower(want.SHA256), Require: require, Why: "wanted, absent"}
	i, present := p.find(v)
	switch {
	case !present:
		return []Step{fetch}
	case i.Condition == Complete && fetch.SHA256 != "" && i.SHA256 != fetch.SHA256:
		return []Step{p.refuse(v, fmt.Sprintf("%s: version %s is installed with sha256 %s, intent says %s: publish other content as another version", DigestMismatch, v, i.SHA256, fetch.SHA256))}
	case i.usable():
		return nil
	case i.Condition == Incomplete && !slices.Contains(p.Current, v):
		fetch.Why = "wanted, incomplete"
		return []Step{p.prune(v, i.Detail), fetch}
	}
	return []Step{p.refuse(v, fmt.Sprintf("%s: %s %s: move it away", InTheWay, intent.Install(p.Basedir, p.App, v), i.Detail))}
}

func (p AppDir) refuse(v intent.Name, why string) Step {
	return Step{Kind: Refusal, App: p.App, Version: v, Basedir: p.Basedir, Why: why}
}

func (p AppDir) prune(v intent.Name, why string) Step {
	return Step{Kind: Prune, App: p.App, Version: v, Basedir: p.Basedir, Why: why}
}

// planPrune prunes what is neither wanted, live nor the one before, beyond the newest keep. A full disk keeps none.
func (p AppDir) planPrune(c intent.Config, keep int) (steps []Step) {
	var spare []Install
	for _, i := range p.Installs {
		_, wanted := c.Versions[i.Version]
		switch {
		case wanted || slices.Contains(p.Current, i.Version) || slices.Contains(p.Previous, i.Version):
		case i.Condition == Incomplete:
			steps = append(steps, p.prune(i.Version, "not wanted, "+i.Detail))
		case i.usable():
			spare = append(spare, i)
		}
	}
	slices.SortStableFunc(spare, func(a, b Install) int {
		if d := b.At.Compare(a.At); d != 0 {
			return d
		}
		return strings.Compare(string(b.Version), string(a.Version))
	})
	why := fmt.Sprintf("not wanted, and older than the %d kept", keep)
	if p.DiskFull {
		keep, why = 0, "not wanted, and the disk is full"
	}
	for _, i := range spare[min(keep, len(spare)):] {
		steps = append(steps, p.prune(i.Version, why))
	}
	return steps
}

// planRemoval removes what an app has in a basedir that it has left. The install that current points to stays until
// whoever owns that link has taken it away: its processes may still run.
func (p AppDir) planRemoval() (steps []Step) {
	if p.Fault != "" {
		return []Step{p.refuse("", p.Fault)}
	}
	rest := false
	for _, i := range p.Installs {
		switch {
		case i.Condition == Foreign || i.Condition == Blocked:
		case slices.Contains(p.Current, i.Version):
			rest = true
		default:
			steps = append(steps, p.prune(i.Version, reasonAbandoned))
		}
	}
	for _, l := range p.Leftovers {
		rest = rest || l.Busy
		if !l.Busy {
			steps = append(steps, Step{Kind: Sweep, App: p.App, Basedir: p.Basedir, Path: l.Path, Why: reasonAbandoned})
		}
	}
	if !rest && len(steps) == 0 {
		steps = append(steps, Step{Kind: Forget, App: p.App, Basedir: p.Basedir, Why: "nothing is left of the app here"})
	}
	return steps
}

// owned names the apps that have something on this host.
func owned(a Actual) (apps []string) {
	for _, p := range a.AppDirs {
		apps = append(apps, string(p.App))
	}
	return apps
}
