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
		name: "rollout", usage: "make a version the active one and follow it to every node", args: "APP VERSION", min: 2, max: 2,
		text: `Writes one value: the config of the cluster, with VERSION active and what was active before prepared, so that it
stays at hand. Of the versions that were active once, as many stay as keep in deploy_config says, the newest first; one
that no node could install goes at once. If somebody else changes that value meanwhile, nothing is written. With --wait it
follows the reports until every node of the cluster runs VERSION, and ends at once, with the reason, when one of them
cannot or when another version was made active. Other versions that fail are warnings.
Exit code with --wait: 0 live, 2 not in time, 3 failed, 4 superseded, 5 cancelled, 6 store lost; "outcome" in -o json.`,
		examples: []string{"platypus rollout slug 1.2 --wait", "platypus rollout slug 1.2 --cluster production --sha256 DIGEST"},
		flags: append(rollFlags(),
			&cli.StringFlag{Name: "sha256", Usage: "of the artifact, 64 hexadecimal `DIGITS`"}),
		run: func(ctx context.Context, sh *shell) error {
			version, err := sh.name(1, "VERSION")
			if err != nil {
				return err
			}
			r, err := sh.roll(ctx)
			if err != nil {
				return err
			}
			return r.to(ctx, version, sh.flags.String("sha256"))
		},
	}
}

func rollFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "cluster", Aliases: []string{"c"}, Usage: "which `CLUSTER`, when the app has more than one"},
		boolFlag("wait", "follow the reports until it is live everywhere"),
		boolFlag("allow-empty", "with --wait: no node that has the app is no error"),
		&cli.DurationFlag{Name: "timeout", Usage: "how long --wait follows", Value: defaultTimeout},
		messageFlag(), checkIndexFlag(), dryRunFlag(), forceFlag(), outputFlag(),
	}
}

// roll is one cluster of an app whose active version shall change.
type roll struct {
	sh           *shell
	now          world.Snapshot
	app, cluster intent.Name
	config       intent.Pair
	awaited      intent.Version // as it is declared once this was written
}

// key is that of the config, below the intent prefix.
func (r roll) key() string { return r.sh.below(r.sh.tree.Config(r.app, r.cluster)) }

// roll reads the store and finds the cluster.
func (sh *shell) roll(ctx context.Context) (roll, error) {
	app, err := sh.name(0, "APP")
	if err != nil {
		return roll{}, err
	}
	now, err := world.Read(ctx, sh.store, sh.tree)
	if err != nil {
		return roll{}, err
	}
	cluster, err := sh.clusterOf(now, app)
	if err != nil {
		return roll{}, err
	}
	key := strings.TrimPrefix(sh.tree.Config(app, cluster), string(sh.tree.Intent()))
	config, found := now.Get(key)
	if !found {
		return roll{}, fmt.Errorf("%s is not declared: declare it once with platypus apply FILE", key)
	}
	return roll{sh: sh, now: now, app: app, cluster: cluster, config: config}, nil
}

func (sh *shell) clusterOf(now world.Snapshot, app intent.Name) (intent.Name, error) {
	known := now.Clusters(app)
	if given := sh.flags.String("cluster"); given != "" {
		return intent.ParseName(given)
	}
	switch len(known) {
	case 0:
		return "", unknownApp(string(app), now.Apps())
	case 1:
		return known[0], nil
	}
	return "", usage("%s has the clusters %s: say which, with --cluster", app, inWords(known))
}

// to writes the config and follows what becomes of it.
func (r roll) to(ctx context.Context, version intent.Name, sha256 string) error {
	value, err := change.Activate(r.config.Value, version, sha256)
	if err != nil {
		return err
	}
	for _, old := range r.excess(ctx, version) {
		if value, err = change.RemoveVersions(value, old.version); err != nil {
			return err
		}
		r.sh.say("%s %s is dropped: %s", r.app, old.version, old.why)
	}
	if config, problems := intent.Decode[intent.Config](r.key(), value); problems.Err() == nil {
		r.awaited = config.Versions[version]
	}
	p, err := r.sh.planEntries(r.now, []intentfile.Entry{intentfile.NewEntry(r.key(), value)})
	if err != nil {
		return err
	}
	if err := r.sh.checkIndex(r.now); err != nil {
		return err
	}
	commits := []history.Commit(nil)
	if len(p.changes) > 0 {
		if !r.sh.json {
			p.show(r.sh)
		}
		if r.sh.flags.Bool("dry-run") {
			return r.sh.wouldWrite(p, "rollout")
		}
		request := history.Request{Note: history.Note{Message: fmt.Sprintf("%s %s to %s", r.app, version, r.cluster)}}
		if commits, err = r.sh.commit(ctx, p.changes, request); err != nil {
			return err
		}
		r.sh.wrote(fmt.Sprintf("%s %s is active in %s", r.app, version, r.cluster), commits)
	} else {
		r.sh.say("%s %s is active in %s already", r.app, version, r.cluster)
	}
	return r.ended(ctx, version, p, commits)
}

// ended waits, where that is asked for, and tells how it ended.
func (r roll) ended(ctx context.Context, version intent.Name, p plan, commits []history.Commit) error {
	document := p.document(r.sh)
	document["app"], document["cluster"], document["version"], document["rows"] = r.app, r.cluster, version, nil
	var failed error
	if !r.sh.flags.Bool("wait") {
		r.sh.say("next: platypus status --app %s --watch", r.app)
	} else {
		rows, end, err := r.follow(ctx, version)
		if rows == nil {
			return err
		}
		if failed = err; failed == nil {
			failed = end.err()
		}
		document["rows"], document["outcome"] = rows, end
	}
	if r.sh.json {
		tell(document, commits)
		if err := r.sh.printJSON("rollout/2", document); err != nil {
			return err
		}
	}
	return failed
}
