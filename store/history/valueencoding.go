package history

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/platypus-platform/platypus/store"
)

const (
	maxInline        = 4 << 10 // bytes of a compressed value in a record; larger ones become blobs
	maxDeltas        = 31      // deltas per keyframe
	maxKeyframeBytes = 32 << 20
)

// encoding is how a value is stored.
type encoding string

// The encodings.
const (
	inline encoding = ""  // raw bytes in the record
	delta  encoding = "d" // in the record, compressed with the same key's value at commit keyframe as the dictionary
	blob   encoding = "b" // compressed, in a key of its own, named by its hash
)

// storedValue is a value in its stored form.
type storedValue struct {
	encoding encoding
	keyframe uint64 // commit of a delta's keyframe
	created  uint64 // CreateIndex of the key; 0: unknown
	data     []byte // encoded
}

// encodeValues chooses the encoding of a plan's values: small ones inline, larger ones as a delta if that is at most a
// quarter of the size, otherwise as a blob. Blobs are written before the transaction. No operation checks that they and
// the keyframes still exist, because deleting them touches the head first and makes this transaction fail.
func (l *Log) encodeValues(ctx context.Context, p *txnPlan, w retentionState) error {
	for i := range p.commits {
		for j := range p.commits[i].Changes {
			x := &p.commits[i].Changes[j]
			if x.Op == Delete || x.Size <= maxInline {
				continue
			}
			full := deflate(nil, x.Value)
			ok, err := l.asDelta(ctx, x, len(full), w)
			if err == nil && !ok && len(full) > maxInline {
				err = l.asBlob(ctx, x, full)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// asDelta encodes a value as a delta if that is worthwhile.
func (l *Log) asDelta(ctx context.Context, x *Change, full int, w retentionState) (bool, error) {
	e, known := l.tip.entries[x.Key]
	if !known || e.keyframe < max(w.Floor.Seq, 1) || e.deltas >= maxDeltas {
		return false, nil
	}
	keyframe, err := l.keyframe(ctx, x.Key, e)
	if err != nil || keyframe == nil {
		return false, err
	}
	if d := deflateWithDict(keyframe, x.Value); 4*len(d) <= full {
		x.stored.encoding, x.stored.keyframe, x.stored.data = delta, e.keyframe, d
		return true, nil
	}
	return false, nil
}

// keyframe returns the keyframe for new deltas of a key; nil if it is unreadable.
func (l *Log) keyframe(ctx context.Context, key string, e entry) ([]byte, error) {
	id := keyframeID{e.keyframe, key}
	if data, ok := l.keyframes[id]; ok {
		return data, nil
	}
	keyframes, err := l.readKeyframes(ctx, []valueRef{{key, Hash{}, storedValue{encoding: delta, keyframe: e.keyframe}}})
	if err != nil {
		return nil, err
	}
	w, ok := keyframes[id]
	if !ok {
		return nil, nil
	}
	results, faults, err := l.decodeValues(ctx, []valueRef{w})
	if err != nil || faults[0] != nil {
		return nil, err // do not build on a damaged keyframe
	}
	l.cacheKeyframe(id, results[0])
	return results[0], nil
}

// cacheKeyframe caches one keyframe per key, up to maxKeyframeBytes in total.
func (l *Log) cacheKeyframe(at keyframeID, data []byte) {
	size := len(data)
	for _, frame := range l.keyframes {
		size += len(frame)
	}
	if size > maxKeyframeBytes {
		clear(l.keyframes)
	}
	for other := range l.keyframes {
		if other.key == at.key {
			delete(l.keyframes, other)
		}
	}
	l.keyframes[at] = data
}

// asBlob stores a value under its hash.
func (l *Log) asBlob(ctx context.Context, x *Change, full []byte) error {
	key := l.blobKey(x.SHA)
	_, found, err := l.store.Get(ctx, key, store.Default)
	if err == nil && !found {
		err = l.store.Put(ctx, key, full)
	}
	x.stored.encoding, x.stored.data = blob, nil
	return err
}

// shrinkToFit links a plan. While it is too large for one transaction, values move from the record to blobs, the
// largest first.
func (l *Log) shrinkToFit(ctx context.Context, p *txnPlan, head Head) error {
	linked, err := l.link(*p, head)
	for count := 1; errors.Is(err, store.ErrTooLarge); count *= 2 {
		var candidates []*Change
		for i := range p.commits {
			for j := range p.commits[i].Changes {
				if x := &p.commits[i].Changes[j]; x.Op == Put && x.stored.encoding == inline && x.Size > 256 {
					candidates = append(candidates, x)
				}
			}
		}
		slices.SortStableFunc(candidates, func(a, b *Change) int { return cmp.Compare(b.Size, a.Size) })
		if len(candidates) == 0 || len(p.ops)+len(p.commits) >= store.MostOps {
			return err
		}
		for _, x := range candidates[:min(count, len(candidates))] {
			if err := l.asBlob(ctx, x, deflate(nil, x.Value)); err != nil {
				return err
			}
		}
		linked, err = l.link(*p, head)
	}
	if err == nil {
		*p = linked
	}
	return err
}
