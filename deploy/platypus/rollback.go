package main

import (
	"context"
	"fmt"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
)

func rollbackVerb() verb {
	return verb{
		name: "rollback", usage: "go back to a version that every node still has", args: "APP [VERSION]", min: 1, max: 2,
		text: `Makes an earlier version the active one, without any fetch: only versions that preparer reports as installed on
every node of the cluster count. Without VERSION it is what runs where a node went back by itself, or the one
prepared version that is installed everywhere; when there is a choice, it asks for VERSION.`,
		examples: []string{"platypus rollback slug --wait", "platypus rollback slug 1.1 --cluster production"},
		flags:    rollFlags(),
		run: func(ctx context.Context, sh *shell) error {
			r, err := sh.roll(ctx)
			if err != nil {
				return err
			}
			version, err := r.earlier()
			if err != nil {
				return err
			}
			sh.say("back to %s %s, which is installed on every node of %s", r.app, version, r.cluster)
			return r.to(ctx, version, "")
		},
	}
}

// earlier is the version to go back to.
func (r roll) earlier() (intent.Name, error) {
	rows := r.rows(r.now)
	if len(rows) == 0 {
		return "", fmt.Errorf("no node has %s in %s: nothing to go back", r.app, r.cluster)
	}
	if len(r.sh.args) == 2 {
		version, err := r.sh.name(1, "VERSION")
		if err == nil {
			err = r.everywhere(rows, version)
		}
		return version, err
	}
	var choice []intent.Name
	for _, v := range r.prepared(rows) {
		if r.everywhere(rows, v) == nil {
			choice = append(choice, v)
		}
	}
	for _, v := range choice {
		if went(rows, v) {
			return v, nil
		}
	}
	switch len(choice) {
	case 0:
		return "", fmt.Errorf("no prepared version of %s is installed on every node of %s: platypus rollout %s VERSION fetches one", r.app, r.cluster, r.app)
	case 1:
		return choice[0], nil
	}
	return "", usage("%s has %v installed on every node: say which, platypus rollback %s VERSION", r.app, choice, r.app)
}

// prepared are the versions declared and not active.
func (r roll) prepared(rows []world.Row) (versions []intent.Name) {
	app, _ := r.now.Node(rows[0].Node).App(r.app)
	active, _ := app.Config.Active()
	for _, v := range app.Config.Wanted() {
		if v != active {
			versions = append(versions, v)
		}
	}
	return versions
}

// went reports whether a node refused the active version and went back to this one: it runs there, or is about to.
func went(rows []world.Row, version intent.Name) bool {
	for _, row := range rows {
		for _, l := range row.Links {
			if l.Agent == world.Setlive && l.State.Phase == world.Reverted &&
				(l.State.Have == string(version) || l.State.Have == "" && world.Has(l.State.Reason, version)) {
				return true
			}
		}
	}
	return false
}

// everywhere says on which node a version is not installed.
func (r roll) everywhere(rows []world.Row, version intent.Name) error {
	for _, row := range rows {
		if !world.Has(row.Installed, version) {
			return fmt.Errorf("%s %s is not installed on %s (it has %s): platypus rollout %s %s fetches it",
				r.app, version, row.Node, or(row.Installed, "nothing"), r.app, version)
		}
	}
	return nil
}
