package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// session is a holder of locks, in the order and spelling of Consul's JSON.
type session struct {
	ID            string
	Name          string
	Node          string
	LockDelay     time.Duration // nanoseconds
	Behavior      string
	TTL           string
	NodeChecks    []string
	ServiceChecks []serviceCheck
	indexes
}

// serviceCheck names a check of a service that a session depends on.
type serviceCheck struct {
	ID        string
	Namespace string
}

// What happens to the locked keys when a session ends.
const (
	releaseKeys = "release"
	deleteKeys  = "delete"
)

const (
	minTTL           = 10 * time.Second
	maxTTL           = 24 * time.Hour
	defaultLockDelay = 15 * time.Second
	maxLockDelay     = 60 * time.Second
	secondsBelow     = 1000 // numbers below this are seconds, others nanoseconds
)

// checkTTL validates the behaviour and the TTL, and sets the default behaviour.
func (s *session) checkTTL() error {
	if s.Behavior == "" {
		s.Behavior = releaseKeys
	}
	if s.Behavior != releaseKeys && s.Behavior != deleteKeys {
		return fmt.Errorf("Invalid Behavior setting '%s'", s.Behavior)
	}
	if s.TTL == "" {
		return nil
	}
	ttl, err := time.ParseDuration(s.TTL)
	if err != nil {
		return fmt.Errorf("Session TTL '%s' invalid: %v", s.TTL, err)
	}
	if ttl != 0 && (ttl < minTTL || ttl > maxTTL) {
		return fmt.Errorf("Invalid Session TTL '%d', must be between [%v=%v]", ttl, minTTL, maxTTL)
	}
	return nil
}

// lifetime is the time from a renewal to expiry; 0 means never. Half a TTL of grace covers a slow network.
func (s *session) lifetime() time.Duration {
	ttl, _ := time.ParseDuration(s.TTL)
	return ttl + ttl/2
}

// createSession adds a session. The checks it depends on must exist and not be critical.
func (m *mutation) createSession(s *session, node string) error {
	if s.Node != node {
		return errors.New("apply failed: Missing node registration")
	}
	needed := append([]string(nil), s.NodeChecks...)
	for _, check := range s.ServiceChecks {
		needed = append(needed, check.ID)
	}
	for _, id := range needed {
		if id == nodeCheck {
			continue
		}
		found, ok := m.checks.Get([]byte(id))
		if !ok {
			return fmt.Errorf("apply failed: Missing check '%s' registration", id)
		}
		if found.Status == critical {
			return fmt.Errorf("apply failed: Check '%s' is in %s state", id, critical)
		}
	}
	s.CreateIndex, s.ModifyIndex = m.commitIndex, m.commitIndex
	treeSet(m, &m.sessions, s.ID, s)
	m.sessionIndex = m.commitIndex
	encoded, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode session %s: %w", s.ID, err)
	}
	m.logRecord(bucketSessions, s.ID, encoded)
	return nil
}

// delays records which keys cannot be locked yet because the session that held them ended.
type delays struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func (d *delays) set(keys []string, until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.until == nil {
		d.until = map[string]time.Time{}
	}
	for key, t := range d.until {
		if time.Now().After(t) {
			delete(d.until, key)
		}
	}
	for _, key := range keys {
		d.until[key] = until
	}
}

// active reports whether key is under a lock delay.
func (d *delays) active(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Before(d.until[key])
}
