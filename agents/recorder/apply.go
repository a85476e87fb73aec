package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/store/history"
)

// apply does one step.
func (r *recorder) apply(ctx context.Context, step converge.Step) error {
	switch step.(type) {
	case Record:
		return r.record(ctx)
	case Compact:
		_, err := r.log.Compact(ctx, r.minimumKeep())
		return err
	}
	return fmt.Errorf("apply %T: not a step of this agent", step)
}

// record tells the history how the tree was found. Another recorder, or the writer itself, may have been faster; then
// there is nothing left to tell. Pacing keeps a key that is written all the time from filling the history.
func (r *recorder) record(ctx context.Context) error {
	r.mu.Lock()
	s := r.lastRead
	r.mu.Unlock()
	found, err := r.log.Observe(ctx, s)
	if err == nil {
		r.markRecorded(s)
	}
	if len(found.Commits) > 0 {
		err = errors.Join(err, r.warnHeldChanges(ctx, found.Commits))
	}
	select {
	case <-time.After(r.pace):
	case <-ctx.Done():
	}
	return err
}

// warnHeldChanges says which plain writes passed a hold.
func (r *recorder) warnHeldChanges(ctx context.Context, commits []history.Commit) error {
	holds, err := r.log.Holds(ctx)
	for _, c := range commits {
		for _, x := range c.Changes {
			for _, h := range holds {
				if h.Covers(x.Key) {
					r.agent.Log.Warn(recording, fmt.Sprintf("%s is held by %s (%s) and was changed by a plain write: commit %d; platypus revert %d takes it back",
						x.Key, h.Author.Name, h.Why, c.Seq, c.Seq))
				}
			}
		}
	}
	return err
}
