package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/history"
)

// Search limits of the history: commits of the whole log, and changes of the one config.
const (
	maxLogCommits    = 5000
	maxConfigChanges = 100
)

// activeVersions are the versions that were active in a cluster, according to the history.
type activeVersions struct {
	all      []intent.Name // all of them, newest first, without duplicates, including the current one
	previous []intent.Name // replaced and not rolled back, newest first: the targets of a rollback
}

// activeVersions reads the history of the config. A missing history yields an empty result.
func (r rollout) activeVersions(ctx context.Context) (p activeVersions) {
	log := r.cmd.history()
	head, err := log.Head(ctx)
	if err != nil {
		r.cmd.infof("note: the history is not read, so it is not known what was active before: %v", err)
		return p
	}
	query := history.Query{Key: r.key(), Values: true}
	if head.Seq > maxLogCommits {
		query.From = head.Seq - maxLogCommits
	}
	var newest []intent.Name // every change of the active version
	for c, err := range log.Commits(ctx, query) {
		if err != nil || len(newest) == maxConfigChanges {
			break
		}
		for _, x := range c.Changes {
			config, problems := intent.Decode[intent.Config](x.Key, x.Value)
			active, is := config.Active()
			if x.Key == r.key() && x.Value != nil && problems.Err() == nil && is && (len(newest) == 0 || newest[len(newest)-1] != active) {
				newest = append(newest, active)
			}
		}
	}
	for _, v := range newest {
		if !slices.Contains(p.all, v) {
			p.all = append(p.all, v)
		}
	}
	for _, v := range slices.Backward(newest) {
		if at := slices.Index(p.previous, v); at >= 0 {
			p.previous = p.previous[at:] // a rollback: the versions after this one were undone
		} else {
			p.previous = append([]intent.Name{v}, p.previous...)
		}
	}
	if len(p.previous) > 0 {
		p.previous = p.previous[1:]
	}
	return p
}

// prunedVersion is a version that a rollout removes from the config.
type prunedVersion struct {
	version intent.Name
	why     string
}

// versionsToPrune returns the versions that were active and need not be kept after the next activation: those that no
// node could install, and those beyond the retained number. A version that was never active stays, because a person
// prepared it, and so does one that runs on some node.
func (r rollout) versionsToPrune(ctx context.Context, version intent.Name) (all []prunedVersion) {
	config, problems := intent.Decode[intent.Config](r.key(), r.config.Value)
	if problems.Err() != nil {
		return nil
	}
	keep := intent.DefaultKeep
	if pair, declared := r.now.Get(r.cmd.intentKey(r.cmd.tree.DeployConfig(r.app, r.cluster))); declared {
		if deploy, problems := intent.Decode[intent.DeployConfig](pair.Key, pair.Value); problems.Err() == nil && deploy.Keep > 0 {
			keep = deploy.Keep
		}
	}
	once := r.activeVersions(ctx).all
	if active, is := config.Active(); is && !slices.Contains(once, active) {
		once = append([]intent.Name{active}, once...)
	}
	rows, kept := r.rows(r.now), 0
	for _, v := range once {
		_, declared := config.Versions[v]
		switch {
		case !declared || v == version:
		case runsAnywhere(rows, v):
			kept++
		case nowhereInstalled(rows, v):
			all = append(all, prunedVersion{v, "no node could install it"})
		case kept >= keep:
			all = append(all, prunedVersion{v, fmt.Sprintf("%s before it are kept", plural(keep, "version"))})
		default:
			kept++
		}
	}
	return all
}

func runsAnywhere(rows []world.Row, version intent.Name) bool {
	return slices.ContainsFunc(rows, func(r world.Row) bool { return r.Live == string(version) })
}

// nowhereInstalled reports whether every node reports, reliably, that it lacks a version.
func nowhereInstalled(rows []world.Row, version intent.Name) bool {
	for _, r := range rows {
		for _, l := range r.Stages {
			if l.Agent == world.Preparer && (isUntrusted(l.State.Phase) || slices.Contains(r.Installed, string(version))) {
				return false
			}
		}
	}
	return len(rows) > 0
}

// andList joins names with commas and "and".
func andList(names []intent.Name) string {
	words := make([]string, 0, len(names))
	for _, n := range names {
		words = append(words, string(n))
	}
	if last := len(words) - 1; last > 0 {
		return strings.Join(words[:last], ", ") + " and " + words[last]
	}
	return strings.Join(words, "")
}
