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
)

// follow watches the reports until every node of the cluster runs the version. It ends early when one of them cannot.
// The rows are those seen last.
func (r roll) follow(ctx context.Context, version intent.Name) ([]world.Row, error) {
	ctx, cancel := context.WithTimeout(ctx, r.sh.flags.Duration("timeout"))
	defer cancel()
	seen := sightings{said: map[intent.Name]string{}, failed: map[intent.Name]time.Time{}}
	var rows []world.Row
	for {
		now, err := world.Read(ctx, r.sh.store, r.sh.tree)
		switch {
		case err == nil:
			rows = r.rows(now)
		case ctx.Err() == nil && !errors.Is(err, store.ErrUnreachable):
			return nil, err
		}
		if len(rows) == 0 && err == nil {
			r.sh.say("no node has %s in %s: nothing to wait for; next: declare nodes/NODE/%s", r.app, r.cluster, r.app)
			return []world.Row{}, nil
		}
		open, lost := r.tell(rows, seen)
		switch {
		case lost != nil:
			return rows, lost
		case err == nil && open == 0:
			state := fmt.Sprintf("%s %s is live", r.app, version)
			if version == "" {
				state = fmt.Sprintf("%s is stopped", r.app)
			}
			r.sh.say("%s on %s", state, plural(len(rows), "node"))
			return rows, nil
		}
		if pause(ctx, lookAgain); ctx.Err() != nil {
			r.sh.say("%d of %s not there after %s; the agents go on; next: platypus why %s",
				open, plural(len(rows), "node"), r.sh.flags.Duration("timeout"), r.app)
			return rows, exit(exitPending)
		}
	}
}

func (r roll) rows(w world.World) []world.Row {
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
	said   map[intent.Name]string    // what was told last
	failed map[intent.Name]time.Time // since when it fails
}

// tell writes a line for each node that got elsewhere, and returns how many are not there yet, or why one never will.
func (r roll) tell(rows []world.Row, seen sightings) (open int, lost error) {
	for _, row := range rows {
		line := fmt.Sprintf("%s: %s", row.Node, row.Reason)
		if !strings.HasPrefix(row.Reason, row.Phase) {
			line = strings.TrimSpace(fmt.Sprintf("%s: %s %s", row.Node, row.Phase, row.Reason))
		}
		if seen.said[row.Node] != line {
			seen.said[row.Node] = line
			r.sh.say("%s  %s", time.Now().UTC().Format("15:04:05"), line)
		}
		if row.Phase != world.Failed {
			delete(seen.failed, row.Node)
		} else if seen.failed[row.Node].IsZero() {
			seen.failed[row.Node] = time.Now()
		}
		if row.Converged() {
			continue
		}
		open++
		since := seen.failed[row.Node]
		long := !since.IsZero() && time.Since(since) > hopelessFor
		if l, _ := row.Deciding(); lost == nil && (long || cannot(l)) {
			r.sh.say("given up: %s on %s is %s: %s", r.app, row.Node, row.Phase, bare(row.Phase, row.Reason))
			r.sh.say("next: platypus why %s %s, or back: platypus rollback %s --cluster %s", r.app, row.Node, r.app, r.cluster)
			lost = exit(exitPending)
		}
	}
	return open, lost
}

// bare is a reason that does not begin with the phase that stands before it already.
func bare(phase, reason string) string { return strings.TrimPrefix(reason, phase+": ") }

// cannot reports whether waiting longer is of no use.
func cannot(l world.Link) bool {
	switch l.State.Phase {
	case world.Pending, world.Silent, world.Stale: // what the agent said was of something else, or long ago
		return false
	case intent.PhaseInvalid, intent.PhaseIncomplete, intent.PhaseHeld, world.Reverted, world.Failing:
		return true
	}
	return l.State.Attempts >= hopeless
}
