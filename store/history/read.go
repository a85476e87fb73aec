package history

import (
	"context"
	"fmt"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// maxSingleReads is up to how many commits are read by key in a single transaction; more are read by listing.
const maxSingleReads = 16

// loadCommits reads the commits from..to, inclusive. A damaged entry has a Fault: each entry's hash is in the next one,
// and the last one's in the head.
func (l *Log) loadCommits(ctx context.Context, from, to uint64, head Head) ([]Commit, error) {
	to = min(to, head.Seq)
	if to < from {
		return nil, nil
	}
	last := min(to+2, head.Seq) // verify the next entry too, so that a forged one does not discredit a good one
	pairs, err := l.fetchEntries(ctx, from, last)
	if err != nil {
		return nil, err
	}
	commits := make([]Commit, 0, last-from+1)
	for seq := from; seq <= last; seq++ {
		commits = append(commits, readEntry(seq, pairs[seq]))
	}
	verifyChain(commits, head)
	return commits[:to-from+1], nil
}

// fetchEntries reads the entries from..to.
func (l *Log) fetchEntries(ctx context.Context, from, to uint64) (map[uint64]intent.Pair, error) {
	pairs := make(map[uint64]intent.Pair, to-from+1)
	if to-from < maxSingleReads {
		var keys []string
		for seq := from; seq <= to; seq++ {
			keys = append(keys, l.commitKey(seq))
		}
		found, err := l.store.Together(ctx, keys)
		for i, pair := range found {
			pairs[from+uint64(i)] = pair
		}
		return pairs, err
	}
	for seq := from - from%chunkSize; seq <= to; seq += chunkSize {
		found, _, err := l.store.List(ctx, l.chunkPrefix(seq), store.Default)
		if err != nil {
			return nil, err
		}
		for _, pair := range found {
			if n, ok := l.seqOf(pair.Key); ok {
				pairs[n] = pair
			}
		}
	}
	return pairs, nil
}

// readEntry decodes the entry at a key.
func readEntry(seq uint64, pair intent.Pair) Commit {
	if pair.ModifyIndex == 0 {
		return Commit{Seq: seq, Fault: fmt.Errorf("%w: entry %d is gone", ErrForged, seq)}
	}
	c, err := decode(pair.Value, pair.ModifyIndex)
	if err == nil && c.Seq != seq {
		err = fmt.Errorf("it says that it is entry %d", c.Seq)
	}
	if err == nil && pair.CreateIndex != pair.ModifyIndex {
		err = fmt.Errorf("it was written again at index %d", pair.ModifyIndex)
	}
	if err != nil {
		return Commit{Seq: seq, Index: pair.ModifyIndex, Hash: HashOf(pair.Value), Fault: fmt.Errorf("%w: entry %d: %w", ErrForged, seq, err)}
	}
	return c
}

// verifyChain marks the entries whose hash does not match the next entry, or the head. An entry with a fault does not
// count as evidence.
func verifyChain(commits []Commit, head Head) {
	for i := len(commits) - 1; i >= 0; i-- {
		c := &commits[i]
		wanted, witness := head.Hash, "the head"
		switch {
		case c.Fault != nil || i+1 == len(commits) && c.Seq != head.Seq:
			continue
		case i+1 < len(commits) && commits[i+1].Fault != nil:
			continue
		case i+1 < len(commits):
			wanted, witness = commits[i+1].Prev, fmt.Sprintf("entry %d", c.Seq+1)
		}
		if c.Hash != wanted {
			c.Fault = fmt.Errorf("%w: entry %d has hash %s, %s says %s", ErrForged, c.Seq, c.Hash, witness, wanted)
		}
	}
}
