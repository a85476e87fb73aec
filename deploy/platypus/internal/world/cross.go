package world

import (
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// Cross returns what is wrong between the values of a world, as far as a key that is touched has a part in it. Keys are
// below the intent prefix.
func (w World) Cross(touched map[string]bool) intent.Problems {
	c := crossing{world: w, touched: touched, said: map[string]bool{}}
	for _, node := range w.Nodes() {
		apps := w.Node(node).Apps
		for i, app := range apps {
			c.complete(node, app)
			for _, other := range apps[:i] {
				c.basedirs(node, other, app)
				c.ports(node, other, app)
			}
		}
	}
	c.references()
	return c.found
}

type crossing struct {
	world   World
	touched map[string]bool
	said    map[string]bool
	found   intent.Problems
}

// add blames the first of the keys that is touched, once.
func (c *crossing) add(warning bool, text string, keys ...string) {
	for _, key := range keys {
		if !c.touched[key] {
			continue
		}
		if !c.said[key+text] {
			c.said[key+text] = true
			c.found = append(c.found, intent.Problem{Key: key, Text: text, Warning: warning})
		}
		return
	}
}

func (c *crossing) below(key string) string {
	return strings.TrimPrefix(key, string(c.world.Tree.Intent()))
}

func (c *crossing) keys(node intent.Name, app intent.App) (assignment, config, deploy string) {
	t := c.world.Tree
	return c.below(t.Assignment(node, app.Name)), c.below(t.Config(app.Name, app.Cluster)), c.below(t.DeployConfig(app.Name, app.Cluster))
}

// complete warns of an assignment to a cluster that lacks a value.
func (c *crossing) complete(node intent.Name, app intent.App) {
	if app.Cluster == "" {
		return
	}
	assignment, config, deploy := c.keys(node, app)
	var absent []string
	for _, key := range []string{config, deploy} {
		if _, declared := c.world.Get(key); !declared {
			absent = append(absent, key)
		}
	}
	if len(absent) == 0 {
		return
	}
	known := ""
	if clusters := c.world.Clusters(app.Name); len(clusters) > 0 && !slices.Contains(clusters, app.Cluster) {
		known = fmt.Sprintf(" (%s has the clusters %s)", app.Name, join(clusters))
	}
	text := fmt.Sprintf("%s waits on %s: declared nowhere: %s%s", app.Name, node, strings.Join(absent, ", "), known)
	c.add(true, text, assignment, config, deploy)
}

// basedirs refuses two apps on one node that would fight over one directory.
func (c *crossing) basedirs(node intent.Name, a, b intent.App) {
	x, y := a.Deploy.Basedir, b.Deploy.Basedir
	if x == "" || y == "" || !within(x, y) && !within(y, x) {
		return
	}
	assignA, _, deployA := c.keys(node, a)
	assignB, _, deployB := c.keys(node, b)
	text := fmt.Sprintf("on %s basedir %s of %s overlaps basedir %s of %s: give each app its own", node, y, b.Name, x, a.Name)
	c.add(false, text, deployB, deployA, assignB, assignA)
}

// ports warns of a port that two apps of a node claim: only one of them can listen there.
func (c *crossing) ports(node intent.Name, a, b intent.App) {
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
