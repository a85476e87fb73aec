package history

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/platypus-platform/platypus/store"
)

// Query selects commits.
type Query struct {
	Key    string // if not "": commits that touched this key or, if it ends in "/", any key below it
	From   uint64 // lowest seq; 0: the floor
	To     uint64 // highest seq; 0: the newest
	Oldest bool   // oldest first; otherwise newest first
	Values bool   // load the values of the changes
}

// matches reports whether a key is asked for.
func (q Query) matches(key string) bool {
	return q.Key == "" || key == q.Key || strings.HasSuffix(q.Key, "/") && strings.HasPrefix(key, q.Key)
}

// Commits iterates over the log. A damaged entry is yielded with its Fault and without changes, whatever the query
// selects, and the iteration continues; it ends at the first error of the store or of ctx.
func (l *Log) Commits(ctx context.Context, q Query) iter.Seq2[Commit, error] {
	return func(yield func(Commit, error) bool) {
		head, w, err := l.readBounds(ctx)
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
			low, high := from, min(to, from-from%chunkSize+chunkSize-1)
			if !q.Oldest {
				low, high = max(from, to-to%chunkSize), to
			}
			commits, err := l.loadCommits(ctx, low, high, head)
			if err == nil && q.Values {
				err = l.loadValues(ctx, commits)
			}
			if err != nil {
				yield(Commit{}, err)
				return
			}
			if !q.emit(commits, yield) {
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

// emit yields the commits that match, in the order of the query.
func (q Query) emit(commits []Commit, yield func(Commit, error) bool) bool {
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

// readBounds reads the head and the retention state.
func (l *Log) readBounds(ctx context.Context) (Head, retentionState, error) {
	pairs, err := l.store.Together(ctx, []string{l.headKey(), l.retentionKey()})
	if err != nil {
		return Head{}, retentionState{}, err
	}
	head, err := parseHead(pairs[0])
	if err != nil {
		return Head{}, retentionState{}, err
	}
	w, err := parseRetention(pairs[1])
	return head, w, err
}

// Show reads one commit with its values.
func (l *Log) Show(ctx context.Context, seq uint64) (Commit, error) {
	head, w, err := l.readBounds(ctx)
	if err == nil {
		err = w.checkReadable(seq, head)
	}
	if err == nil && seq == 0 {
		err = fmt.Errorf("commit 0: %w: the first one is 1", ErrNoSuch)
	}
	if err != nil {
		return Commit{}, err
	}
	commits, err := l.loadCommits(ctx, seq, seq, head)
	if err == nil {
		err = commits[0].Fault
	}
	if err == nil {
		err = l.loadValues(ctx, commits)
	}
	if err != nil {
		return Commit{}, err
	}
	return commits[0], nil
}

// checkReadable returns why the state at seq cannot be read, or nil. Seq 0 is the empty state before the first commit.
func (w retentionState) checkReadable(seq uint64, head Head) error {
	switch {
	case seq > head.Seq:
		return fmt.Errorf("commit %d: %w: the newest is %d", seq, ErrNoSuch, head.Seq)
	case seq < w.Floor.Seq:
		return fmt.Errorf("commit %d: %w before seq %d (%s)", seq, ErrCompacted, w.Floor.Seq, w.Floor.At.Format("2006-01-02"))
	}
	return nil
}

// At reads the whole tree after commit seq; 0 is before the first. The state's Faults name damaged entries on the way.
func (l *Log) At(ctx context.Context, seq uint64) (*State, error) {
	head, w, err := l.readBounds(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.checkReadable(seq, head); err != nil {
		return nil, err
	}
	if err := l.entryWithoutHead(ctx, head); err != nil {
		return nil, err
	}
	s, err := l.replay(ctx, seq, head, w)
	if err == nil {
		err = l.loadStateValues(ctx, s)
	}
	if err == nil && len(s.Faults) == 0 {
		return s, nil
	}
	// It may have been compacted while it was read.
	if _, now, again := l.readBounds(ctx); again == nil && now.Floor.Seq > w.Floor.Seq {
		return l.At(ctx, seq)
	}
	return s, err
}

// replay returns a state without loading its values.
func (l *Log) replay(ctx context.Context, seq uint64, head Head, w retentionState) (*State, error) {
	s, err := l.baseState(ctx, seq, w)
	if err != nil {
		return nil, err
	}
	commits, err := l.loadCommits(ctx, s.Seq+1, seq, head)
	for _, c := range commits {
		s.apply(c)
	}
	return s, err
}

// Get reads the value of a key after commit seq. found is false if the key was absent. If a damaged entry may have
// changed it since, the error is [ErrForged].
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

// Live reads the present ModifyIndex of keys of the tree, 0 for an absent one, in the form of [Request.Expect].
func (l *Log) Live(ctx context.Context, keys ...string) (map[string]uint64, error) {
	found := make(map[string]uint64, len(keys))
	for len(keys) > 0 {
		n := min(len(keys), store.MostOps)
		paths := make([]string, n)
		for i, key := range keys[:n] {
			paths[i] = l.storePath(key)
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
