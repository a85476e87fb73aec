package main

import (
	"context"

	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/intent"
)

// certainty keeps an app from being stopped for good on a reading of the store that may be old: that no version of it is
// active is confirmed by a consistent read first. Only the loop's own goroutine uses it.
type certainty struct {
	latest func(context.Context) (intent.Node, error) // nil: nobody can be asked
	sure   map[string]uint64                          // apps that were confirmed, and the index of the intent that said so
	doubts map[string]string                          // why an app is left as it is in this pass
}

// doubt finds the apps that would be stopped on an old reading.
func (c *certainty) doubt(ctx context.Context, node intent.Node, d Desired, a Actual) {
	c.doubts = map[string]string{}
	var asked bool
	var now Desired
	var err error
	for name, w := range d {
		if c.latest == nil || w.Phase != "" || w.Version != "" || !a[name].kept() {
			delete(c.sure, name)
			continue
		}
		if index, sure := c.sure[name]; sure && index == node.Index {
			continue // the stop is under way, or is tried again
		}
		if !asked {
			var latest intent.Node
			latest, err = c.latest(ctx)
			now, asked = desired(latest), true
		}
		if said, there := now[name]; err == nil && there && said.Phase == "" && said.Version == "" {
			c.sure[name] = node.Index
			continue
		}
		c.doubts[name] = agent.Doubt("that no version is active", err)
	}
}

// mark holds the apps of which there is a doubt.
func (c *certainty) mark(d Desired) {
	for name, why := range c.doubts {
		if w, named := d[name]; named && w.Phase == "" {
			w.Phase, w.Reason = intent.PhaseHeld, why
			d[name] = w
		}
	}
}

// kept reports whether something of an app runs, or is to be started again.
func (a App) kept() bool {
	return a.owned() && (a.Service.Up || a.Service.Process.Running() || a.Service.Boot)
}
