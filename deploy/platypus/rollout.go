package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/intentfile"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/history"
)

func rolloutVerb() verb {
	return verb{
		name: "rollout", usage: "make a version the active one and follow it to every node", args: "APP VERSION", minArgs: 2, maxArgs: 2,
		text: `Writes one value: the config of the cluster, with VERSION active and what was active before prepared, so that it
stays at hand. Of the versions that were active once, as many stay as keep in deploy_config says, the newest first; one
that no node could install goes at once. If somebody else changes that value meanwhile, nothing is written. With --wait it
follows the reports until every node of the cluster runs VERSION, and ends at once, with the reason, when one of them
cannot or when another version was made active. Other versions that fail are warnings.
Exit code with --wait: 0 live, 2 not in time, 3 failed, 4 superseded, 5 cancelled, 6 store lost; "outcome" in -o json.`,
		examples: []string{"platypus rollout slug 1.2 --wait", "platypus rollout slug 1.2 --cluster production --sha256 DIGEST"},
		flags: append(rolloutFlags(),
			&cli.StringFlag{Name: "sha256", Usage: "of the artifact, 64 hexadecimal `DIGITS`"}),
		run: func(ctx context.Context, cmd *command) error {
			version, err := cmd.nameArg(1, "VERSION")
			if err != nil {
				return err
			}
			r, err := cmd.newRollout(ctx)
			if err != nil {
				return err
			}
			return r.activate(ctx, version, cmd.flags.String("sha256"))
		},
	}
}

func rolloutFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cluster", Aliases: []string{"c"}, Usage: "which `CLUSTER`, when the app has more than one"},
		boolFlag("wait", "follow the reports until it is live everywhere"),
		boolFlag("allow-empty", "with --wait: no node that has the app is no error"),
		&cli.DurationFlag{Name: "timeout", Usage: "how long --wait follows", Value: defaultTimeout},
		messageFlag(), checkIndexFlag(), dryRunFlag(), forceFlag(), outputFlag(),
	}
}

// rollout is a change of the active version in one cluster of an app.
type rollout struct {
	cmd          *command
	now          world.Snapshot
	app, cluster intent.Name
	config       intent.Pair
	awaited      intent.Version // as declared by this rollout
}

// key is the key of the config, below the intent prefix.
func (r rollout) key() string { return r.cmd.intentKey(r.cmd.tree.Config(r.app, r.cluster)) }

// newRollout reads the store and finds the cluster.
func (cmd *command) newRollout(ctx context.Context) (rollout, error) {
	app, err := cmd.nameArg(0, "APP")
	if err != nil {
		return rollout{}, err
	}
	now, err := world.Read(ctx, cmd.store, cmd.tree)
	if err != nil {
		return rollout{}, err
	}
	cluster, err := cmd.clusterOf(now, app)
	if err != nil {
		return rollout{}, err
	}
	key := strings.TrimPrefix(cmd.tree.Config(app, cluster), string(cmd.tree.Intent()))
	config, found := now.Get(key)
	if !found {
		return rollout{}, fmt.Errorf("%s is not declared: declare it once with platypus apply FILE", key)
	}
	return rollout{cmd: cmd, now: now, app: app, cluster: cluster, config: config}, nil
}

func (cmd *command) clusterOf(now world.Snapshot, app intent.Name) (intent.Name, error) {
	known := now.Clusters(app)
	if given := cmd.flags.String("cluster"); given != "" {
		return intent.ParseName(given)
	}
	switch len(known) {
	case 0:
		return "", appNotDeclared(string(app), now.Apps())
	case 1:
		return known[0], nil
	}
	return "", usage("%s has the clusters %s: say which, with --cluster", app, andList(known))
}

// activate writes the config and follows the rollout.
func (r rollout) activate(ctx context.Context, version intent.Name, sha256 string) error {
	value, err := change.Activate(r.config.Value, version, sha256)
	if err != nil {
		return err
	}
	for _, old := range r.versionsToPrune(ctx, version) {
		if value, err = change.RemoveVersions(value, old.version); err != nil {
			return err
		}
		r.cmd.infof("%s %s is dropped: %s", r.app, old.version, old.why)
	}
	if config, problems := intent.Decode[intent.Config](r.key(), value); problems.Err() == nil {
		r.awaited = config.Versions[version]
	}
	p, err := r.cmd.planEntries(r.now, []intentfile.Entry{intentfile.NewEntry(r.key(), value)})
	if err != nil {
		return err
	}
	if err := r.cmd.checkIndex(r.now); err != nil {
		return err
	}
	commits := []history.Commit(nil)
	if len(p.changes) > 0 {
		if !r.cmd.json {
			p.print(r.cmd)
		}
		if r.cmd.flags.Bool("dry-run") {
			return r.cmd.finishPlanDryRun(p, "rollout")
		}
		request := history.Request{Note: history.Note{Message: fmt.Sprintf("%s %s to %s", r.app, version, r.cluster)}}
		if commits, err = r.cmd.commit(ctx, p.changes, request); err != nil {
			return err
		}
		r.cmd.reportWritten(fmt.Sprintf("%s %s is active in %s", r.app, version, r.cluster), commits)
	} else {
		r.cmd.infof("%s %s is active in %s already", r.app, version, r.cluster)
	}
	return r.finish(ctx, version, p, commits)
}

// finish waits, if --wait is given, and reports the outcome.
func (r rollout) finish(ctx context.Context, version intent.Name, p plan, commits []history.Commit) error {
	document := p.document(r.cmd)
	document["app"], document["cluster"], document["version"], document["rows"] = r.app, r.cluster, version, nil
	var failed error
	if !r.cmd.flags.Bool("wait") {
		r.cmd.infof("next: platypus status --app %s --watch", r.app)
	} else {
		rows, end, err := r.wait(ctx, version)
		if rows == nil {
			return err
		}
		if failed = err; failed == nil {
			failed = end.err()
		}
		document["rows"], document["outcome"] = rows, end
	}
	if r.cmd.json {
		addCommits(document, commits)
		if err := r.cmd.printJSON("rollout/2", document); err != nil {
			return err
		}
	}
	return failed
}
