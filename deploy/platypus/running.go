package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/history"
)

// Whether an app runs is intent like everything else: these verbs change one value, with a reason and a commit.

func stopVerb() verb {
	return verb{
		name: "stop", usage: "stop an app on every node, and keep it installed", args: "APP", min: 1, max: 1,
		text: `Writes one value: the config of the cluster, with the active version "stopped". Each node stops the app, and keeps
its installs and its open ports; with min_nodes the cluster stops one node after the other, and only as far as min_nodes
allows. platypus start APP makes the same version active again. With --wait it follows the nodes until all have stopped.`,
		examples: []string{`platypus stop slug -m "the disk is full"`, "platypus stop slug --cluster production --wait"},
		flags:    rollFlags(),
		run: func(ctx context.Context, sh *shell) error {
			r, err := sh.roll(ctx)
			if err != nil {
				return err
			}
			value, was, err := change.Stop(r.config.Value)
			if err != nil {
				return err
			}
			return r.set(ctx, value, "stop", fmt.Sprintf("%s %s is to stop in %s,", r.app, was, r.cluster), "")
		},
	}
}

func startVerb() verb {
	return verb{
		name: "start", usage: "start an app that was stopped", args: "APP [VERSION]", min: 1, max: 2,
		text: `Writes one value: the config of the cluster, with the version active that platypus stop stopped. An app that has never
run starts with its only version; when there are several, it takes a VERSION. With --wait it follows the nodes until the
app is live on all of them.`,
		examples: []string{"platypus start slug --wait", "platypus start slug 1.2 --cluster production"},
		flags:    rollFlags(),
		run:      start,
	}
}

func start(ctx context.Context, sh *shell) error {
	r, err := sh.roll(ctx)
	if err != nil {
		return err
	}
	active, version, prepared := change.Versions(r.config.Value)
	if len(sh.args) == 2 {
		if version, err = sh.name(1, "VERSION"); err != nil {
			return err
		}
	}
	switch {
	case active != "" && len(sh.args) == 2 && active != version:
		return fmt.Errorf("%s %s is active in %s: platypus rollout %s %s replaces it", r.app, active, r.cluster, r.app, version)
	case active != "":
		version = active
	case version == "" && len(prepared) == 1:
		version = prepared[0]
	case version == "" && len(prepared) == 0:
		return fmt.Errorf("%s has no version in %s: platypus rollout %s VERSION declares one", r.app, r.cluster, r.app)
	case version == "":
		return usage("%s has several versions in %s: say which of %s, as in platypus start %s %s",
			r.app, r.cluster, namesOf(prepared), r.app, prepared[len(prepared)-1])
	}
	value := r.config.Value
	if active == "" {
		if value, err = change.Activate(value, version, ""); err != nil {
			return err
		}
	}
	return r.set(ctx, value, "start", fmt.Sprintf("%s %s is to start in %s,", r.app, version, r.cluster), version)
}

func restartVerb() verb {
	return verb{
		name: "restart", usage: "restart an app on every node", args: "APP", min: 1, max: 1,
		text: `Writes one value: the config of the cluster, with the time as its "restart". Each node that sees another text there
starts a new process of the active version, and tries a version again that it went back from. With min_nodes the nodes
restart one after the other. With --wait it follows them until the app is live on all.`,
		examples: []string{`platypus restart slug -m "pick up the new certificate"`, "platypus restart slug --cluster production --wait"},
		flags:    rollFlags(),
		run: func(ctx context.Context, sh *shell) error {
			r, err := sh.roll(ctx)
			if err != nil {
				return err
			}
			value, version, err := change.Restart(r.config.Value, time.Now().UTC().Format("2006-01-02T15:04:05.000Z"))
			if err != nil {
				return err
			}
			if version == "" {
				return fmt.Errorf("%s is stopped in %s: platypus start %s starts it", r.app, r.cluster, r.app)
			}
			return r.set(ctx, value, "restart", fmt.Sprintf("%s %s is to restart in %s,", r.app, version, r.cluster), version)
		},
	}
}

// set declares a config and follows what becomes of it until the version is live, or nothing is when version is "".
func (r roll) set(ctx context.Context, value []byte, verb, done string, version intent.Name) error {
	key := strings.TrimPrefix(r.config.Key, string(r.sh.tree.Intent()))
	w := wish{name: verb, now: r.now, edits: []world.Edit{{Key: key, Value: value}}, done: done, agreed: true}
	w.request = history.Request{Note: history.Note{Message: fmt.Sprintf("%s %s in %s", verb, r.app, r.cluster)}}
	if err := r.sh.declare(ctx, w); err != nil || !r.sh.flags.Bool("wait") {
		return err
	}
	_, end, err := r.follow(ctx, version)
	if err == nil {
		err = end.err()
	}
	return err
}

// namesOf is names for a sentence.
func namesOf(names []intent.Name) string {
	words := make([]string, 0, len(names))
	for _, n := range names {
		words = append(words, string(n))
	}
	return strings.Join(words, ", ")
}
