// Package world is a snapshot of the store: intent, the assignments of allocators, and the reports and alive keys of
// agents. It computes what runs where, and why something does not, without further reads: only read.go does I/O.
package world

import (
	"bytes"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// The agents that bring an app live, in their order of dependency.
const (
	Preparer      = "preparer"
	PortAuthority = "port-authority"
	Setlive       = "setlive"
)

// Snapshot is one reading of the store.
type Snapshot struct {
	Tree         intent.Tree
	Pairs        []intent.Pair   // all intent
	Placed       []intent.Pair   // assignments that allocators made: placement/nodes/
	AgentRecords []intent.Pair   // what agents wrote about seeds, blobs and vms; only after ReadAll
	Denied       []intent.Prefix // prefixes that the token may not read: their content is unknown
	Index        uint64          // of the last change of intent; 0 while nothing is declared
	Reports      map[AgentID]intent.Report
	Alive        map[AgentID]bool
}

// AgentID is one agent on one node.
type AgentID struct {
	Agent string
	Node  intent.Name
}

// Get returns the value of a key below the intent prefix.
func (w Snapshot) Get(key string) (intent.Pair, bool) {
	full := string(w.Tree.Intent()) + key
	for _, p := range w.Pairs {
		if p.Key == full {
			return p, true
		}
	}
	return intent.Pair{}, false
}

// IntentKey returns the key of a pair below the intent prefix, and whether it is a declared key.
func (w Snapshot) IntentKey(p intent.Pair) (string, bool) {
	key, ok := w.Tree.Intent().Below(p.Key)
	return key, ok && !strings.HasSuffix(key, "/")
}

// Edit is one key below the intent prefix and its new value; nil removes it.
type Edit struct {
	Key   string
	Value []byte
}

// Apply returns the snapshot with the edits applied. Changed values count as newer than all others.
func (w Snapshot) Apply(edits []Edit) Snapshot {
	w.Pairs = slices.Clone(w.Pairs)
	for _, e := range edits {
		key := string(w.Tree.Intent()) + e.Key
		at := slices.IndexFunc(w.Pairs, func(p intent.Pair) bool { return p.Key == key })
		switch {
		case e.Value == nil && at >= 0:
			w.Pairs = slices.Delete(w.Pairs, at, at+1)
		case e.Value == nil:
		case at < 0:
			w.Pairs = append(w.Pairs, intent.Pair{Key: key, Value: e.Value, CreateIndex: w.Index + 1, ModifyIndex: w.Index + 1})
		case !bytes.Equal(w.Pairs[at].Value, e.Value):
			w.Pairs[at].Value, w.Pairs[at].ModifyIndex = e.Value, w.Index+1
		}
	}
	return w
}

// Nodes returns every node that has an app, assigned by a person or an allocator, sorted.
func (w Snapshot) Nodes() []intent.Name {
	return slices.Sorted(maps.Keys(w.assignments()))
}

// Node returns the intent of one node.
func (w Snapshot) Node(name intent.Name) intent.Node {
	n := intent.ReadNode(w.Tree, name, slices.Concat(w.Pairs, w.Placed))
	n.Index = w.Index
	return n
}

// assignments returns the keys that assign an app to a node, by node.
func (w Snapshot) assignments() map[intent.Name][]intent.Pair {
	all := map[intent.Name][]intent.Pair{}
	for _, from := range []struct {
		prefix intent.Prefix
		pairs  []intent.Pair
	}{{w.Tree.Nodes(), w.Pairs}, {w.Tree.PlacedNodes(), w.Placed}} {
		for _, p := range from.pairs {
			below, ok := from.prefix.Below(p.Key)
			node, app, _ := strings.Cut(below, "/")
			if name, err := intent.ParseName(node); ok && err == nil && app != "" {
				all[name] = append(all[name], p)
			}
		}
	}
	return all
}

// allNodes returns the intent of every node that has an app, in one pass over the pairs.
func (w Snapshot) allNodes() []intent.Node {
	clusters := map[string][]intent.Pair{}
	for _, p := range w.pairsBelow(w.Tree.Clusters()) {
		below, _ := w.Tree.Clusters().Below(p.Key)
		app, _, _ := strings.Cut(below, "/")
		clusters[app] = append(clusters[app], p)
	}
	assignments := w.assignments()
	nodes := make([]intent.Node, 0, len(assignments))
	for _, name := range slices.Sorted(maps.Keys(assignments)) {
		pairs := slices.Clone(assignments[name])
		for _, p := range assignments[name] {
			pairs = append(pairs, clusters[path.Base(p.Key)]...)
		}
		n := intent.ReadNode(w.Tree, name, pairs)
		n.Index = w.Index
		nodes = append(nodes, n)
	}
	return nodes
}

// pairsBelow returns the intent under a prefix.
func (w Snapshot) pairsBelow(prefix intent.Prefix) (pairs []intent.Pair) {
	for _, p := range w.Pairs {
		if name, ok := prefix.Below(p.Key); ok && name != "" && !strings.HasSuffix(name, "/") {
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// Clusters returns the clusters of an app that have any value, sorted.
func (w Snapshot) Clusters(app intent.Name) []intent.Name {
	var clusters []intent.Name
	for _, p := range w.Pairs {
		below, ok := w.Tree.Clusters().Join(app).Below(p.Key)
		if cluster, _, _ := strings.Cut(below, "/"); ok && cluster != "" {
			clusters = append(clusters, intent.Name(cluster))
		}
	}
	slices.Sort(clusters)
	return slices.Compact(clusters)
}

// Apps returns every app that is declared anywhere, sorted.
func (w Snapshot) Apps() []intent.Name {
	var apps []intent.Name
	for _, p := range w.Pairs {
		if below, ok := w.Tree.Clusters().Below(p.Key); ok {
			app, _, _ := strings.Cut(below, "/")
			apps = append(apps, intent.Name(app))
		}
		if below, ok := w.Tree.Nodes().Below(p.Key); ok {
			if _, app, _ := strings.Cut(below, "/"); app != "" {
				apps = append(apps, intent.Name(app))
			}
		}
	}
	for _, p := range w.Placed {
		apps = append(apps, intent.Name(path.Base(p.Key)))
	}
	slices.Sort(apps)
	return slices.Compact(apps)
}
