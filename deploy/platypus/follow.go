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

// defaultTimeout is how long verbs that wait do so.
const defaultTimeout = 5 * time.Minute

// A rollout is given up after so many failures in a row, or so long in failure. The agents go on trying.
const (
	hopeless    = 3
	hopelessFor = 10 * time.Second

	settleFor = 5 * time.Second // a node that goes back gets so long to report what runs in its place
)

// follow watches the reports until every node of the cluster runs the version. It ends early when one of them cannot, and
// when another version is made active. Only this version counts: others that fail are told and change nothing. The rows
// are those seen last.
func (r roll) follow(parent context.Context, version intent.Name) ([]world.Row, outcome, error) {
	start, timeout := time.Now(), r.sh.flags.Duration("timeout")
	ctx, cancel := context.WithTimeout(parent, timeout)
	defer cancel()
	seen := sightings{said: map[string]bool{}, failed: map[intent.Name]time.Time{}}
	rows, open, answered := []world.Row{}, 0, start
	for {
		now, err := world.Read(ctx, r.sh.store, r.sh.tree)
		switch {
		case err == nil:
			rows, answered = r.rows(now), time.Now()
			if by, is := r.superseded(now, version); is {
				r.sh.say("%s was superseded by %s%s: it is not awaited any more, and there is nothing to roll back",
					strings.TrimSpace(string(r.app+" "+version)), by, r.supersededBy(ctx))
				return rows, outcomeSuperseded, nil
			}
			if len(rows) == 0 {
				return rows, outcomeEmpty, r.nothingToWaitFor()
			}
			var lost bool
			if open, lost = r.tell(rows, version, seen); lost {
				return rows, outcomeFailed, nil
			}
			if open == 0 {
				r.sh.say("%s on %s", r.goal(version), plural(len(rows), "node"))
				return rows, outcomeLive, nil
			}
		case ctx.Err() == nil && !errors.Is(err, store.ErrUnreachable):
			return nil, "", err
		case ctx.Err() == nil && !seen.said["store"]:
			seen.said["store"] = true
			r.sh.say("%s  the store does not answer: the agents go on with what they know", clockNow())
		}
		pause(ctx, lookAgain)
		switch {
		case parent.Err() != nil:
			r.sh.say("cancelled after %s: %s; %s stays declared and the agents go on; next: platypus status --app %s",
				since(start), nodesOpen(open, len(rows)), version, r.app)
			return rows, outcomeCancelled, nil
		case ctx.Err() != nil && err != nil && time.Since(answered) > 2*lookAgain:
			r.sh.say("the store has not answered for %s: what became of %s %s is not known; next: platypus doctor", since(answered), r.app, version)
			return rows, outcomeStoreLost, nil
		case ctx.Err() != nil:
			r.sh.say("%s after %s; the agents go on; next: platypus why %s", nodesOpen(open, len(rows)), timeout, r.app)
			return rows, outcomeTimedOut, nil
		}
	}
}

// goal says that what was awaited is there: a version runs, or nothing does when it is "".
func (r roll) goal(version intent.Name) string {
	if version == "" {
		return fmt.Sprintf("%s is stopped", r.app)
	}
	return fmt.Sprintf("%s %s is live", r.app, version)
}

// superseded says what is active in place of a version, if something else is: what is awaited is one version with one
// digest.
func (r roll) superseded(now world.Snapshot, version intent.Name) (by string, is bool) {
	pair, declared := now.Get(r.key())
	if !declared {
		return "no version, for " + r.key() + " was removed,", true
	}
	config, problems := intent.Decode[intent.Config](r.key(), pair.Value)
	if problems.Err() != nil {
		return "", false // the rows say that it is invalid
	}
	active, _ := config.Active()
	switch {
	case active == version && version == "":
		return "", false // it is to stop, and does
	case active == "":
		return "no version", true
	case active != version:
		return string(active), true
	case r.awaited.SHA256 != "" && config.Versions[version].SHA256 != r.awaited.SHA256:
		return fmt.Sprintf("another artifact of that version, sha256:%.12s,", config.Versions[version].SHA256), true
	}
	return "", false
}

// nothingToWaitFor is the end of a wait in a cluster that no node belongs to.
func (r roll) nothingToWaitFor() error {
	if r.sh.flags.Bool("allow-empty") {
		r.sh.say("no node has %s in %s: there is nothing to wait for", r.app, r.cluster)
		return nil
	}
	return fmt.Errorf("no node has %s in %s: there is nothing to wait for; next: declare nodes/NODE/%s, or give --allow-empty", r.app, r.cluster, r.app)
}

func (r roll) rows(w world.Snapshot) []world.Row {
	rows := []world.Row{}
	for _, row := range w.Rows() {
		if row.App == r.app && row.Cluster == r.cluster {
			rows = append(rows, row)
		}
	}
	return rows
}

// sightings is what was seen of the nodes so far.
type sightings struct {
	said   map[string]bool           // lines that were told already
	failed map[intent.Name]time.Time // since when the version fails on a node
}

// tell writes a line for each node that got elsewhere, and returns how many are not there yet, and whether one never will.
func (r roll) tell(rows []world.Row, version intent.Name, seen sightings) (open int, lost bool) {
	for _, row := range rows {
		p := row.Progress(version)
		r.sayOnce(seen, strings.TrimSpace(fmt.Sprintf("%s: %s %s", p.Node, p.Phase, bare(p.Phase, p.Reason))))
		for _, spare := range p.OtherFailures {
			r.sayOnce(seen, fmt.Sprintf("warning: %s: another version fails, which does not count: %s", p.Node, spare))
		}
		failing := p.Final || p.Phase == world.Failed
		if !failing {
			delete(seen.failed, p.Node)
		} else if seen.failed[p.Node].IsZero() {
			seen.failed[p.Node] = time.Now()
		}
		if p.Phase == world.Live {
			continue
		}
		open++
		if lost || !failing {
			continue
		}
		age := time.Since(seen.failed[p.Node])
		if hasLeft(row) && p.Final && age < settleFor {
			continue // what runs in its place is about to be reported
		}
		if lost = p.Final || p.Failures >= hopeless && !transient(p.Phase) || age > hopelessFor; lost {
			r.sh.say("given up: %s on %s is %s: %s", r.app, p.Node, p.Phase, bare(p.Phase, p.Reason))
			r.sh.say("next: platypus why %s %s, or back: platypus rollback %s --from %s --cluster %s", r.app, p.Node, r.app, version, r.cluster)
		}
	}
	return open, lost
}

// hasLeft reports whether a node that went back has nothing to report yet of what runs in place of the version.
func hasLeft(row world.Row) bool {
	for _, l := range row.Stages {
		if l.Agent == world.Setlive {
			return l.State.Phase == world.Reverted && l.State.Have == ""
		}
	}
	return false
}

// transient reports whether a phase speaks of an agent that cannot be believed now.
func transient(phase string) bool {
	return phase == world.Pending || phase == world.Silent || phase == world.Stale
}

func (r roll) sayOnce(seen sightings, line string) {
	if !seen.said[line] {
		seen.said[line] = true
		r.sh.say("%s  %s", clockNow(), line)
	}
}

func clockNow() string { return time.Now().UTC().Format("15:04:05") }

// bare is a reason that does not begin with the phase that stands before it already.
func bare(phase, reason string) string { return strings.TrimPrefix(reason, phase+": ") }
