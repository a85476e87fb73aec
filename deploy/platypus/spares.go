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

// How far back the history is asked for what was active: commits of the whole log, and changes of the one config.
const (
	pastCommits = 5000
	pastChanges = 100
)

// past is what the history says was active in a cluster.
type past struct {
	active []intent.Name // all of them, newest first, each once, with what is active now
	before []intent.Name // what was left for something newer and not taken back, newest first: where a rollback leads
}

// past reads the history of the config. Without one there is nothing in it, which is no error.
func (r roll) past(ctx context.Context) (p past) {
	log := r.sh.history()
	head, err := log.Head(ctx)
	if err != nil {
		r.sh.say("note: the history is not read, so it is not known what was active before: %v", err)
		return p
	}
	query := history.Query{Key: r.key(), Values: true}
	if head.Seq > pastCommits {
		query.From = head.Seq - pastCommits
	}
	var newest []intent.Name // every change of what is active
	for c, err := range log.Commits(ctx, query) {
		if err != nil || len(newest) == pastChanges {
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
		if !slices.Contains(p.active, v) {
			p.active = append(p.active, v)
		}
	}
	for _, v := range slices.Backward(newest) {
		if at := slices.Index(p.before, v); at >= 0 {
			p.before = p.before[at:] // it went back: what came after this one was taken back
		} else {
			p.before = append([]intent.Name{v}, p.before...)
		}
	}
	if len(p.before) > 0 {
		p.before = p.before[1:]
	}
	return p
}

// dropped is a version that a rollout takes out of the config.
type dropped struct {
	version intent.Name
	why     string
}

// excess returns the versions that were active once and need not stay beside the one that becomes active: those that no
// node could install, and those beyond the number that is kept. A version that was never active stays, for a person
// prepared it, and so does one that runs on some node.
func (r roll) excess(ctx context.Context, version intent.Name) (all []dropped) {
	config, problems := intent.Decode[intent.Config](r.key(), r.config.Value)
	if problems.Err() != nil {
		return nil
	}
	keep := intent.DefaultKeep
	if pair, declared := r.now.Get(r.sh.below(r.sh.tree.DeployConfig(r.app, r.cluster))); declared {
		if deploy, problems := intent.Decode[intent.DeployConfig](pair.Key, pair.Value); problems.Err() == nil && deploy.Keep > 0 {
			keep = deploy.Keep
		}
	}
	once := r.past(ctx).active
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
			all = append(all, dropped{v, "no node could install it"})
		case kept >= keep:
			all = append(all, dropped{v, fmt.Sprintf("%s before it are kept", plural(keep, "version"))})
		default:
			kept++
		}
	}
	return all
}

func runsAnywhere(rows []world.Row, version intent.Name) bool {
	return slices.ContainsFunc(rows, func(r world.Row) bool { return r.Live == string(version) })
}

// nowhereInstalled reports whether every node says, by a report that counts, that it has not got a version.
func nowhereInstalled(rows []world.Row, version intent.Name) bool {
	for _, r := range rows {
		for _, l := range r.Stages {
			if l.Agent == world.Preparer && (transient(l.State.Phase) || slices.Contains(r.Installed, string(version))) {
				return false
			}
		}
	}
	return len(rows) > 0
}

// inWords lists names as a sentence does.
func inWords(names []intent.Name) string {
	words := make([]string, 0, len(names))
	for _, n := range names {
		words = append(words, string(n))
	}
	if last := len(words) - 1; last > 0 {
		return strings.Join(words[:last], ", ") + " and " + words[last]
	}
	return strings.Join(words, "")
}
