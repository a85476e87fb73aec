package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"

	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
)

// location is an app and where it lives.
type location struct {
	App     intent.Name `json:"app"`
	Basedir string      `json:"basedir"`
	Node    intent.Name `json:"node,omitempty"` // that it was brought for; "" when an older version did
}

func (s location) same(other location) bool { return s.App == other.App && s.Basedir == other.Basedir }

// registry remembers in the state directory where apps live, so that what an app leaves behind is found when intent
// no longer names it. It is a cache: when it is lost, what lies in forgotten basedirs is left alone.
type registry struct {
	path      string
	mu        sync.Mutex
	locations []location
}

// openRegistry reads what is remembered. A damaged file is moved aside, unless nothing may be written.
func openRegistry(stateDir string, readOnly bool) (*registry, error) {
	r := &registry{path: filepath.Join(stateDir, "basedirs.json")}
	err := host.ReadCache(r.path, &r.locations)
	if err != nil {
		r.locations = nil
		if errors.Is(err, fs.ErrNotExist) || readOnly {
			return r, nil
		}
		_, err = host.Aside(r.path)
		return r, err
	}
	r.locations = slices.DeleteFunc(r.locations, func(s location) bool {
		_, err := intent.ParseName(string(s.App))
		return err != nil || !filepath.IsAbs(s.Basedir)
	})
	return r, nil
}

func (r *registry) all() []location {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.locations)
}

func (r *registry) add(s location) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.locations, s) {
		return nil
	}
	return r.save(append(slices.DeleteFunc(slices.Clone(r.locations), s.same), s))
}

func (r *registry) drop(s location) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.save(slices.DeleteFunc(slices.Clone(r.locations), s.same))
}

func (r *registry) save(spots []location) error {
	slices.SortFunc(spots, byPlace)
	if err := host.WriteCache(r.path, spots); err != nil {
		return err
	}
	r.locations = spots
	return nil
}

func byPlace(a, b location) int {
	return cmp.Or(cmp.Compare(a.Basedir, b.Basedir), cmp.Compare(a.App, b.App))
}

// adopt remembers a place, and for which node.
func (p AppDir) adopt(node intent.Name) []Step {
	why := "named by intent"
	switch {
	case p.Fault != "" || p.Known && p.Node == node:
		return nil
	case p.Known && p.Node != "":
		why = fmt.Sprintf("it was node %s's", p.Node)
	case p.Known:
		why = "no node is recorded for it"
	}
	return []Step{{Kind: Adopt, App: p.App, Basedir: p.Basedir, Why: why}}
}

// nodeOf is the node that an app was brought for, "" when that was not recorded.
func nodeOf(a Actual, app string) (node intent.Name) {
	for _, p := range a.AppDirs {
		if string(p.App) == app && p.Node != "" {
			node = p.Node
		}
	}
	return node
}
