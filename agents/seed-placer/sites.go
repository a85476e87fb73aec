package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
	"github.com/platypus-platform/platypus/intent"
)

// maxSitePeers limits how many other nodes a worker may ask for the missing files of a site.
const maxSitePeers = 4

// sitesToServe returns the sites of the shared worker. While the intent of a site is invalid or new files are
// missing, the running version stays.
func sitesToServe(d Desired, a Actual) (sites []wire.Site) {
	for _, desired := range d.Sites {
		if site, ok := siteToServe(d, a, desired); ok {
			sites = append(sites, site)
		}
	}
	for name, site := range a.Served {
		if d.Held[siteSubject(name)] != "" && !slices.ContainsFunc(d.Sites, func(w DesiredSite) bool { return w.Name == name }) {
			sites = append(sites, site)
		}
	}
	slices.SortFunc(sites, func(x, y wire.Site) int { return strings.Compare(x.Name, y.Name) })
	return sites
}

func siteToServe(d Desired, a Actual, desired DesiredSite) (wire.Site, bool) {
	served, serving := a.Served[desired.Name]
	if desired.Invalid != "" || d.Held[desired.subject()] != "" {
		return served, serving
	}
	digest := desired.Site.Digest()
	next := wire.Site{Name: desired.Name, Site: desired.Site}
	if missingBlobs(a, digest) == 0 {
		return next, true
	}
	if old := served.Site.Digest(); serving && old != digest && missingBlobs(a, old) == 0 {
		return served, true
	}
	for _, node := range d.Holders[digest] {
		if host, live := d.Hosts[node]; live && node != a.Node && len(next.Peers) < maxSitePeers {
			next.Peers = append(next.Peers, wire.Peer{Node: node, Address: host.Address, Zone: zoneOf(host)})
		}
	}
	_, here := a.Blobs[digest]
	return next, here || len(next.Peers) > 0
}

// missingBlobs counts the blobs of a site that are not here: its manifest, or else the files that the manifest names.
func missingBlobs(a Actual, manifest string) (count int) {
	if _, here := a.Blobs[manifest]; !here || a.Files[manifest] == nil {
		return 1
	}
	for _, file := range a.Files[manifest] {
		if _, here := a.Blobs[file]; !here {
			count++
		}
	}
	return count
}

// manifestDigests returns the manifests that are declared or served.
func manifestDigests(d Desired, a Actual) map[string]bool {
	digests := map[string]bool{}
	for _, w := range d.Sites {
		if w.Invalid == "" {
			digests[w.Site.Digest()] = true
		}
	}
	for _, site := range a.Served {
		digests[site.Site.Digest()] = true
	}
	return digests
}

func siteState(d Desired, a Actual, desired DesiredSite) converge.State {
	s := converge.State{Phase: converge.Converged}
	if served, serving := a.Served[desired.Name]; serving && missingBlobs(a, served.Site.Digest()) == 0 {
		s.Have = shortDigest(served.Site)
	}
	if desired.Invalid != "" {
		s.Phase, s.Reason = intent.PhaseInvalid, desired.Invalid
		if s.Have != "" {
			s.Reason += "; the last valid version stays in service"
		}
		return s
	}
	s.Want = shortDigest(desired.Site)
	if reason := d.Held[desired.subject()]; reason != "" {
		s.Phase, s.Reason = intent.PhaseHeld, reason
		return s
	}
	digest := desired.Site.Digest()
	_, here := a.Blobs[digest]
	switch n := missingBlobs(a, digest); {
	case here && a.Files[digest] == nil:
		s.Phase, s.Reason = converge.Failed, "its manifest cannot be read: publish the site again (platypus site DIR "+desired.Name+")"
	case n > 0:
		s.Phase, s.Reason, s.Moves = converge.Working, fmt.Sprintf("%d files are missing", n), true
		if fault := a.Faults[desired.subject()]; fault != "" {
			s.Reason += ": " + fault
		}
	default:
		s.Reason = fmt.Sprintf("%d files", len(a.Files[digest]))
	}
	return s
}

func shortDigest(site intent.Site) string { return fmt.Sprintf("sha256:%.12s", site.Digest()) }
