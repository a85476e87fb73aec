package history

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// Snapshot is a tree as read at one moment.
type Snapshot struct {
	Pairs []intent.Pair // everything below [intent.Tree.Declared]; other keys are ignored
	Index uint64        // of the read
	After uint64        // index of the previous read, 0 for the first; new changes happened after it
	Since time.Time     // when the previous read was answered
	Until time.Time     // when this read was answered
}

// Observation is what [Log.Observe] did.
type Observation struct {
	Commits []Commit // created by this call, possibly none
	Rewound *Head    // the newest commit seen before, if the log no longer contains it
}

// Observe compares a snapshot of the tree with the log and records every plain write that the log lacks, as commits of
// kind [Observed]. Any number of observers may run at the same time: the second one finds nothing to do. Keys that
// existed before the first commit are imported.
func (l *Log) Observe(ctx context.Context, s Snapshot) (Observation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.observe(ctx, s, "recorder")
}

func (l *Log) observe(ctx context.Context, s Snapshot, via string) (o Observation, err error) {
	for backoff := minBackoff; ; backoff = min(2*backoff, maxBackoff) {
		v, err := l.readState(ctx, nil)
		if err != nil {
			return o, err
		}
		if v.retention.Closed {
			return o, nil // a fork or an import is in progress
		}
		if reset, err := l.detectReset(ctx, v); reset || err != nil {
			if err != nil {
				return o, err
			}
			continue
		}
		if l.lostHead != nil {
			o.Rewound, l.lostHead = l.lostHead, nil
		}
		if v.head.Seq == 0 {
			if err := l.checkHeadless(ctx, v); errors.Is(err, store.ErrConflict) {
				continue
			} else if err != nil {
				return o, err
			}
		}
		changes := l.changes(s, v)
		if len(changes) == 0 {
			if s.Index >= l.tip.base.index {
				l.tip.Faults = nil // the live state supersedes whatever the damaged entry did
			}
			return o, nil
		}
		c, err := l.commitObserved(ctx, changes, v, via)
		if err == nil {
			o.Commits = append(o.Commits, c)
			l.maybeCheckpoint(ctx, c, 1, v.retention)
			continue // repeat until no change is left
		}
		if !errors.Is(err, store.ErrConflict) {
			return o, err
		}
		if err := sleep(ctx, backoff); err != nil {
			return o, err
		}
	}
}

// unrecorded returns the changes that a snapshot shows and the log lacks, by key.
func (l *Log) changes(s Snapshot, v headState) (changes []Change) {
	seen := Interval{After: s.After, At: s.Index, Since: s.Since.UTC().Truncate(time.Millisecond), Until: s.Until.UTC().Truncate(time.Millisecond)}
	if since := l.tip.base; since.seq > v.retention.IndexReset.Seq && s.Index < since.index {
		return nil // the snapshot is older than the log; the watch will deliver a newer one
	}
	present := make(map[string]bool, len(s.Pairs))
	for _, pair := range s.Pairs {
		key, ok := l.treeKey(pair.Key)
		if !ok || strings.HasSuffix(key, "/") {
			continue
		}
		present[key] = true
		if x, ok := l.compareLive(key, pair, v.retention.IndexReset, seen); ok && !l.knowsNewer(key, s.Index, v) {
			changes = append(changes, x)
		}
	}
	for key := range l.tip.entries {
		if present[key] {
			continue
		}
		if x, ok := l.compareLive(key, intent.Pair{}, v.retention.IndexReset, seen); ok && !l.knowsNewer(key, s.Index, v) {
			changes = append(changes, x)
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Key, b.Key) })
	return changes
}

// knowsNewer reports whether the log contains a change of a key that is newer than the snapshot.
func (l *Log) knowsNewer(key string, index uint64, v headState) bool {
	last, ok := l.tip.deleted[key]
	if e, known := l.tip.entries[key]; known {
		last, ok = position{e.Seq, e.Index}, true
	}
	return ok && last.seq > v.retention.IndexReset.Seq && last.index > index
}

// maxObserved limits the bytes of one observed commit; compressed, it must fit into a transaction.
const maxObserved = 360 << 10

// commitObserved commits as many of the changes as fit into one commit.
func (l *Log) commitObserved(ctx context.Context, changes []Change, v headState, via string) (Commit, error) {
	c := Commit{ID: rand.Text(), Kind: Observed, Changes: changes,
		Note: Note{Author: Author{Proof: Unknown}, Via: via, Message: "found: at least one plain write"}}
	if v.head.Seq == 0 {
		c.Note.Message = "found: what was there before the history began"
	}
	for size, i := 0, 0; i < len(changes); i++ {
		if size += len(changes[i].stored.data) + len(changes[i].Key) + 150; size > maxObserved && i > 0 {
			c.Changes = changes[:i]
			break
		}
	}
	p := txnPlan{commits: []Commit{c}}
	if err := l.encodeValues(ctx, &p, v.retention); err != nil {
		return Commit{}, err
	}
	if err := l.shrinkToFit(ctx, &p, v.head); err != nil {
		return Commit{}, err
	}
	index, err := l.store.Commit(ctx, p.ops)
	if err != nil {
		return Commit{}, err
	}
	return p.committed(l, index), nil
}

// importExisting records the keys of a tree that has no history yet. It reports whether there were any.
func (l *Log) importExisting(ctx context.Context, v headState) (bool, error) {
	s, err := l.Survey(ctx)
	if err != nil || len(s.Pairs) == 0 {
		return false, err
	}
	o, err := l.observe(ctx, s, "adoption")
	return len(o.Commits) > 0, err
}

// Survey reads the tree as a snapshot for [Log.Observe].
func (l *Log) Survey(ctx context.Context) (s Snapshot, err error) {
	for _, prefix := range l.tree.Declared() {
		pairs, index, err := l.store.List(ctx, prefix, store.Consistent)
		if err != nil {
			return s, fmt.Errorf("survey the tree: %w", err)
		}
		if s.Pairs = append(s.Pairs, pairs...); s.Index == 0 || index < s.Index {
			s.Index = index
		}
	}
	s.Until = l.now()
	return s, nil
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
