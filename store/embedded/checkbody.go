package embedded

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// checkBody is the request body that registers a check.
type checkBody struct {
	ID        string
	CheckID   string
	Name      string
	Notes     string
	ServiceID string
	Status    string
	probeBody
	requestBody
}

type probeBody struct {
	HTTP                           string
	TCP                            string
	TTL                            duration
	Interval                       duration
	Timeout                        duration
	DeregisterCriticalServiceAfter duration
	SuccessBeforePassing           int
	FailuresBeforeWarning          int
	FailuresBeforeCritical         int
}

type requestBody struct {
	Method        string
	Header        map[string][]string
	Body          string
	TLSSkipVerify bool
}

// duration is a JSON duration: a string ("10s") or a number of nanoseconds.
type duration time.Duration

// UnmarshalJSON accepts a string or nanoseconds; "" is 0.
func (d *duration) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
	case float64:
		*d = duration(v)
	case string:
		if v == "" {
			return nil
		}
		span, err := time.ParseDuration(v)
		*d = duration(span)
		return err
	default:
		return fmt.Errorf("%s is no duration", b)
	}
	return nil
}

// decode reads a JSON body of at most maxBody bytes.
func (c *call) decode(into any) error {
	raw, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return badRequest("Request decode failed: %v", err)
	}
	return nil
}

var states = []string{passing, warning, critical}

// newCheck validates a registration and returns its check.
func (b checkBody) newCheck(node string) (*check, error) {
	if b.ID == "" {
		b.ID = b.CheckID
	}
	if b.ID == "" {
		b.ID = b.Name
	}
	if b.Status != "" && !slices.Contains(states, b.Status) {
		return nil, badRequest("Bad check status")
	}
	if err := b.validate(); err != nil {
		return nil, badRequest("Invalid check: %v", err)
	}
	c := &check{
		checkName:    checkName{node, b.ID, b.Name},
		checkState:   checkState{Status: b.Status, Notes: b.Notes},
		checkService: checkService{ServiceID: b.ServiceID},
		Type:         "ttl",
		Probe: &probe{HTTP: b.HTTP, TCP: b.TCP, TTL: time.Duration(b.TTL), Interval: time.Duration(b.Interval),
			Timeout: time.Duration(b.Timeout), DeregisterAfter: time.Duration(b.DeregisterCriticalServiceAfter),
			Successes: b.SuccessBeforePassing, Warnings: b.FailuresBeforeWarning, Failures: b.FailuresBeforeCritical,
			Request: probeRequest{b.Method, b.Header, b.Body, b.TLSSkipVerify}},
	}
	switch {
	case b.HTTP != "":
		c.Type = "http"
	case b.TCP != "":
		c.Type = "tcp"
	}
	if c.Type != "ttl" {
		c.Interval, c.Timeout = c.Probe.Interval.String(), c.Probe.Timeout.String()
	}
	return c, nil
}

func (b checkBody) validate() error {
	probes := b.HTTP != "" || b.TCP != ""
	switch {
	case b.Interval > 0 && b.TTL > 0:
		return fmt.Errorf("Interval and TTL cannot both be specified")
	case probes && b.Interval <= 0:
		return fmt.Errorf("Interval must be > 0 for Script, HTTP, H2PING, TCP, UDP or OSService checks")
	case !probes && b.TTL <= 0:
		return fmt.Errorf("TTL must be > 0 for TTL checks")
	case b.FailuresBeforeWarning > b.FailuresBeforeCritical:
		return fmt.Errorf("FailuresBeforeWarning can't be higher than FailuresBeforeCritical")
	}
	return nil
}

func (c *call) checkRegister() (any, error) {
	var body checkBody
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.Name == "" {
		return nil, badRequest("Missing check name")
	}
	made, err := body.newCheck(c.store.options.Node)
	if err != nil {
		return nil, err
	}
	_, err = c.store.submit(c.r.Context(), func(m *mutation) (any, error) {
		if made.ServiceID != "" {
			service, found := m.services.Get([]byte(made.ServiceID))
			if !found {
				return nil, httpError{http.StatusNotFound, fmt.Sprintf("ServiceID %q does not exist", made.ServiceID)}
			}
			made.ServiceName, made.ServiceTags = service.Service, service.Tags
		}
		return nil, c.store.addCheck(m, made)
	})
	return nil, err
}

func (c *call) checkDeregister() (any, error) {
	_, err := c.store.submit(c.r.Context(), func(m *mutation) (any, error) {
		old, found := m.checks.Get([]byte(c.suffix))
		if !found {
			return nil, unknownCheck(c.suffix)
		}
		c.store.removeCheck(m, old)
		return nil, nil
	})
	return nil, err
}

func (c *call) checkPass() (any, error) { return c.updateTTLCheck(passing, c.query.Get("note")) }
func (c *call) checkWarn() (any, error) { return c.updateTTLCheck(warning, c.query.Get("note")) }
func (c *call) checkFail() (any, error) { return c.updateTTLCheck(critical, c.query.Get("note")) }

func (c *call) checkUpdate() (any, error) {
	var body struct{ Status, Output string }
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if !slices.Contains(states, body.Status) {
		return nil, badRequest("Invalid check status: '%s'", body.Status)
	}
	return c.updateTTLCheck(body.Status, body.Output)
}

// updateTTLCheck records the state that a client reports for a TTL check and restarts its TTL.
func (c *call) updateTTLCheck(state, output string) (any, error) {
	_, err := c.store.submit(c.r.Context(), func(m *mutation) (any, error) {
		k, found := m.checks.Get([]byte(c.suffix))
		if !found {
			return nil, unknownCheck(c.suffix)
		}
		if k.Type != "ttl" {
			return nil, fmt.Errorf("CheckID %q does not have associated TTL", c.suffix)
		}
		return nil, c.store.setCheckState(m, c.suffix, state, output)
	})
	if err == nil {
		c.store.checkRunner.resetTTL(c.suffix)
	}
	return nil, err
}
