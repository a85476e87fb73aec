package history

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/platypus-platform/platypus/store"
)

// sweepCommits deletes the entries below the floor. Those that hold the keyframe of an entry that stays, stay. It reads
// them after the floor was moved: from then on no writer rests anything on what lies below it.
func (l *Log) sweepCommits(ctx context.Context) (int, error) {
	head, w, err := l.bounds(ctx)
	if err != nil || w.Floor.Seq == 0 {
		return 0, err
	}
	names, err := l.store.Names(ctx, l.prefix.Join("c"))
	if err != nil {
		return 0, err
	}
	var low []string
	for _, key := range names {
		if seq, ok := l.seqOf(key); ok && seq < w.Floor.Seq {
			low = append(low, key)
		}
	}
	if len(low) == 0 {
		return 0, nil
	}
	frames := map[string]bool{}
	if err := l.scan(ctx, w.Floor.Seq, head, func(x Change) {
		if x.stored.how == delta {
			frames[l.commitKey(x.stored.anchor)] = true
		}
	}); err != nil {
		return 0, err
	}
	return l.remove(ctx, slices.DeleteFunc(low, func(key string) bool { return frames[key] }))
}

// scan goes through the changes of the entries from one on.
func (l *Log) scan(ctx context.Context, from uint64, head Head, do func(Change)) error {
	for low := from; low <= head.Seq; low = low - low%chunk + chunk {
		commits, err := l.load(ctx, low, min(head.Seq, low-low%chunk+chunk-1), head)
		if err != nil {
			return err
		}
		for _, c := range commits {
			for _, x := range c.Changes {
				do(x)
			}
		}
	}
	return nil
}

// remove deletes keys, some at a time; with more operations that each time must succeed, too.
func (l *Log) remove(ctx context.Context, keys []string, with ...store.Change) (n int, err error) {
	for some := range slices.Chunk(keys, store.MaxOps-len(with)) {
		ops := slices.Clone(with)
		for _, key := range some {
			ops = append(ops, store.Change{Verb: store.Remove, Key: key})
		}
		if _, err := l.store.Commit(ctx, ops); err != nil {
			return n, err
		}
		n += len(some)
	}
	return n, nil
}

// sweepCheckpoints deletes those below the floor. One above it that the window does not know may be about to be made.
func (l *Log) sweepCheckpoints(ctx context.Context) (int, error) {
	_, w, err := l.bounds(ctx)
	if err != nil {
		return 0, err
	}
	prefix := l.prefix.Join("cp")
	names, err := l.store.Names(ctx, prefix)
	if err != nil {
		return 0, err
	}
	return l.remove(ctx, slices.DeleteFunc(names, func(key string) bool {
		rest, _ := prefix.Below(key)
		number, _, _ := strings.Cut(rest, "/")
		seq, err := strconv.ParseUint(number, 10, 64)
		return err != nil || seq >= w.Floor.Seq
	}))
}

// sweepBlobs deletes the blobs that no entry names. It moves the head with each delete: a commit that came between its
// reading and its deleting makes it fail, and one that is about to name a blob fails in turn.
func (l *Log) sweepBlobs(ctx context.Context) (int, error) {
	total := 0
	for range 100 { // a log that is written all the time is swept another time
		names, err := l.store.Names(ctx, l.prefix.Join("b"))
		if err != nil || len(names) == 0 {
			return total, err
		}
		head, w, err := l.bounds(ctx)
		if err != nil {
			return total, err
		}
		used := map[string]bool{}
		note := func(x Change) {
			if x.stored.how == blob {
				used[l.blobKey(x.SHA)] = true
			}
		}
		entries, err := l.store.Names(ctx, l.prefix.Join("c"))
		if err != nil {
			return total, err
		}
		for _, key := range entries { // keyframes that stayed below the floor
			if seq, ok := l.seqOf(key); ok && seq < w.Floor.Seq {
				commits, err := l.load(ctx, seq, seq, Head{Seq: seq})
				if err != nil {
					return total, err
				}
				for _, x := range commits[0].Changes {
					note(x)
				}
			}
		}
		if err := l.scan(ctx, max(w.Floor.Seq, 1), head, note); err != nil {
			return total, err
		}
		idle := slices.DeleteFunc(names, func(key string) bool { return used[key] })
		idle = idle[:min(len(idle), store.MaxOps-1)]
		if len(idle) == 0 {
			return total, nil
		}
		n, err := l.remove(ctx, idle, head.move(l))
		if total += n; err != nil && !errors.Is(err, store.ErrConflict) {
			return total, err
		}
	}
	return total, nil
}
