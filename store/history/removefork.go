package history

import (
	"context"
	"fmt"
	"slices"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// ForkLoss is what is lost when a fork is removed.
type ForkLoss struct {
	Head     uint64   `json:"head"`     // the newest commit of the fork
	Forks    []string `json:"forks"`    // the forks that were made of it, and of those, such as staging/try
	Unjoined int      `json:"unjoined"` // its commits that were never joined into the tree that it comes from
	Plain    int      `json:"plain"`    // keys of it that plain writes changed and no commit records
}

// Any reports whether anything would be lost that is nowhere else.
func (f ForkLoss) Any() bool { return len(f.Forks) > 0 || f.Unjoined > 0 || f.Plain > 0 }

// ForkLoss says what would be lost with a fork. One that is half made or half removed has nothing to lose.
func (l *Log) ForkLoss(ctx context.Context, name intent.Name) (loss ForkLoss, err error) {
	target := Open(l.store, l.tree.Fork(name))
	f, index, err := target.forked(ctx)
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

// unjoined counts the commits of a fork, whose newest is head, that came after the last join into the tree that it comes
// from. Those that a join in the other direction made are that tree's own.
func (f Forked) unjoined(root string, head uint64) int {
	joined := uint64(1) // the first commit is a copy
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

// RemoveFork deletes a fork with its history and all forks of it, and lets go of the commit that it came from. Unless at is
// 0, it must be the newest commit of the fork still: otherwise that is an [ErrChanged] and nothing is deleted.
func (l *Log) RemoveFork(ctx context.Context, name intent.Name, at uint64) error {
	target := Open(l.store, l.tree.Fork(name))
	f, index, err := target.forked(ctx)
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
	// The window, which keeps writers out, and the record go last, so that whoever dies on the way leaves something that says
	// what it is.
	var ops []store.Change
	for _, pair := range pairs {
		if pair.Key != target.forkKey() && pair.Key != target.windowKey() {
			ops = append(ops, store.Change{Verb: store.Remove, Key: pair.Key})
		}
	}
	for _, key := range []string{target.windowKey(), target.forkKey(), l.pinKey(name)} {
		ops = append(ops, store.Change{Verb: store.Remove, Key: key})
	}
	for some := range slices.Chunk(ops, store.MaxOps) {
		if _, err := l.store.Commit(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// closeFork marks a fork as one that is being removed: nobody commits to it any more.
func (l *Log) closeFork(ctx context.Context, at uint64) error {
	_, err := l.turn(ctx, func(w *window, head Head) ([]store.Change, error) {
		if at > 0 && head.Seq != at {
			return nil, fmt.Errorf("%w: its newest commit is %d, not %d", ErrChanged, head.Seq, at)
		}
		f, index, err := l.forked(ctx)
		if err == nil && index == 0 {
			err = ErrNoSuch
		}
		if err != nil {
			return nil, err
		}
		f.State, w.Closed = Removing, true
		ops := []store.Change{{Verb: store.CAS, Key: l.forkKey(), Value: encodeJSON(f), Index: index}}
		if head.Seq > 0 {
			ops = append(ops, head.move(l)) // a commit that was drawn up before fails
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
