package embedded

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

const maxBody = 1 << 20 // bytes of a body that is neither a value nor a transaction

// sessionBody is what a client sends to open a session; what it leaves out has a default.
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
	_, err = c.store.propose(c.r.Context(), func(x *change) (any, error) {
		x.after = append(x.after, func() { c.store.expiry.renew(s) })
		return nil, x.createSession(s, c.store.options.Node)
	})
	if err != nil {
		return nil, err
	}
	return struct{ ID string }{s.ID}, nil
}

func (b sessionBody) session() (*session, error) {
	delay, err := lockDelay(b.LockDelay)
	if err != nil {
		return nil, badRequest("Request decode failed: %v", err)
	}
	s := &session{ID: newID(), Name: b.Name, Node: b.Node, LockDelay: delay, Behavior: b.Behavior, TTL: b.TTL,
		NodeChecks: b.NodeChecks, ServiceChecks: b.ServiceChecks}
	// Checks is the older name of NodeChecks; an empty one of either means no checks.
	standard := len(b.Checks) == 1 && b.Checks[0] == nodeCheck
	switch {
	case len(b.Checks) == 0:
		s.NodeChecks = []string{}
	case !standard:
		s.NodeChecks = b.Checks
	}
	return s, nil
}

// lockDelay reads a duration in words or in a number, of seconds when it is small and of nanoseconds otherwise.
func lockDelay(v any) (time.Duration, error) {
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

// newID makes a random UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // It never fails.
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (c *call) sessionDestroy() (any, error) {
	if c.rest == "" {
		return nil, badRequest("Missing session")
	}
	return c.store.propose(c.r.Context(), func(x *change) (any, error) {
		c.store.end(x, c.rest)
		return true, nil
	})
}

func (c *call) sessionRenew() (any, error) {
	if _, err := c.options(); err != nil {
		return nil, err
	}
	if c.rest == "" {
		return nil, badRequest("Missing session")
	}
	s, found := c.store.view.Load().sessions.Get([]byte(c.rest))
	if !found {
		return nil, status{http.StatusNotFound, fmt.Sprintf("Session id '%s' not found", c.rest)}
	}
	c.store.expiry.renew(s)
	return []*session{s}, nil
}

func (c *call) sessionInfo() (any, error) {
	if c.rest == "" {
		return nil, badRequest("Missing session")
	}
	return c.readSessions(func(v *view) ([]*session, found) {
		wait, s, ok := v.sessions.Root().GetWatch([]byte(c.rest))
		if !ok {
			return []*session{}, found{v.sessionIndex, wait, true}
		}
		return []*session{s}, found{v.sessionIndex, wait, false}
	})
}

func (c *call) sessionList() (any, error) {
	return c.readSessions(func(v *view) ([]*session, found) {
		return all(v.sessions), found{v.sessionIndex, rootOf(v.sessions), false}
	})
}

func (c *call) sessionNode() (any, error) {
	if c.rest == "" {
		return nil, badRequest("Missing node name")
	}
	return c.readSessions(func(v *view) ([]*session, found) {
		sessions := []*session{}
		if c.rest == c.store.options.Node {
			sessions = all(v.sessions)
		}
		return sessions, found{v.sessionIndex, rootOf(v.sessions), false}
	})
}

func (c *call) readSessions(look func(*view) ([]*session, found)) (any, error) {
	var sessions []*session
	alive, err := c.read(func(v *view) found {
		var f found
		sessions, f = look(v)
		return f
	})
	if !alive {
		return nil, err
	}
	return sessions, nil
}
