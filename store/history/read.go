package history

import (
	"context"
	"fmt"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// few is how many commits are read one by one, in a single transaction, rather than by listing their hundreds.
const few = 16

// load reads the commits from..to, both included, of a log with that head. An entry that cannot be believed comes with a
// fault: what vouches for an entry is the one after it, and for the last one the head.
func (l *Log) load(ctx context.Context, from, to uint64, head Head) ([]Commit, error) {
	to = min(to, head.Seq)
	if to < from {
		return nil, nil
	}
	last := min(to+2, head.Seq) // a forged witness must not discredit an honest entry, so the witness has one, too
	pairs, err := l.fetch(ctx, from, last)
	if err != nil {
		return nil, err
	}
	commits := make([]Commit, 0, last-from+1)
	for seq := from; seq <= last; seq++ {
		commits = append(commits, readEntry(seq, pairs[seq]))
	}
	distrust(commits, head)
	return commits[:to-from+1], nil
}

// fetch reads the entries from..to.
func (l *Log) fetch(ctx context.Context, from, to uint64) (map[uint64]intent.Pair, error) {
	pairs := make(map[uint64]intent.Pair, to-from+1)
	if to-from < few {
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
	for seq := from - from%chunk; seq <= to; seq += chunk {
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

// readEntry makes a commit of what lies at its key.
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

// distrust marks the entries whose hash is not what the entry after them, or the head, says. Who is not believed
// vouches for nobody.
func distrust(commits []Commit, head Head) {
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
