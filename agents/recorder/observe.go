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

	mu           sync.Mutex
	lastRead     history.Snapshot // the newest reading of the tree
	recordedRead history.Snapshot // the newest one that is wholly recorded: what is found later happened after it

	lastHead history.Head // the newest commit; of the loop's goroutine alone, like what follows
	retained retentionState
}

// retentionState is what the last look at retention found.
type retentionState struct {
	at     time.Time
	excess uint64
	pin    string // what keeps more commits than was asked for
}

// headFile is the path of the file that records the newest commit that was seen.
func (r *recorder) headFile() string { return filepath.Join(r.agent.StateDir, "head.json") }

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
							replaceNewest(ctx, out, Desired{Index: s.Index, Keep: r.keep})
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

// replaceNewest puts d into a channel of one, in place of an older one. Others may do the same at the same time.
func replaceNewest(ctx context.Context, out chan Desired, d Desired) {
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
	if s.After, s.Since = r.recordedRead.Index, r.recordedRead.Until; s.Index < s.After {
		s.After, s.Since = 0, time.Time{} // the store was filled anew
	}
	r.lastRead = s
	r.mu.Unlock()
	pending, err := r.log.Pending(ctx, s)
	if err != nil {
		return a, err
	}
	if len(pending) == 0 {
		r.markRecorded(s)
	}
	for _, x := range pending {
		a.Pending = append(a.Pending, Pending{x.Key, changeText(x)})
	}
	head, err := r.log.Head(ctx)
	if err == nil {
		err = r.confirmHead(ctx, head)
	}
	if err != nil {
		return a, err
	}
	a.Seq, a.Keys = head.Seq, len(s.Pairs)
	a.Excess, a.Floor, err = r.retention(ctx, head)
	a.Pin = r.retained.pin
	return a, err
}

func changeText(x history.Change) string {
	switch {
	case x.Op == history.Delete:
		return "deleted"
	case x.Recreated:
		return "deleted and written anew"
	}
	return "written"
}

// markRecorded notes that all of a reading is in the history.
func (r *recorder) markRecorded(s history.Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.Index >= r.recordedRead.Index || s.After == 0 {
		r.recordedRead = s
	}
}

// retention looks, now and then, at what may go, and at where the history begins.
func (r *recorder) retention(ctx context.Context, head history.Head) (excess, floor uint64, err error) {
	if !r.keep.All && head.Seq > 0 && time.Since(r.retained.at) > retentionPeriod {
		if r.retained.excess, r.retained.pin, err = r.log.Excess(ctx, r.minimumKeep()); err != nil {
			return 0, 0, err
		}
		r.retained.at = time.Now()
	}
	floor, _, err = r.log.Floor(ctx)
	return r.retained.excess, floor, err
}

func (r *recorder) minimumKeep() history.Keep {
	return history.Keep{Commits: r.keep.Commits, Age: r.keep.Age}
}

// confirmHead makes sure that the history still holds the newest commit that was seen, by this run or by one before it.
func (r *recorder) confirmHead(ctx context.Context, head history.Head) error {
	if r.lastHead.Seq == 0 {
		data, err := os.ReadFile(r.headFile())
		if err == nil {
			err = json.Unmarshal(data, &r.lastHead)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			r.agent.Log.Warn(recording, fmt.Sprintf("read what was seen last: %v; going on without it", err))
		}
	}
	if r.lastHead.Seq != head.Seq || r.lastHead.Hash != head.Hash {
		err := r.log.Confirm(ctx, r.lastHead)
		if errors.Is(err, history.ErrRewound) {
			r.warnRewound(err)
			err = nil
		}
		if err != nil {
			return err
		}
		r.saveHead(head)
	}
	r.lastHead = head
	return nil
}

// warnRewound raises the alarm: nobody who writes a history makes it shorter, so a snapshot was restored or somebody
// forged.
func (r *recorder) warnRewound(why error) {
	r.agent.Log.Warn(recording, why.Error()+": a snapshot of the store was restored, or somebody rewrote the history; what is declared now is recorded from here on")
}

// saveHead keeps the newest commit, so that the next run can tell whether it is still there.
func (r *recorder) saveHead(head history.Head) {
	if r.agent.DryRun || head.Seq == 0 {
		return
	}
	data, err := json.Marshal(head)
	if err == nil {
		err = host.WriteFile(r.headFile(), data, 0o600)
	}
	if err != nil {
		r.agent.Log.Warn(recording, fmt.Sprintf("remember commit %d: %v", head.Seq, err))
	}
}
