package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// defaultTimeout is how long verbs wait by default.
const defaultTimeout = 5 * time.Minute

// A rollout is given up after this many consecutive failures, or this long in failure. The agents continue to try.
const (
	maxFailures = 3
	maxFailing  = 10 * time.Second

	rollbackGrace = 5 * time.Second // how long a node that rolled back has to report what runs instead
)

// wait watches the reports until every node of the cluster runs the version. It ends early when a node cannot, and when
// another version is activated. Failures of other versions are reported only. The returned rows are the latest ones.
func (r rollout) wait(parent context.Context, version intent.Name) ([]world.Row, outcome, error) {
	start, timeout := time.Now(), r.cmd.flags.Duration("timeout")
	ctx, cancel := context.WithTimeout(parent, timeout)
	defer cancel()
	seen := seenPhases{reported: map[string]bool{}, failingSince: map[intent.Name]time.Time{},
		earlierFailures: map[intent.Name]int{}}
	rows, open, answered := []world.Row{}, 0, start
	for {
		now, err := world.Read(ctx, r.cmd.store, r.cmd.tree)
		switch {
		case err == nil:
			rows, answered = r.rows(now), time.Now()
			if by, is := r.supersededBy(now, version); is {
				r.cmd.infof("%s was superseded by %s%s: it is not awaited any more, and there is nothing to roll back",
					strings.TrimSpace(string(r.app+" "+version)), by, r.supersedingCommit(ctx))
				return rows, outcomeSuperseded, nil
			}
			if len(rows) == 0 {
				return rows, outcomeEmpty, r.emptyCluster()
			}
			var lost bool
			if open, lost = r.reportProgress(rows, version, seen); lost {
				return rows, outcomeFailed, nil
			}
			if open == 0 {
				r.cmd.infof("%s on %s", r.successText(version), plural(len(rows), "node"))
				return rows, outcomeLive, nil
			}
		case ctx.Err() == nil && !errors.Is(err, store.ErrUnreachable):
			return nil, "", err
		case ctx.Err() == nil && !seen.reported["store"]:
			seen.reported["store"] = true
			r.cmd.infof("%s  the store does not answer: the agents go on with what they know", clockNow())
		}
		pause(ctx, pollInterval)
		switch {
		case parent.Err() != nil:
			r.cmd.infof("cancelled after %s: %s; %s stays declared and the agents go on; next: platypus status --app %s",
				elapsed(start), nodesPending(open, len(rows)), version, r.app)
			return rows, outcomeCancelled, nil
		case ctx.Err() != nil && err != nil && time.Since(answered) > 2*pollInterval:
			r.cmd.infof("the store has not answered for %s: what became of %s %s is not known; next: platypus doctor", elapsed(answered), r.app, version)
			return rows, outcomeStoreLost, nil
		case ctx.Err() != nil:
			r.cmd.infof("%s after %s; the agents go on; next: platypus why %s", nodesPending(open, len(rows)), timeout, r.app)
			return rows, outcomeTimedOut, nil
		}
	}
}

// successText says that the goal is reached: the version runs, or the app is stopped if it is "".
func (r rollout) successText(version intent.Name) string {
	if version == "" {
		return fmt.Sprintf("%s is stopped", r.app)
	}
	return fmt.Sprintf("%s %s is live", r.app, version)
}

// supersededBy returns what is active instead of the version, if another version or another digest is.
func (r rollout) supersededBy(now world.Snapshot, version intent.Name) (by string, is bool) {
	pair, declared := now.Get(r.key())
	if !declared {
		return "no version, for " + r.key() + " was removed,", true
	}
	config, problems := intent.Decode[intent.Config](r.key(), pair.Value)
	if problems.Err() != nil {
		return "", false // the rows report that it is invalid
	}
	active, _ := config.Active()
	switch {
	case active == version && version == "":
		return "", false // the goal is to stop, which is unchanged
	case active == "":
		return "no version", true
	case active != version:
		return string(active), true
	case r.awaited.SHA256 != "" && config.Versions[version].SHA256 != r.awaited.SHA256:
		return fmt.Sprintf("another artifact of that version, sha256:%.12s,", config.Versions[version].SHA256), true
	}
	return "", false
}

// emptyCluster ends the wait in a cluster without nodes.
func (r rollout) emptyCluster() error {
	if r.cmd.flags.Bool("allow-empty") {
		r.cmd.infof("no node has %s in %s: there is nothing to wait for", r.app, r.cluster)
		return nil
	}
	return fmt.Errorf("no node has %s in %s: there is nothing to wait for; next: declare nodes/NODE/%s, or give --allow-empty", r.app, r.cluster, r.app)
}

func (r rollout) rows(w world.Snapshot) []world.Row {
	rows := []world.Row{}
	for _, row := range w.Rows() {
		if row.App == r.app && row.Cluster == r.cluster {
			rows = append(rows, row)
		}
	}
	return rows
}

// seenPhases is what was seen of the nodes so far.
type seenPhases struct {
	reported     map[string]bool           // lines that were printed already
	failingSince map[intent.Name]time.Time // when the version began to fail on a node
	// earlierFailures is how many failures a node had reported when it was first seen failing.
	earlierFailures map[intent.Name]int
}

// reportProgress prints a line for each node that changed, and returns how many are pending, and whether one never will
// succeed.
func (r rollout) reportProgress(rows []world.Row, version intent.Name, seen seenPhases) (open int, lost bool) {
	for _, row := range rows {
		p := row.Progress(version)
		r.sayOnce(seen, strings.TrimSpace(fmt.Sprintf("%s: %s %s", p.Node, p.Phase, reasonOnly(p.Phase, p.Reason))))
		for _, spare := range p.OtherFailures {
			r.sayOnce(seen, fmt.Sprintf("warning: %s: another version fails, which does not count: %s", p.Node, spare))
		}
		failing := p.Final || p.Phase == world.Failed
		if !failing {
			delete(seen.failingSince, p.Node)
		} else if seen.failingSince[p.Node].IsZero() {
			seen.failingSince[p.Node] = time.Now()
		}
		if p.Phase == world.Live {
			continue
		}
		open++
		if lost || !failing {
			continue
		}
		if _, seenBefore := seen.earlierFailures[p.Node]; !seenBefore {
			seen.earlierFailures[p.Node] = p.Failures
		}
		if p.Failures >= maxFailures && p.Failures == seen.earlierFailures[p.Node] {
			continue // it failed before this wait: what was missing may be there now, so wait for one more attempt
		}
		age := time.Since(seen.failingSince[p.Node])
		if rolledBackSilently(row) && p.Final && age < rollbackGrace {
			continue // what runs instead is about to be reported
		}
		if lost = p.Final || p.Failures >= maxFailures && !isUntrusted(p.Phase) || age > maxFailing; lost {
			r.cmd.infof("given up: %s on %s is %s: %s", r.app, p.Node, p.Phase, reasonOnly(p.Phase, p.Reason))
			r.cmd.infof("next: platypus why %s %s, or back: platypus rollback %s --from %s --cluster %s", r.app, p.Node, r.app, version, r.cluster)
		}
	}
	return open, lost
}

// rolledBackSilently reports whether a node that rolled back does not yet report what runs instead.
func rolledBackSilently(row world.Row) bool {
	for _, l := range row.Stages {
		if l.Agent == world.Setlive {
			return l.State.Phase == world.Reverted && l.State.Have == ""
		}
	}
	return false
}

// isUntrusted reports whether a phase belongs to an agent whose report cannot be trusted now.
func isUntrusted(phase string) bool {
	return phase == world.Pending || phase == world.Silent || phase == world.Stale
}

func (r rollout) sayOnce(seen seenPhases, line string) {
	if !seen.reported[line] {
		seen.reported[line] = true
		r.cmd.infof("%s  %s", clockNow(), line)
	}
}

func clockNow() string { return time.Now().UTC().Format("15:04:05") }

// reasonOnly removes a phase that the reason repeats.
func reasonOnly(phase, reason string) string { return strings.TrimPrefix(reason, phase+": ") }
