package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
	"github.com/platypus-platform/platypus/intent"
)

// Desired is everything in the store that concerns seeds, read at one moment.
type Desired struct {
	Seeds   []DesiredSeed // sorted by name, including invalid ones
	Sites   []DesiredSite // sorted by name, including invalid ones
	Blobs   map[string]intent.Blob
	Hosts   map[string]intent.Host               // live nodes that run seeds
	Claims  map[string]map[string]intent.Replica // by seed and node
	Holders map[string][]string                  // live nodes that hold a blob, sorted, by digest
	Held    map[string]string                    // reasons why subjects must not change, by subject
	Index   uint64

	Inventory        *InventoryRecord // this node's valid record in the inventory, or nil
	InventoryProblem string           // what is wrong with the record
}

// DesiredSeed is one declared seed.
type DesiredSeed struct {
	Name    string
	Seed    intent.Seed
	Since   uint64 // the store's index at its creation
	Invalid string // why its intent cannot be used
}

// DesiredSite is one declared site.
type DesiredSite struct {
	Name    string
	Site    intent.Site
	Files   []string // digests that its manifest names, once the manifest is here
	Invalid string
}

// sitePrefix distinguishes a site from a seed of the same name in a subject.
const sitePrefix = "site/"

func siteSubject(name string) string { return sitePrefix + name }

func (w DesiredSite) subject() string { return siteSubject(w.Name) }

// Actual is the observed state of this node.
type Actual struct {
	Node string
	Self intent.Host

	NoSession bool        // there is no session yet, so nothing can be announced
	Joined    bool        // the node's session lives and its key is held
	Announced intent.Host // the value of that key

	Blobs   map[string]LocalBlob   // by digest
	Workers map[string]wire.Status // reported by the workers, by seed
	Files   map[string][]string    // the files that a manifest names, by the manifest's digest
	Drained map[string]bool        // seeds that have drained for so long that nobody calls them here any more

	Sent       map[string]wire.Seed // the seeds that the workers were told to run, by name
	Served     map[string]wire.Site // the sites that the workers were told to serve, by name
	SentDigest string               // digest of the configuration that the workers have

	Faults   map[string]string  // the error of the last try, by subject
	Suspects map[string]Suspect // seeds whose worker ended, by name
}

// LocalBlob is one blob on this node.
type LocalBlob struct {
	Size int64
	Old  bool // older than the time an upload may wait for the intent that names it
}

// Kind is the kind of a step.
type Kind string

// The kinds of steps.
const (
	Join     Kind = "join"     // announce this node
	Claim    Kind = "claim"    // announce that this node takes the seed
	Fetch    Kind = "fetch"    // copy a blob to this node
	Tell     Kind = "tell"     // configure the workers
	Announce Kind = "announce" // announce the state of the replica
	Release  Kind = "release"  // remove the claim
	Hold     Kind = "hold"     // announce that this node holds a blob
	Collect  Kind = "collect"  // delete a blob
)

// nodeSubject is the subject of conditions of the node as a whole.
const nodeSubject = "node"

// Step is one change.
type Step struct {
	Kind    Kind
	About   string // a seed, site/NAME, the digest of a blob, or the node
	Digest  string
	State   intent.ReplicaState
	Address string
	Load    int
	Reason  string
}

// Subject returns the seed, site, blob or node that the step changes.
func (s Step) Subject() string { return s.About }

// String returns the step and its reason.
func (s Step) String() string {
	switch s.Kind {
	case Fetch, Collect, Hold:
		return fmt.Sprintf("%s sha256:%.12s: %s", s.Kind, s.Digest, s.Reason)
	case Announce:
		return fmt.Sprintf("%s: %s", s.State, s.Reason)
	}
	return fmt.Sprintf("%s: %s", s.Kind, s.Reason)
}

// plan compares the desired with the actual state. Each subject gets the steps that are possible now.
func plan(d Desired, a Actual) (steps []Step) {
	if digest := desiredConfigs(d, a).digest(); digest != a.SentDigest { // running seeds need no announcement of this node
		steps = append(steps, Step{Kind: Tell, About: nodeSubject, Digest: digest, Reason: "what shall run, or where else it runs, has changed"})
	}
	switch {
	case !a.Joined:
		steps = append(steps, Step{Kind: Join, About: nodeSubject, Reason: "this node takes seeds at " + a.Self.Address})
	case !sameHost(a.Announced, a.Self):
		steps = append(steps, Step{Kind: Join, About: nodeSubject, Reason: "other things are said of this node now: " + describeHost(a.Self)})
	}
	placed := placements(d)
	for _, desired := range d.Seeds {
		if desired.Invalid == "" && d.Held[desired.Name] == "" {
			steps = append(steps, planSeed(d, a, desired, placed[desired.Name])...)
		}
	}
	declared := d.declared()
	for _, name := range slices.Sorted(maps.Keys(d.Claims)) {
		if claim, claimed := d.Claims[name][a.Node]; claimed && !declared[name] && d.Held[name] == "" {
			steps = append(steps, planDrain(a, name, claim, "it is no longer declared")...)
		}
	}
	steps = append(steps, planBlobs(d, a)...)
	return slices.DeleteFunc(steps, func(s Step) bool { return a.NoSession && (s.Kind == Join || s.Kind == Claim || s.Kind == Announce) })
}

// describeHost lists the region, labels and restrictions of a node.
func describeHost(h intent.Host) string {
	text := fmt.Sprintf("region %q", h.Region)
	for _, name := range slices.Sorted(maps.Keys(h.Labels)) {
		text += fmt.Sprintf(", %s=%s", name, h.Labels[name])
	}
	switch {
	case h.Closed:
		text += "; it gives its seeds away"
	case h.Cordoned:
		text += "; it takes no new seeds"
	}
	return text
}

func (d Desired) declared() map[string]bool {
	names := map[string]bool{}
	for _, w := range d.Seeds {
		names[w.Name] = true
	}
	return names
}

// planSeed returns the next step of this node for a seed.
func planSeed(d Desired, a Actual, desired DesiredSeed, p Placement) []Step {
	claim, claimed := d.Claims[desired.Name][a.Node]
	selected := slices.Contains(p.Nodes, a.Node) && a.Joined
	digest := desired.Seed.Digest()
	switch {
	case selected && !claimed:
		return []Step{{Kind: Claim, About: desired.Name, Digest: digest, Reason: "this node is one of those that shall have it"}}
	case !claimed:
		return nil
	case !selected && claim.State != intent.ReplicaDraining && !othersReady(d, desired, p, a.Node):
		// It stays until the selected nodes are ready.
	case !selected:
		return planDrain(a, desired.Name, claim, "other nodes have it ready")
	}
	if _, here := a.Blobs[digest]; !here {
		return []Step{{Kind: Fetch, About: desired.Name, Digest: digest, Reason: "the module is not here"}}
	}
	status := a.Workers[desired.Name]
	switch {
	case status.State == wire.Ready && status.Digest == digest:
		load := status.Load.TargetLoad
		if claim.Zone != zoneOf(a.Self) || claim.State != intent.ReplicaReady || claim.Digest != digest || claim.Address != status.Address || claim.Load != load {
			return []Step{{Kind: Announce, About: desired.Name, Digest: digest, State: intent.ReplicaReady, Address: status.Address, Load: load,
				Reason: announceReason(claim, digest, load)}}
		}
	case claim.State == intent.ReplicaReady && (status.State == wire.Failed && status.Digest == digest && !status.Serves || status.State == ""):
		return []Step{{Kind: Announce, About: desired.Name, Digest: digest, State: intent.ReplicaClaimed, Reason: "it does not run any more"}}
	}
	return nil
}

func zoneOf(h intent.Host) string { return h.Labels["zone"] }

func announceReason(claim intent.Replica, digest string, load int) string {
	if claim.State == intent.ReplicaReady && claim.Digest == digest && claim.Load != load {
		return fmt.Sprintf("its load is %d %%", load)
	}
	return "it answers"
}

// othersReady reports whether all selected nodes but one are ready. It is false if there are none.
func othersReady(d Desired, desired DesiredSeed, p Placement, except string) bool {
	ready := 0
	for _, node := range p.Nodes {
		if c := d.Claims[desired.Name][node]; node != except && c.State == intent.ReplicaReady {
			ready++
		}
	}
	return len(p.Nodes) > 0 && ready == len(p.Nodes)
}

// planDrain removes a replica: it is announced as draining first, and released when no calls arrive any more.
func planDrain(a Actual, name string, claim intent.Replica, why string) []Step {
	switch {
	case claim.State != intent.ReplicaDraining:
		return []Step{{Kind: Announce, About: name, Digest: claim.Digest, State: intent.ReplicaDraining, Address: claim.Address, Reason: why}}
	case a.Drained[name]:
		return []Step{{Kind: Release, About: name, Digest: claim.Digest, Reason: why}}
	}
	return nil
}

// byName compares seeds for sorting.
func byName(a, b DesiredSeed) int { return cmp.Compare(a.Name, b.Name) }
