package intent

import (
	"fmt"
	"strings"
)

// DefaultRoot is the default root of the tree.
const DefaultRoot = "platypus/"

// Tree builds the keys of the store. The zero value is not useful; call [ParseRoot].
type Tree struct {
	intent  Prefix // what people write
	managed Prefix // what agents write
}

// ParseRoot returns the tree under root, a prefix such as "platypus/" (a missing last "/" is added). The empty root is
// the layout of 2014: intent at the top of the store, while agents still write under "platypus/".
func ParseRoot(root string) (Tree, error) {
	if root == "" {
		return Tree{intent: "", managed: DefaultRoot}, nil
	}
	root = strings.TrimSuffix(root, "/")
	for segment := range strings.SplitSeq(root, "/") {
		if _, err := ParseName(segment); err != nil {
			return Tree{}, fmt.Errorf("parse root %q: %w", root, err)
		}
	}
	return Tree{intent: Prefix(root + "/intent/"), managed: Prefix(root + "/")}, nil
}

// Intent is the prefix of everything that people declare.
func (t Tree) Intent() Prefix { return t.intent }

// Own is the prefix of what agents write.
func (t Tree) Own() Prefix { return t.managed }

// Nodes is the prefix of all assignments.
func (t Tree) Nodes() Prefix { return t.intent.Join("nodes") }

// Node is the prefix of one node's assignments.
func (t Tree) Node(node Name) Prefix { return t.intent.Join("nodes", node) }

// Assignment is the key that assigns an app to a node.
func (t Tree) Assignment(node, app Name) string { return t.Node(node).Key(app) }

// Placements is the prefix of the assignments that the allocator made for a node. They have the format of a person's
// assignment, which wins if both name an app.
func (t Tree) Placements(node Name) Prefix { return t.managed.Join("placement", "nodes", node) }

// Placement is the key by which the allocator assigns an app to a node.
func (t Tree) Placement(node, app Name) string { return t.Placements(node).Key(app) }

// Clusters is the prefix of every cluster of every app.
func (t Tree) Clusters() Prefix { return t.intent.Join("clusters") }

// Cluster is the prefix of one cluster of an app.
func (t Tree) Cluster(app, cluster Name) Prefix { return t.Clusters().Join(app, cluster) }

// Config is the key of a cluster's config, written by developers.
func (t Tree) Config(app, cluster Name) string { return t.Cluster(app, cluster).Key("config") }

// DeployConfig is the key of a cluster's deploy_config, written by operators.
func (t Tree) DeployConfig(app, cluster Name) string {
	return t.Cluster(app, cluster).Key("deploy_config")
}

// Statuses is the prefix of all reports.
func (t Tree) Statuses() Prefix { return t.managed.Join("status") }

// Status is the key of an agent's report.
func (t Tree) Status(agent, node Name) string { return t.Statuses().Join(agent).Key(node) }

// Alives is the prefix of all alive keys.
func (t Tree) Alives() Prefix { return t.managed.Join("alive") }

// Alive is the key that a running agent holds through a session.
func (t Tree) Alive(node, agent Name) string { return t.Alives().Join(node).Key(agent) }

// Lock is the key of a lock for which the nodes of a cluster compete.
func (t Tree) Lock(app, cluster, lock Name) string {
	return t.managed.Join("locks", app, cluster).Key(lock)
}

// Confirm is the key by which a person allows an agent on a node to make the removals that it holds.
func (t Tree) Confirm(node, agent Name) string { return t.managed.Join("confirm", node).Key(agent) }
