package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/store/history"
)

// outcome is how a wait for a version ended; it is the member "outcome" of the document.
type outcome string

// The outcomes of --wait.
const (
	outcomeLive       outcome = "live"
	outcomeTimedOut   outcome = "timed_out"  // not on every node in time; the agents continue
	outcomeFailed     outcome = "failed"     // a node rejected it, or cannot install it
	outcomeSuperseded outcome = "superseded" // another version was activated
	outcomeCancelled  outcome = "cancelled"  // this program received a signal
	outcomeStoreLost  outcome = "store_lost" // the store stopped answering
	outcomeEmpty      outcome = "empty"      // no node has the app
)

// code returns the exit code of an outcome; the README has the table.
func (o outcome) code() exit {
	return map[outcome]exit{outcomeTimedOut: exitPending, outcomeFailed: exitFailed, outcomeSuperseded: exitSuperseded,
		outcomeCancelled: exitCancelled, outcomeStoreLost: exitStoreLost}[o]
}

// err returns the error of the verb: nil for success.
func (o outcome) err() error {
	if code := o.code(); code != 0 {
		return code
	}
	return nil
}

// supersedingCommit names the commit that activated another version, if the history has it.
func (r rollout) supersedingCommit(ctx context.Context) string {
	for c, err := range r.cmd.history().Commits(ctx, history.Query{Key: r.key()}) {
		if err != nil || c.Fault != nil {
			break
		}
		return fmt.Sprintf(" (commit %d, %s)", c.Seq, r.cmd.authorText(c))
	}
	return ""
}

// elapsed formats the time since start.
func elapsed(start time.Time) string { return time.Since(start).Round(time.Second).String() }

func nodesPending(open, all int) string {
	return strings.TrimSpace(fmt.Sprintf("%d of %s not there", open, plural(all, "node")))
}
