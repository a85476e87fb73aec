package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
)

func rollbackVerb() verb {
	return verb{
		name: "rollback", usage: "go back to a version that every node still has", args: "APP [VERSION]", minArgs: 1, maxArgs: 2,
		text: `Makes an earlier version the active one, without any fetch: only versions that preparer reports as installed on
every node of the cluster count. Without VERSION it is what every node runs, or what runs where a node went back by
itself, or what the history says was active before; never one that a node refused or that was taken back before.
With --from it does so only while that version is active: a pipeline takes back its own release and no newer one.
Exit codes are those of rollout; 4 also means that the version of --from is not active.`,
		examples: []string{"platypus rollback slug --wait", "platypus rollback slug 1.1 --cluster production", "platypus rollback slug --from 1.2 --wait"},
		flags:    append(rolloutFlags(), &cli.StringFlag{Name: "from", Usage: "only when this `VERSION` is the active one"}),
		run: func(ctx context.Context, cmd *command) error {
			r, err := cmd.newRollout(ctx)
			if err != nil {
				return err
			}
			if left, err := r.alreadyLeft(ctx); left || err != nil {
				return err
			}
			version, err := r.previousVersion(ctx)
			if err != nil {
				return err
			}
			cmd.infof("back to %s %s, which is installed on every node of %s", r.app, version, r.cluster)
			return r.activate(ctx, version, "")
		},
	}
}

// alreadyLeft ends a rollback from a version that is not active any more.
func (r rollout) alreadyLeft(ctx context.Context) (bool, error) {
	from := intent.Name(r.cmd.flags.String("from"))
	config, problems := intent.Decode[intent.Config](r.key(), r.config.Value)
	active, _ := config.Active()
	if from == "" || problems.Err() != nil || active == from {
		return false, nil
	}
	r.cmd.infof("%s %s is not active in %s, %s is%s: nothing was changed", r.app, from, r.cluster, orElse(string(active), "no version"), r.supersedingCommit(ctx))
	if r.cmd.json {
		if err := r.cmd.printJSON("rollout/2", map[string]any{"app": r.app, "cluster": r.cluster, "version": active, "changes": []any{}, "rows": nil,
			"outcome": outcomeSuperseded}); err != nil {
			return true, err
		}
	}
	return true, outcomeSuperseded.err()
}

// previousVersion returns the version to roll back to.
func (r rollout) previousVersion(ctx context.Context) (intent.Name, error) {
	rows := r.rows(r.now)
	if len(rows) == 0 {
		return "", fmt.Errorf("no node has %s in %s: nothing to go back", r.app, r.cluster)
	}
	if len(r.cmd.args) == 2 {
		version, err := r.cmd.nameArg(1, "VERSION")
		if err == nil {
			err = r.checkInstalled(rows, version)
		}
		return version, err
	}
	var choice []intent.Name
	for _, v := range r.preparedVersions(rows) {
		if r.checkInstalled(rows, v) != nil {
			continue
		}
		if liveEverywhere(rows, v) || rolledBack(rows, v) {
			return v, nil
		}
		if !slices.ContainsFunc(rows, func(row world.Row) bool { return row.Refused(v) }) {
			choice = append(choice, v)
		}
	}
	past := r.activeVersions(ctx)
	for _, v := range past.previous {
		if slices.Contains(choice, v) {
			return v, nil
		}
	}
	switch {
	case len(choice) == 0:
		return "", fmt.Errorf("no prepared version of %s is installed on every node of %s and was refused by none: platypus rollout %s VERSION fetches one", r.app, r.cluster, r.app)
	case len(choice) == 1 && len(past.all) < 2:
		return choice[0], nil
	}
	return "", fmt.Errorf("%s has %s installed on every node, and the history does not tell which of them was well: say which, platypus rollback %s VERSION",
		r.app, andList(choice), r.app)
}

func liveEverywhere(rows []world.Row, version intent.Name) bool {
	return !slices.ContainsFunc(rows, func(r world.Row) bool { return r.Live != string(version) })
}

// preparedVersions returns the declared versions that are not active.
func (r rollout) preparedVersions(rows []world.Row) (versions []intent.Name) {
	app, _ := r.now.Node(rows[0].Node).App(r.app)
	active, _ := app.Config.Active()
	for _, v := range app.Config.Wanted() { // an undeclared version has no known digest
		if v != active {
			versions = append(versions, v)
		}
	}
	return versions
}

// rolledBack reports whether a node rejected the active version and returned to this one: it runs there, or is about
// to.
func rolledBack(rows []world.Row, version intent.Name) bool {
	for _, row := range rows {
		for _, l := range row.Stages {
			if l.Agent == world.Setlive && l.State.Phase == world.Reverted &&
				(l.State.Have == string(version) || l.State.Have == "" && world.ListContains(l.State.Reason, version)) {
				return true
			}
		}
	}
	return false
}

// checkInstalled returns an error that names a node where the version is not installed.
func (r rollout) checkInstalled(rows []world.Row, version intent.Name) error {
	for _, row := range rows {
		if !slices.Contains(row.Installed, string(version)) {
			return fmt.Errorf("%s %s is not installed on %s (it has %s): platypus rollout %s %s fetches it",
				r.app, version, row.Node, orElse(strings.Join(row.Installed, ", "), "nothing"), r.app, version)
		}
	}
	return nil
}
