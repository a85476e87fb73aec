package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
)

// states tells a person where each app stands: which versions are wanted, which are there and what vouched for them,
// how far a fetch is, and what is wrong.
func states(node intent.Node, a Actual) map[string]converge.State {
	all := map[string]converge.State{}
	for _, dir := range a.AppDirs {
		if dir.abandoned(node) {
			all[string(dir.App)] = dir.removalState()
		}
	}
	for _, app := range node.Apps {
		dir := a.appDir(app.Name, app.Deploy.Basedir)
		state := converge.State{Have: dir.have(), Phase: app.Phase, Reason: app.Reason}
		if app.Sound() {
			state = dir.state(app, a)
		}
		all[string(app.Name)] = state
	}
	return all
}

func (p AppDir) state(app intent.App, a Actual) converge.State {
	wanted := app.Config.Wanted()
	s := converge.State{Want: join(wanted), Have: p.have(), Phase: converge.Converged}
	var vouched, missing, wrong []string
	for _, v := range wanted {
		subject := string(app.Name) + "/" + string(v)
		i, present := p.find(v)
		switch how, working := a.Working[subject]; {
		case present && i.usable():
			vouched = append(vouched, fmt.Sprintf("%s %s", v, i.Verified))
		case working:
			missing = append(missing, fmt.Sprintf("%s %s", v, how))
		default:
			missing = append(missing, fmt.Sprintf("%s is not installed", v))
		}
		if text := a.LastErrors[subject]; text != "" {
			wrong = append(wrong, fmt.Sprintf("%s: %s", v, text))
		}
	}
	switch {
	case p.Fault != "":
		s.Phase, s.Reason = converge.Failed, p.Fault
	case len(wrong) > 0:
		s.Phase, s.Reason = converge.Failed, strings.Join(wrong, "; ")
	case len(missing) > 0:
		s.Phase, s.Reason = converge.Working, strings.Join(missing, "; ")
	default:
		s.Reason = strings.Join(vouched, "; ")
	}
	return s
}

// have lists the whole installs.
func (p AppDir) have() string {
	var versions []intent.Name
	for _, i := range p.Installs {
		if i.usable() {
			versions = append(versions, i.Version)
		}
	}
	return join(versions)
}

// removalState is the state of an app that intent no longer puts here.
func (p AppDir) removalState() converge.State {
	s := converge.State{Have: p.have(), Phase: converge.Working, Reason: "the app has left " + p.Basedir}
	for _, i := range p.Installs {
		if slices.Contains(p.Current, i.Version) {
			s.Phase = converge.Waiting
			s.Reason = fmt.Sprintf("waiting: %s still points to %s", intent.Current(p.Basedir), i.Version)
		}
	}
	return s
}

func join(versions []intent.Name) string {
	var words []string
	for _, v := range versions {
		words = append(words, string(v))
	}
	return strings.Join(words, ", ")
}
