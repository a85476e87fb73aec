package main

import (
	"fmt"
	"slices"

	"github.com/platypus-platform/platypus/intent"
)

// satisfies is the goal, told without plan: every version a person asked for is there, or cannot be without harm; no
// more is there than was asked for.
func satisfies(node intent.Node, a Actual) error {
	for _, app := range node.Apps {
		if app.Phase != "" {
			continue
		}
		p, _ := appDirOf(a, app.Name, app.Deploy.Basedir)
		if p.Fault != "" {
			continue
		}
		if !p.Known {
			return fmt.Errorf("%s is not remembered", app.Name)
		}
		for v, want := range app.Config.Versions {
			i, there := installOf(p, v)
			harm := there && (i.Condition == Blocked || i.Condition == Foreign || i.Condition == Incomplete && slices.Contains(p.Current, v))
			if !there || !harm && i.Condition != Complete && i.Condition != Legacy {
				return fmt.Errorf("%s %s is %+v, want %+v", app.Name, v, i, want)
			}
		}
		keep := a.Keep
		if app.Deploy.Keep > 0 {
			keep = app.Deploy.Keep
		}
		if n := len(spares(p, app)); n > keep {
			return fmt.Errorf("%s has %d spare installs, %d may stay", app.Name, n, keep)
		}
		for _, l := range p.Leftovers {
			if _, there := installOf(p, l.Version); !l.Busy && (!l.Partial || there) {
				return fmt.Errorf("%s still has %+v", app.Name, l)
			}
		}
	}
	for _, p := range a.AppDirs {
		app, declared := node.App(p.App)
		if p.Fault != "" || declared && (app.Phase != "" || app.Deploy.Basedir == p.Basedir) {
			continue
		}
		for _, i := range p.Installs {
			if i.Condition != Foreign && i.Condition != Blocked && !slices.Contains(p.Current, i.Version) {
				return fmt.Errorf("%s has left %s, and %s is still there", p.App, p.Basedir, i.Version)
			}
		}
	}
	return nil
}

func appDirOf(a Actual, app intent.Name, basedir string) (AppDir, bool) {
	for _, p := range a.AppDirs {
		if p.App == app && p.Basedir == basedir {
			return p, true
		}
	}
	return AppDir{}, false
}

func installOf(p AppDir, v intent.Name) (Install, bool) {
	i := slices.IndexFunc(p.Installs, func(i Install) bool { return i.Version == v })
	if i < 0 {
		return Install{}, false
	}
	return p.Installs[i], true
}

// spares are the whole installs nobody needs, newest first as far as their times differ.
func spares(p AppDir, app intent.App) (s []Install) {
	for _, i := range p.Installs {
		_, wanted := app.Config.Versions[i.Version]
		if !wanted && !slices.Contains(p.Current, i.Version) && !slices.Contains(p.Previous, i.Version) && (i.Condition == Complete || i.Condition == Legacy) {
			s = append(s, i)
		}
	}
	slices.SortStableFunc(s, func(x, y Install) int { return y.At.Compare(x.At) })
	return s
}

// checkSafety are the agent's own safety rules, for one step in the world it is done in.
func checkSafety(node intent.Node, a Actual, s Step) error {
	p, placed := appDirOf(a, s.App, s.Basedir)
	app, declared := node.App(s.App)
	i, there := installOf(p, s.Version)
	here := declared && app.Phase == "" && app.Deploy.Basedir == s.Basedir
	_, wanted := app.Config.Versions[s.Version]
	switch {
	case !placed && !here:
		return fmt.Errorf("names what is neither declared nor there")
	case declared && app.Phase != "":
		return fmt.Errorf("touches an app that is %s", app.Phase)
	case p.Fault != "" && s.Kind != Refusal:
		return fmt.Errorf("writes where it must not")
	case s.Kind == Fetch && there:
		return fmt.Errorf("overwrites %+v", i)
	case s.Kind == Fetch && (!here || !wanted):
		return fmt.Errorf("fetches what nobody wants")
	case s.Kind == Forget && slices.ContainsFunc(p.Installs, func(i Install) bool { return i.usable() }):
		return fmt.Errorf("forgets installs")
	case s.Kind == Sweep && slices.ContainsFunc(p.Leftovers, func(l Leftover) bool {
		return l.Path == s.Path && (l.Busy || here && l.Partial && wants(app, l.Version) && !has(p, l.Version))
	}):
		return fmt.Errorf("sweeps what is in use")
	case s.Kind != Prune:
		return nil
	case !there || i.Condition == Foreign || i.Condition == Blocked:
		return fmt.Errorf("prunes what is not ours: %+v", i)
	case slices.Contains(p.Current, s.Version):
		return fmt.Errorf("prunes the current version")
	case here && i.usable() && (wanted || slices.Contains(p.Previous, s.Version)):
		return fmt.Errorf("prunes a version in use")
	}
	return nil
}
