package embedded

import (
	"strings"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
)

// view is the whole store at one commit. It never changes; the nodes of its trees carry the channels that watchers
// wait on, which close when a later view replaces them.
type view struct {
	index        uint64                  // of the newest commit
	kvIndex      uint64                  // of the newest commit that touched the KV
	sessionIndex uint64                  // of the newest commit that touched sessions
	kv           *iradix.Tree[*entry]    // by key
	graves       *iradix.Tree[grave]     // deleted keys and prefixes
	locks                                // on keys
	sessions     *iradix.Tree[*session]  // by ID
	services     *iradix.Tree[*instance] // by ID
	checks       *iradix.Tree[*check]    // by ID
	names        *iradix.Tree[uint64]    // service names, each with the commit that last touched it
}

// locks are the locks on keys, and those that may not be taken yet.
type locks struct {
	held    *iradix.Tree[string] // session ID + "\x00" + key, the key of each lock
	delayed *iradix.Tree[uint64] // by key, for how long from the end of its session, in nanoseconds
}

func emptyView() *view {
	return &view{
		index: 1, // Consul never shows an index below 1 and never lets data have it.
		kv:    iradix.New[*entry](), graves: iradix.New[grave](), locks: locks{iradix.New[string](), iradix.New[uint64]()},
		sessions: iradix.New[*session](), services: iradix.New[*instance](), checks: iradix.New[*check](),
		names: iradix.New[uint64](),
	}
}

// grave is left by what was deleted, so that indexes do not fall back.
type grave struct {
	index uint64 // of the commit that deleted it
	whole bool   // a prefix rather than a key
}

// get returns a key, the index to answer with, and the channel that closes when it changes.
func (v *view) get(key string) (*entry, uint64, <-chan struct{}) {
	wait, e, found := v.kv.Root().GetWatch([]byte(key))
	if !found {
		return nil, v.kvIndex, wait
	}
	return e, e.ModifyIndex, wait
}

// list calls visit for every entry below a prefix, in order, and returns the index to answer with and the channel that
// closes when anything below the prefix changes.
func (v *view) list(prefix string, visit func(*entry)) (uint64, <-chan struct{}) {
	iterator := v.kv.Root().Iterator()
	wait := iterator.SeekPrefixWatch([]byte(prefix))
	var newest uint64
	for _, e, ok := iterator.Next(); ok; _, e, ok = iterator.Next() {
		newest = max(newest, e.ModifyIndex)
		visit(e)
	}
	if prefix == "" {
		return v.kvIndex, wait
	}
	graves := v.graves.Root().Iterator()
	graves.SeekPrefix([]byte(prefix))
	for _, g, ok := graves.Next(); ok; _, g, ok = graves.Next() {
		newest = max(newest, g.index)
	}
	// A recursive delete further up took what was below this prefix too. Consul forgets that when the prefix has an
	// older gravestone of its own, and leaves its watchers asleep.
	v.graves.Root().WalkPath([]byte(prefix), func(_ []byte, g grave) bool {
		if g.whole {
			newest = max(newest, g.index)
		}
		return false
	})
	if newest == 0 {
		newest = v.kvIndex
	}
	return newest, wait
}

// keys is list for names only. What follows separator is folded into one name; "" folds nothing.
func (v *view) keys(prefix, separator string) ([]string, uint64, <-chan struct{}) {
	names := []string{}
	index, wait := v.list(prefix, func(e *entry) {
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
