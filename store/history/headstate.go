package history

import (
	"context"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// look is what a writer knows when it decides: all of it as of one moment, and the log up to then.
type look struct {
	head   Head
	window window
	live   map[string]intent.Pair // by key below the tree; ModifyIndex 0: absent
	fresh  []Commit               // those that came since the log was last looked at
	short  bool                   // the tip knows the keys of a request alone
}

// look reads the head, the window and some keys, and brings the tip up to date. l.mu must be held.
func (l *Log) look(ctx context.Context, keys []string) (look, error) {
	v, _, err := l.read(ctx, keys, nil)
	if err != nil {
		return v, err
	}
	v.fresh, err = l.catchUp(ctx, v.head, v.window)
	return v, err
}

// read reads the head, the window, some keys and some shelves of names.
func (l *Log) read(ctx context.Context, keys []string, shelves []int) (v look, n names, err error) {
	v, n = look{live: make(map[string]intent.Pair, len(keys))}, names{}
	paths := []string{l.headKey(), l.windowKey()}
	for _, key := range keys {
		paths = append(paths, l.path(key))
	}
	for _, shelf := range shelves {
		paths = append(paths, l.shelfKey(shelf))
	}
	var pairs []intent.Pair
	for len(paths) > 0 {
		n := min(len(paths), store.MostOps)
		some, err := l.store.Together(ctx, paths[:n])
		if err != nil {
			return v, nil, err
		}
		pairs, paths = append(pairs, some...), paths[n:]
	}
	if v.head, err = parseHead(pairs[0]); err != nil {
		return v, nil, err
	}
	if v.window, err = parseWindow(pairs[1]); err != nil {
		return v, nil, err
	}
	for i, key := range keys {
		v.live[key] = pairs[i+2]
	}
	for i, shelf := range shelves {
		n[shelf] = pairs[i+2+len(keys)].Value
	}
	return v, n, nil
}

// catchUp brings the tip to the head and returns the commits that it did not know.
func (l *Log) catchUp(ctx context.Context, head Head, w window) ([]Commit, error) {
	if l.tip.Seq > head.Seq || l.tip.Seq == head.Seq && l.tip.Hash != head.Hash {
		l.rewind()
	}
	based := l.tip.Seq == 0
	if based && head.Seq > 0 {
		base, err := l.base(ctx, head.Seq, w)
		if err != nil {
			return nil, err
		}
		l.tip = base
	}
	fresh, err := l.load(ctx, l.tip.Seq+1, head.Seq, head)
	if err != nil {
		return nil, err
	}
	if !based && len(fresh) > 0 && fresh[0].Fault == nil && fresh[0].Prev != l.tip.Hash {
		l.rewind()
		return l.catchUp(ctx, head, w)
	}
	for _, c := range fresh {
		l.tip.apply(c)
	}
	return fresh, nil
}

// rewind forgets a tip that the log does not know any more.
func (l *Log) rewind() {
	l.lost = &Head{Seq: l.tip.Seq, Hash: l.tip.Hash, ID: l.tip.id}
	l.tip = emptyState()
}
