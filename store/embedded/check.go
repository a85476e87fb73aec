package embedded

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// The states of a check, and the one check of the machine itself that every Consul agent has.
const (
	passing   = "passing"
	warning   = "warning"
	critical  = "critical"
	nodeCheck = "serfHealth"
)

// check is what is known of the health of a service or of the machine. What a client sees comes first, in the order
// and spelling of Consul's JSON.
type check struct {
	checkName
	checkState
	checkOf
	Type        string
	Interval    string
	Timeout     string
	ExposedPort int
	Definition  struct{}
	indexes
	Probe *probe `json:",omitempty"` // how to find out; never sent to clients
}

type checkName struct {
	Node    string
	CheckID string
	Name    string
}

type checkState struct {
	Status string
	Notes  string
	Output string
}

type checkOf struct {
	ServiceID   string
	ServiceName string
	ServiceTags []string
}

// probe says how a check finds out, and how much it takes to change its mind. Of HTTP, TCP and TTL one is set.
type probe struct {
	HTTP            string
	TCP             string
	TTL             time.Duration
	Interval        time.Duration
	Timeout         time.Duration
	DeregisterAfter time.Duration // how long the service may be critical; 0 is for ever
	Successes       int           // how many in a row make it passing, beyond the first
	Warnings        int           // how many failures in a row make it warning
	Failures        int           // how many failures in a row make it critical
	Request         probeRequest
}

// probeRequest is the HTTP request of an HTTP check.
type probeRequest struct {
	Method        string
	Header        map[string][]string
	Body          string
	TLSSkipVerify bool
}

// shown is a check without what clients do not see.
func (c *check) shown() *check {
	s := *c
	s.Probe = nil
	return &s
}

// serf is the check of the machine: it passes, since somebody answers.
func (s *Store) serf() *check {
	return &check{
		checkName:  checkName{s.options.Node, nodeCheck, "Serf Health Status"},
		checkState: checkState{Status: passing, Output: "Agent alive and reachable"},
		checkOf:    checkOf{ServiceTags: []string{}},
		indexes:    indexes{1, 1},
	}
}

// addCheck adds or replaces a check. A check that was there before keeps its state, unless the new one brings its own.
func (s *Store) addCheck(x *change, c *check) error {
	if c.ServiceTags == nil {
		c.ServiceTags = []string{}
	}
	if old, found := x.checks.Get([]byte(c.CheckID)); found && c.Status == "" {
		c.Status, c.Output = old.Status, old.Output
	}
	if c.Status == "" {
		c.Status = critical
	}
	if old, found := x.checks.Get([]byte(c.CheckID)); found {
		if same := *c; equalJSON(old, &same, old.indexes, &same.indexes) {
			return nil
		}
	}
	if err := x.putCheck(c); err != nil {
		return err
	}
	x.after = append(x.after, func() { s.probes.start(c) })
	return nil
}

func (c *change) putCheck(k *check) error {
	k.CreateIndex, k.ModifyIndex = c.now, c.now
	if old, found := c.checks.Get([]byte(k.CheckID)); found {
		k.CreateIndex = old.CreateIndex
	}
	kept, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("encode check %s: %w", k.CheckID, err)
	}
	put(c, &c.checks, k.CheckID, k)
	c.log(bucketChecks, k.CheckID, kept)
	c.touch(k.ServiceName)
	return nil
}

func (s *Store) dropCheck(x *change, c *check) {
	drop(x, &x.checks, c.CheckID)
	x.log(bucketChecks, c.CheckID, nil)
	x.touch(c.ServiceName)
	x.after = append(x.after, func() { s.probes.forget(c.CheckID) })
	s.endDependents(x, c)
}

// setState records what a check found. Sessions that depend on a check end when it turns critical.
func (s *Store) setState(x *change, id, state, output string) error {
	old, found := x.checks.Get([]byte(id))
	if !found {
		return unknownCheck(id)
	}
	if old.Status == state && old.Output == output {
		return nil
	}
	c := *old
	c.Status, c.Output = state, output
	if err := x.putCheck(&c); err != nil {
		return err
	}
	if state == critical {
		s.endDependents(x, &c)
	}
	return nil
}

func (s *Store) endDependents(x *change, c *check) {
	for _, session := range all(x.sessions) {
		if session.dependsOn(c.CheckID) {
			s.end(x, session.ID)
		}
	}
}

func (s *session) dependsOn(id string) bool {
	return slices.Contains(s.NodeChecks, id) ||
		slices.ContainsFunc(s.ServiceChecks, func(c serviceCheck) bool { return c.ID == id })
}

func unknownCheck(id string) error {
	return status{http.StatusNotFound, fmt.Sprintf("Unknown check ID %q. Ensure that the check ID is passed, not the check name.", id)}
}
