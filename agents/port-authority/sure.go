package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/intent"
)

// certainty keeps ports from being closed on a reading of the store that may be old: what is taken from an app that the
// node still has is confirmed by a consistent read first. That goes on beside the loop, so what is to be opened does
// not wait for it.
type certainty struct {
	latest func() (intent.Node, error) // consistently; nil: nobody can be asked
	wait   bool                        // for the answer: there is but one pass
	wake   chan struct{}               // carries a value when an answer has come

	// Of the loop's own goroutine.
	asked   string // what is being asked about
	sure    string // what was confirmed last
	doubted string // what could not be confirmed last
	why     string // why not; "" while its first answer is awaited
	answers chan answer
	kept    []intent.Name // apps of which nothing is closed in this pass
}

// answer is what came of a question.
type answer struct {
	about string
	now   intent.Node
	err   error
}

func newCertainty(latest func() (intent.Node, error), wait bool) *certainty {
	return &certainty{latest: latest, wait: wait, wake: make(chan struct{}, 1), answers: make(chan answer, 1)}
}

// plan is [plan], but that nothing is closed which is not confirmed.
func (c *certainty) plan(n intent.Node, a Actual) []converge.Step {
	c.kept = nil
	steps := plan(n, a)
	apps := closing(steps)
	if len(apps) == 0 || c.latest == nil {
		return steps
	}
	said := fmt.Sprintf("%d %s", n.Index, claimed(n))
	if said == c.sure || c.confirmed(n, said) {
		return steps
	}
	c.kept, a.Keep = apps, map[intent.Name]bool{}
	for _, app := range apps {
		a.Keep[app] = true
	}
	return plan(n, a)
}

// confirmed takes in an answer that has come, and asks when nobody has been asked or the last answer was no.
func (c *certainty) confirmed(n intent.Node, said string) bool {
	if c.asked == "" {
		c.ask(said)
	}
	var got answer
	if c.wait {
		got = <-c.answers
	} else {
		select {
		case got = <-c.answers:
		default:
			return false
		}
	}
	c.asked = ""
	switch {
	case got.about != said: // intent has changed since
		return c.confirmed(n, said)
	case got.err == nil && claimed(got.now) == claimed(n):
		c.sure, c.doubted, c.why = said, "", ""
		return true
	}
	c.doubted, c.why = said, agent.Doubt("that its ports are to be closed", got.err)
	return false
}

func (c *certainty) ask(said string) {
	if c.asked = said; said != c.doubted {
		c.why = ""
	}
	go func() {
		now, err := c.latest()
		c.answers <- answer{said, now, err}
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}()
}

// states corrects what [states] says of the apps of which something is still to be closed.
func (c *certainty) states(all map[string]converge.State) map[string]converge.State {
	for _, app := range c.kept {
		s := all[string(app)]
		if s.Phase, s.Reason, s.Moves = converge.Working, "its ports are closed once the store confirms that", true; c.why != "" {
			s.Phase, s.Reason, s.Moves = intent.PhaseHeld, c.why, false
		}
		all[string(app)] = s
	}
	return all
}

// claimed says which ports intent asks for and who was first: everything that decides over what is closed.
func claimed(n intent.Node) string {
	var b strings.Builder
	for _, app := range n.Apps {
		if app.Sound() {
			fmt.Fprintf(&b, "%s %d %+v\n", app.Name, app.Created, app.Deploy.Ports)
		}
	}
	return b.String()
}

// closing returns the apps of the node that steps would take a port from.
func closing(steps []converge.Step) (apps []intent.Name) {
	for _, s := range steps {
		switch s := s.(type) {
		case Restore:
			for app := range strings.FieldsSeq(s.Closes) {
				apps = append(apps, intent.Name(app))
			}
		case WriteFile:
			if s.Over {
				apps = append(apps, s.App)
			}
		}
	}
	slices.Sort(apps)
	return slices.Compact(apps)
}

// closings names the apps of the node that lose a rule which this agent could have written, with blanks between. What
// an app loses because it left the node is the guard's to confirm.
func closings(n intent.Node, have, want map[intent.Name][]Rule) string {
	var apps []string
	for _, app := range n.Apps {
		if app.Sound() && slices.ContainsFunc(without(have[app.Name], want[app.Name]), func(r Rule) bool { return r.Raw == "" }) {
			apps = append(apps, string(app.Name))
		}
	}
	return strings.Join(apps, " ")
}
