package embedded

import (
	"strings"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
)

// snapshot is the whole store at one commit. It is immutable. The tree nodes carry the channels that watchers wait on;
// they close when a later snapshot replaces the node.
type snapshot struct {
	index        uint64 // of the newest commit
	kvIndex      uint64
	sessionIndex uint64
	kv           *iradix.Tree[*entry]    // by key
	tombstones   *iradix.Tree[tombstone] // deleted keys and prefixes
	heldKeys     *iradix.Tree[string]    // session ID + "\x00" + key, the key of each lock
	lockDelays   *iradix.Tree[uint64]    // by key, how long it stays locked after its session ended, in nanoseconds
	sessions     *iradix.Tree[*session]  // by ID
	services     *iradix.Tree[*instance] // by ID
	checks       *iradix.Tree[*check]    // by ID
	serviceNames *iradix.Tree[uint64]    // service names, each with the commit that last touched it
}

func emptySnapshot() *snapshot {
	return &snapshot{
		index: 1, // Consul never reports an index below 1 and never assigns 1 to data.
		kv:    iradix.New[*entry](), tombstones: iradix.New[tombstone](),
		heldKeys: iradix.New[string](), lockDelays: iradix.New[uint64](),
		sessions: iradix.New[*session](), services: iradix.New[*instance](), checks: iradix.New[*check](),
		serviceNames: iradix.New[uint64](),
	}
}

// tombstone records a deletion, so that indexes never decrease.
type tombstone struct {
	index    uint64 // of the commit that deleted it
	isPrefix bool   // the deletion was recursive
}

// get returns a key, the index to report, and the channel that closes when the key changes.
func (snap *snapshot) get(key string) (*entry, uint64, <-chan struct{}) {
	wait, e, found := snap.kv.Root().GetWatch([]byte(key))
	if !found {
		return nil, snap.kvIndex, wait
	}
	return e, e.ModifyIndex, wait
}

// list calls visit for every entry below a prefix, in order. It returns the index to report and the channel that closes
// when anything below the prefix changes.
func (snap *snapshot) list(prefix string, visit func(*entry)) (uint64, <-chan struct{}) {
	iterator := snap.kv.Root().Iterator()
	wait := iterator.SeekPrefixWatch([]byte(prefix))
	var newest uint64
	for _, e, ok := iterator.Next(); ok; _, e, ok = iterator.Next() {
		newest = max(newest, e.ModifyIndex)
		visit(e)
	}
	if prefix == "" {
		return snap.kvIndex, wait
	}
	tombstones := snap.tombstones.Root().Iterator()
	tombstones.SeekPrefix([]byte(prefix))
	for _, g, ok := tombstones.Next(); ok; _, g, ok = tombstones.Next() {
		newest = max(newest, g.index)
	}
	// A recursive delete of a parent prefix removed keys below this one too. Consul ignores that when this prefix has
	// an older tombstone of its own, and does not wake its watchers.
	snap.tombstones.Root().WalkPath([]byte(prefix), func(_ []byte, g tombstone) bool {
		if g.isPrefix {
			newest = max(newest, g.index)
		}
		return false
	})
	if newest == 0 {
		newest = snap.kvIndex
	}
	return newest, wait
}

// keys lists only names. Names are cut after the first separator below the prefix; "" disables that.
func (snap *snapshot) keys(prefix, separator string) ([]string, uint64, <-chan struct{}) {
	names := []string{}
	index, wait := snap.list(prefix, func(e *entry) {
		name := e.Key
		if separator != "" {
			if at := strings.Index(name[len(prefix):], separator); at >= 0 {
				name = name[:len(prefix)+at+len(separator)]
				if len(names) > 0 && names[len(names)-1] == name {
					return
				}
			}
		}
		names = append(names, name)
	})
	return names, index, wait
}
