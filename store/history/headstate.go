package history

import (
	"context"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// headState is what a writer bases a decision on, read at one moment.
type headState struct {
	head       Head
	retention  retentionState
	live       map[string]intent.Pair // by key below the tree; ModifyIndex 0 means absent
	newCommits []Commit               // commits since the log was last read
	partial    bool                   // the tip holds only the keys of the request
}

// readState reads the head, the retention state and some keys, and updates the tip. l.mu must be held.
func (l *Log) readState(ctx context.Context, keys []string) (headState, error) {
	v, _, err := l.readKeys(ctx, keys, nil)
	if err != nil {
		return v, err
	}
	v.newCommits, err = l.catchUp(ctx, v.head, v.retention)
	return v, err
}

// readKeys reads the head, the retention state, some keys and some buckets of the key index.
func (l *Log) readKeys(ctx context.Context, keys []string, buckets []int) (v headState, n keyIndex, err error) {
	v, n = headState{live: make(map[string]intent.Pair, len(keys))}, keyIndex{}
	paths := []string{l.headKey(), l.retentionKey()}
	for _, key := range keys {
		paths = append(paths, l.storePath(key))
	}
	for _, bucket := range buckets {
		paths = append(paths, l.bucketKey(bucket))
	}
	var pairs []intent.Pair
	for len(paths) > 0 {
		n := min(len(paths), store.MostOps)
		some, err := l.store.Together(ctx, paths[:n])
		if err != nil {
			return v, nil, err
		}
		pairs, paths = append(pairs, some...), paths[n:]
	}
	if v.head, err = parseHead(pairs[0]); err != nil {
		return v, nil, err
	}
	if v.retention, err = parseRetention(pairs[1]); err != nil {
		return v, nil, err
	}
	for i, key := range keys {
		v.live[key] = pairs[i+2]
	}
	for i, bucket := range buckets {
		n[bucket] = pairs[i+2+len(keys)].Value
	}
	return v, n, nil
}

// catchUp updates the tip to the head and returns the commits it did not have.
func (l *Log) catchUp(ctx context.Context, head Head, w retentionState) ([]Commit, error) {
	if l.tip.Seq > head.Seq || l.tip.Seq == head.Seq && l.tip.Hash != head.Hash {
		l.resetTip()
	}
	fromBase := l.tip.Seq == 0
	if fromBase && head.Seq > 0 {
		base, err := l.baseState(ctx, head.Seq, w)
		if err != nil {
			return nil, err
		}
		l.tip = base
	}
	fresh, err := l.loadCommits(ctx, l.tip.Seq+1, head.Seq, head)
	if err != nil {
		return nil, err
	}
	if !fromBase && len(fresh) > 0 && fresh[0].Fault == nil && fresh[0].Prev != l.tip.Hash {
		l.resetTip()
		return l.catchUp(ctx, head, w)
	}
	for _, c := range fresh {
		l.tip.apply(c)
	}
	return fresh, nil
}

// resetTip drops a tip that the log no longer contains.
func (l *Log) resetTip() {
	l.lostHead = &Head{Seq: l.tip.Seq, Hash: l.tip.Hash, ID: l.tip.id}
	l.tip = emptyState()
}
