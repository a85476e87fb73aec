package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// lock sets a key and takes it for a session. It reports false when another session holds it.
func (c *change) lock(key string, value []byte, flags uint64, id string) (*entry, bool, error) {
	if id == "" {
		return nil, false, errors.New("missing session")
	}
	if _, found := c.sessions.Get([]byte(id)); !found {
		return nil, false, fmt.Errorf("invalid session %q", id)
	}
	e := &entry{Key: key, Value: value, Flags: flags, Session: id, LockIndex: 1}
	if old, found := c.kv.Get([]byte(key)); found {
		switch old.Session {
		case id:
			e.LockIndex = old.LockIndex
		case "":
			e.LockIndex = old.LockIndex + 1
		default:
			return nil, false, nil
		}
	}
	return c.replace(e), true, nil
}

// unlock sets a key and gives it back. It reports false when the session does not hold it.
func (c *change) unlock(key string, value []byte, flags uint64, id string) (*entry, bool, error) {
	if id == "" {
		return nil, false, errors.New("missing session")
	}
	old, found := c.kv.Get([]byte(key))
	if !found || old.Session != id {
		return nil, false, nil
	}
	return c.replace(&entry{Key: key, Value: value, Flags: flags, LockIndex: old.LockIndex}), true, nil
}

// endSession removes a session and gives back or deletes what it held, which nobody may lock for its lock delay.
func (c *change) endSession(id string, delays *delays) {
	s, found := c.sessions.Get([]byte(id))
	if !found {
		return
	}
	drop(c, &c.sessions, id)
	c.sessionIndex = c.now
	c.log(bucketSessions, id, nil)
	var keys []string
	c.held.Root().WalkPrefix([]byte(id+"\x00"), func(_ []byte, key string) bool {
		keys = append(keys, key)
		return false
	})
	for _, key := range keys {
		if s.Behavior == deleteKeys {
			c.delete(key)
		} else {
			old, _ := c.kv.Get([]byte(key))
			c.replace(&entry{Key: key, Value: old.Value, Flags: old.Flags, LockIndex: old.LockIndex})
		}
	}
	if delay := min(s.LockDelay, maxLockDelay); delay > 0 {
		for _, key := range keys {
			put(c, &c.delayed, key, uint64(delay))
			c.log(bucketDelays, key, binary.AppendUvarint(nil, uint64(delay)))
		}
		c.after = append(c.after, func() { delays.set(keys, time.Now().Add(delay)) })
	}
}
