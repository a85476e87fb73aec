package history

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/platypus-platform/platypus/store"
)

const (
	maxWhole  = 4 << 10 // bytes of a value, deflated, that a record holds as a whole; more becomes a blob
	maxDeltas = 31      // that rest on one keyframe
	frames    = 32 << 20
)

// keep chooses how the values of a plan are kept: small ones whole, the rest as what differs from a keyframe where that
// is a quarter at most, or as a blob. Blobs are written before the transaction, which needs no operation to make sure that
// they and the keyframes are still there: whoever is about to delete such a thing moves the head first.
func (l *Log) keep(ctx context.Context, p *plan, w window) error {
	for i := range p.commits {
		for j := range p.commits[i].Changes {
			x := &p.commits[i].Changes[j]
			if x.Op == Delete || x.Size <= maxWhole {
				continue
			}
			full := deflate(nil, x.Value)
			ok, err := l.keepDelta(ctx, x, len(full), w)
			if err == nil && !ok && len(full) > maxWhole {
				err = l.keepBlob(ctx, x, full)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// keepDelta tries to keep a value as a delta.
func (l *Log) keepDelta(ctx context.Context, x *Change, full int, w window) (bool, error) {
	e, known := l.tip.entries[x.Key]
	if !known || e.anchor < max(w.Floor.Seq, 1) || e.deltas >= maxDeltas {
		return false, nil
	}
	frame, err := l.frame(ctx, x.Key, e)
	if err != nil || frame == nil {
		return false, err
	}
	if d := deflateLike(frame, x.Value); 4*len(d) <= full {
		x.stored.how, x.stored.anchor, x.stored.data = delta, e.anchor, d
		return true, nil
	}
	return false, nil
}

// frame is the value that deltas of a key rest on; nil when it cannot be had.
func (l *Log) frame(ctx context.Context, key string, e entry) ([]byte, error) {
	at := footing{e.anchor, key}
	if data, ok := l.frames[at]; ok {
		return data, nil
	}
	found, err := l.anchors(ctx, []want{{key, Hash{}, stored{how: delta, anchor: e.anchor}}})
	if err != nil {
		return nil, err
	}
	w, ok := found[at]
	if !ok {
		return nil, nil
	}
	results, faults, err := l.data(ctx, []want{w})
	if err != nil || faults[0] != nil {
		return nil, err // a keyframe that cannot be believed is not rested upon
	}
	l.remember(at, results[0])
	return results[0], nil
}

// remember keeps a keyframe at hand, within bounds.
func (l *Log) remember(at footing, data []byte) {
	size := len(data)
	for _, frame := range l.frames {
		size += len(frame)
	}
	if size > frames {
		clear(l.frames)
	}
	for old := range l.frames {
		if old.key == at.key {
			delete(l.frames, old)
		}
	}
	l.frames[at] = data
}

// keepBlob has a value lie under its hash.
func (l *Log) keepBlob(ctx context.Context, x *Change, full []byte) error {
	key := l.blobKey(x.SHA)
	_, found, err := l.store.Get(ctx, key, store.Default)
	if err == nil && !found {
		err = l.store.Put(ctx, key, full)
	}
	x.stored.how, x.stored.data = blob, nil
	return err
}

// fit seals a plan. When it is too large for one transaction, values move out of the record, the largest first.
func (l *Log) fit(ctx context.Context, p *plan, head Head) error {
	sealed, err := l.chain(*p, head)
	for moved := 1; errors.Is(err, store.ErrTooLarge); moved *= 2 {
		var inline []*Change
		for i := range p.commits {
			for j := range p.commits[i].Changes {
				if x := &p.commits[i].Changes[j]; x.Op == Put && x.stored.how == whole && x.Size > 256 {
					inline = append(inline, x)
				}
			}
		}
		slices.SortStableFunc(inline, func(a, b *Change) int { return cmp.Compare(b.Size, a.Size) })
		if len(inline) == 0 || len(p.ops)+len(p.commits) >= store.MostOps {
			return err
		}
		for _, x := range inline[:min(moved, len(inline))] {
			if err := l.keepBlob(ctx, x, deflate(nil, x.Value)); err != nil {
				return err
			}
		}
		sealed, err = l.chain(*p, head)
	}
	if err == nil {
		*p = sealed
	}
	return err
}
