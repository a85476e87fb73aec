package embedded

import (
	iradix "github.com/hashicorp/go-immutable-radix/v2"
)

// change is one write being applied to a view that nobody else can see yet. It is kept or dropped as a whole.
type change struct {
	view           // as the write so far leaves it
	now     uint64 // the index of this write
	records []record
	wakes   []func()
	after   []func() // what to do once the write is durable
}

// record is one key of one bucket of the log; a nil value deletes it.
type record struct {
	bucket string
	key    string
	value  []byte
}

func newChange(on view) *change { return &change{view: on, now: on.index + 1} }

// put sets a key of a tree. It is a function because methods take no type parameters.
func put[T any](c *change, tree **iradix.Tree[T], key string, value T) {
	txn := (*tree).Txn()
	txn.TrackMutate(true)
	txn.Insert([]byte(key), value)
	*tree = txn.CommitOnly()
	c.wakes = append(c.wakes, txn.Notify)
}

// drop removes a key from a tree.
func drop[T any](c *change, tree **iradix.Tree[T], key string) {
	txn := (*tree).Txn()
	txn.TrackMutate(true)
	txn.Delete([]byte(key))
	*tree = txn.CommitOnly()
	c.wakes = append(c.wakes, txn.Notify)
}

func (c *change) log(bucket, key string, value []byte) {
	c.records = append(c.records, record{bucket, key, value})
}

// store writes an entry as it is and keeps the list of held locks in step.
func (c *change) store(e *entry) {
	if old, found := c.kv.Get([]byte(e.Key)); found && old.Session != "" && old.Session != e.Session {
		drop(c, &c.held, old.Session+"\x00"+e.Key)
	}
	if e.Session != "" {
		put(c, &c.held, e.Session+"\x00"+e.Key, e.Key)
	}
	put(c, &c.kv, e.Key, e)
	c.kvIndex = c.now
	c.log(bucketKV, e.Key, e.encode())
}

// set writes a key. Who holds the lock on it stays, and everything stays when nothing would change. That LockIndex
// falls to 0 is what Consul does.
func (c *change) set(key string, value []byte, flags uint64) *entry {
	e := &entry{Key: key, Value: value, Flags: flags}
	if old, found := c.kv.Get([]byte(key)); found {
		e.Session = old.Session
	}
	return c.replace(e)
}

// replace stores e over what is there, unless that is the same.
func (c *change) replace(e *entry) *entry {
	e.CreateIndex, e.ModifyIndex = c.now, c.now
	if old, found := c.kv.Get([]byte(e.Key)); found {
		if old.same(e) {
			return old
		}
		e.CreateIndex = old.CreateIndex
	}
	c.store(e)
	return e
}

// setIf is set for a key whose ModifyIndex is the one given; 0 stands for a key that is missing.
func (c *change) setIf(key string, value []byte, flags, index uint64) (*entry, bool) {
	old, found := c.kv.Get([]byte(key))
	if found != (index != 0) || found && old.ModifyIndex != index {
		return nil, false
	}
	return c.set(key, value, flags), true
}

// delete removes a key and leaves a gravestone; a missing key is no change.
func (c *change) delete(key string) {
	old, found := c.kv.Get([]byte(key))
	if !found {
		return
	}
	c.remove(old)
	c.bury(key, false)
}

func (c *change) remove(old *entry) {
	if old.Session != "" {
		drop(c, &c.held, old.Session+"\x00"+old.Key)
	}
	drop(c, &c.kv, old.Key)
	c.kvIndex = c.now
	c.log(bucketKV, old.Key, nil)
}

func (c *change) bury(key string, whole bool) {
	g := grave{c.now, whole}
	put(c, &c.graves, key, g)
	c.log(bucketGraves, key, g.encode())
}

// deleteIf deletes a key whose ModifyIndex is the one given. A missing key counts as deleted.
func (c *change) deleteIf(key string, index uint64) bool {
	old, found := c.kv.Get([]byte(key))
	if found && old.ModifyIndex != index {
		return false
	}
	c.delete(key)
	return true
}

// deleteTree removes every key below a prefix and leaves one gravestone for all of them; none for the whole store,
// whose index is kept beside the tree.
func (c *change) deleteTree(prefix string) {
	var all []*entry
	c.list(prefix, func(e *entry) { all = append(all, e) })
	for _, e := range all {
		c.remove(e)
	}
	if len(all) > 0 && prefix != "" {
		c.bury(prefix, true)
	}
}
