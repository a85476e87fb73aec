package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/intent"
)

// certainty keeps ports from being closed on a reading of the store that may be old: what is taken from an app that the
// node still has is confirmed by a consistent read first. Only the loop's own goroutine uses it.
type certainty struct {
	latest func(context.Context) (intent.Node, error) // nil: nobody can be asked
	sure   string                                     // what was confirmed last
	doubts map[intent.Name]string                     // why an app is left as it is in this pass
}

// plan is [plan] with the apps left alone whose ports would be closed on an old reading.
func (c *certainty) plan(ctx context.Context, n intent.Node, a Actual) []converge.Step {
	c.doubts = nil
	steps := plan(n, a)
	apps := closing(steps)
	if len(apps) == 0 || c.latest == nil {
		return steps
	}
	said := fmt.Sprintf("%d %s", n.Index, claimed(n))
	if said == c.sure {
		return steps // the steps are under way, or are tried again
	}
	now, err := c.latest(ctx)
	if err == nil && claimed(now) == claimed(n) {
		c.sure = said
		return steps
	}
	// What is left to one app may then be taken from another, hence again.
	for c.doubts = map[intent.Name]string{}; len(apps) > 0; apps = closing(steps) {
		for _, app := range apps {
			c.doubts[app] = agent.Doubt("that its ports are to be closed", err)
		}
		steps = plan(c.marked(n), a)
	}
	return steps
}

// marked returns n with the apps held that this pass leaves alone.
func (c *certainty) marked(n intent.Node) intent.Node {
	if len(c.doubts) == 0 {
		return n
	}
	n.Apps = slices.Clone(n.Apps)
	for i, app := range n.Apps {
		if why, ok := c.doubts[app.Name]; ok && app.Sound() {
			n.Apps[i].Phase, n.Apps[i].Reason = intent.PhaseHeld, why
		}
	}
	return n
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
