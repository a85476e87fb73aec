package embedded

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
	bolt "go.etcd.io/bbolt"
)

// load reads the whole bbolt file, as tx sees it, into the snapshot.
func (snap *snapshot) load(tx *bolt.Tx) error {
	tombstones := treeReader[tombstone]{into: &snap.tombstones, decode: decodeTombstone}
	names := treeReader[uint64]{into: &snap.serviceNames, decode: decodeIndex}
	delayed := treeReader[uint64]{into: &snap.lockDelays, decode: decodeIndex}
	sessions := treeReader[*session]{into: &snap.sessions, decode: decodeJSON[session]}
	services := treeReader[*instance]{into: &snap.services, decode: decodeJSON[instance]}
	checks := treeReader[*check]{into: &snap.checks, decode: decodeJSON[check]}
	held := snap.heldKeys.Txn()
	entries := treeReader[*entry]{into: &snap.kv, decode: func(key string, b []byte) (*entry, error) {
		e, err := decodeEntry(key, b)
		if err == nil && e.Session != "" {
			held.Insert([]byte(e.Session+"\x00"+key), key)
		}
		return e, err
	}}
	for bucket, read := range map[string]func(*bolt.Bucket) error{
		bucketKV: entries.read, bucketTombstones: tombstones.read, bucketServiceNames: names.read, bucketSessions: sessions.read,
		bucketServices: services.read, bucketChecks: checks.read, bucketMeta: snap.readIndexes,
		bucketDelays: delayed.read,
	} {
		b := tx.Bucket([]byte(bucket))
		if b == nil {
			return fmt.Errorf("bucket %s is missing", bucket)
		}
		if err := read(b); err != nil {
			return fmt.Errorf("bucket %s: %w", bucket, err)
		}
	}
	snap.heldKeys = held.Commit()
	return nil
}

// treeReader reads one bucket into one tree.
type treeReader[T any] struct {
	into   **iradix.Tree[T]
	decode func(key string, b []byte) (T, error)
}

func (t treeReader[T]) read(b *bolt.Bucket) error {
	txn := (*t.into).Txn()
	err := forEachRecord(b, func(key string, value []byte) error {
		decoded, err := t.decode(key, value)
		if err != nil {
			return fmt.Errorf("record %q: %w", key, err)
		}
		txn.Insert([]byte(key), decoded)
		return nil
	})
	*t.into = txn.Commit()
	return err
}

func forEachRecord(b *bolt.Bucket, visit func(key string, value []byte) error) error {
	return b.ForEach(func(k, raw []byte) error {
		value, err := verifyChecksum(k, raw)
		if err != nil {
			return err
		}
		return visit(string(k), value)
	})
}

func decodeIndex(_ string, b []byte) (uint64, error) {
	index, size := binary.Uvarint(b)
	if size <= 0 {
		return 0, errTruncated
	}
	return index, nil
}

func (g tombstone) encode() []byte {
	b := binary.AppendUvarint(nil, g.index)
	if g.isPrefix {
		b = append(b, 1)
	}
	return b
}

func decodeTombstone(_ string, b []byte) (tombstone, error) {
	index, size := binary.Uvarint(b)
	if size <= 0 {
		return tombstone{}, errTruncated
	}
	return tombstone{index, len(b) > size}, nil
}

func decodeJSON[T any](_ string, b []byte) (*T, error) {
	decoded := new(T)
	return decoded, json.Unmarshal(b, decoded)
}

// readIndexes reads the indexes of the last commit.
func (snap *snapshot) readIndexes(b *bolt.Bucket) error {
	raw := b.Get([]byte(metaIndexes))
	if raw == nil {
		return nil // The store is new.
	}
	value, err := verifyChecksum([]byte(metaIndexes), raw)
	if err != nil {
		return err
	}
	for _, index := range []*uint64{&snap.index, &snap.kvIndex, &snap.sessionIndex} {
		var size int
		if *index, size = binary.Uvarint(value); size <= 0 {
			return errTruncated
		}
		value = value[size:]
	}
	return nil
}

// encodeIndexes encodes what readIndexes reads.
func (snap *snapshot) encodeIndexes() []byte {
	return binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, snap.index), snap.kvIndex), snap.sessionIndex)
}

// storedValue is the encoded value of a record in this snapshot, nil if it has none.
func (snap *snapshot) storedValue(bucket, key string) []byte {
	switch bucket {
	case bucketKV:
		if e, found := snap.kv.Get([]byte(key)); found {
			return e.encode()
		}
	case bucketTombstones:
		if g, found := snap.tombstones.Get([]byte(key)); found {
			return g.encode()
		}
	case bucketServiceNames:
		if index, found := snap.serviceNames.Get([]byte(key)); found {
			return binary.AppendUvarint(nil, index)
		}
	case bucketDelays:
		if delay, found := snap.lockDelays.Get([]byte(key)); found {
			return binary.AppendUvarint(nil, delay)
		}
	case bucketSessions:
		return storedJSON(snap.sessions, key)
	case bucketServices:
		return storedJSON(snap.services, key)
	case bucketChecks:
		return storedJSON(snap.checks, key)
	case bucketMeta:
		return snap.encodeIndexes()
	}
	return nil
}

// storedJSON returns nil on an encoding error, which cannot happen: these trees hold only values that were encoded
// before.
func storedJSON[T any](t *iradix.Tree[T], key string) []byte {
	value, found := t.Get([]byte(key))
	if !found {
		return nil
	}
	b, err := json.Marshal(value)
	if err != nil {
		return nil
	}
	return b
}

// verifyDataFile reads the whole bbolt file before it is opened for writing, because a damaged file would crash the
// process then.
func verifyDataFile(path string) error {
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	return errors.Join(catchPanic(func() error {
		return db.View(func(tx *bolt.Tx) error {
			return tx.ForEach(func(_ []byte, b *bolt.Bucket) error {
				return forEachRecord(b, func(string, []byte) error { return nil })
			})
		})
	}), db.Close())
}

// catchPanic turns a panic, or a fault in the mapped file, into an error: bbolt panics on invalid pages.
func catchPanic(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return f()
}
