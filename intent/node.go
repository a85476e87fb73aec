package intent

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
)

// Pair is one key of the store with its value, as read.
type Pair struct {
	Key         string
	Value       []byte
	CreateIndex uint64
	ModifyIndex uint64
	Flags       uint64 // of the writer; plain puts leave 0
}

// ReadNode builds the intent of a node from the pairs below [Tree.Node], below [Tree.Placements] and below the clusters
// that those name (additional pairs are ignored). It never drops an app: an unusable one is returned with a phase and a
// reason.
func ReadNode(tree Tree, node Name, pairs []Pair) Node {
	byKey := make(map[string]Pair, len(pairs))
	for _, p := range pairs {
		byKey[p.Key] = p
	}
	n := Node{Name: node}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		p := byKey[key]
		segment, below := tree.assignedApp(node, key)
		if !below || len(p.Value) == 0 && strings.HasSuffix(p.Key, "/") {
			continue // elsewhere, or the empty folder key that Consul's UI creates
		}
		if own := tree.Node(node).Key(Name(segment)); own != key {
			if _, declared := byKey[own]; declared {
				continue // a person's assignment wins, even an unusable one
			}
		}
		app, problems := readApp(tree, segment, p, byKey)
		n.Warnings = append(n.Warnings, problems.Warnings()...)
		if err := problems.Err(); err != nil {
			app.Phase, app.Reason = PhaseInvalid, err.Error()
		}
		if app.Name != "" {
			n.Apps = append(n.Apps, app)
		} else {
			n.Warnings = append(n.Warnings, Problem{Key: p.Key, Text: app.Reason, Warning: true})
		}
	}
	slices.SortFunc(n.Apps, func(a, b App) int { return strings.Compare(string(a.Name), string(b.Name)) })
	rejectSharedBasedirs(n.Apps)
	return n
}

// Assignments returns the clusters named by valid assignments: the prefixes to watch in addition to the node itself.
func Assignments(tree Tree, node Name, pairs []Pair) []Prefix {
	var clusters []Prefix
	for _, p := range pairs {
		segment, _ := tree.assignedApp(node, p.Key)
		app, err := ParseName(segment)
		if err != nil {
			continue
		}
		var a Assignment
		if decode(p.Key, p.Value, &a).Err() == nil {
			clusters = append(clusters, tree.Cluster(app, a.Cluster))
		}
	}
	slices.Sort(clusters)
	return slices.Compact(clusters)
}

// assignedApp returns the app that a key assigns to the node, written by a person or the allocator.
func (t Tree) assignedApp(node Name, key string) (app string, ok bool) {
	if app, ok = t.Node(node).Below(key); ok {
		return app, true
	}
	return t.Placements(node).Below(key)
}

func readApp(tree Tree, segment string, p Pair, byKey map[string]Pair) (app App, problems Problems) {
	name, err := ParseName(segment)
	if err != nil {
		return App{Phase: PhaseInvalid, Reason: err.Error()}, nil
	}
	var assigned Assignment
	app = App{Name: name, Index: p.ModifyIndex, Created: p.CreateIndex}
	if problems = decode(p.Key, p.Value, &assigned); problems.Err() != nil {
		return app, problems
	}
	app.Cluster = assigned.Cluster
	config, deploy := tree.Config(name, app.Cluster), tree.DeployConfig(name, app.Cluster)
	for _, part := range []struct {
		key  string
		noun any
	}{{config, &app.Config}, {deploy, &app.Deploy}} {
		value, present := byKey[part.key]
		if !present {
			app.Phase, app.Reason = PhaseIncomplete, fmt.Sprintf("waiting: %s is not declared", part.key)
			continue
		}
		app.Index = max(app.Index, value.ModifyIndex)
		found := decode(part.key, value.Value, part.noun)
		if problems = append(problems, found...); found.Err() != nil {
			reflect.ValueOf(part.noun).Elem().SetZero() // a partly read value must not be used
		}
	}
	return app, problems
}

// rejectSharedBasedirs invalidates every app whose basedir overlaps that of an older one: both would write the same
// current link. The older app keeps its claim even if its other values are unusable; otherwise a typing error there
// would give its directory to the younger.
func rejectSharedBasedirs(apps []App) {
	byAge := make([]*App, 0, len(apps))
	for i := range apps {
		if apps[i].Deploy.Basedir != "" {
			byAge = append(byAge, &apps[i])
		}
	}
	slices.SortStableFunc(byAge, func(a, b *App) int { return cmp.Compare(a.Created, b.Created) }) // then by name, as they came
	claims := basedirClaims{byDir: map[string]*App{}, byParent: map[string]*App{}}
	for _, a := range byAge {
		b := claims.overlapping(a.Deploy.Basedir)
		switch {
		case b == nil:
			claims.add(a)
		case a.Phase != PhaseInvalid:
			a.Phase = PhaseInvalid
			a.Reason = fmt.Sprintf("basedir %s of %s overlaps basedir %s of %s: give each app its own",
				a.Deploy.Basedir, a.Name, b.Deploy.Basedir, b.Name)
		}
	}
}

// basedirClaims are the claimed basedirs, and all their parent directories.
type basedirClaims struct{ byDir, byParent map[string]*App }

// overlapping returns the app whose basedir equals, contains or lies in dir, or nil.
func (c basedirClaims) overlapping(dir string) *App {
	if b := c.byParent[dir]; b != nil {
		return b
	}
	for ; dir != "/"; dir = path.Dir(dir) {
		if b := c.byDir[dir]; b != nil {
			return b
		}
	}
	return nil
}

func (c basedirClaims) add(a *App) {
	c.byDir[a.Deploy.Basedir] = a
	for dir := path.Dir(a.Deploy.Basedir); dir != "/"; dir = path.Dir(dir) {
		c.byParent[dir] = a
	}
}
