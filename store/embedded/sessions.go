package embedded

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

const maxBody = 1 << 20 // bytes of a body other than a value or a transaction

// sessionBody is the request body that creates a session, with defaults set before decoding.
type sessionBody struct {
	Name          string
	Node          string
	Behavior      string
	TTL           string
	LockDelay     any
	Checks        []string
	NodeChecks    []string
	ServiceChecks []serviceCheck
}

func (c *call) sessionCreate() (any, error) {
	body := sessionBody{Node: c.store.options.Node, Checks: []string{nodeCheck}, NodeChecks: []string{nodeCheck}}
	raw, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	if err != nil {
		return nil, err
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &body); err != nil {
			return nil, badRequest("Request decode failed: %v", err)
		}
	}
	s, err := body.session()
	if err != nil {
		return nil, err
	}
	if err := s.checkTTL(); err != nil {
		return nil, err
	}
	_, err = c.store.submit(c.r.Context(), func(m *mutation) (any, error) {
		m.onCommit = append(m.onCommit, func() { c.store.expiry.renew(s) })
		return nil, m.createSession(s, c.store.options.Node)
	})
	if err != nil {
		return nil, err
	}
	return struct{ ID string }{s.ID}, nil
}

func (b sessionBody) session() (*session, error) {
	delay, err := parseLockDelay(b.LockDelay)
	if err != nil {
		return nil, badRequest("Request decode failed: %v", err)
	}
	s := &session{ID: newID(), Name: b.Name, Node: b.Node, LockDelay: delay, Behavior: b.Behavior, TTL: b.TTL,
		NodeChecks: b.NodeChecks, ServiceChecks: b.ServiceChecks}
	// Checks is the older name of NodeChecks. If either is empty, the session depends on no node check.
	standard := len(b.Checks) == 1 && b.Checks[0] == nodeCheck
	switch {
	case len(b.Checks) == 0:
		s.NodeChecks = []string{}
	case !standard:
		s.NodeChecks = b.Checks
	}
	return s, nil
}

// parseLockDelay accepts a duration string or a number: small ones are seconds, others nanoseconds.
func parseLockDelay(v any) (time.Duration, error) {
	switch v := v.(type) {
	case nil:
		return defaultLockDelay, nil
	case string:
		d, err := time.ParseDuration(v)
		if err == nil && d < secondsBelow {
			d *= time.Second
		}
		return d, err
	case float64:
		if v < secondsBelow {
			return time.Duration(v * float64(time.Second)), nil
		}
		return time.Duration(v), nil
	}
	return 0, fmt.Errorf("lock delay %v is no duration", v)
}

// newID returns a random UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (c *call) sessionDestroy() (any, error) {
	if c.suffix == "" {
		return nil, badRequest("Missing session")
	}
	return c.store.submit(c.r.Context(), func(m *mutation) (any, error) {
		c.store.endSession(m, c.suffix)
		return true, nil
	})
}

func (c *call) sessionRenew() (any, error) {
	if _, err := c.queryOptions(); err != nil {
		return nil, err
	}
	if c.suffix == "" {
		return nil, badRequest("Missing session")
	}
	s, found := c.store.snapshot.Load().sessions.Get([]byte(c.suffix))
	if !found {
		return nil, httpError{http.StatusNotFound, fmt.Sprintf("Session id '%s' not found", c.suffix)}
	}
	c.store.expiry.renew(s)
	return []*session{s}, nil
}

func (c *call) sessionInfo() (any, error) {
	if c.suffix == "" {
		return nil, badRequest("Missing session")
	}
	return c.readSessions(func(snap *snapshot) ([]*session, readResult) {
		wait, s, ok := snap.sessions.Root().GetWatch([]byte(c.suffix))
		if !ok {
			return []*session{}, readResult{snap.sessionIndex, wait, true}
		}
		return []*session{s}, readResult{snap.sessionIndex, wait, false}
	})
}

func (c *call) sessionList() (any, error) {
	return c.readSessions(func(snap *snapshot) ([]*session, readResult) {
		return valuesOf(snap.sessions), readResult{snap.sessionIndex, watchRoot(snap.sessions), false}
	})
}

func (c *call) sessionNode() (any, error) {
	if c.suffix == "" {
		return nil, badRequest("Missing node name")
	}
	return c.readSessions(func(snap *snapshot) ([]*session, readResult) {
		sessions := []*session{}
		if c.suffix == c.store.options.Node {
			sessions = valuesOf(snap.sessions)
		}
		return sessions, readResult{snap.sessionIndex, watchRoot(snap.sessions), false}
	})
}

func (c *call) readSessions(readState func(*snapshot) ([]*session, readResult)) (any, error) {
	var sessions []*session
	alive, err := c.read(func(snap *snapshot) readResult {
		var f readResult
		sessions, f = readState(snap)
		return f
	})
	if !alive {
		return nil, err
	}
	return sessions, nil
}
