package world

import (
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
	"github.com/platypus-platform/platypus/intent"
)

// references warns of a key that names another one which is not declared: the two may be written in any order, so it is
// no error.
func (c *crossing) references() {
	w := c.world
	regions := slices.Concat(w.named(w.Tree.Regions()), w.named(w.Tree.Machines())) // a region need not be declared
	for _, p := range w.below(w.Tree.VMs()) {
		key := c.below(p.Key)
		vm, problems := intent.Decode[intent.VM](key, p.Value)
		if problems.Err() != nil {
			continue
		}
		for _, region := range vm.Region {
			if region != intent.AnyRegion && len(regions) > 0 {
				c.refers(key, "region", string(region), regions)
			}
		}
		if vm.App != "" {
			if text := w.NoCluster(vm.App, vm.Cluster); text != "" {
				c.add(true, text, key)
			}
		}
	}
	seeds := w.named(w.Tree.Seeds())
	for _, p := range w.below(w.Tree.Seeds()) {
		key := c.below(p.Key)
		seed, problems := intent.SeedOf(key, p.Value)
		if problems.Err() != nil {
			continue
		}
		for _, callee := range seed.Calls {
			if callee != "*" {
				c.refers(key, "seed", callee, seeds)
			}
		}
	}
	c.hosts()
}

// hosts warns of a host name that two sites claim.
func (c *crossing) hosts() {
	claimed := map[string]string{} // key by host
	for _, p := range c.world.below(c.world.Tree.Sites()) {
		key := c.below(p.Key)
		site, problems := intent.SiteOf(key, p.Value)
		if problems.Err() != nil {
			continue
		}
		for _, host := range append([]string{strings.TrimPrefix(key, "sites/")}, site.Hosts...) {
			if other := claimed[host]; other != "" && other != key {
				c.add(true, fmt.Sprintf("host %s belongs to %s and %s: only one of them answers", host, other, key), key, other)
			}
			claimed[host] = key
		}
	}
}

// refers warns when a name is none of those that are declared.
func (c *crossing) refers(key, kind, name string, known []string) {
	if slices.Contains(known, name) {
		return
	}
	c.add(true, fmt.Sprintf("%s %s is not declared%s", kind, name, meant(name, known)), key)
}

// NoCluster says that an app has no such cluster, or nothing where it has.
func (w World) NoCluster(app, cluster intent.Name) string {
	clusters := w.Clusters(app)
	switch {
	case slices.Contains(clusters, cluster):
		return ""
	case len(clusters) > 0:
		return fmt.Sprintf("app %s has no cluster %s: it has %s", app, cluster, join(clusters))
	}
	var known []string
	for _, a := range w.Apps() {
		if len(w.Clusters(a)) > 0 {
			known = append(known, string(a))
		}
	}
	return fmt.Sprintf("app %s is not declared%s", app, meant(string(app), known))
}

// named returns the first segments of the keys below a prefix, sorted.
func (w World) named(prefix intent.Prefix) (names []string) {
	for _, p := range w.below(prefix) {
		below, _ := prefix.Below(p.Key)
		first, _, _ := strings.Cut(below, "/")
		names = append(names, first)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// meant is the tail of a sentence about an unknown name.
func meant(name string, known []string) string {
	if near := flagline.Nearest(name, known); near != "" {
		return ": did you mean " + near + "?"
	}
	return ""
}
