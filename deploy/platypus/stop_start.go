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

// Whether an app runs is intent: these verbs change one value, with a reason and a commit.

func stopVerb() verb {
	return verb{
		name: "stop", usage: "stop an app on every node, and keep it installed", args: "APP", minArgs: 1, maxArgs: 1,
		text: `Writes one value: the config of the cluster, with the active version "stopped". Each node stops the app, and keeps
its installs and its open ports; with min_nodes the cluster stops one node after the other, and only as far as min_nodes
allows. platypus start APP makes the same version active again. With --wait it follows the nodes until all have stopped.`,
		examples: []string{`platypus stop slug -m "the disk is full"`, "platypus stop slug --cluster production --wait"},
		flags:    rolloutFlags(),
		run: func(ctx context.Context, cmd *command) error {
			r, err := cmd.newRollout(ctx)
			if err != nil {
				return err
			}
			value, was, err := change.Stop(r.config.Value)
			if err != nil {
				return err
			}
			return r.writeConfig(ctx, value, "stop", fmt.Sprintf("%s %s is to stop in %s,", r.app, was, r.cluster), "")
		},
	}
}

func startVerb() verb {
	return verb{
		name: "start", usage: "start an app that was stopped", args: "APP [VERSION]", minArgs: 1, maxArgs: 2,
		text: `Writes one value: the config of the cluster, with the version active that platypus stop stopped. An app that has never
run starts with its only version; when there are several, it takes a VERSION. With --wait it follows the nodes until the
app is live on all of them.`,
		examples: []string{"platypus start slug --wait", "platypus start slug 1.2 --cluster production"},
		flags:    rolloutFlags(),
		run:      start,
	}
}

func start(ctx context.Context, cmd *command) error {
	r, err := cmd.newRollout(ctx)
	if err != nil {
		return err
	}
	active, version, prepared := change.Versions(r.config.Value)
	if len(cmd.args) == 2 {
		if version, err = cmd.nameArg(1, "VERSION"); err != nil {
			return err
		}
	}
	switch {
	case active != "" && len(cmd.args) == 2 && active != version:
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
	return r.writeConfig(ctx, value, "start", fmt.Sprintf("%s %s is to start in %s,", r.app, version, r.cluster), version)
}

func restartVerb() verb {
	return verb{
		name: "restart", usage: "restart an app on every node", args: "APP", minArgs: 1, maxArgs: 1,
		text: `Writes one value: the config of the cluster, with the time as its "restart". Each node that sees another text there
starts a new process of the active version, and tries a version again that it went back from. With min_nodes the nodes
restart one after the other. With --wait it follows them until the app is live on all.`,
		examples: []string{`platypus restart slug -m "pick up the new certificate"`, "platypus restart slug --cluster production --wait"},
		flags:    rolloutFlags(),
		run: func(ctx context.Context, cmd *command) error {
			r, err := cmd.newRollout(ctx)
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
			return r.writeConfig(ctx, value, "restart", fmt.Sprintf("%s %s is to restart in %s,", r.app, version, r.cluster), version)
		},
	}
}

// writeConfig writes a config and waits until the version is live, or the app is stopped if version is "".
func (r rollout) writeConfig(ctx context.Context, value []byte, verb, done string, version intent.Name) error {
	key := strings.TrimPrefix(r.config.Key, string(r.cmd.tree.Intent()))
	w := declaration{name: verb, snapshot: r.now, edits: []world.Edit{{Key: key, Value: value}}, success: done, confirmed: true}
	w.request = history.Request{Note: history.Note{Message: fmt.Sprintf("%s %s in %s", verb, r.app, r.cluster)}}
	if err := r.cmd.declare(ctx, w); err != nil || !r.cmd.flags.Bool("wait") {
		return err
	}
	_, end, err := r.wait(ctx, version)
	if err == nil {
		err = end.err()
	}
	return err
}

// namesOf joins names for a message.
func namesOf(names []intent.Name) string {
	words := make([]string, 0, len(names))
	for _, n := range names {
		words = append(words, string(n))
	}
	return strings.Join(words, ", ")
}
