package history

import (
	"context"
	"fmt"
	"sort"
	"time"
)

// SeqAt returns the newest commit at or before a time; 0 if there was none. A time before the floor is [ErrCompacted].
// It reads about one commit per doubling of the log.
func (l *Log) SeqAt(ctx context.Context, at time.Time) (uint64, error) {
	head, w, err := l.readBounds(ctx)
	if err != nil {
		return 0, err
	}
	seq, err := l.lastMatching(ctx, head, w, func(c Commit) bool { return !c.At.After(at) })
	if err == nil && seq < w.Floor.Seq {
		err = fmt.Errorf("%s: %w before seq %d (%s)", at.UTC().Format(time.RFC3339), ErrCompacted, w.Floor.Seq, w.Floor.At.Format("2006-01-02"))
	}
	return seq, err
}

// SeqAtIndex returns the newest commit stored at or below an index of the store. Plain writes that were recorded later
// are only in [Log.AtIndex].
func (l *Log) SeqAtIndex(ctx context.Context, index uint64) (uint64, error) {
	head, w, err := l.readBounds(ctx)
	if err != nil {
		return 0, err
	}
	seq, err := l.lastMatching(ctx, head, w, func(c Commit) bool { return c.Index <= index })
	if err == nil && seq < w.Floor.Seq {
		err = fmt.Errorf("index %d: %w before seq %d (%s)", index, ErrCompacted, w.Floor.Seq, w.Floor.At.Format("2006-01-02"))
	}
	return seq, err
}

// lastMatching returns the highest seq for which match is true, by binary search: match must be true up to some commit
// and false after it. A damaged entry counts like the one before it.
func (l *Log) lastMatching(ctx context.Context, head Head, w retentionState, match func(Commit) bool) (uint64, error) {
	low, high := max(w.Floor.Seq, 1), head.Seq
	var loadErr error
	n := sort.Search(int(high-low+1), func(i int) bool {
		for seq := low + uint64(i); loadErr == nil && seq >= low; seq-- {
			commits, err := l.loadCommits(ctx, seq, seq, Head{Seq: seq})
			if err != nil {
				loadErr = err
				break
			}
			if c := commits[0]; c.ID != "" {
				return !match(c)
			}
		}
		return false
	})
	return low + uint64(n) - 1, loadErr
}

// AtIndex reads the whole tree as it was at an index of the store, including changes up to that index that were
// recorded later. Indexes from before the store was filled again are meaningless.
func (l *Log) AtIndex(ctx context.Context, index uint64) (*State, error) {
	seq, err := l.SeqAtIndex(ctx, index)
	if err != nil {
		return nil, err
	}
	head, w, err := l.readBounds(ctx)
	if err != nil {
		return nil, err
	}
	s, err := l.replay(ctx, seq, head, w)
	if err != nil {
		return nil, err
	}
	later, err := l.loadCommits(ctx, seq+1, head.Seq, head)
	if err != nil {
		return nil, err
	}
	for _, c := range later {
		var happened []Change
		for _, x := range c.Changes {
			// For a delete, Index is only an upper bound of when it happened.
			if x.Seen != nil && x.Index <= index && s.entries[x.Key].Index < x.Index {
				happened = append(happened, x)
			}
		}
		c.Changes = happened
		if c.Fault == nil && len(happened) > 0 {
			last := *s
			s.apply(c)
			s.Seq, s.Hash, s.At = last.Seq, last.Hash, last.At
		}
	}
	return s, l.loadStateValues(ctx, s)
}
