// Package world is all that the store says at one moment: the intent, the reports of the agents and their signs of
// life. What people want to know of it is computed here, without asking anybody again.
package world

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// The agents that bring an app live, in the order in which one waits for the other.
const (
	Preparer      = "preparer"
	PortAuthority = "port-authority"
	Setlive       = "setlive"
)

// World is one reading of the store.
type World struct {
	Tree    intent.Tree
	Pairs   []intent.Pair // all intent
	Index   uint64        // of the store at which the intent last changed; 0 while nothing is declared
	Reports map[Who]intent.Report
	Alive   map[Who]bool
}

// Who is one agent on one node.
type Who struct {
	Agent string
	Node  intent.Name
}

// Read reads everything.
func Read(ctx context.Context, s *store.Store, tree intent.Tree) (World, error) {
	w, err := ReadIntent(ctx, s, tree)
	if err != nil {
		return World{}, err
	}
	statuses, _, err := s.List(ctx, tree.Statuses(), store.Default)
	if err != nil {
		return World{}, err
	}
	alive, _, err := s.List(ctx, tree.Alives(), store.Default)
	if err != nil {
		return World{}, err
	}
	w.hear(statuses, alive)
	return w, nil
}

// ReadIntent reads intent alone: less is needed from the token.
func ReadIntent(ctx context.Context, s *store.Store, tree intent.Tree) (World, error) {
	w := World{Tree: tree, Reports: map[Who]intent.Report{}, Alive: map[Who]bool{}}
	for _, prefix := range tree.Declared() {
		pairs, index, err := s.List(ctx, prefix, store.Consistent)
		if err != nil {
			return World{}, err
		}
		if len(pairs) > 0 { // the index of an empty prefix is that of the whole store, which moves by itself
			w.Index = max(w.Index, index)
		}
		w.Pairs = append(w.Pairs, pairs...)
	}
	return w, nil
}

func (w World) hear(statuses, alive []intent.Pair) {
	for _, p := range statuses {
		below, _ := w.Tree.Statuses().Below(p.Key)
		agent, node, ok := strings.Cut(below, "/")
		var r intent.Report
		if ok && json.Unmarshal(p.Value, &r) == nil {
			w.Reports[Who{agent, intent.Name(node)}] = r
		}
	}
	for _, p := range alive {
		below, _ := w.Tree.Alives().Below(p.Key)
		if node, agent, ok := strings.Cut(below, "/"); ok {
			w.Alive[Who{agent, intent.Name(node)}] = true
		}
	}
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

// Nodes returns every node that has an app, sorted.
func (w World) Nodes() []intent.Name {
	var nodes []intent.Name
	for _, p := range w.Pairs {
		below, ok := w.Tree.Nodes().Below(p.Key)
		node, app, _ := strings.Cut(below, "/")
		if name, err := intent.ParseName(node); ok && err == nil && app != "" {
			nodes = append(nodes, name)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// Node returns the intent of one node.
func (w World) Node(name intent.Name) intent.Node {
	n := intent.ReadNode(w.Tree, name, w.Pairs)
	n.Index = w.Index
	return n
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
	slices.Sort(apps)
	return slices.Compact(apps)
}
