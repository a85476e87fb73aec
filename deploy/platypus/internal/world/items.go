package world

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
)

// The kinds of items. An item of another kind is an unusable value, named after its folder.
const (
	KindSite  = "site"
	KindBlob  = "blob"
	KindVM    = "vm"
	KindAgent = "agent" // an agent that a node has lost
)

// Item is the state of something declared for all nodes together: a site, a blob, a vm, or an unusable value of another
// kind.
type Item struct {
	Kind   string        `json:"kind"`
	Name   string        `json:"name"`
	Ready  int           `json:"ready"`  // nodes that serve or hold it, or placed instances
	Wanted int           `json:"wanted"` // how many are requested
	Nodes  []intent.Name `json:"nodes"`  // that have it, sorted
	Phase  string        `json:"phase"`
	Reason string        `json:"reason,omitempty"` // why it is not converged; "" if it is
}

// Converged reports whether nothing is left to do.
func (i Item) Converged() bool { return i.Phase == Converged }

// Items returns a row for each declared thing with a known state that is neither an app nor a seed: sites, blobs, vms,
// then unusable values. It needs [ReadAll].
func (w Snapshot) Items() []Item {
	items := []Item{}
	items = append(items, w.sites()...)
	items = append(items, w.blobs()...)
	items = append(items, w.vms()...)
	return append(items, w.unusable()...)
}

// Item returns the site, blob or vm of that name.
func (w Snapshot) Item(name string) (Item, bool) {
	for _, i := range w.Items() {
		if i.Name == name {
			return i, true
		}
	}
	return Item{}, false
}

// PlacerPending reports whether the seed-placer of a node reports a subject as not converged.
func (w Snapshot) PlacerPending(node intent.Name, subject string) bool {
	return severity(w.Reports[AgentID{SeedPlacer, node}].Subjects[subject].Phase) > 0
}

// LostPlacer returns the row of a node whose seed-placer reported once and is not alive.
func (w Snapshot) LostPlacer(node intent.Name) (Item, bool) {
	who := AgentID{SeedPlacer, node}
	_, reported := w.Reports[who]
	return Item{Kind: KindAgent, Name: SeedPlacer, Nodes: []intent.Name{node}, Phase: Stale, Reason: "seed-placer on " + string(node) + " is not alive"},
		reported && !w.Alive[who]
}

// PlacerStates returns what each seed-placer reports for a subject, by node. A report whose agent is not alive is
// stale.
func (w Snapshot) PlacerStates(subject string) map[intent.Name]intent.State {
	states := map[intent.Name]intent.State{}
	for who, report := range w.Reports {
		if who.Agent != SeedPlacer {
			continue
		}
		state, known := report.Subjects[subject]
		if !w.Alive[who] {
			reason := "seed-placer is not alive"
			if known {
				reason += "; it last reported: " + strings.TrimSpace(state.Phase+" "+reasonWithError(state))
			}
			state = intent.State{Want: state.Want, Phase: Stale, Reason: reason}
		}
		states[who.Node] = state
	}
	for _, who := range w.livePlacers() {
		if _, reported := states[who.Node]; !reported {
			states[who.Node] = intent.State{Phase: Pending, Reason: "seed-placer runs and has not reported yet"}
		}
	}
	return states
}

// sites returns the items of sites, which every node with a seed-placer serves.
func (w Snapshot) sites() (items []Item) {
	placers := w.livePlacers()
	for _, p := range w.pairsBelow(w.Tree.Sites()) {
		name, _ := w.Tree.Sites().Below(p.Key)
		item := Item{Kind: KindSite, Name: name, Wanted: len(placers), Nodes: []intent.Name{}, Phase: Converged}
		site, problems := intent.SiteOf("sites/"+name, p.Value)
		if err := problems.Err(); err != nil {
			item.Phase, item.Reason = intent.PhaseInvalid, err.Error()
			items = append(items, item)
			continue
		}
		digest := fmt.Sprintf("sha256:%.12s", site.Digest())
		var behind []string
		for _, who := range placers {
			report := w.Reports[who]
			state := report.Subjects["site/"+name]
			switch {
			case state.Phase == Converged && state.Have == digest:
				item.Nodes = append(item.Nodes, who.Node)
			case report.IntentIndex < p.ModifyIndex:
				behind = append(behind, string(who.Node))
			}
		}
		item.Ready = len(item.Nodes)
		switch phase, reason := w.worstState("site/" + name); {
		case len(placers) == 0:
			item.Phase, item.Reason = Silent, noPlacer
		case item.Ready == item.Wanted:
		case len(behind) > 0:
			item.Phase, item.Reason = Pending, strings.Join(behind, ", ")+": the seed-placer has not seen the newest intent"
		case phase != "":
			item.Phase, item.Reason = phase, reason
		default:
			item.Phase, item.Reason = Pending, fmt.Sprintf("%d of %d nodes serve it; next: platypus explain %s", item.Ready, item.Wanted, name)
		}
		items = append(items, item)
	}
	return items
}

// blobs returns the items of blobs, of which as many live nodes as requested must hold a copy.
func (w Snapshot) blobs() (items []Item) {
	holders := map[string][]intent.Name{}
	for _, p := range w.AgentRecords {
		below, ok := w.Tree.Holders().Below(p.Key)
		digest, node, _ := strings.Cut(below, "/")
		if ok && w.Alive[AgentID{SeedPlacer, intent.Name(node)}] {
			holders[digest] = append(holders[digest], intent.Name(node))
		}
	}
	takers := len(w.livePlacers())
	for _, p := range w.pairsBelow(w.Tree.Blobs()) {
		digest, _ := w.Tree.Blobs().Below(p.Key)
		blob, problems := intent.BlobOf("blobs/"+digest, p.Value)
		item := Item{Kind: KindBlob, Name: digest, Nodes: holders[digest], Wanted: cmp.Or(blob.Copies, intent.DefaultCopies), Phase: Converged}
		slices.Sort(item.Nodes)
		item.Ready = len(item.Nodes)
		phase, reason, denied := w.unreadable(w.Tree.Holders())
		switch err := problems.Err(); {
		case err != nil:
			item.Phase, item.Reason = intent.PhaseInvalid, err.Error()
		case denied:
			item.Phase, item.Reason = phase, reason
		case takers == 0:
			item.Phase, item.Reason = Silent, noPlacer
		case item.Ready >= item.Wanted:
		default:
			item.Phase, item.Reason = w.worstState(digest)
			if item.Phase == "" {
				item.Phase, item.Reason = Pending, fmt.Sprintf("%d of %d copies; %s", item.Ready, item.Wanted, placersRunning(takers))
			}
		}
		if item.Nodes == nil {
			item.Nodes = []intent.Name{}
		}
		items = append(items, item)
	}
	return items
}

// unusable returns the invalid values of other kinds, and keys that nothing reads.
func (w Snapshot) unusable() (items []Item) {
	for _, p := range w.Pairs {
		key, declared := w.IntentKey(p)
		folder, name, _ := strings.Cut(key, "/")
		if !declared {
			continue
		}
		switch folder {
		case "nodes":
			_, app, _ := strings.Cut(name, "/")
			if _, err := intent.ParseName(app); err == nil {
				continue // has its own row
			}
		case "clusters":
			if w.Tree.Intent() == "" || strings.HasSuffix(key, "/config") || strings.HasSuffix(key, "/deploy_config") {
				continue // reported by the apps that need it
			}
		case "seeds", "sites", "blobs", "vms":
			continue
		}
		if err := intent.Check(key, p.Value).Err(); err != nil {
			items = append(items, Item{Kind: folder, Name: name, Nodes: []intent.Name{}, Phase: intent.PhaseInvalid, Reason: err.Error()})
		}
	}
	return items
}
