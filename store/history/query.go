package history

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/platypus-platform/platypus/store"
)

// Query says which commits are asked for.
type Query struct {
	Key    string // unless "": commits that touched this key, or, when it ends in "/", any key below it
	From   uint64 // the lowest seq; 0: from the floor on
	To     uint64 // the highest seq; 0: the newest
	Oldest bool   // oldest first; otherwise newest first
	Values bool   // with the values of the changes
}

// matches reports whether a key is asked for.
func (q Query) matches(key string) bool {
	return q.Key == "" || key == q.Key || strings.HasSuffix(q.Key, "/") && strings.HasPrefix(key, q.Key)
}

// Commits goes through the log. An entry that cannot be believed comes with its Fault and without changes, whatever was
// asked for, and the iteration goes on; it ends with the first error, which is the store's or the context's.
func (l *Log) Commits(ctx context.Context, q Query) iter.Seq2[Commit, error] {
	return func(yield func(Commit, error) bool) {
		head, w, err := l.bounds(ctx)
		if err == nil {
			err = l.entryWithoutHead(ctx, head)
		}
		if err != nil {
			yield(Commit{}, err)
			return
		}
		from, to := max(q.From, w.Floor.Seq, 1), head.Seq
		if q.To > 0 {
			to = min(to, q.To)
		}
		for from <= to {
			low, high := from, min(to, from-from%chunk+chunk-1)
			if !q.Oldest {
				low, high = max(from, to-to%chunk), to
			}
			commits, err := l.load(ctx, low, high, head)
			if err == nil && q.Values {
				err = l.resolve(ctx, commits)
			}
			if err != nil {
				yield(Commit{}, err)
				return
			}
			if !q.walk(commits, yield) {
				return
			}
			if q.Oldest {
				from = high + 1
			} else {
				to = low - 1
			}
		}
	}
}

// walk hands out the commits that match, in the order that is asked for.
func (q Query) walk(commits []Commit, yield func(Commit, error) bool) bool {
	for i := range commits {
		c := commits[i]
		if !q.Oldest {
			c = commits[len(commits)-1-i]
		}
		if (c.Fault != nil || q.touches(c)) && !yield(c, nil) {
			return false
		}
	}
	return true
}

func (q Query) touches(c Commit) bool {
	for _, x := range c.Changes {
		if q.matches(x.Key) {
			return true
		}
	}
	return q.Key == ""
}

// bounds reads what is needed to read anything else.
func (l *Log) bounds(ctx context.Context) (Head, window, error) {
	pairs, err := l.store.Together(ctx, []string{l.headKey(), l.windowKey()})
	if err != nil {
		return Head{}, window{}, err
	}
	head, err := parseHead(pairs[0])
	if err != nil {
		return Head{}, window{}, err
	}
	w, err := parseWindow(pairs[1])
	return head, w, err
}

// Show reads one commit with its values.
func (l *Log) Show(ctx context.Context, seq uint64) (Commit, error) {
	head, w, err := l.bounds(ctx)
	if err == nil {
		err = w.holds(seq, head)
	}
	if err == nil && seq == 0 {
		err = fmt.Errorf("commit 0: %w: the first one is 1", ErrNoSuch)
	}
	if err != nil {
		return Commit{}, err
	}
	commits, err := l.load(ctx, seq, seq, head)
	if err == nil {
		err = commits[0].Fault
	}
	if err == nil {
		err = l.resolve(ctx, commits)
	}
	if err != nil {
		return Commit{}, err
	}
	return commits[0], nil
}

// holds says why a state cannot be read, or nil. Seq 0 is the empty state before the first commit.
func (w window) holds(seq uint64, head Head) error {
	switch {
	case seq > head.Seq:
		return fmt.Errorf("commit %d: %w: the newest is %d", seq, ErrNoSuch, head.Seq)
	case seq < w.Floor.Seq:
		return fmt.Errorf("commit %d: %w before seq %d (%s)", seq, ErrCompacted, w.Floor.Seq, w.Floor.At.Format("2006-01-02"))
	}
	return nil
}

// At reads the whole tree as it stood after commit seq; 0 is before the first. Entries on the way that cannot be
// believed are named in the state's Faults.
func (l *Log) At(ctx context.Context, seq uint64) (*State, error) {
	head, w, err := l.bounds(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.holds(seq, head); err != nil {
		return nil, err
	}
	if err := l.entryWithoutHead(ctx, head); err != nil {
		return nil, err
	}
	s, err := l.replay(ctx, seq, head, w)
	if err == nil {
		err = l.fill(ctx, s)
	}
	if err == nil && len(s.Faults) == 0 {
		return s, nil
	}
	// Maybe it was compacted away while it was read.
	if _, now, again := l.bounds(ctx); again == nil && now.Floor.Seq > w.Floor.Seq {
		return l.At(ctx, seq)
	}
	return s, err
}

// replay is a state without the values that take further reads.
func (l *Log) replay(ctx context.Context, seq uint64, head Head, w window) (*State, error) {
	s, err := l.base(ctx, seq, w)
	if err != nil {
		return nil, err
	}
	commits, err := l.load(ctx, s.Seq+1, seq, head)
	for _, c := range commits {
		s.apply(c)
	}
	return s, err
}

// Get reads what stood at a key after commit seq. found is false when the key was absent. When an entry that cannot be
// believed may have changed it since, that is an [ErrForged].
func (l *Log) Get(ctx context.Context, key string, seq uint64) (v Value, found bool, err error) {
	s, err := l.At(ctx, seq)
	if err != nil {
		return Value{}, false, err
	}
	v, found = s.Get(key)
	for _, f := range s.Faults {
		if f.Key == key || f.Key == "" && f.Seq > v.Seq {
			return v, found, fmt.Errorf("read %s at %d: %w", key, seq, f)
		}
	}
	return v, found, nil
}

// Live reads what stands at keys of the tree now; one that is absent has ModifyIndex 0. [Request.Expect] takes the indexes.
func (l *Log) Live(ctx context.Context, keys ...string) (map[string]uint64, error) {
	found := make(map[string]uint64, len(keys))
	for len(keys) > 0 {
		n := min(len(keys), store.MostOps)
		paths := make([]string, n)
		for i, key := range keys[:n] {
			paths[i] = l.path(key)
		}
		pairs, err := l.store.Together(ctx, paths)
		if err != nil {
			return nil, err
		}
		for i, key := range keys[:n] {
			found[key] = pairs[i].ModifyIndex
		}
		keys = keys[n:]
	}
	return found, nil
}
