package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// lock sets a key and locks it for a session. It reports false when another session holds the lock.
func (m *mutation) lock(key string, value []byte, flags uint64, id string) (*entry, bool, error) {
	if id == "" {
		return nil, false, errors.New("missing session")
	}
	if _, found := m.sessions.Get([]byte(id)); !found {
		return nil, false, fmt.Errorf("invalid session %q", id)
	}
	e := &entry{Key: key, Value: value, Flags: flags, Session: id, LockIndex: 1}
	if old, found := m.kv.Get([]byte(key)); found {
		switch old.Session {
		case id:
			e.LockIndex = old.LockIndex
		case "":
			e.LockIndex = old.LockIndex + 1
		default:
			return nil, false, nil
		}
	}
	return m.replace(e), true, nil
}

// unlock sets a key and releases its lock. It reports false when the session does not hold it.
func (m *mutation) unlock(key string, value []byte, flags uint64, id string) (*entry, bool, error) {
	if id == "" {
		return nil, false, errors.New("missing session")
	}
	old, found := m.kv.Get([]byte(key))
	if !found || old.Session != id {
		return nil, false, nil
	}
	return m.replace(&entry{Key: key, Value: value, Flags: flags, LockIndex: old.LockIndex}), true, nil
}

// endSession removes a session and releases or deletes the keys it had locked. Those keys cannot be locked again before
// its lock delay ends.
func (m *mutation) endSession(id string, delays *delays) {
	s, found := m.sessions.Get([]byte(id))
	if !found {
		return
	}
	treeDelete(m, &m.sessions, id)
	m.sessionIndex = m.commitIndex
	m.logRecord(bucketSessions, id, nil)
	var keys []string
	m.heldKeys.Root().WalkPrefix([]byte(id+"\x00"), func(_ []byte, key string) bool {
		keys = append(keys, key)
		return false
	})
	for _, key := range keys {
		if s.Behavior == deleteKeys {
			m.delete(key)
		} else {
			old, _ := m.kv.Get([]byte(key))
			m.replace(&entry{Key: key, Value: old.Value, Flags: old.Flags, LockIndex: old.LockIndex})
		}
	}
	if delay := min(s.LockDelay, maxLockDelay); delay > 0 {
		for _, key := range keys {
			treeSet(m, &m.lockDelays, key, uint64(delay))
			m.logRecord(bucketDelays, key, binary.AppendUvarint(nil, uint64(delay)))
		}
		m.onCommit = append(m.onCommit, func() { delays.set(keys, time.Now().Add(delay)) })
	}
}
