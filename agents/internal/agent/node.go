package agent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

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
	before, _ := a.remembered()
	a.compare(before, snapshot, false)
	if !a.DryRun {
		a.remember(snapshot)
	}
	node := a.nodeOf(snapshot)
	a.checkDeclared(ctx, node)
	return node, nil
}

// compare remembers that the store went back between two snapshots, when it did. See [store.Snapshot.SetBack].
func (a *Agent) compare(before, now store.Snapshot, recent bool) {
	if a.shell.identity == nil {
		return
	}
	var placed, own []string
	for _, p := range now.Pairs {
		if app, ok := strings.CutPrefix(p.Key, string(a.Tree.Node(a.Node))); ok {
			own = append(own, app)
		} else if app, ok := strings.CutPrefix(p.Key, string(a.Tree.Placements(a.Node))); ok {
			placed = append(placed, app)
		}
	}
	a.shell.identity.recordSnapshot(now.Index, now.SetBack(before, recent), placed, own)
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
		if !a.shell.warned[text] && !now[text] {
			a.Log.Warn("", text)
		}
		now[text] = true
	}
	a.shell.warned = now
}

// watchNode delivers intent as it changes. While the store has not answered at all, the last good intent serves: what
// it names is kept up, and nothing is removed, for a removal needs the store's word.
func (a *Agent) watchNode(ctx context.Context, heard func(intent.Prefix, error)) <-chan intent.Node {
	out := make(chan intent.Node, 1)
	gaps := &gaps{last: map[intent.Prefix]time.Time{}}
	snapshots := a.Store.WatchNode(ctx, a.Tree, a.Node, func(prefix intent.Prefix, err error) {
		gaps.record(prefix, err)
		heard(prefix, err)
	})
	go func() {
		patience := time.NewTimer(cachePatience)
		defer patience.Stop()
		newest, known := a.remembered()
		recent := false // what is remembered may be of any age
		var later <-chan time.Time
		for {
			select {
			case read := <-snapshots:
				patience.Stop()
				a.compare(newest, read, recent && !gaps.take())
				newest, known, recent = read, true, true
				node := a.nodeOf(newest)
				offer(out, node)
				a.checkDeclared(ctx, node)
				later = time.After(settle) // what is remembered takes a write to disk, and is only a cache
			case <-later:
				a.remember(newest)
				later = nil
			case <-patience.C:
				if known {
					a.Log.Warn("", "the store does not answer: going by the last good intent")
					offer(out, a.nodeOf(newest))
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
