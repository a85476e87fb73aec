package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/history"
)

// retentionPeriod is how often it is asked whether anything may go: that takes some reads, and nothing hangs on it.
const retentionPeriod = time.Minute

// recorder is one running recorder.
type recorder struct {
	agent *agent.Agent
	log   *history.Log
	keep  Keep
	pace  time.Duration

	mu   sync.Mutex
	last history.Snapshot // the newest reading of the tree
	done history.Snapshot // the newest one that is wholly recorded: what is found later happened after it

	seen history.Head // the newest commit; of the loop's goroutine alone, like what follows
	kept retained
}

// retained is what the last look at retention found.
type retained struct {
	at     time.Time
	excess uint64
	pin    string // what keeps more commits than was asked for
}

// memory is the file with the newest commit that was seen.
func (r *recorder) memory() string { return filepath.Join(r.agent.StateDir, "head.json") }

// source wakes the loop when the tree changes.
func (r *recorder) source(a *agent.Agent) agent.Source[Desired] {
	return agent.Source[Desired]{
		Name:  fmt.Sprint(a.Tree.Declared()),
		Index: func(d Desired) uint64 { return d.Index },
		Read: func(ctx context.Context) (Desired, error) {
			s, err := r.log.Survey(ctx)
			return Desired{Index: s.Index, Keep: r.keep}, err
		},
		Watch: func(ctx context.Context, heard func(intent.Prefix, error)) <-chan Desired {
			out := make(chan Desired, 1)
			for _, prefix := range a.Tree.Declared() {
				snapshots := a.Store.Watch(ctx, prefix, heard)
				go func() {
					for {
						select {
						case s := <-snapshots:
							offer(ctx, out, Desired{Index: s.Index, Keep: r.keep})
						case <-ctx.Done():
							return
						}
					}
				}()
			}
			return out
		},
	}
}

// offer puts d into a channel of one, in place of an older one. Others may do the same at the same time.
func offer(ctx context.Context, out chan Desired, d Desired) {
	for ctx.Err() == nil {
		select {
		case out <- d:
			return
		default:
		}
		select {
		case <-out:
		default:
		}
	}
}

// observe reads the tree and compares it with its history.
func (r *recorder) observe(ctx context.Context) (a Actual, err error) {
	s, err := r.log.Survey(ctx)
	if err != nil {
		return a, err
	}
	r.mu.Lock()
	if s.After, s.Since = r.done.Index, r.done.Until; s.Index < s.After {
		s.After, s.Since = 0, time.Time{} // the store was filled anew
	}
	r.last = s
	r.mu.Unlock()
	pending, err := r.log.Pending(ctx, s)
	if err != nil {
		return a, err
	}
	if len(pending) == 0 {
		r.recorded(s)
	}
	for _, x := range pending {
		a.Pending = append(a.Pending, Pending{x.Key, what(x)})
	}
	head, err := r.log.Head(ctx)
	if err == nil {
		err = r.confirm(ctx, head)
	}
	if err != nil {
		return a, err
	}
	a.Seq, a.Keys = head.Seq, len(s.Pairs)
	a.Excess, a.Floor, err = r.retention(ctx, head)
	a.Pin = r.kept.pin
	return a, err
}

func what(x history.Change) string {
	switch {
	case x.Op == history.Delete:
		return "deleted"
	case x.Recreated:
		return "deleted and written anew"
	}
	return "written"
}

// recorded notes that all of a reading is in the history.
func (r *recorder) recorded(s history.Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Index >= r.done.Index || s.After == 0 {
		r.done = s
	}
}

// retention looks, now and then, at what may go, and at where the history begins.
func (r *recorder) retention(ctx context.Context, head history.Head) (excess, floor uint64, err error) {
	if !r.keep.All && head.Seq > 0 && time.Since(r.kept.at) > retentionPeriod {
		if r.kept.excess, r.kept.pin, err = r.log.Excess(ctx, r.atLeast()); err != nil {
			return 0, 0, err
		}
		r.kept.at = time.Now()
	}
	floor, _, err = r.log.Floor(ctx)
	return r.kept.excess, floor, err
}

func (r *recorder) atLeast() history.Keep {
	return history.Keep{Commits: r.keep.Commits, Age: r.keep.Age}
}

// confirm makes sure that the history still holds the newest commit that was seen, by this run or by one before it.
func (r *recorder) confirm(ctx context.Context, head history.Head) error {
	if r.seen.Seq == 0 {
		data, err := os.ReadFile(r.memory())
		if err == nil {
			err = json.Unmarshal(data, &r.seen)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			r.agent.Log.Warn(recording, fmt.Sprintf("read what was seen last: %v; going on without it", err))
		}
	}
	if r.seen.Seq != head.Seq || r.seen.Hash != head.Hash {
		err := r.log.Confirm(ctx, r.seen)
		if errors.Is(err, history.ErrRewound) {
			r.rewound(err)
			err = nil
		}
		if err != nil {
			return err
		}
		r.remember(head)
	}
	r.seen = head
	return nil
}

// rewound raises the alarm: nobody who writes a history makes it shorter, so a snapshot was restored or somebody forged.
func (r *recorder) rewound(why error) {
	r.agent.Log.Warn(recording, why.Error()+": a snapshot of the store was restored, or somebody rewrote the history; what is declared now is recorded from here on")
}

// remember keeps the newest commit, so that the next run can tell whether it is still there.
func (r *recorder) remember(head history.Head) {
	if r.agent.DryRun || head.Seq == 0 {
		return
	}
	data, err := json.Marshal(head)
	if err == nil {
		err = host.WriteFile(r.memory(), data, 0o600)
	}
	if err != nil {
		r.agent.Log.Warn(recording, fmt.Sprintf("remember commit %d: %v", head.Seq, err))
	}
}
