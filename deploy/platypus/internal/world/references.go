package world

import (
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
	"github.com/platypus-platform/platypus/intent"
)

// checkReferences warns of a key that names an undeclared one. It is not an error: keys may be written in any order.
func (c *crossChecker) checkReferences() {
	w := c.snapshot
	regions := slices.Concat(w.firstSegments(w.Tree.Regions()), w.firstSegments(w.Tree.Machines())) // a region need not be declared
	for _, p := range w.pairsBelow(w.Tree.VMs()) {
		key := c.intentKey(p.Key)
		vm, problems := intent.Decode[intent.VM](key, p.Value)
		if problems.Err() != nil {
			continue
		}
		for _, region := range vm.Region {
			if region != intent.AnyRegion && len(regions) > 0 {
				c.checkName(key, "region", string(region), regions)
			}
		}
		if vm.App != "" {
			if text := w.MissingCluster(vm.App, vm.Cluster); text != "" {
				c.add(true, text, key)
			}
		}
	}
	seeds := w.firstSegments(w.Tree.Seeds())
	for _, p := range w.pairsBelow(w.Tree.Seeds()) {
		key := c.intentKey(p.Key)
		seed, problems := intent.SeedOf(key, p.Value)
		if problems.Err() != nil {
			continue
		}
		for _, callee := range seed.Calls {
			if callee != "*" {
				c.checkName(key, "seed", callee, seeds)
			}
		}
	}
	c.checkHosts()
}

// checkHosts warns of a host name that two sites claim.
func (c *crossChecker) checkHosts() {
	claimed := map[string]string{} // key by host
	for _, p := range c.snapshot.pairsBelow(c.snapshot.Tree.Sites()) {
		key := c.intentKey(p.Key)
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

// checkName warns if a name is not declared.
func (c *crossChecker) checkName(key, kind, name string, known []string) {
	if slices.Contains(known, name) {
		return
	}
	c.add(true, fmt.Sprintf("%s %s is not declared%s", kind, name, suggestion(name, known)), key)
}

// MissingCluster says that an app has no such cluster; "" if it has.
func (w Snapshot) MissingCluster(app, cluster intent.Name) string {
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
	return fmt.Sprintf("app %s is not declared%s", app, suggestion(string(app), known))
}

// firstSegments returns the first segments of the keys below a prefix, sorted.
func (w Snapshot) firstSegments(prefix intent.Prefix) (names []string) {
	for _, p := range w.pairsBelow(prefix) {
		below, _ := prefix.Below(p.Key)
		first, _, _ := strings.Cut(below, "/")
		names = append(names, first)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// suggestion returns the end of a message about an unknown name.
func suggestion(name string, known []string) string {
	if near := flagline.Nearest(name, known); near != "" {
		return ": did you mean " + near + "?"
	}
	return ""
}
