package history

import (
	"context"
	"errors"
	"fmt"

	"github.com/platypus-platform/platypus/store"
)

// Verify reads all of the log and names every entry, value and checkpoint that cannot be believed.
func (l *Log) Verify(ctx context.Context) ([]Fault, error) {
	head, w, err := l.bounds(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.entryWithoutHead(ctx, head); errors.Is(err, ErrForged) {
		return []Fault{{Err: err, Why: err.Error()}}, nil
	} else if err != nil {
		return nil, err
	}
	s := emptyState()
	if w.Floor.Seq > 0 {
		if s, err = l.base(ctx, w.Floor.Seq, w); err != nil {
			return []Fault{{Seq: w.Floor.Seq, Err: err, Why: err.Error()}}, nil
		}
	}
	for low := s.Seq + 1; low <= head.Seq; low = low - low%chunk + chunk {
		commits, err := l.load(ctx, low, min(head.Seq, low-low%chunk+chunk-1), head)
		if err == nil {
			err = l.resolve(ctx, commits)
		}
		if err != nil {
			return nil, err
		}
		for _, c := range commits {
			s.apply(c)
			if err := l.verifyCheckpoint(ctx, c, s, w); err != nil {
				s.Faults = append(s.Faults, Fault{Seq: c.Seq, Err: err, Why: err.Error()})
			}
		}
	}
	if s.Seq != head.Seq || s.Hash != head.Hash {
		err := fmt.Errorf("%w: the head says that %d with hash %s is the newest", ErrForged, head.Seq, head.Hash)
		s.Faults = append(s.Faults, Fault{Seq: s.Seq, Err: err, Why: err.Error()})
	}
	return s.Faults, nil
}

// verifyCheckpoint holds the checkpoint that was made after a commit, if one was, against the state there.
func (l *Log) verifyCheckpoint(ctx context.Context, c Commit, s *State, w window) error {
	m, ok := w.before(c.Seq)
	if !ok || m.Seq != c.Seq || len(s.Faults) > 0 {
		return nil
	}
	pairs, _, err := l.store.List(ctx, l.partsPrefix(m.Seq), store.Default)
	if err != nil {
		return err
	}
	kept, err := assemble(m, pairs)
	if err != nil {
		return fmt.Errorf("%w: checkpoint %d: %w", ErrForged, m.Seq, err)
	}
	for key, e := range s.entries {
		if k, ok := kept.entries[key]; !ok || k.SHA != e.SHA || k.Seq != e.Seq {
			return fmt.Errorf("%w: checkpoint %d: %s is not what entry %d says", ErrForged, m.Seq, key, e.Seq)
		}
	}
	if len(kept.entries) != len(s.entries) || kept.Hash != s.Hash {
		return fmt.Errorf("%w: checkpoint %d is not the state after entry %d", ErrForged, m.Seq, m.Seq)
	}
	return nil
}

// Confirm makes sure that the log still holds a commit that was seen before. If it does not, the store was restored to
// what it was earlier, or somebody rewrote it: [ErrRewound]. One that was compacted away since cannot be told and passes.
func (l *Log) Confirm(ctx context.Context, seen Head) error {
	if seen.Seq == 0 {
		return nil
	}
	head, w, err := l.bounds(ctx)
	if err != nil || seen.Seq < w.Floor.Seq {
		return err
	}
	if seen.Seq > head.Seq {
		return fmt.Errorf("commit %d: %w: the newest is %d now", seen.Seq, ErrRewound, head.Seq)
	}
	commits, err := l.load(ctx, seen.Seq, seen.Seq, head)
	if err != nil {
		return err
	}
	if commits[0].Hash != seen.Hash {
		return fmt.Errorf("commit %d: %w: its hash was %s and is %s", seen.Seq, ErrRewound, seen.Hash, commits[0].Hash)
	}
	return nil
}

// Repair writes the head anew when it was lost and entries were left, and reports which commit it is at.
func (l *Log) Repair(ctx context.Context) (Head, error) {
	head, w, err := l.bounds(ctx)
	if err != nil || head.Seq > 0 && !errors.Is(err, ErrForged) {
		return head, err
	}
	names, err := l.store.Names(ctx, l.prefix.Join("c"))
	if err != nil || len(names) == 0 {
		return Head{}, errors.Join(err, orNothing(len(names)))
	}
	seq, ok := l.seqOf(names[len(names)-1])
	if !ok {
		return Head{}, fmt.Errorf("repair: %s is no entry: %w", names[len(names)-1], ErrForged)
	}
	pair, _, err := l.store.Get(ctx, l.commitKey(seq), store.Consistent)
	if err != nil {
		return Head{}, err
	}
	c := readEntry(seq, pair)
	head = Head{Seq: seq, ID: c.ID, Hash: c.Hash}
	_, err = l.turn(ctx, func(now *window, _ Head) ([]store.Change, error) {
		now.Born, now.Rebased = 0, rebase{seq, max(pair.ModifyIndex, w.index)}
		return []store.Change{{Verb: store.CAS, Key: l.headKey(), Value: head.encode()}}, nil
	})
	return head, err
}

func orNothing(n int) error {
	if n == 0 {
		return fmt.Errorf("repair: %w: there is no entry", ErrNoSuch)
	}
	return nil
}

// headless says what to do when entries lie there without a head, or nil.
func (l *Log) headless(ctx context.Context, v look) error {
	if v.head.index > 0 {
		return nil
	}
	err := l.entryWithoutHead(ctx, v.head)
	if errors.Is(err, ErrNoHead) {
		return err
	}
	// Somebody may just have made the first commit.
	head, again := l.Head(ctx)
	if err == nil && again == nil && head.Seq > 0 {
		again = store.ErrConflict
	}
	return errors.Join(err, again)
}

// entryWithoutHead is an [ErrNoHead] when there is no head and there are entries.
func (l *Log) entryWithoutHead(ctx context.Context, head Head) error {
	if head.Seq > 0 {
		return nil
	}
	blank, err := l.store.Blank(ctx, l.prefix.Join("c"))
	if err != nil || blank {
		return err
	}
	// Somebody may just have made the first commit.
	if now, err := l.Head(ctx); err != nil || now.Seq > 0 {
		return err
	}
	return fmt.Errorf("%w: %w: %s does not exist, but entries do", ErrForged, ErrNoHead, l.headKey())
}
