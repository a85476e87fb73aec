package embedded

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// The states of a check, and the ID of the node check that every Consul agent has.
const (
	passing   = "passing"
	warning   = "warning"
	critical  = "critical"
	nodeCheck = "serfHealth"
)

// check is the health of a service or of the node. The fields for clients come first, in the order and spelling of
// Consul's JSON.
type check struct {
	checkName
	checkState
	checkService
	Type        string
	Interval    string
	Timeout     string
	ExposedPort int
	Definition  struct{}
	indexes
	Probe *probe `json:",omitempty"` // how to run it; never sent to clients
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

type checkService struct {
	ServiceID   string
	ServiceName string
	ServiceTags []string
}

// probe defines how a check runs and how many results change its state. One of HTTP, TCP and TTL is set.
type probe struct {
	HTTP            string
	TCP             string
	TTL             time.Duration
	Interval        time.Duration
	Timeout         time.Duration
	DeregisterAfter time.Duration // how long the service may be critical; 0 means forever
	Successes       int           // successes in a row before it is passing, beyond the first
	Warnings        int           // failures in a row before it is warning
	Failures        int           // failures in a row before it is critical
	Request         probeRequest
}

type probeRequest struct {
	Method        string
	Header        map[string][]string
	Body          string
	TLSSkipVerify bool
}

// withoutProbe copies a check without the fields that clients must not see.
func (c *check) withoutProbe() *check {
	s := *c
	s.Probe = nil
	return &s
}

// serfCheck is the node's own check. It always passes, because the store answers.
func (s *Store) serfCheck() *check {
	return &check{
		checkName:    checkName{s.options.Node, nodeCheck, "Serf Health Status"},
		checkState:   checkState{Status: passing, Output: "Agent alive and reachable"},
		checkService: checkService{ServiceTags: []string{}},
		indexes:      indexes{1, 1},
	}
}

// addCheck adds or replaces a check. A replaced check keeps its state unless the new one sets a state.
func (s *Store) addCheck(m *mutation, c *check) error {
	if c.ServiceTags == nil {
		c.ServiceTags = []string{}
	}
	if old, found := m.checks.Get([]byte(c.CheckID)); found && c.Status == "" {
		c.Status, c.Output = old.Status, old.Output
	}
	if c.Status == "" {
		c.Status = critical
	}
	if old, found := m.checks.Get([]byte(c.CheckID)); found {
		if same := *c; equalJSON(old, &same, old.indexes, &same.indexes) {
			return nil
		}
	}
	if err := m.putCheck(c); err != nil {
		return err
	}
	m.onCommit = append(m.onCommit, func() { s.checkRunner.start(c) })
	return nil
}

func (m *mutation) putCheck(k *check) error {
	k.CreateIndex, k.ModifyIndex = m.commitIndex, m.commitIndex
	if old, found := m.checks.Get([]byte(k.CheckID)); found {
		k.CreateIndex = old.CreateIndex
	}
	encoded, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("encode check %s: %w", k.CheckID, err)
	}
	treeSet(m, &m.checks, k.CheckID, k)
	m.logRecord(bucketChecks, k.CheckID, encoded)
	m.touchService(k.ServiceName)
	return nil
}

func (s *Store) removeCheck(m *mutation, c *check) {
	treeDelete(m, &m.checks, c.CheckID)
	m.logRecord(bucketChecks, c.CheckID, nil)
	m.touchService(c.ServiceName)
	m.onCommit = append(m.onCommit, func() { s.checkRunner.remove(c.CheckID) })
	s.endDependentSessions(m, c)
}

// setCheckState records a result. Sessions that depend on the check end when it becomes critical.
func (s *Store) setCheckState(m *mutation, id, state, output string) error {
	old, found := m.checks.Get([]byte(id))
	if !found {
		return unknownCheck(id)
	}
	if old.Status == state && old.Output == output {
		return nil
	}
	c := *old
	c.Status, c.Output = state, output
	if err := m.putCheck(&c); err != nil {
		return err
	}
	if state == critical {
		s.endDependentSessions(m, &c)
	}
	return nil
}

func (s *Store) endDependentSessions(m *mutation, c *check) {
	for _, session := range valuesOf(m.sessions) {
		if session.dependsOn(c.CheckID) {
			s.endSession(m, session.ID)
		}
	}
}

func (s *session) dependsOn(id string) bool {
	return slices.Contains(s.NodeChecks, id) ||
		slices.ContainsFunc(s.ServiceChecks, func(c serviceCheck) bool { return c.ID == id })
}

func unknownCheck(id string) error {
	return httpError{http.StatusNotFound, fmt.Sprintf("Unknown check ID %q. Ensure that the check ID is passed, not the check name.", id)}
}
