// Package world is one reading of the store: the intent, the assignments of allocators, the reports of the agents and
// their signs of life. What runs where, and why something does not, is computed from it without further reads: only
// read.go does I/O.
package world

import (
	"bytes"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// The agents that bring an app live, in the order in which one waits for the other.
const (
	Preparer      = "preparer"
	PortAuthority = "port-authority"
	Setlive       = "setlive"
)

// World is one reading of the store.
type World struct {
	Tree     intent.Tree
	Pairs    []intent.Pair   // all intent
	Placed   []intent.Pair   // assignments that allocators made: placement/nodes/
	Evidence []intent.Pair   // what agents wrote about seeds, blobs and vms; only after ReadAll
	Denied   []intent.Prefix // that the token may not read: what lies there is not known
	Index    uint64          // of the store at which the intent last changed; 0 while nothing is declared
	Reports  map[Who]intent.Report
	Alive    map[Who]bool
}

// Who is one agent on one node.
type Who struct {
	Agent string
	Node  intent.Name
}

// Get returns the value of a key below the intent prefix.
func (w World) Get(key string) (intent.Pair, bool) {
	full := string(w.Tree.Intent()) + key
	for _, p := range w.Pairs {
		if p.Key == full {
			return p, true
		}
	}
	return intent.Pair{}, false
}

// Below returns the key of a pair below the intent prefix, and whether it is a key that somebody declared.
func (w World) Below(p intent.Pair) (string, bool) {
	key, ok := w.Tree.Intent().Below(p.Key)
	return key, ok && !strings.HasSuffix(key, "/")
}

// Edit is one key below the intent prefix and its new value; nil removes it.
type Edit struct {
	Key   string
	Value []byte
}

// With returns the world as it would be after the edits. Values that changed count as newer than all others.
func (w World) With(edits []Edit) World {
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

// Nodes returns every node that has an app, by a person's key or an allocator's, sorted.
func (w World) Nodes() []intent.Name {
	return slices.Sorted(maps.Keys(w.assignments()))
}

// Node returns the intent of one node.
func (w World) Node(name intent.Name) intent.Node {
	n := intent.ReadNode(w.Tree, name, slices.Concat(w.Pairs, w.Placed))
	n.Index = w.Index
	return n
}

// assignments returns the keys that put an app on a node, by node.
func (w World) assignments() map[intent.Name][]intent.Pair {
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
func (w World) allNodes() []intent.Node {
	clusters := map[string][]intent.Pair{}
	for _, p := range w.below(w.Tree.Clusters()) {
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

// below returns the intent under a prefix.
func (w World) below(prefix intent.Prefix) (pairs []intent.Pair) {
	for _, p := range w.Pairs {
		if name, ok := prefix.Below(p.Key); ok && name != "" && !strings.HasSuffix(name, "/") {
			pairs = append(pairs, p)
		}
	}
	return pairs
}

// Clusters returns the clusters of an app that have any value, sorted.
func (w World) Clusters(app intent.Name) []intent.Name {
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
func (w World) Apps() []intent.Name {
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
