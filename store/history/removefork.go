package history

import (
	"context"
	"fmt"
	"slices"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// ForkLoss is what would be lost by removing a fork.
type ForkLoss struct {
	Head     uint64   `json:"head"`     // newest commit of the fork
	Forks    []string `json:"forks"`    // forks of it, and forks of those, such as staging/try
	Unjoined int      `json:"unjoined"` // commits never joined into the parent tree
	Plain    int      `json:"plain"`    // keys changed by plain writes that no commit records
}

// Any reports whether anything would be lost that exists nowhere else.
func (f ForkLoss) Any() bool { return len(f.Forks) > 0 || f.Unjoined > 0 || f.Plain > 0 }

// ForkLoss returns what would be lost with a fork. A partly created or removed fork has nothing to lose.
func (l *Log) ForkLoss(ctx context.Context, name intent.Name) (loss ForkLoss, err error) {
	target := Open(l.store, l.tree.Fork(name))
	f, index, err := target.readFork(ctx)
	if err != nil || index == 0 || f.State != Ready {
		return loss, err
	}
	head, err := target.Head(ctx)
	if err != nil {
		return loss, err
	}
	loss.Head, loss.Unjoined = head.Seq, f.unjoined(target.tree.Root(), head.Seq)
	snapshot, err := target.Survey(ctx)
	if err != nil {
		return loss, err
	}
	plain, err := target.Pending(ctx, snapshot)
	if err != nil {
		return loss, err
	}
	loss.Plain = len(plain)
	forks, err := target.Forks(ctx)
	for _, nested := range forks {
		loss.Forks = append(loss.Forks, string(nested.Name))
		below, err := target.ForkLoss(ctx, nested.Name)
		if err != nil {
			return loss, err
		}
		for _, n := range below.Forks {
			loss.Forks = append(loss.Forks, string(nested.Name)+"/"+n)
		}
	}
	return loss, err
}

// unjoined counts the commits of a fork, whose newest is head, since its last join into the parent tree. It leaves out
// commits that were joins from the parent.
func (f Forked) unjoined(root string, head uint64) int {
	joined := uint64(1) // the first commit is a copy of the parent
	for _, j := range f.Joins {
		if j.Source.Root == root {
			joined = max(joined, j.Source.Seq)
		}
	}
	if head <= joined {
		return 0
	}
	n := int(head - joined)
	for _, j := range f.Joins {
		if j.Target.Root == root && j.Target.Seq > joined {
			n--
		}
	}
	return n
}

// RemoveFork deletes a fork with its history and all forks of it, and unpins the commit it came from. If at is not 0 it
// must still be the newest commit of the fork: otherwise the error is [ErrChanged] and nothing is deleted.
func (l *Log) RemoveFork(ctx context.Context, name intent.Name, at uint64) error {
	target := Open(l.store, l.tree.Fork(name))
	f, index, err := target.readFork(ctx)
	if err != nil {
		return err
	}
	if index > 0 && f.State != Removing {
		if err := target.closeFork(ctx, at); err != nil {
			return fmt.Errorf("remove fork %s: %w", name, err)
		}
	}
	pairs, _, err := l.store.List(ctx, target.tree.Own(), store.Consistent)
	if err != nil {
		return err
	}
	if index == 0 {
		if _, pinned, err := l.store.Get(ctx, l.pinKey(name), store.Default); err != nil || !pinned {
			return fmt.Errorf("remove fork %s: %w", name, orNoSuch(err))
		}
	}
	// Delete the retention state, which blocks writers, and the fork record last, so that an interrupted removal is
	// still recognisable.
	var ops []store.Change
	for _, pair := range pairs {
		if pair.Key != target.forkKey() && pair.Key != target.retentionKey() {
			ops = append(ops, store.Change{Verb: store.Remove, Key: pair.Key})
		}
	}
	for _, key := range []string{target.retentionKey(), target.forkKey(), l.pinKey(name)} {
		ops = append(ops, store.Change{Verb: store.Remove, Key: key})
	}
	for some := range slices.Chunk(ops, store.MaxOps) {
		if _, err := l.store.Commit(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// closeFork marks a fork as being removed, which blocks commits to it.
func (l *Log) closeFork(ctx context.Context, at uint64) error {
	_, err := l.updateRetention(ctx, func(w *retentionState, head Head) ([]store.Change, error) {
		if at > 0 && head.Seq != at {
			return nil, fmt.Errorf("%w: its newest commit is %d, not %d", ErrChanged, head.Seq, at)
		}
		f, index, err := l.readFork(ctx)
		if err == nil && index == 0 {
			err = ErrNoSuch
		}
		if err != nil {
			return nil, err
		}
		f.State, w.Closed = Removing, true
		ops := []store.Change{{Verb: store.CAS, Key: l.forkKey(), Value: encodeJSON(f), Index: index}}
		if head.Seq > 0 {
			ops = append(ops, head.touch(l)) // makes commits planned before fail
		}
		return ops, nil
	})
	return err
}

func orNoSuch(err error) error {
	if err == nil {
		return ErrNoSuch
	}
	return err
}
