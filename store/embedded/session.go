package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// session is what locks are held through, in the order and spelling of Consul's JSON.
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

// What becomes of the keys of a session that ends.
const (
	releaseKeys = "release"
	deleteKeys  = "delete"
)

const (
	minTTL           = 10 * time.Second
	maxTTL           = 24 * time.Hour
	defaultLockDelay = 15 * time.Second
	maxLockDelay     = 60 * time.Second
	secondsBelow     = 1000 // Smaller lock delays without a unit are seconds, larger ones nanoseconds.
)

// checkTTL says what is wrong with the behaviour and the TTL that somebody asks for.
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

// life is how long after a sign of life the session ends; 0 is never. Half a TTL of grace covers a slow network.
func (s *session) life() time.Duration {
	ttl, _ := time.ParseDuration(s.TTL)
	return ttl + ttl/2
}

// createSession adds a session whose checks, if it names any, exist and are not critical.
func (c *change) createSession(s *session, node string) error {
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
		found, ok := c.checks.Get([]byte(id))
		if !ok {
			return fmt.Errorf("apply failed: Missing check '%s' registration", id)
		}
		if found.Status == critical {
			return fmt.Errorf("apply failed: Check '%s' is in %s state", id, critical)
		}
	}
	s.CreateIndex, s.ModifyIndex = c.now, c.now
	put(c, &c.sessions, s.ID, s)
	c.sessionIndex = c.now
	kept, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode session %s: %w", s.ID, err)
	}
	c.log(bucketSessions, s.ID, kept)
	return nil
}

// delays remembers which keys may not be locked yet because the session that held them ended.
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

// active reports whether key may not be locked yet.
func (d *delays) active(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Now().Before(d.until[key])
}
