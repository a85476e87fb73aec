package history

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// The key index lets a writer commit without reading the log. It holds a short hash of every key of the newest state,
// in a few buckets, each one key of the store. A key that is neither in the index nor in the tree was not deleted
// without a record; for a key in the index, the flags of the live value name the commit that wrote it. Whoever creates
// or deletes a key updates its bucket in the same transaction. The head records that the index is complete, and every
// writer writes the head: a writer that cannot update the index clears that flag, and one that has read the whole log
// sets it again.
const (
	bucketCount  = 16
	hashSize     = 5       // bytes of a hash; a collision only costs a writer the fast read
	maxBucket    = 8 << 10 // bytes; with more keys the index would cost each creation more than it saves
	maxFastReads = 4       // commits that a fast read loads; beyond that the whole log is as cheap
)

// keyIndex holds the buckets that were read, by number.
type keyIndex map[int][]byte

func (l *Log) bucketKey(bucket int) string {
	return l.prefix.Join("names").Key(intent.Name(fmt.Sprintf("%x", bucket)))
}

func keyHash(key string) (bucket int, hash []byte) {
	sum := HashOf([]byte(key))
	return int(sum[0]) % bucketCount, sum[1 : 1+hashSize]
}

// bucketsOf returns the buckets of the edited keys.
func bucketsOf(edits []Edit) (all []int) {
	for _, e := range edits {
		if bucket, _ := keyHash(e.Key); !slices.Contains(all, bucket) {
			all = append(all, bucket)
		}
	}
	return all
}

// findHash returns the offset of a hash in its bucket, or -1.
func findHash(bucket, hash []byte) int {
	for i := 0; i+hashSize <= len(bucket); i += hashSize {
		if string(bucket[i:i+hashSize]) == string(hash) {
			return i
		}
	}
	return -1
}

func (n keyIndex) has(key string) bool {
	bucket, hash := keyHash(key)
	return findHash(n[bucket], hash) >= 0
}

// buildKeyIndex builds the whole index of a state.
func buildKeyIndex(s *State) keyIndex {
	n := keyIndex{}
	for key := range s.entries {
		bucket, hash := keyHash(key)
		n[bucket] = append(n[bucket], hash...)
	}
	return n
}

// hasKey reports whether a state has a key, by the key index if nothing else was read.
func (s *State) hasKey(key string) bool {
	if s.keyIndex != nil {
		return s.keyIndex.has(key)
	}
	_, exists := s.entries[key]
	return exists
}

// updateBucket returns a copy of a bucket with or without a hash.
func updateBucket(bucket, hash []byte, present bool) []byte {
	if present {
		return append(slices.Clone(bucket), hash...)
	}
	if i := findHash(bucket, hash); i >= 0 {
		return slices.Delete(slices.Clone(bucket), i, i+hashSize)
	}
	return bucket
}

// planKeyIndex returns the operations that update the key index for the commits of a plan. If indexed is false there
// are none, and the head must not claim a complete index.
func (l *Log) planKeyIndex(commits []Commit, head Head) (ops []store.Change, indexed bool) {
	present := map[string]bool{} // after all commits
	for _, c := range commits {
		for _, x := range c.Changes {
			present[x.Key] = x.Op == Put
		}
	}
	maps.DeleteFunc(present, func(key string, is bool) bool { return is == l.tip.hasKey(key) })
	rebuild := head.Seq > 0 && !head.indexed
	if len(present) == 0 && !rebuild {
		return nil, true
	}
	if len(l.tip.entries)*hashSize > bucketCount*maxBucket {
		return nil, false
	}
	all := l.tip.keyIndex
	if all == nil {
		all = buildKeyIndex(l.tip)
	}
	changed := keyIndex{}
	for _, key := range slices.Sorted(maps.Keys(present)) {
		bucket, hash := keyHash(key)
		if _, ok := changed[bucket]; !ok {
			changed[bucket] = all[bucket]
		}
		changed[bucket] = updateBucket(changed[bucket], hash, present[key])
	}
	for bucket := range bucketCount {
		value, ok := changed[bucket]
		if !ok && rebuild {
			value, ok = all[bucket], true
		}
		if len(value) > maxBucket {
			return nil, false
		}
		if ok {
			ops = append(ops, store.Change{Verb: store.Set, Key: l.bucketKey(bucket), Value: value})
		}
	}
	return ops, true
}

// readFast is readState without reading the log. If the key index and the commits named by the live values suffice for
// the request, the tip holds only those keys: v.partial is set then, and the tip must be dropped afterwards.
func (l *Log) readFast(ctx context.Context, r Request) (headState, error) {
	v, n, err := l.readKeys(ctx, r.keys(), bucketsOf(r.Edits))
	if err != nil {
		return v, err
	}
	if l.canReadFast(r, v) {
		s := &State{Seq: v.head.Seq, At: v.head.at, Hash: v.head.Hash, id: v.head.ID, entries: map[string]entry{}, deleted: map[string]position{}, keyIndex: n}
		found, err := l.readEntries(ctx, r, v, s)
		if err != nil {
			return v, err
		}
		if found {
			l.tip, v.partial = s, true
			return v, nil
		}
	}
	v.newCommits, err = l.catchUp(ctx, v.head, v.retention)
	return v, err
}

// canReadFast reports whether a request needs only the log's entries for its own keys and no work after it: around
// every hundredth commit a checkpoint may be due.
func (l *Log) canReadFast(r Request, v headState) bool {
	due := (v.head.Seq+2)/checkpointInterval != v.head.Seq/checkpointInterval
	if !v.head.indexed || v.head.at.IsZero() || v.retention.index == 0 || v.retention.HeadCreated != v.head.created || r.Joined != nil || r.Kind == Join || due {
		return false
	}
	for _, e := range r.Edits {
		if len(e.Value) > maxInline {
			return false
		}
	}
	return true
}

// readEntries loads what the log records of the edited keys. It returns false if that takes too many commits, or if
// something else wrote a key since.
func (l *Log) readEntries(ctx context.Context, r Request, v headState, s *State) (bool, error) {
	wanted := map[uint64][]string{}
	for _, e := range r.Edits {
		pair := v.live[e.Key]
		if !s.keyIndex.has(e.Key) {
			continue
		}
		if pair.ModifyIndex == 0 || pair.Flags <= max(v.retention.IndexReset.Seq, v.retention.Floor.Seq) || pair.Flags > v.head.Seq {
			return false, nil
		}
		wanted[pair.Flags] = append(wanted[pair.Flags], e.Key)
	}
	if len(wanted) > maxFastReads {
		return false, nil
	}
	for seq, keys := range wanted {
		commits, err := l.loadCommits(ctx, seq, seq, v.head)
		if err != nil {
			return false, err
		}
		for _, key := range keys {
			if !s.learnEntry(commits[0], v.live[key], key) {
				return false, nil
			}
		}
	}
	return true, nil
}

// learnEntry adds a key's entry from a commit, if that commit wrote the live value.
func (s *State) learnEntry(c Commit, live intent.Pair, key string) bool {
	for _, x := range c.Changes {
		if c.Fault == nil && x.Key == key && x.Op == Put && x.Seen == nil && x.Index == live.ModifyIndex && x.SHA == HashOf(live.Value) {
			s.entries[key] = entry{}.withChange(c, x)
			return true
		}
	}
	return false
}
