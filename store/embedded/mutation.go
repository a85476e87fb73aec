package embedded

import (
	iradix "github.com/hashicorp/go-immutable-radix/v2"
)

// mutation is one write, applied to an unpublished snapshot. It is committed or dropped as a whole.
type mutation struct {
	snapshot    // with the effects of this write so far
	commitIndex uint64
	records     []record
	notify      []func()
	onCommit    []func() // run once the write is durable
}

// record sets one key of one bucket on disk; a nil value deletes it.
type record struct {
	bucket string
	key    string
	value  []byte
}

func newMutation(base snapshot) *mutation {
	return &mutation{snapshot: base, commitIndex: base.index + 1}
}

// treeSet sets a key of a tree. It is a function because methods cannot have type parameters.
func treeSet[T any](m *mutation, tree **iradix.Tree[T], key string, value T) {
	txn := (*tree).Txn()
	txn.TrackMutate(true)
	txn.Insert([]byte(key), value)
	*tree = txn.CommitOnly()
	m.notify = append(m.notify, txn.Notify)
}

// treeDelete removes a key from a tree.
func treeDelete[T any](m *mutation, tree **iradix.Tree[T], key string) {
	txn := (*tree).Txn()
	txn.TrackMutate(true)
	txn.Delete([]byte(key))
	*tree = txn.CommitOnly()
	m.notify = append(m.notify, txn.Notify)
}

func (m *mutation) logRecord(bucket, key string, value []byte) {
	m.records = append(m.records, record{bucket, key, value})
}

// storeEntry writes an entry and updates heldKeys.
func (m *mutation) storeEntry(e *entry) {
	if old, found := m.kv.Get([]byte(e.Key)); found && old.Session != "" && old.Session != e.Session {
		treeDelete(m, &m.heldKeys, old.Session+"\x00"+e.Key)
	}
	if e.Session != "" {
		treeSet(m, &m.heldKeys, e.Session+"\x00"+e.Key, e.Key)
	}
	treeSet(m, &m.kv, e.Key, e)
	m.kvIndex = m.commitIndex
	m.logRecord(bucketKV, e.Key, e.encode())
}

// set writes a key and keeps its lock. An identical value changes nothing. LockIndex becomes 0, as in Consul.
func (m *mutation) set(key string, value []byte, flags uint64) *entry {
	e := &entry{Key: key, Value: value, Flags: flags}
	if old, found := m.kv.Get([]byte(key)); found {
		e.Session = old.Session
	}
	return m.replace(e)
}

// replace stores e unless the present entry is equal.
func (m *mutation) replace(e *entry) *entry {
	e.CreateIndex, e.ModifyIndex = m.commitIndex, m.commitIndex
	if old, found := m.kv.Get([]byte(e.Key)); found {
		if old.equal(e) {
			return old
		}
		e.CreateIndex = old.CreateIndex
	}
	m.storeEntry(e)
	return e
}

// compareAndSet sets a key only if its ModifyIndex is the given one; 0 means that the key must not exist.
func (m *mutation) compareAndSet(key string, value []byte, flags, index uint64) (*entry, bool) {
	old, found := m.kv.Get([]byte(key))
	if found != (index != 0) || found && old.ModifyIndex != index {
		return nil, false
	}
	return m.set(key, value, flags), true
}

// delete removes a key and leaves a tombstone. A missing key changes nothing.
func (m *mutation) delete(key string) {
	old, found := m.kv.Get([]byte(key))
	if !found {
		return
	}
	m.removeEntry(old)
	m.putTombstone(key, false)
}

func (m *mutation) removeEntry(old *entry) {
	if old.Session != "" {
		treeDelete(m, &m.heldKeys, old.Session+"\x00"+old.Key)
	}
	treeDelete(m, &m.kv, old.Key)
	m.kvIndex = m.commitIndex
	m.logRecord(bucketKV, old.Key, nil)
}

func (m *mutation) putTombstone(key string, isPrefix bool) {
	g := tombstone{m.commitIndex, isPrefix}
	treeSet(m, &m.tombstones, key, g)
	m.logRecord(bucketTombstones, key, g.encode())
}

// compareAndDelete deletes a key if its ModifyIndex is the given one. A missing key counts as deleted.
func (m *mutation) compareAndDelete(key string, index uint64) bool {
	old, found := m.kv.Get([]byte(key))
	if found && old.ModifyIndex != index {
		return false
	}
	m.delete(key)
	return true
}

// deleteTree removes every key below a prefix and leaves one tombstone for all of them. The whole store needs none:
// snapshot.kvIndex covers it.
func (m *mutation) deleteTree(prefix string) {
	var all []*entry
	m.list(prefix, func(e *entry) { all = append(all, e) })
	for _, e := range all {
		m.removeEntry(e)
	}
	if len(all) > 0 && prefix != "" {
		m.putTombstone(prefix, true)
	}
}
