package history

import (
	"context"
	"fmt"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// want is a value that is to be made of how it is kept.
type want struct {
	key string
	sha Hash
	stored
}

// place of the commit that a delta rests on, and of the key in it.
type footing struct {
	seq uint64
	key string
}

// data makes values. It costs one read for all the anchors of deltas and one for all the blobs. What cannot be made, or is
// not what its hash says, comes with an error of its own; the last result is the store's.
func (l *Log) data(ctx context.Context, wants []want) ([][]byte, []error, error) {
	anchors, err := l.anchors(ctx, wants)
	if err != nil {
		return nil, nil, err
	}
	blobs, err := l.blobs(ctx, append(wants, values(anchors)...))
	if err != nil {
		return nil, nil, err
	}
	results, faults := make([][]byte, len(wants)), make([]error, len(wants))
	for i, w := range wants {
		var dict []byte
		if w.how == delta {
			if dict, faults[i] = anchors[footing{w.anchor, w.key}].plain(blobs, nil); faults[i] != nil {
				faults[i] = fmt.Errorf("its keyframe, in entry %d: %w", w.anchor, faults[i])
				continue
			}
		}
		results[i], faults[i] = w.plain(blobs, dict)
	}
	return results, faults, nil
}

// plain makes one value of what was read.
func (w want) plain(blobs map[Hash][]byte, dict []byte) (data []byte, err error) {
	switch w.how {
	case whole:
		data = w.stored.data
	case delta:
		data, err = inflate(w.stored.data, "", dict)
	case blob:
		data, err = inflate(blobs[w.sha], "", nil)
	default:
		err = fmt.Errorf("it is kept in a way %q that is not known here", w.how)
	}
	if err == nil && HashOf(data) != w.sha {
		err = fmt.Errorf("its bytes have another hash than %s", w.sha)
	}
	if err != nil {
		return nil, fmt.Errorf("the value of %s: %w", w.key, err)
	}
	return data, nil
}

// anchors reads the values that deltas rest on, as they are kept.
func (l *Log) anchors(ctx context.Context, wants []want) (map[footing]want, error) {
	found := map[footing]want{}
	var keys []string
	asked := map[uint64]bool{}
	for _, w := range wants {
		if w.how == delta && !asked[w.anchor] {
			asked[w.anchor] = true
			keys = append(keys, l.commitKey(w.anchor))
		}
	}
	err := l.together(ctx, keys, func(pair intent.Pair) {
		c := readEntry(seqIn(l, pair.Key), pair)
		for _, x := range c.Changes {
			if x.Op == Put {
				found[footing{c.Seq, x.Key}] = want{x.Key, x.SHA, x.stored}
			}
		}
	})
	return found, err
}

func seqIn(l *Log, key string) uint64 {
	seq, _ := l.seqOf(key)
	return seq
}

// blobs reads the blobs that are wanted, by the hash of their plain value.
func (l *Log) blobs(ctx context.Context, wants []want) (map[Hash][]byte, error) {
	found := map[Hash][]byte{}
	hashes := map[string]Hash{}
	var keys []string
	for _, w := range wants {
		if key := l.blobKey(w.sha); w.how == blob && hashes[key] == (Hash{}) {
			hashes[key] = w.sha
			keys = append(keys, key)
		}
	}
	err := l.together(ctx, keys, func(pair intent.Pair) { found[hashes[pair.Key]] = pair.Value })
	return found, err
}

// together calls do for each of any number of keys, absent ones too.
func (l *Log) together(ctx context.Context, keys []string, do func(intent.Pair)) error {
	for len(keys) > 0 {
		n := min(len(keys), store.MostOps)
		pairs, err := l.store.Together(ctx, keys[:n])
		if err != nil {
			return err
		}
		for _, pair := range pairs {
			do(pair)
		}
		keys = keys[n:]
	}
	return nil
}

func values(m map[footing]want) (list []want) {
	for _, w := range m {
		list = append(list, w)
	}
	return list
}

// resolve fills in the values of commits. One that cannot be made leaves its commit with a fault.
func (l *Log) resolve(ctx context.Context, commits []Commit) error {
	var wants []want
	var places [][2]int
	for i, c := range commits {
		for j, x := range c.Changes {
			if x.Op == Put && c.Fault == nil {
				wants, places = append(wants, want{x.Key, x.SHA, x.stored}), append(places, [2]int{i, j})
			}
		}
	}
	results, faults, err := l.data(ctx, wants)
	if err != nil {
		return err
	}
	for n, at := range places {
		c := &commits[at[0]]
		c.Changes[at[1]].Value = results[n]
		if faults[n] != nil && c.Fault == nil {
			c.Fault = fmt.Errorf("%w: entry %d: %w", ErrForged, c.Seq, faults[n])
		}
	}
	return nil
}

// fill fills in those values of a state that are not there yet. One that cannot be made is a fault of the state.
func (l *Log) fill(ctx context.Context, s *State) error {
	var wants []want
	for key, e := range s.entries {
		if e.Data == nil {
			wants = append(wants, want{key, e.SHA, e.stored})
		}
	}
	results, faults, err := l.data(ctx, wants)
	if err != nil {
		return err
	}
	for i, w := range wants {
		e := s.entries[w.key]
		if e.Data = results[i]; faults[i] != nil {
			err := fmt.Errorf("%w: entry %d: %w", ErrForged, e.Seq, faults[i])
			s.Faults = append(s.Faults, Fault{Seq: e.Seq, Key: w.key, Err: err, Why: err.Error()})
		} else if e.Data == nil {
			e.Data = []byte{}
		}
		s.entries[w.key] = e
	}
	return nil
}
