package world

import (
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// CrossCheck returns the problems between values that involve an edited key. Keys are below the intent prefix.
func (w Snapshot) CrossCheck(touched map[string]bool) intent.Problems {
	c := crossChecker{snapshot: w, edited: touched, reported: map[string]bool{}}
	for _, node := range w.Nodes() {
		apps := w.Node(node).Apps
		for i, app := range apps {
			c.checkComplete(node, app)
			for _, other := range apps[:i] {
				c.checkBasedirs(node, other, app)
				c.checkPorts(node, other, app)
			}
		}
	}
	c.checkReferences()
	return c.problems
}

type crossChecker struct {
	snapshot Snapshot
	edited   map[string]bool
	reported map[string]bool
	problems intent.Problems
}

// add reports a problem once, at the first of the keys that was edited.
func (c *crossChecker) add(warning bool, text string, keys ...string) {
	for _, key := range keys {
		if !c.edited[key] {
			continue
		}
		if !c.reported[key+text] {
			c.reported[key+text] = true
			c.problems = append(c.problems, intent.Problem{Key: key, Text: text, Warning: warning})
		}
		return
	}
}

func (c *crossChecker) intentKey(key string) string {
	return strings.TrimPrefix(key, string(c.snapshot.Tree.Intent()))
}

func (c *crossChecker) keys(node intent.Name, app intent.App) (assignment, config, deploy string) {
	t := c.snapshot.Tree
	return c.intentKey(t.Assignment(node, app.Name)), c.intentKey(t.Config(app.Name, app.Cluster)), c.intentKey(t.DeployConfig(app.Name, app.Cluster))
}

// checkComplete warns of an assignment to a cluster that lacks a value.
func (c *crossChecker) checkComplete(node intent.Name, app intent.App) {
	if app.Cluster == "" {
		return
	}
	assignment, config, deploy := c.keys(node, app)
	var absent []string
	for _, key := range []string{config, deploy} {
		if _, declared := c.snapshot.Get(key); !declared {
			absent = append(absent, key)
		}
	}
	if len(absent) == 0 {
		return
	}
	known := ""
	if clusters := c.snapshot.Clusters(app.Name); len(clusters) > 0 && !slices.Contains(clusters, app.Cluster) {
		known = fmt.Sprintf(" (%s has the clusters %s)", app.Name, join(clusters))
	}
	text := fmt.Sprintf("%s waits on %s: declared nowhere: %s%s", app.Name, node, strings.Join(absent, ", "), known)
	c.add(true, text, assignment, config, deploy)
}

// checkBasedirs refuses two apps on one node with overlapping directories.
func (c *crossChecker) checkBasedirs(node intent.Name, a, b intent.App) {
	x, y := a.Deploy.Basedir, b.Deploy.Basedir
	if x == "" || y == "" || !within(x, y) && !within(y, x) {
		return
	}
	assignA, _, deployA := c.keys(node, a)
	assignB, _, deployB := c.keys(node, b)
	text := fmt.Sprintf("on %s basedir %s of %s overlaps basedir %s of %s: give each app its own", node, y, b.Name, x, a.Name)
	c.add(false, text, deployB, deployA, assignB, assignA)
}

// checkPorts warns of a port that two apps of a node claim: only one of them can listen.
func (c *crossChecker) checkPorts(node intent.Name, a, b intent.App) {
	assignA, _, deployA := c.keys(node, a)
	assignB, _, deployB := c.keys(node, b)
	for _, p := range a.Deploy.Ports {
		for _, q := range b.Deploy.Ports {
			if p.Overlaps(q) {
				text := fmt.Sprintf("on %s both %s (%s) and %s (%s) claim a port: the older claim wins", node, a.Name, p, b.Name, q)
				c.add(true, text, deployB, deployA, assignB, assignA)
			}
		}
	}
}

func within(dir, other string) bool { return dir == other || strings.HasPrefix(dir, other+"/") }

func join(names []intent.Name) string {
	var b strings.Builder
	for i, n := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(n))
	}
	return b.String()
}
