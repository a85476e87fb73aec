package history

import (
	"context"
	"fmt"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// valueRef is a value to decode.
type valueRef struct {
	key string
	sha Hash
	storedValue
}

// keyframeID names a keyframe: its commit and key.
type keyframeID struct {
	seq uint64
	key string
}

// decodeValues decodes values with one read for all keyframes and one for all blobs. A value that cannot be decoded, or
// does not match its hash, has an error of its own; the last result is an error of the store.
func (l *Log) decodeValues(ctx context.Context, wants []valueRef) ([][]byte, []error, error) {
	keyframes, err := l.readKeyframes(ctx, wants)
	if err != nil {
		return nil, nil, err
	}
	blobs, err := l.readBlobs(ctx, append(wants, refsOf(keyframes)...))
	if err != nil {
		return nil, nil, err
	}
	results, faults := make([][]byte, len(wants)), make([]error, len(wants))
	for i, w := range wants {
		var dict []byte
		if w.encoding == delta {
			if dict, faults[i] = keyframes[keyframeID{w.keyframe, w.key}].decode(blobs, nil); faults[i] != nil {
				faults[i] = fmt.Errorf("its keyframe, in entry %d: %w", w.keyframe, faults[i])
				continue
			}
		}
		results[i], faults[i] = w.decode(blobs, dict)
	}
	return results, faults, nil
}

// decode decodes one value and verifies its hash.
func (w valueRef) decode(blobs map[Hash][]byte, dict []byte) (data []byte, err error) {
	switch w.encoding {
	case inline:
		data = w.storedValue.data
	case delta:
		data, err = inflate(w.storedValue.data, "", dict)
	case blob:
		data, err = inflate(blobs[w.sha], "", nil)
	default:
		err = fmt.Errorf("it is kept in a way %q that is not known here", w.encoding)
	}
	if err == nil && HashOf(data) != w.sha {
		err = fmt.Errorf("its bytes have another hash than %s", w.sha)
	}
	if err != nil {
		return nil, fmt.Errorf("the value of %s: %w", w.key, err)
	}
	return data, nil
}

// readKeyframes reads the keyframes of deltas, still encoded.
func (l *Log) readKeyframes(ctx context.Context, wants []valueRef) (map[keyframeID]valueRef, error) {
	found := map[keyframeID]valueRef{}
	var keys []string
	asked := map[uint64]bool{}
	for _, w := range wants {
		if w.encoding == delta && !asked[w.keyframe] {
			asked[w.keyframe] = true
			keys = append(keys, l.commitKey(w.keyframe))
		}
	}
	err := l.getAll(ctx, keys, func(pair intent.Pair) {
		c := readEntry(seqIn(l, pair.Key), pair)
		for _, x := range c.Changes {
			if x.Op == Put {
				found[keyframeID{c.Seq, x.Key}] = valueRef{x.Key, x.SHA, x.stored}
			}
		}
	})
	return found, err
}

func seqIn(l *Log, key string) uint64 {
	seq, _ := l.seqOf(key)
	return seq
}

// readBlobs reads the blobs that are needed, by the hash of their decoded value.
func (l *Log) readBlobs(ctx context.Context, wants []valueRef) (map[Hash][]byte, error) {
	found := map[Hash][]byte{}
	hashes := map[string]Hash{}
	var keys []string
	for _, w := range wants {
		if key := l.blobKey(w.sha); w.encoding == blob && hashes[key] == (Hash{}) {
			hashes[key] = w.sha
			keys = append(keys, key)
		}
	}
	err := l.getAll(ctx, keys, func(pair intent.Pair) { found[hashes[pair.Key]] = pair.Value })
	return found, err
}

// getAll reads any number of keys and calls do for each, absent ones included.
func (l *Log) getAll(ctx context.Context, keys []string, do func(intent.Pair)) error {
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

func refsOf(m map[keyframeID]valueRef) (list []valueRef) {
	for _, w := range m {
		list = append(list, w)
	}
	return list
}

// loadValues loads the values of commits. A value that cannot be decoded sets the commit's Fault.
func (l *Log) loadValues(ctx context.Context, commits []Commit) error {
	var wants []valueRef
	var positions [][2]int
	for i, c := range commits {
		for j, x := range c.Changes {
			if x.Op == Put && c.Fault == nil {
				wants, positions = append(wants, valueRef{x.Key, x.SHA, x.stored}), append(positions, [2]int{i, j})
			}
		}
	}
	results, faults, err := l.decodeValues(ctx, wants)
	if err != nil {
		return err
	}
	for n, at := range positions {
		c := &commits[at[0]]
		c.Changes[at[1]].Value = results[n]
		if faults[n] != nil && c.Fault == nil {
			c.Fault = fmt.Errorf("%w: entry %d: %w", ErrForged, c.Seq, faults[n])
		}
	}
	return nil
}

// loadStateValues loads the missing values of a state. A value that cannot be decoded becomes a fault of the state.
func (l *Log) loadStateValues(ctx context.Context, s *State) error {
	var wants []valueRef
	for key, e := range s.entries {
		if e.Data == nil {
			wants = append(wants, valueRef{key, e.SHA, e.storedValue})
		}
	}
	results, faults, err := l.decodeValues(ctx, wants)
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
