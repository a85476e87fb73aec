package embedded

import (
	"encoding/binary"
	"errors"
)

// entry is one key of the KV, in the order and spelling of Consul's JSON. Entries are immutable once they are part of a
// snapshot.
type entry struct {
	LockIndex uint64
	Key       string
	Flags     uint64
	Value     []byte
	Session   string `json:",omitempty"`
	indexes
}

// indexes are the commits that created a record and changed it last.
type indexes struct {
	CreateIndex uint64
	ModifyIndex uint64
}

// equal reports whether two entries are the same apart from their indexes.
func (e *entry) equal(o *entry) bool {
	return e.LockIndex == o.LockIndex && e.Flags == o.Flags && e.Session == o.Session && string(e.Value) == string(o.Value)
}

// encode is the stored form of an entry, without its key.
func (e *entry) encode() []byte {
	b := make([]byte, 0, 4*binary.MaxVarintLen64+1+len(e.Session)+len(e.Value))
	for _, n := range []uint64{e.CreateIndex, e.ModifyIndex, e.LockIndex, e.Flags, uint64(len(e.Session))} {
		b = binary.AppendUvarint(b, n)
	}
	b = append(b, e.Session...)
	return append(b, e.Value...)
}

var errTruncated = errors.New("record ends early")

// decodeEntry reads what encode wrote. It copies, because b may be part of a memory-mapped file.
func decodeEntry(key string, b []byte) (*entry, error) {
	e := &entry{Key: key}
	var session uint64
	for _, n := range []*uint64{&e.CreateIndex, &e.ModifyIndex, &e.LockIndex, &e.Flags, &session} {
		var size int
		if *n, size = binary.Uvarint(b); size <= 0 {
			return nil, errTruncated
		}
		b = b[size:]
	}
	if session > uint64(len(b)) {
		return nil, errTruncated
	}
	e.Session = string(b[:session])
	if b = b[session:]; len(b) > 0 {
		e.Value = append([]byte(nil), b...)
	}
	return e, nil
}
