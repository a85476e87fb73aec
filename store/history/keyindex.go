package history

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// Names let a writer that knows nothing yet commit without reading the log: which keys the newest state has, as short
// hashes on a few shelves, each a key of the store. A writer that finds a key neither there nor in the tree knows that
// nobody has deleted it behind the log's back; of one that is there, the flags of the live value name the entry that wrote
// it. Whoever creates or deletes a key puts its shelf right in the same transaction. That the shelves are complete stands
// in the head, which every writer moves; a writer that cannot keep them up takes that word back, and one that has read all
// of the log gives it again.
const (
	shelves  = 16
	nameSize = 5       // bytes of a name; that two are the same costs a writer its short cut, once
	maxShelf = 8 << 10 // bytes; with more keys the short cut would cost every creation more than it is worth
	maxFound = 4       // entries that a short cut reads; with more, all of the log is as near
)

// names are shelves that were read.
type names map[int][]byte

func (l *Log) shelfKey(shelf int) string {
	return l.prefix.Join("names").Key(intent.Name(fmt.Sprintf("%x", shelf)))
}

func nameOf(key string) (shelf int, name []byte) {
	sum := HashOf([]byte(key))
	return int(sum[0]) % shelves, sum[1 : 1+nameSize]
}

// shelvesOf are those that the keys of some edits belong on.
func shelvesOf(edits []Edit) (all []int) {
	for _, e := range edits {
		if shelf, _ := nameOf(e.Key); !slices.Contains(all, shelf) {
			all = append(all, shelf)
		}
	}
	return all
}

// find is where a name is on its shelf, or -1.
func find(shelf, name []byte) int {
	for i := 0; i+nameSize <= len(shelf); i += nameSize {
		if string(shelf[i:i+nameSize]) == string(name) {
			return i
		}
	}
	return -1
}

func (n names) has(key string) bool {
	shelf, name := nameOf(key)
	return find(n[shelf], name) >= 0
}

// shelved are the names of a state, all of them.
func shelved(s *State) names {
	n := names{}
	for key := range s.entries {
		shelf, name := nameOf(key)
		n[shelf] = append(n[shelf], name...)
	}
	return n
}

// lists reports whether a state has a key, by its names where nothing else of it was read.
func (s *State) lists(key string) bool {
	if s.names != nil {
		return s.names.has(key)
	}
	_, there := s.entries[key]
	return there
}

// with returns a shelf with a name, or without it.
func with(shelf, name []byte, there bool) []byte {
	if there {
		return append(slices.Clone(shelf), name...)
	}
	if i := find(shelf, name); i >= 0 {
		return slices.Delete(slices.Clone(shelf), i, i+nameSize)
	}
	return shelf
}

// shelve are the operations that keep the names up with the commits of a plan. named is false when that does not go: then
// there are none, and the head must not say that the shelves are complete.
func (l *Log) shelve(commits []Commit, head Head) (ops []store.Change, named bool) {
	there := map[string]bool{} // in the end
	for _, c := range commits {
		for _, x := range c.Changes {
			there[x.Key] = x.Op == Put
		}
	}
	maps.DeleteFunc(there, func(key string, is bool) bool { return is == l.tip.lists(key) })
	anew := head.Seq > 0 && !head.named
	if len(there) == 0 && !anew {
		return nil, true
	}
	if len(l.tip.entries)*nameSize > shelves*maxShelf {
		return nil, false
	}
	all := l.tip.names
	if all == nil {
		all = shelved(l.tip)
	}
	changed := names{}
	for _, key := range slices.Sorted(maps.Keys(there)) {
		shelf, name := nameOf(key)
		if _, ok := changed[shelf]; !ok {
			changed[shelf] = all[shelf]
		}
		changed[shelf] = with(changed[shelf], name, there[key])
	}
	for shelf := range shelves {
		value, ok := changed[shelf]
		if !ok && anew {
			value, ok = all[shelf], true
		}
		if len(value) > maxShelf {
			return nil, false
		}
		if ok {
			ops = append(ops, store.Change{Verb: store.Set, Key: l.shelfKey(shelf), Value: value})
		}
	}
	return ops, true
}

// glance is a look of a writer that knows nothing yet. Where the names and the entries that the live values point at say
// all that the request needs to know, the log is not read, and the tip is of those keys alone: v.short is set then, and the
// tip must be forgotten afterwards.
func (l *Log) glance(ctx context.Context, r Request) (look, error) {
	v, n, err := l.read(ctx, r.keys(), shelvesOf(r.Edits))
	if err != nil {
		return v, err
	}
	if l.plain(r, v) {
		s := &State{Seq: v.head.Seq, At: v.head.at, Hash: v.head.Hash, id: v.head.ID, entries: map[string]entry{}, gone: map[string]grave{}, names: n}
		found, err := l.found(ctx, r, v, s)
		if err != nil {
			return v, err
		}
		if found {
			l.tip, v.short = s, true
			return v, nil
		}
	}
	v.fresh, err = l.catchUp(ctx, v.head, v.window)
	return v, err
}

// plain reports whether a request needs nothing of the log but what is known of its keys, and leaves nothing to be done
// after it: the hundredth commit looks whether a checkpoint is due.
func (l *Log) plain(r Request, v look) bool {
	due := (v.head.Seq+2)/every != v.head.Seq/every
	if !v.head.named || v.head.at.IsZero() || v.window.index == 0 || v.window.Born != v.head.created || r.Joined != nil || r.Kind == Join || due {
		return false
	}
	for _, e := range r.Edits {
		if len(e.Value) > maxWhole {
			return false
		}
	}
	return true
}

// found fills in what the log knows of the keys that are edited. It is false when that takes more than a few entries to
// find out, or when something else wrote a key since.
func (l *Log) found(ctx context.Context, r Request, v look, s *State) (bool, error) {
	wanted := map[uint64][]string{}
	for _, e := range r.Edits {
		pair := v.live[e.Key]
		if !s.names.has(e.Key) {
			continue
		}
		if pair.ModifyIndex == 0 || pair.Flags <= max(v.window.Rebased.Seq, v.window.Floor.Seq) || pair.Flags > v.head.Seq {
			return false, nil
		}
		wanted[pair.Flags] = append(wanted[pair.Flags], e.Key)
	}
	if len(wanted) > maxFound {
		return false, nil
	}
	for seq, keys := range wanted {
		commits, err := l.load(ctx, seq, seq, v.head)
		if err != nil {
			return false, err
		}
		for _, key := range keys {
			if !s.learn(commits[0], v.live[key], key) {
				return false, nil
			}
		}
	}
	return true, nil
}

// learn takes over what a commit says of a key, if it is that very commit that wrote the live value.
func (s *State) learn(c Commit, live intent.Pair, key string) bool {
	for _, x := range c.Changes {
		if c.Fault == nil && x.Key == key && x.Op == Put && x.Seen == nil && x.Index == live.ModifyIndex && x.SHA == HashOf(live.Value) {
			s.entries[key] = entry{}.after(c, x)
			return true
		}
	}
	return false
}
