package history

import (
	"context"
	"errors"
	"fmt"

	"github.com/platypus-platform/platypus/store"
)

// Verify reads the whole log and reports every damaged entry, value and checkpoint.
func (l *Log) Verify(ctx context.Context) ([]Fault, error) {
	head, w, err := l.readBounds(ctx)
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
		if s, err = l.baseState(ctx, w.Floor.Seq, w); err != nil {
			return []Fault{{Seq: w.Floor.Seq, Err: err, Why: err.Error()}}, nil
		}
	}
	for low := s.Seq + 1; low <= head.Seq; low = low - low%chunkSize + chunkSize {
		commits, err := l.loadCommits(ctx, low, min(head.Seq, low-low%chunkSize+chunkSize-1), head)
		if err == nil {
			err = l.loadValues(ctx, commits)
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

// verifyCheckpoint compares the checkpoint of a commit, if there is one, with the state after it.
func (l *Log) verifyCheckpoint(ctx context.Context, c Commit, s *State, w retentionState) error {
	m, ok := w.checkpointAt(c.Seq)
	if !ok || m.Seq != c.Seq || len(s.Faults) > 0 {
		return nil
	}
	pairs, _, err := l.store.List(ctx, l.partsPrefix(m.Seq), store.Default)
	if err != nil {
		return err
	}
	checkpoint, err := assembleCheckpoint(m, pairs)
	if err != nil {
		return fmt.Errorf("%w: checkpoint %d: %w", ErrForged, m.Seq, err)
	}
	for key, e := range s.entries {
		if k, ok := checkpoint.entries[key]; !ok || k.SHA != e.SHA || k.Seq != e.Seq {
			return fmt.Errorf("%w: checkpoint %d: %s is not what entry %d says", ErrForged, m.Seq, key, e.Seq)
		}
	}
	if len(checkpoint.entries) != len(s.entries) || checkpoint.Hash != s.Hash {
		return fmt.Errorf("%w: checkpoint %d is not the state after entry %d", ErrForged, m.Seq, m.Seq)
	}
	return nil
}

// Confirm checks that the log still contains a commit seen before. If not, the store was restored to an earlier state
// or the log was rewritten: [ErrRewound]. A commit that was compacted since cannot be checked and passes.
func (l *Log) Confirm(ctx context.Context, seen Head) error {
	if seen.Seq == 0 {
		return nil
	}
	head, w, err := l.readBounds(ctx)
	if err != nil || seen.Seq < w.Floor.Seq {
		return err
	}
	if seen.Seq > head.Seq {
		return fmt.Errorf("commit %d: %w: the newest is %d now", seen.Seq, ErrRewound, head.Seq)
	}
	commits, err := l.loadCommits(ctx, seen.Seq, seen.Seq, head)
	if err != nil {
		return err
	}
	if commits[0].Hash != seen.Hash {
		return fmt.Errorf("commit %d: %w: its hash was %s and is %s", seen.Seq, ErrRewound, seen.Hash, commits[0].Hash)
	}
	return nil
}

// Repair rewrites a lost head from the remaining entries, and returns it.
func (l *Log) Repair(ctx context.Context) (Head, error) {
	head, w, err := l.readBounds(ctx)
	if err != nil || head.Seq > 0 && !errors.Is(err, ErrForged) {
		return head, err
	}
	names, err := l.store.Names(ctx, l.prefix.Join("c"))
	if err != nil || len(names) == 0 {
		return Head{}, errors.Join(err, orNoEntries(len(names)))
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
	_, err = l.updateRetention(ctx, func(now *retentionState, _ Head) ([]store.Change, error) {
		now.HeadCreated, now.IndexReset = 0, indexReset{seq, max(pair.ModifyIndex, w.index)}
		return []store.Change{{Verb: store.CAS, Key: l.headKey(), Value: head.encode()}}, nil
	})
	return head, err
}

func orNoEntries(n int) error {
	if n == 0 {
		return fmt.Errorf("repair: %w: there is no entry", ErrNoSuch)
	}
	return nil
}

// checkHeadless returns an error if entries exist without a head.
func (l *Log) checkHeadless(ctx context.Context, v headState) error {
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

// entryWithoutHead returns [ErrNoHead] if there are entries without a head.
func (l *Log) entryWithoutHead(ctx context.Context, head Head) error {
	if head.Seq > 0 {
		return nil
	}
	empty, err := l.store.Blank(ctx, l.prefix.Join("c"))
	if err != nil || empty {
		return err
	}
	// Somebody may just have made the first commit.
	if now, err := l.Head(ctx); err != nil || now.Seq > 0 {
		return err
	}
	return fmt.Errorf("%w: %w: %s does not exist, but entries do: platypus history repair", ErrForged, ErrNoHead, l.headKey())
}
