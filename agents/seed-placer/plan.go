package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/platypus-platform/platypus/agents/seed-placer/wire"
	"github.com/platypus-platform/platypus/intent"
)

// Desired is everything in the store that concerns seeds, as it was at one moment.
type Desired struct {
	Seeds   []SeedWish // sorted by name, unusable ones too
	Sites   []SiteWish // sorted by name, unusable ones too
	Blobs   map[string]intent.Blob
	Hosts   map[string]intent.Host               // live nodes that take seeds
	Claims  map[string]map[string]intent.Replica // by seed and node
	Holders map[string][]string                  // by digest, the live nodes that hold the blob, sorted
	Held    map[string]string                    // subjects that must be left as they are, with the reason
	Index   uint64

	Listed   *Listed // this node's record in the inventory, if it has one that can be used
	Unlisted string  // what is wrong with the record
}

// SeedWish is one seed that is declared.
type SeedWish struct {
	Name    string
	Seed    intent.Seed
	Since   uint64 // the store's index when it was declared
	Invalid string // why it cannot be used
}

// SiteWish is one site that is declared.
type SiteWish struct {
	Name    string
	Site    intent.Site
	Files   []string // digests that its manifest names, once that is here
	Invalid string
}

// sitePrefix tells a site from a seed of the same name, in a subject.
const sitePrefix = "site/"

func siteSubject(name string) string { return sitePrefix + name }

func (w SiteWish) subject() string { return siteSubject(w.Name) }

// Actual is what this node has.
type Actual struct {
	Node string
	Self intent.Host
	Sign
	Blobs   map[string]Kept        // by digest
	Workers map[string]wire.Status // what they say of it
	Files   map[string][]string    // by manifest, the files that it names
	Quiet   map[string]bool        // draining for long enough that nobody calls any more
	Orders
	Troubles
}

// Orders are what the workers were told.
type Orders struct {
	Sent   map[string]wire.Seed // the seeds to have, by name
	Served map[string]wire.Site // the sites to serve, by name
	Told   string               // digest of their tables
}

// Sign is what the store says of this node by this node's own word.
type Sign struct {
	Mute   bool        // there is no session yet, and nothing can be said that hangs on one
	Joined bool        // the node's session lives and its key is held
	Said   intent.Host // what that key says
}

// Troubles are what went wrong here.
type Troubles struct {
	Faults map[string]string // by subject, what the last try met
	Ward   map[string]Patient
}

// Kept is one blob on this node.
type Kept struct {
	Size int64
	Old  bool // here for longer than an upload may wait for the intent that names it
}

// Kind is what a step does.
type Kind string

// The kinds of steps.
const (
	Join     Kind = "join"     // say that this node takes seeds
	Claim    Kind = "claim"    // say that this node will have the seed
	Fetch    Kind = "fetch"    // bring a blob here
	Tell     Kind = "tell"     // tell the workers what to do
	Announce Kind = "announce" // say how far the replica is
	Release  Kind = "release"  // give the seed up
	Hold     Kind = "hold"     // say that this node holds a blob
	Collect  Kind = "collect"  // delete a blob
)

// nodeSubject is the subject of what concerns the node as a whole.
const nodeSubject = "node"

// Step is one change.
type Step struct {
	Kind    Kind
	About   string // a seed, a site as site/NAME, the digest of a blob, or the node
	Digest  string
	State   intent.ReplicaState
	Address string
	Load    int
	Why     string
}

// Subject is what the step is about.
func (s Step) Subject() string { return s.About }

// String says what is done and why.
func (s Step) String() string {
	switch s.Kind {
	case Fetch, Collect, Hold:
		return fmt.Sprintf("%s sha256:%.12s: %s", s.Kind, s.Digest, s.Why)
	case Announce:
		return fmt.Sprintf("%s: %s", s.State, s.Why)
	}
	return fmt.Sprintf("%s: %s", s.Kind, s.Why)
}

// plan compares what is wanted with what is there. Each subject takes the steps that are possible now.
func plan(d Desired, a Actual) (steps []Step) {
	if told := tables(d, a).digest(); told != a.Told { // what runs here need not wait for what the store says of this node
		steps = append(steps, Step{Kind: Tell, About: nodeSubject, Digest: told, Why: "what shall run, or where else it runs, has changed"})
	}
	switch {
	case !a.Joined:
		steps = append(steps, Step{Kind: Join, About: nodeSubject, Why: "this node takes seeds at " + a.Self.Address})
	case !sameHost(a.Said, a.Self):
		steps = append(steps, Step{Kind: Join, About: nodeSubject, Why: "other things are said of this node now: " + describe(a.Self)})
	}
	places := placements(d)
	for _, wish := range d.Seeds {
		if wish.Invalid == "" && d.Held[wish.Name] == "" {
			steps = append(steps, planSeed(d, a, wish, places[wish.Name])...)
		}
	}
	declared := d.declared()
	for _, name := range slices.Sorted(maps.Keys(d.Claims)) {
		if claim, mine := d.Claims[name][a.Node]; mine && !declared[name] && d.Held[name] == "" {
			steps = append(steps, leave(a, name, claim, "it is no longer declared")...)
		}
	}
	steps = append(steps, planBlobs(d, a)...)
	return slices.DeleteFunc(steps, func(s Step) bool { return a.Mute && (s.Kind == Join || s.Kind == Claim || s.Kind == Announce) })
}

// describe is a node in words.
func describe(h intent.Host) string {
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

// planSeed brings this node's share of a seed about.
func planSeed(d Desired, a Actual, wish SeedWish, p Placement) []Step {
	claim, claimed := d.Claims[wish.Name][a.Node]
	mine := slices.Contains(p.Nodes, a.Node) && a.Joined
	digest := wish.Seed.Digest()
	switch {
	case mine && !claimed:
		return []Step{{Kind: Claim, About: wish.Name, Digest: digest, Why: "this node is one of those that shall have it"}}
	case !claimed:
		return nil
	case !mine && claim.State != intent.ReplicaDraining && !covered(d, wish, p, a.Node):
		// It stays until those that shall have it are ready.
	case !mine:
		return leave(a, wish.Name, claim, "other nodes have it ready")
	}
	if _, here := a.Blobs[digest]; !here {
		return []Step{{Kind: Fetch, About: wish.Name, Digest: digest, Why: "the module is not here"}}
	}
	status := a.Workers[wish.Name]
	switch {
	case status.State == wire.Ready && status.Digest == digest:
		load := status.Load.Wants
		if claim.Zone != zoneOf(a.Self) || claim.State != intent.ReplicaReady || claim.Digest != digest || claim.Address != status.Address || claim.Load != load {
			return []Step{{Kind: Announce, About: wish.Name, Digest: digest, State: intent.ReplicaReady, Address: status.Address, Load: load,
				Why: why(claim, digest, load)}}
		}
	case claim.State == intent.ReplicaReady && (status.State == wire.Failed && status.Digest == digest && !status.Serves || status.State == ""):
		return []Step{{Kind: Announce, About: wish.Name, Digest: digest, State: intent.ReplicaClaimed, Why: "it does not run any more"}}
	}
	return nil
}

func zoneOf(h intent.Host) string { return h.Labels["zone"] }

func why(claim intent.Replica, digest string, load int) string {
	if claim.State == intent.ReplicaReady && claim.Digest == digest && claim.Load != load {
		return fmt.Sprintf("its load is %d %%", load)
	}
	return "it answers"
}

// covered reports whether as many other nodes as shall have the seed are ready.
func covered(d Desired, wish SeedWish, p Placement, without string) bool {
	ready := 0
	for _, node := range p.Nodes {
		if c := d.Claims[wish.Name][node]; node != without && c.State == intent.ReplicaReady {
			ready++
		}
	}
	return len(p.Nodes) > 0 && ready == len(p.Nodes)
}

// leave gives a seed up: first nobody is sent here any more, then it goes.
func leave(a Actual, name string, claim intent.Replica, why string) []Step {
	switch {
	case claim.State != intent.ReplicaDraining:
		return []Step{{Kind: Announce, About: name, Digest: claim.Digest, State: intent.ReplicaDraining, Address: claim.Address, Why: why}}
	case a.Quiet[name]:
		return []Step{{Kind: Release, About: name, Digest: claim.Digest, Why: why}}
	}
	return nil
}

// byName orders wishes.
func byName(a, b SeedWish) int { return cmp.Compare(a.Name, b.Name) }
