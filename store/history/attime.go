package history

import (
	"context"
	"fmt"
	"sort"
	"time"
)

// SeqAt is the newest commit that had happened at a time; 0 when that is before the first. A time before the floor is
// [ErrCompacted]. Only what the answer needs is read: about one commit for each doubling of the log.
func (l *Log) SeqAt(ctx context.Context, at time.Time) (uint64, error) {
	head, w, err := l.bounds(ctx)
	if err != nil {
		return 0, err
	}
	seq, err := l.last(ctx, head, w, func(c Commit) bool { return !c.At.After(at) })
	if err == nil && seq < w.Floor.Seq {
		err = fmt.Errorf("%s: %w before seq %d (%s)", at.UTC().Format(time.RFC3339), ErrCompacted, w.Floor.Seq, w.Floor.At.Format("2006-01-02"))
	}
	return seq, err
}

// SeqAtIndex is the newest commit that lies in the store at an index or below. What plain writes had done by then and the
// log was told of later is in [Log.AtIndex] only.
func (l *Log) SeqAtIndex(ctx context.Context, index uint64) (uint64, error) {
	head, w, err := l.bounds(ctx)
	if err != nil {
		return 0, err
	}
	seq, err := l.last(ctx, head, w, func(c Commit) bool { return c.Index <= index })
	if err == nil && seq < w.Floor.Seq {
		err = fmt.Errorf("index %d: %w before seq %d (%s)", index, ErrCompacted, w.Floor.Seq, w.Floor.At.Format("2006-01-02"))
	}
	return seq, err
}

// last is the highest seq for which true holds; it holds from the first commit on up to some one. Entries that cannot be
// believed answer as the one before them.
func (l *Log) last(ctx context.Context, head Head, w window, holds func(Commit) bool) (uint64, error) {
	low, high := max(w.Floor.Seq, 1), head.Seq
	var fault error
	n := sort.Search(int(high-low+1), func(i int) bool {
		for seq := low + uint64(i); fault == nil && seq >= low; seq-- {
			commits, err := l.load(ctx, seq, seq, Head{Seq: seq})
			if err != nil {
				fault = err
				break
			}
			if c := commits[0]; c.ID != "" {
				return !holds(c)
			}
		}
		return false
	})
	return low + uint64(n) - 1, fault
}

// AtIndex reads the whole tree as it stood at an index of the store: every change that happened at that index or below,
// when it was recorded later, too. After the store was filled anew the indexes of before mean nothing.
func (l *Log) AtIndex(ctx context.Context, index uint64) (*State, error) {
	seq, err := l.SeqAtIndex(ctx, index)
	if err != nil {
		return nil, err
	}
	head, w, err := l.bounds(ctx)
	if err != nil {
		return nil, err
	}
	s, err := l.replay(ctx, seq, head, w)
	if err != nil {
		return nil, err
	}
	later, err := l.load(ctx, seq+1, head.Seq, head)
	if err != nil {
		return nil, err
	}
	for _, c := range later {
		var then []Change
		for _, x := range c.Changes {
			// A delete is known to have happened by At only.
			if x.Seen != nil && x.Index <= index && s.entries[x.Key].Index < x.Index {
				then = append(then, x)
			}
		}
		c.Changes = then
		if c.Fault == nil && len(then) > 0 {
			last := *s
			s.apply(c)
			s.Seq, s.Hash, s.At = last.Seq, last.Hash, last.At
		}
	}
	return s, l.fill(ctx, s)
}
