package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// confirmationLife is how long a person's go-ahead for removals counts.
const confirmationLife = time.Hour

// cachePatience is how long a starting agent waits for the store before it goes by the last good intent.
const cachePatience = 3 * time.Second

// OfNode is the source of agents whose subjects are the apps of their node.
func OfNode(a *Agent) Source[intent.Node] {
	return Source[intent.Node]{
		Name: string(a.Tree.Node(a.Node)), Read: a.readNode, Watch: a.watchNode,
		Index: func(node intent.Node) uint64 { return node.Index },
	}
}

// readNode reads this node's intent once.
func (a *Agent) readNode(ctx context.Context) (intent.Node, error) {
	snapshot, err := a.Store.ReadNode(ctx, a.Tree, a.Node, store.Default)
	if err != nil {
		return intent.Node{}, fmt.Errorf("read intent of %s at %s: %w", a.Node, a.Store.Address(), err)
	}
	return a.nodeOf(snapshot), nil
}

func (a *Agent) nodeOf(s store.Snapshot) intent.Node {
	node := intent.ReadNode(a.Tree, a.Node, s.Pairs)
	node.Index = s.Index
	for i, app := range node.Apps {
		if why := s.Refusal(a.Tree.Cluster(app.Name, app.Cluster)); why != "" && app.Phase != intent.PhaseInvalid {
			node.Apps[i].Phase, node.Apps[i].Reason = intent.PhaseHeld, "held: "+why
		}
	}
	a.warn(node.Warnings)
	return node
}

// warn logs what is new among the warnings: they come with every snapshot.
func (a *Agent) warn(warnings intent.Problems) {
	now := map[string]bool{}
	for _, w := range warnings {
		text := w.Error()
		if !a.warned[text] && !now[text] {
			a.Log.Warn("", text)
		}
		now[text] = true
	}
	a.warned = now
}

// watchNode delivers intent as it changes. While the store has not answered at all, the last good intent serves: what
// it names is kept up, and nothing is removed, for a removal needs the store's word.
func (a *Agent) watchNode(ctx context.Context, heard func(intent.Prefix, error)) <-chan intent.Node {
	out := make(chan intent.Node, 1)
	snapshots := a.Store.WatchNode(ctx, a.Tree, a.Node, heard)
	go func() {
		patience := time.NewTimer(cachePatience)
		defer patience.Stop()
		var newest store.Snapshot
		var later <-chan time.Time
		for {
			select {
			case newest = <-snapshots:
				patience.Stop()
				offer(out, a.nodeOf(newest))
				later = time.After(settle) // what is remembered takes a write to disk, and is only a cache
			case <-later:
				a.remember(newest)
				later = nil
			case <-patience.C:
				if s, ok := a.remembered(); ok {
					a.Log.Warn("", "the store does not answer: going by the last good intent")
					offer(out, a.nodeOf(s))
				}
			case <-ctx.Done():
				if later != nil {
					a.remember(newest)
				}
				return
			}
		}
	}()
	return out
}

// offer puts node into a channel of one in place of an older one.
func offer(out chan intent.Node, node intent.Node) {
	select {
	case <-out:
	default:
	}
	out <- node
}

// GuardApps keeps the apps that owned finds on the host from being removed by mistake. It goes with [OfNode].
func GuardApps[A any](a *Agent, owned func(A) []string) *converge.Guard[intent.Node, A] {
	is := newIdentity(a)
	return &converge.Guard[intent.Node, A]{
		Owned: owned, Wanted: names, Gone: a.gone, Confirmed: a.Confirmed, Hold: hold,
		Blank: func(ctx context.Context) (bool, error) { return a.Store.Blank(ctx, a.Tree.Clusters()) },
		Moved: is.moved, Settled: is.settled, Reread: a.latest,
	}
}

func names(node intent.Node) (names []string) {
	for _, app := range node.Apps {
		names = append(names, string(app.Name))
	}
	return names
}

// gone reports whether neither a person nor the allocator puts the app on this node.
func (a *Agent) gone(ctx context.Context, app string) (bool, error) {
	name, err := intent.ParseName(app)
	if err != nil {
		return false, err
	}
	gone, err := a.Store.Gone(ctx, a.Tree.Assignment(a.Node, name))
	if err != nil || !gone {
		return false, err
	}
	return a.Store.Gone(ctx, a.Tree.Placement(a.Node, name))
}

// hold marks apps as not to be touched.
func hold(node intent.Node, subjects map[string]string, everything *converge.Held) intent.Node {
	node.Apps = slices.Clone(node.Apps)
	for i := range node.Apps {
		if everything != nil && node.Apps[i].Sound() {
			node.Apps[i].Phase, node.Apps[i].Reason = intent.PhaseHeld, everything.String()
		}
	}
	for name, reason := range subjects {
		node.Apps = append(node.Apps, intent.App{Name: intent.Name(name), Phase: intent.PhaseHeld, Reason: reason})
	}
	slices.SortFunc(node.Apps, func(x, y intent.App) int { return cmp.Compare(x.Name, y.Name) })
	return node
}

// Confirmed reports whether a person agreed to these removals within the last hour.
func (a *Agent) Confirmed(ctx context.Context, removes []string) (bool, error) {
	pair, found, err := a.Store.Get(ctx, a.Tree.Confirm(a.Node, intent.Name(a.Name)), store.Consistent)
	if err != nil || !found {
		return false, err
	}
	var c intent.Confirmation
	if err := json.Unmarshal(pair.Value, &c); err != nil {
		return false, fmt.Errorf("read %s: %w", pair.Key, err)
	}
	return c.Covers(removes, time.Now(), confirmationLife), nil
}
