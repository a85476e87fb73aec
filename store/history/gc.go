package history

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/platypus-platform/platypus/store"
)

// gcCommits deletes the commits below the floor, except those with the keyframe of a remaining one. It must run after
// the floor was raised: from then on no writer refers to a commit below it.
func (l *Log) gcCommits(ctx context.Context) (int, error) {
	head, w, err := l.readBounds(ctx)
	if err != nil || w.Floor.Seq == 0 {
		return 0, err
	}
	names, err := l.store.Names(ctx, l.prefix.Join("c"))
	if err != nil {
		return 0, err
	}
	var belowFloor []string
	for _, key := range names {
		if seq, ok := l.seqOf(key); ok && seq < w.Floor.Seq {
			belowFloor = append(belowFloor, key)
		}
	}
	if len(belowFloor) == 0 {
		return 0, nil
	}
	keyframes := map[string]bool{}
	if err := l.eachChange(ctx, w.Floor.Seq, head, func(x Change) {
		if x.stored.encoding == delta {
			keyframes[l.commitKey(x.stored.keyframe)] = true
		}
	}); err != nil {
		return 0, err
	}
	return l.removeKeys(ctx, slices.DeleteFunc(belowFloor, func(key string) bool { return keyframes[key] }))
}

// eachChange calls do for the changes of all commits from one on.
func (l *Log) eachChange(ctx context.Context, from uint64, head Head, do func(Change)) error {
	for low := from; low <= head.Seq; low = low - low%chunkSize + chunkSize {
		commits, err := l.loadCommits(ctx, low, min(head.Seq, low-low%chunkSize+chunkSize-1), head)
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

// removeKeys deletes keys in batches. Each batch includes the operations of with, so a conflict there stops it.
func (l *Log) removeKeys(ctx context.Context, keys []string, with ...store.Change) (n int, err error) {
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

// gcCheckpoints deletes the checkpoints below the floor. An unknown one above it may be in the middle of being written.
func (l *Log) gcCheckpoints(ctx context.Context) (int, error) {
	_, w, err := l.readBounds(ctx)
	if err != nil {
		return 0, err
	}
	prefix := l.prefix.Join("cp")
	names, err := l.store.Names(ctx, prefix)
	if err != nil {
		return 0, err
	}
	return l.removeKeys(ctx, slices.DeleteFunc(names, func(key string) bool {
		rest, _ := prefix.Below(key)
		number, _, _ := strings.Cut(rest, "/")
		seq, err := strconv.ParseUint(number, 10, 64)
		return err != nil || seq >= w.Floor.Seq
	}))
}

// gcBlobs deletes the blobs that no commit refers to. Each delete touches the head: it fails if a commit was made since
// the log was read, and a commit that is about to refer to a blob fails in turn.
func (l *Log) gcBlobs(ctx context.Context) (int, error) {
	total := 0
	for range 100 { // stop on a busy log; the next compaction continues
		names, err := l.store.Names(ctx, l.prefix.Join("b"))
		if err != nil || len(names) == 0 {
			return total, err
		}
		head, w, err := l.readBounds(ctx)
		if err != nil {
			return total, err
		}
		used := map[string]bool{}
		markUsed := func(x Change) {
			if x.stored.encoding == blob {
				used[l.blobKey(x.SHA)] = true
			}
		}
		entries, err := l.store.Names(ctx, l.prefix.Join("c"))
		if err != nil {
			return total, err
		}
		for _, key := range entries { // keyframes kept below the floor
			if seq, ok := l.seqOf(key); ok && seq < w.Floor.Seq {
				commits, err := l.loadCommits(ctx, seq, seq, Head{Seq: seq})
				if err != nil {
					return total, err
				}
				for _, x := range commits[0].Changes {
					markUsed(x)
				}
			}
		}
		if err := l.eachChange(ctx, max(w.Floor.Seq, 1), head, markUsed); err != nil {
			return total, err
		}
		unused := slices.DeleteFunc(names, func(key string) bool { return used[key] })
		unused = unused[:min(len(unused), store.MaxOps-1)]
		if len(unused) == 0 {
			return total, nil
		}
		n, err := l.removeKeys(ctx, unused, head.touch(l))
		if total += n; err != nil && !errors.Is(err, store.ErrConflict) {
			return total, err
		}
	}
	return total, nil
}
