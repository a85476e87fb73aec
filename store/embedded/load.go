package embedded

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	iradix "github.com/hashicorp/go-immutable-radix/v2"
	bolt "go.etcd.io/bbolt"
)

// read reads the whole bbolt file, as a transaction sees it, into a view.
func (v *view) read(tx *bolt.Tx) error {
	graves := tree[grave]{into: &v.graves, decode: decodeGrave}
	names := tree[uint64]{into: &v.names, decode: decodeIndex}
	delayed := tree[uint64]{into: &v.delayed, decode: decodeIndex}
	sessions := tree[*session]{into: &v.sessions, decode: decodeJSON[session]}
	services := tree[*instance]{into: &v.services, decode: decodeJSON[instance]}
	checks := tree[*check]{into: &v.checks, decode: decodeJSON[check]}
	held := v.held.Txn()
	entries := tree[*entry]{into: &v.kv, decode: func(key string, b []byte) (*entry, error) {
		e, err := decodeEntry(key, b)
		if err == nil && e.Session != "" {
			held.Insert([]byte(e.Session+"\x00"+key), key)
		}
		return e, err
	}}
	for bucket, read := range map[string]func(*bolt.Bucket) error{
		bucketKV: entries.read, bucketGraves: graves.read, bucketNames: names.read, bucketSessions: sessions.read,
		bucketServices: services.read, bucketChecks: checks.read, bucketMeta: v.readIndexes,
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
	v.held = held.Commit()
	return nil
}

// tree reads one bucket into one tree.
type tree[T any] struct {
	into   **iradix.Tree[T]
	decode func(key string, b []byte) (T, error)
}

func (t tree[T]) read(b *bolt.Bucket) error {
	txn := (*t.into).Txn()
	err := eachSealed(b, func(key string, value []byte) error {
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

func eachSealed(b *bolt.Bucket, visit func(key string, value []byte) error) error {
	return b.ForEach(func(k, sealed []byte) error {
		value, err := unseal(k, sealed)
		if err != nil {
			return err
		}
		return visit(string(k), value)
	})
}

func decodeIndex(_ string, b []byte) (uint64, error) {
	index, size := binary.Uvarint(b)
	if size <= 0 {
		return 0, errShort
	}
	return index, nil
}

func (g grave) encode() []byte {
	b := binary.AppendUvarint(nil, g.index)
	if g.whole {
		b = append(b, 1)
	}
	return b
}

func decodeGrave(_ string, b []byte) (grave, error) {
	index, size := binary.Uvarint(b)
	if size <= 0 {
		return grave{}, errShort
	}
	return grave{index, len(b) > size}, nil
}

func decodeJSON[T any](_ string, b []byte) (*T, error) {
	decoded := new(T)
	return decoded, json.Unmarshal(b, decoded)
}

// readIndexes reads how far the indexes had come.
func (v *view) readIndexes(b *bolt.Bucket) error {
	sealed := b.Get([]byte(metaIndexes))
	if sealed == nil {
		return nil // Nothing was ever written.
	}
	value, err := unseal([]byte(metaIndexes), sealed)
	if err != nil {
		return err
	}
	for _, index := range []*uint64{&v.index, &v.kvIndex, &v.sessionIndex} {
		var size int
		if *index, size = binary.Uvarint(value); size <= 0 {
			return errShort
		}
		value = value[size:]
	}
	return nil
}

// encodeIndexes is what readIndexes reads.
func (v *view) encodeIndexes() []byte {
	return binary.AppendUvarint(binary.AppendUvarint(binary.AppendUvarint(nil, v.index), v.kvIndex), v.sessionIndex)
}

// kept is what the disk keeps of this view at one place, nil for nothing.
func (v *view) kept(bucket, key string) []byte {
	switch bucket {
	case bucketKV:
		if e, found := v.kv.Get([]byte(key)); found {
			return e.encode()
		}
	case bucketGraves:
		if g, found := v.graves.Get([]byte(key)); found {
			return g.encode()
		}
	case bucketNames:
		if index, found := v.names.Get([]byte(key)); found {
			return binary.AppendUvarint(nil, index)
		}
	case bucketDelays:
		if delay, found := v.delayed.Get([]byte(key)); found {
			return binary.AppendUvarint(nil, delay)
		}
	case bucketSessions:
		return keptJSON(v.sessions, key)
	case bucketServices:
		return keptJSON(v.services, key)
	case bucketChecks:
		return keptJSON(v.checks, key)
	case bucketMeta:
		return v.encodeIndexes()
	}
	return nil
}

// keptJSON leaves out nothing that was written: only what json.Marshal wrote before is in these trees.
func keptJSON[T any](t *iradix.Tree[T], key string) []byte {
	kept, found := t.Get([]byte(key))
	if !found {
		return nil
	}
	b, err := json.Marshal(kept)
	if err != nil {
		return nil
	}
	return b
}

// inspect reads all of a bbolt file once before it is opened for writing, because what bbolt does then with a damaged
// file ends the process.
func inspect(path string) error {
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return err
	}
	return errors.Join(guard(func() error {
		return db.View(func(tx *bolt.Tx) error {
			return tx.ForEach(func(_ []byte, b *bolt.Bucket) error {
				return eachSealed(b, func(string, []byte) error { return nil })
			})
		})
	}), db.Close())
}
