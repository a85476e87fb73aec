package main

import (
	"maps"
	"slices"

	"github.com/platypus-platform/platypus/intent"
)

// planBlobs fetches the blobs that this node must hold and collects those it need not.
func planBlobs(d Desired, a Actual) (steps []Step) {
	wanted := wantedBlobs(d, a)
	for _, digest := range slices.Sorted(maps.Keys(wanted)) {
		if _, here := a.Blobs[digest]; !here && wanted[digest].keep {
			steps = append(steps, Step{Kind: Fetch, About: wanted[digest].about, Digest: digest, Reason: "this node shall hold it"})
		}
	}
	for _, digest := range slices.Sorted(maps.Keys(a.Blobs)) {
		announced := slices.Contains(d.Holders[digest], a.Node)
		use, named := wanted[digest]
		switch {
		case named && !use.keep && !use.enoughCopies(d, a.Node, digest), !named && !a.Blobs[digest].Old, named && use.keep:
			if !announced && a.Joined {
				steps = append(steps, Step{Kind: Hold, About: digest, Digest: digest, Reason: "others may fetch it here"})
			}
		case a.Blobs[digest].Old && len(d.Held) == 0:
			steps = append(steps, Step{Kind: Collect, About: digest, Digest: digest, Reason: "nothing names it, or enough others hold it"})
		}
	}
	return steps
}

// blobUse records why a blob is needed.
type blobUse struct {
	about  string // a seed, a site or the blob itself
	keep   bool   // this node must hold it
	copies int
}

// enoughCopies reports whether enough other live nodes hold the blob.
func (u blobUse) enoughCopies(d Desired, node, digest string) bool {
	others := 0
	for _, h := range d.Holders[digest] {
		if _, live := d.Hosts[h]; live && h != node {
			others++
		}
	}
	return others >= max(1, u.copies)
}

// wantedBlobs returns all blobs that anything names. A module is held by the nodes that run it and by a few more, so
// that it survives the loss of the publishing node; a site is held by every node.
func wantedBlobs(d Desired, a Actual) map[string]blobUse {
	wanted := map[string]blobUse{}
	add := func(digest, about string, keep bool, copies int) {
		u := wanted[digest]
		if u.about == "" {
			u.about = about
		}
		u.keep, u.copies = u.keep || keep, max(u.copies, copies)
		wanted[digest] = u
	}
	for _, w := range d.Seeds {
		if w.Invalid == "" {
			_, claimed := d.Claims[w.Name][a.Node]
			digest := w.Seed.Digest()
			_, isBlob := blobDigest(w.Seed.Source)
			add(digest, w.Name, claimed || isBlob && shouldHold(d, a.Node, digest, intent.DefaultCopies), intent.DefaultCopies)
		}
	}
	for _, w := range d.Sites {
		if w.Invalid == "" {
			add(w.Site.Digest(), w.subject(), true, 1)
			for _, file := range a.Files[w.Site.Digest()] {
				add(file, w.subject(), true, 1)
			}
		}
	}
	for name, site := range a.Served { // needed until the worker serves another manifest
		for _, digest := range append([]string{site.Site.Digest()}, a.Files[site.Site.Digest()]...) {
			if _, here := a.Blobs[digest]; here {
				add(digest, siteSubject(name), true, 1)
			}
		}
	}
	for digest, b := range d.Blobs {
		copies := b.Copies
		if copies == 0 {
			copies = intent.DefaultCopies
		}
		add(digest, digest, shouldHold(d, a.Node, digest, copies), copies)
	}
	return wanted
}

// blobDigest returns the digest of a source, and whether the source is a blob.
func blobDigest(source string) (string, bool) {
	digest := intent.Module{Source: source}.Digest()
	return digest, digest != ""
}

// shouldHold reports whether a node is one of the copies nodes that must hold a blob.
func shouldHold(d Desired, node, digest string, copies int) bool {
	ranked := rank("blob/"+digest, d.Hosts)
	return slices.Contains(ranked[:min(copies, len(ranked))], node)
}
