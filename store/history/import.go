package history

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/platypus-platform/platypus/store"
)

// Import writes a history from elsewhere, oldest commit first, into a tree that has none. It takes ID, At, Kind, Note
// and the changes with Key, Op and Value of each commit; numbers and hashes are new. A commit that is too large is
// split. The tree itself is unchanged: observe it afterwards to record the differences.
//
// Everything is read and checked before the first write. Nobody else can write to the history meanwhile. If it fails,
// what was written is removed; a killed import is undone by the next one or by [Log.EndImport].
func (l *Log) Import(ctx context.Context, commits iter.Seq2[Commit, error]) (head Head, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, err := l.readImport(commits)
	if err != nil {
		return Head{}, err
	}
	if err := l.beginImport(ctx); err != nil {
		return Head{}, err
	}
	defer func() {
		if err != nil {
			// ctx may have ended; the tree must be reopened anyway.
			undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
			defer cancel()
			err = errors.Join(err, l.removeImport(undo))
		}
	}()
	l.tip = emptyState()
	var batch []Commit
	for _, c := range all {
		if batch = append(batch, c); len(batch) >= store.MaxOps/2 || totalBytes(batch) > maxObserved {
			if err := l.importBatch(ctx, batch); err != nil {
				return Head{}, err
			}
			batch = batch[:0]
		}
	}
	if len(batch) > 0 {
		if err := l.importBatch(ctx, batch); err != nil {
			return Head{}, err
		}
	}
	return l.endImport(ctx)
}

// undoTimeout limits the removal of a failed import.
const undoTimeout = 30 * time.Second

// Importable reports whether [Log.Import] would accept a history, as far as that is known without writing.
func (l *Log) Importable(ctx context.Context, commits iter.Seq2[Commit, error]) error {
	if _, err := l.readImport(commits); err != nil {
		return err
	}
	return l.canImport(ctx)
}

// readImport reads a whole history and converts its commits.
func (l *Log) readImport(commits iter.Seq2[Commit, error]) (all []Commit, err error) {
	for c, err := range commits {
		if err != nil {
			return nil, fmt.Errorf("import: %w", err)
		}
		some, err := l.splitCommit(c)
		if err != nil {
			return nil, fmt.Errorf("import commit %s of %s: %w", c.ID, c.At.Format("2006-01-02 15:04:05"), err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// EndImport removes what an interrupted import wrote and unblocks writers. It reports whether there was one. The import
// must not be running any more.
func (l *Log) EndImport(ctx context.Context) (bool, error) {
	unfinished, err := l.ImportUnfinished(ctx)
	if err != nil || !unfinished {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return true, l.removeImport(ctx)
}

// ImportUnfinished reports whether an import was started and neither finished nor undone: it is running, or it was
// killed.
func (l *Log) ImportUnfinished(ctx context.Context) (bool, error) {
	_, w, err := l.readBounds(ctx)
	if err != nil || !w.Closed {
		return false, err
	}
	_, isFork, err := l.Forked(ctx)
	return !isFork, err
}

// removeImport deletes the history of an import; the retention state, which blocks writers, goes last.
func (l *Log) removeImport(ctx context.Context) error {
	l.tip = emptyState()
	names, err := l.store.Names(ctx, l.prefix)
	if err != nil {
		return fmt.Errorf("undo the import: %w", err)
	}
	names = slices.DeleteFunc(names, func(key string) bool { return key == l.retentionKey() })
	if _, err := l.removeKeys(ctx, append(names, l.retentionKey())); err != nil {
		return fmt.Errorf("undo the import: %w", err)
	}
	return nil
}

// canImport rejects a tree that has a history.
func (l *Log) canImport(ctx context.Context) error {
	head, w, err := l.readBounds(ctx)
	if err != nil {
		return err
	}
	_, isFork, err := l.Forked(ctx)
	if err == nil && (isFork || head.Seq > 0 && !w.Closed) {
		err = fmt.Errorf("import into %s: the history: %w", l.prefix, ErrExists)
	}
	return err
}

// beginImport blocks other writers and removes the remains of an earlier import.
func (l *Log) beginImport(ctx context.Context) error {
	if err := l.canImport(ctx); err != nil {
		return err
	}
	names, err := l.store.Names(ctx, l.prefix)
	if err != nil {
		return err
	}
	if _, err := l.removeKeys(ctx, names); err != nil {
		return err
	}
	_, err = l.updateRetention(ctx, func(w *retentionState, head Head) ([]store.Change, error) {
		w.Closed = true
		return nil, nil
	})
	return err
}

// splitCommit converts a foreign commit into one or more commits for this log.
func (l *Log) splitCommit(c Commit) (all []Commit, err error) {
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
			y.SHA, y.Size, y.Value, y.stored = HashOf(x.Value), len(x.Value), x.Value, storedValue{data: x.Value}
		}
		if size += y.Size + len(y.Key) + 150; size > maxObserved && len(n.Changes) > 0 {
			all, size = append(all, n), y.Size
			n.Changes = nil
		}
		n.Changes = append(n.Changes, y)
	}
	return append(all, n), nil
}

func totalBytes(commits []Commit) (n int) {
	for _, c := range commits {
		for _, x := range c.Changes {
			n += x.Size + len(x.Key) + 150
		}
	}
	return n
}

func (l *Log) importBatch(ctx context.Context, batch []Commit) error {
	v, err := l.readState(ctx, nil)
	if err != nil {
		return err
	}
	p := txnPlan{commits: batch}
	if err := l.encodeValues(ctx, &p, v.retention); err != nil {
		return err
	}
	if err := l.shrinkToFit(ctx, &p, v.head); err != nil {
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
	c := p.committed(l, index)
	l.maybeCheckpoint(ctx, c, len(batch), v.retention)
	return nil
}

// endImport unblocks writers. Indexes of the other store are meaningless here.
func (l *Log) endImport(ctx context.Context) (Head, error) {
	s, err := l.Survey(ctx)
	if err != nil {
		return Head{}, err
	}
	var done Head
	_, err = l.updateRetention(ctx, func(w *retentionState, head Head) ([]store.Change, error) {
		done = head
		w.Closed, w.IndexReset, w.HeadCreated = false, indexReset{head.Seq, max(s.Index, head.index)}, head.created
		return nil, nil
	})
	return done, err
}
