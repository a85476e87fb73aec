package history

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/platypus-platform/platypus/store"
)

// Import writes a history from elsewhere, oldest commit first, into a tree that has none. Of each commit it takes ID, At,
// Kind, Note and the changes with Key, Op and Value; numbers and hashes are new. A commit that is too large for one entry
// becomes several. What stands in the tree is left as it is: observe it afterwards, and what differs is recorded.
//
// An import that was interrupted is begun anew by the next one. Until it is done nobody else writes to the history.
func (l *Log) Import(ctx context.Context, commits iter.Seq2[Commit, error]) (Head, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.beginImport(ctx); err != nil {
		return Head{}, err
	}
	l.tip = emptyState()
	var batch []Commit
	for c, err := range commits {
		if err != nil {
			return Head{}, fmt.Errorf("import: %w", err)
		}
		some, err := l.importable(c)
		if err != nil {
			return Head{}, fmt.Errorf("import commit %s of %s: %w", c.ID, c.At.Format("2006-01-02 15:04:05"), err)
		}
		for _, c := range some {
			if batch = append(batch, c); len(batch) >= store.MaxOps/2 || weight(batch) > maxObserved {
				if err := l.importBatch(ctx, batch); err != nil {
					return Head{}, err
				}
				batch = batch[:0]
			}
		}
	}
	if len(batch) > 0 {
		if err := l.importBatch(ctx, batch); err != nil {
			return Head{}, err
		}
	}
	return l.endImport(ctx)
}

// beginImport closes the history for others, and clears away what an earlier import left.
func (l *Log) beginImport(ctx context.Context) error {
	head, w, err := l.bounds(ctx)
	if err != nil {
		return err
	}
	_, isFork, err := l.Forked(ctx)
	if err != nil {
		return err
	}
	if isFork || head.Seq > 0 && !w.Closed {
		return fmt.Errorf("import into %s: the history: %w", l.prefix, ErrExists)
	}
	names, err := l.store.Names(ctx, l.prefix)
	if err != nil {
		return err
	}
	if _, err := l.remove(ctx, names); err != nil {
		return err
	}
	_, err = l.turn(ctx, func(w *window, head Head) ([]store.Change, error) {
		w.Closed = true
		return nil, nil
	})
	return err
}

// importable makes one or more commits of one from elsewhere that this log can take.
func (l *Log) importable(c Commit) (all []Commit, err error) {
	n := Commit{ID: c.ID, At: c.At, Kind: c.Kind, Note: c.Note}
	if n.Kind == "" {
		n.Kind = Import
	}
	size := 0
	for _, x := range c.Changes {
		if err := l.checkKey(x.Key); err != nil {
			return nil, err
		}
		y := Change{Key: x.Key, Op: x.Op, Base: x.Base, Recreated: x.Recreated, Seen: x.Seen, Index: x.Index}
		if x.Op == Put {
			y.SHA, y.Size, y.Value, y.stored = HashOf(x.Value), len(x.Value), x.Value, stored{data: x.Value}
		}
		if size += y.Size + len(y.Key) + 150; size > maxObserved && len(n.Changes) > 0 {
			all, size = append(all, n), y.Size
			n.Changes = nil
		}
		n.Changes = append(n.Changes, y)
	}
	return append(all, n), nil
}

func weight(commits []Commit) (n int) {
	for _, c := range commits {
		for _, x := range c.Changes {
			n += x.Size + len(x.Key) + 150
		}
	}
	return n
}

func (l *Log) importBatch(ctx context.Context, batch []Commit) error {
	v, err := l.look(ctx, nil)
	if err != nil {
		return err
	}
	p := plan{commits: batch}
	if err := l.keep(ctx, &p, v.window); err != nil {
		return err
	}
	if err := l.fit(ctx, &p, v.head); err != nil {
		if !errors.Is(err, store.ErrTooLarge) || len(batch) == 1 {
			return err
		}
		if err := l.importBatch(ctx, batch[:len(batch)/2]); err != nil {
			return err
		}
		return l.importBatch(ctx, batch[len(batch)/2:])
	}
	index, err := l.store.Commit(ctx, p.ops)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	c := p.landed(l, index)
	l.afterCommit(ctx, c, len(batch), v.window)
	return nil
}

// endImport lets others write again. Indexes of the other store mean nothing here.
func (l *Log) endImport(ctx context.Context) (Head, error) {
	s, err := l.Survey(ctx)
	if err != nil {
		return Head{}, err
	}
	var done Head
	_, err = l.turn(ctx, func(w *window, head Head) ([]store.Change, error) {
		done = head
		w.Closed, w.Rebased, w.Born = false, rebase{head.Seq, max(s.Index, head.index)}, head.created
		return nil, nil
	})
	return done, err
}
