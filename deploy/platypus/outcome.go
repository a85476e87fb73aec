package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/store/history"
)

// outcome is how a wait for a version ended, as the member "outcome" of the document says it.
type outcome string

// The outcomes of --wait.
const (
	outcomeLive       outcome = "live"
	outcomeTimedOut   outcome = "timed_out"  // not on every node in time; the agents go on
	outcomeFailed     outcome = "failed"     // a node refused it, or cannot have it
	outcomeSuperseded outcome = "superseded" // somebody made another version active
	outcomeCancelled  outcome = "cancelled"  // this program was told to stop
	outcomeStoreLost  outcome = "store_lost" // the store did not answer any more
	outcomeEmpty      outcome = "empty"      // no node has the app
)

// code is the exit code of an outcome. README has the table.
func (o outcome) code() exit {
	return map[outcome]exit{outcomeTimedOut: exitPending, outcomeFailed: exitFailed, outcomeSuperseded: exitSuperseded,
		outcomeCancelled: exitCancelled, outcomeStoreLost: exitStoreLost}[o]
}

// err is what the verb returns for an outcome: nil where all is as wanted.
func (o outcome) err() error {
	if code := o.code(); code != 0 {
		return code
	}
	return nil
}

// supersededBy says which commit made another version active, where the history tells.
func (r roll) supersededBy(ctx context.Context) string {
	for c, err := range r.sh.history().Commits(ctx, history.Query{Key: r.key()}) {
		if err != nil || c.Fault != nil {
			break
		}
		return fmt.Sprintf(" (commit %d, %s)", c.Seq, r.sh.who(c))
	}
	return ""
}

// since is a duration for people.
func since(start time.Time) string { return time.Since(start).Round(time.Second).String() }

func nodesOpen(open, all int) string {
	return strings.TrimSpace(fmt.Sprintf("%d of %s not there", open, plural(all, "node")))
}
