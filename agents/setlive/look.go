package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/setlive/service"
	"github.com/platypus-platform/platypus/intent"
)

// look reads what lies below a basedir, and the note of an attempt.
func (h *host) look(app App, name, basedir string) App {
	if err := h.lookAt(&app, name, basedir); err != nil {
		app.Unseen = err.Error()
	}
	return app
}

// lookAt does that. Its error is [service.ErrUnseen].
func (h *host) lookAt(app *App, name, basedir string) (err error) {
	var damaged bool
	if app.Attempt, damaged, err = h.attempts.read(name); err != nil {
		return err
	}
	if damaged && !h.passive {
		h.attempts.aside(name)
	}
	if app.Links, err = links(name, basedir); err != nil {
		return err
	}
	var obstacle error
	if app.Installed, obstacle = installed(name, basedir); obstacle != nil {
		if errors.Is(obstacle, service.ErrUnseen) {
			return obstacle
		}
		app.Links.Obstacle = obstacle.Error()
	}
	app.Unfit = map[string]string{}
	for _, version := range app.Installed {
		problem, err := launchProblem(intent.Install(basedir, intent.Name(name), intent.Name(version)))
		if err != nil {
			return err
		}
		if problem != "" {
			app.Unfit[version] = fmt.Sprintf("%s cannot run: %s", version, problem)
		}
	}
	return nil
}

// links reads the links below a basedir.
func links(app, basedir string) (l Links, err error) {
	if l.Previous, err = versionOf(app, basedir, intent.Previous(basedir)); err != nil {
		return l, err
	}
	if l.Current, err = versionOf(app, basedir, intent.Current(basedir)); err != nil {
		return l, err
	}
	at, err := os.Lstat(intent.Current(basedir))
	there, err := service.There(err)
	if there && at.Mode()&os.ModeSymlink == 0 {
		l.Obstacle = fmt.Sprintf("%s is not a link: move it away", intent.Current(basedir))
	}
	return l, err
}

// versionOf returns the version that a link leads to, "" when it leads nowhere or out of the installs. A relative link
// of another hand counts like an absolute one. Its error is [service.ErrUnseen].
func versionOf(app, basedir, link string) (string, error) {
	target, err := filepath.EvalSymlinks(link)
	if there, err := service.There(err); !there {
		return "", err
	}
	installs, err := filepath.EvalSymlinks(intent.Installs(basedir))
	if there, err := service.There(err); !there || filepath.Dir(target) != installs {
		return "", err
	}
	version, ok := strings.CutPrefix(filepath.Base(target), app+"_")
	if !ok {
		return "", nil
	}
	return version, nil
}

// installed lists the versions of an app on disk. What preparer has not finished has another name. Its error is
// [service.ErrUnseen], or that there cannot be any.
func installed(app, basedir string) ([]string, error) {
	entries, err := os.ReadDir(intent.Installs(basedir))
	if errors.Is(err, fs.ErrNotExist) || basedir == "" {
		return nil, nil
	}
	if _, unseen := service.There(err); unseen != nil {
		err = unseen
	}
	if err != nil {
		return nil, fmt.Errorf("list installs: %w", err)
	}
	var versions []string
	for _, e := range entries {
		if version, ok := strings.CutPrefix(e.Name(), app+"_"); ok && e.IsDir() {
			versions = append(versions, version)
		}
	}
	return versions, nil
}

// lookAgain is for an app of which something could not be looked at. The one step fails with the reason, so that it is
// told and tried again like any other fault; nothing else is done. The cluster's lease is kept as if nothing were amiss.
func lookAgain(name string, d Desired, app App, state converge.State) decision {
	spec := service.Spec{App: name, Basedir: d[name].Spec.Basedir}
	step := Step{Verb: Look, Spec: spec, Why: app.Unseen}
	state.Phase, state.Reason, state.Moves = converge.Working, app.Unseen, true // Moves: unless the step fails, too
	app.Unseen = ""
	known := decide(name, d, Actual{name: app})
	return decision{steps: []Step{step}, state: state, lease: known.lease}
}

// recall puts in the place of each app that could not be looked at what was last seen of it, so that nobody is told that
// it has ended, and remembers the others.
func (h *host) recall(a Actual) Actual {
	for name, app := range a {
		if app.Unseen == "" {
			h.last.seen[name] = app
		} else if last, known := h.last.seen[name]; known {
			last.Unseen, last.Verdict, last.Peers, last.Listing = app.Unseen, app.Verdict, app.Peers, app.Listing
			a[name] = last
		}
	}
	for name := range h.last.seen {
		if _, there := a[name]; !there {
			delete(h.last.seen, name)
		}
	}
	return a
}
