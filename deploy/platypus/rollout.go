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
stays at hand. If somebody else changes that value meanwhile, nothing is written. With --wait it follows the reports
until every node of the cluster runs the version, and ends at once, with the reason, when one of them cannot.
Exit code 2: not converged in time, or a node went back.`,
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
		&cli.DurationFlag{Name: "timeout", Usage: "how long --wait follows", Value: defaultTimeout},
		messageFlag(), checkIndexFlag(), dryRunFlag(), forceFlag(), outputFlag(),
	}
}

// roll is one cluster of an app whose active version shall change.
type roll struct {
	sh           *shell
	now          world.World
	app, cluster intent.Name
	config       intent.Pair
}

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
	return roll{sh, now, app, cluster, config}, nil
}

func (sh *shell) clusterOf(now world.World, app intent.Name) (intent.Name, error) {
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
	return "", usage("%s has the clusters %v: say which, with --cluster", app, known)
}

// to writes the config and follows what becomes of it.
func (r roll) to(ctx context.Context, version intent.Name, sha256 string) error {
	value, err := change.Activate(r.config.Value, version, sha256)
	if err != nil {
		return err
	}
	key := strings.TrimPrefix(r.config.Key, string(r.sh.tree.Intent()))
	entry := intentfile.Made(key, value)
	p, err := r.sh.planEntries(r.now, []intentfile.Entry{entry})
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
	var rows []world.Row
	if r.sh.flags.Bool("wait") {
		if rows, err = r.follow(ctx, version); err != nil && rows == nil {
			return err
		}
	} else {
		r.sh.say("next: platypus status --app %s --watch", r.app)
	}
	if r.sh.json {
		document := p.document(r.sh)
		document["app"], document["cluster"], document["version"], document["rows"] = r.app, r.cluster, version, rows
		tell(document, commits)
		if e := r.sh.printJSON("rollout", document); e != nil {
			return e
		}
	}
	return err
}
