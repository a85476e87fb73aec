package agent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// cacheFallbackDelay is how long a starting agent waits for the store before it uses the last good intent.
const cacheFallbackDelay = 3 * time.Second

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
	before, _ := a.loadIntent()
	a.compareSnapshots(before, snapshot, false)
	if !a.DryRun {
		a.saveIntent(snapshot)
	}
	node := a.parseNode(snapshot)
	a.checkDeclared(ctx, node)
	return node, nil
}

// compareSnapshots records whether the store returned to an older state between two snapshots. See
// [store.Snapshot.SetBack].
func (a *Agent) compareSnapshots(before, now store.Snapshot, recent bool) {
	if a.identity == nil {
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
	a.identity.recordSnapshot(now.Index, now.SetBack(before, recent), placed, own)
}

func (a *Agent) parseNode(s store.Snapshot) intent.Node {
	node := intent.ReadNode(a.Tree, a.Node, s.Pairs)
	node.Index = s.Index
	for i, app := range node.Apps {
		if why := s.Refusal(a.Tree.Cluster(app.Name, app.Cluster)); why != "" && app.Phase != intent.PhaseInvalid {
			node.Apps[i].Phase, node.Apps[i].Reason = intent.PhaseHeld, "held: "+why
		}
	}
	a.logNewWarnings(node.Warnings)
	return node
}

// logNewWarnings logs the warnings that the previous snapshot did not have: every snapshot repeats them.
func (a *Agent) logNewWarnings(warnings intent.Problems) {
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

// watchNode delivers intent as it changes. Until the store has answered once, it delivers the last good intent: its
// apps are kept running, and nothing is removed, since a removal needs a consistent read.
func (a *Agent) watchNode(ctx context.Context, heard func(intent.Prefix, error)) <-chan intent.Node {
	out := make(chan intent.Node, 1)
	gaps := &gaps{last: map[intent.Prefix]time.Time{}}
	snapshots := a.Store.WatchNode(ctx, a.Tree, a.Node, func(prefix intent.Prefix, err error) {
		gaps.record(prefix, err)
		heard(prefix, err)
	})
	go func() {
		fallback := time.NewTimer(cacheFallbackDelay)
		defer fallback.Stop()
		newest, known := a.loadIntent()
		recent := false // the cached intent may be of any age
		var saveTimer <-chan time.Time
		for {
			select {
			case read := <-snapshots:
				fallback.Stop()
				a.compareSnapshots(newest, read, recent && !gaps.take())
				newest, known, recent = read, true, true
				node := a.parseNode(newest)
				replaceNewest(out, node)
				a.checkDeclared(ctx, node)
				saveTimer = time.After(coalesceDelay) // the cache costs a disk write, so it may lag
			case <-saveTimer:
				a.saveIntent(newest)
				saveTimer = nil
			case <-fallback.C:
				if known {
					a.Log.Warn("", "the store does not answer: going by the last good intent")
					replaceNewest(out, a.parseNode(newest))
				}
			case <-ctx.Done():
				if saveTimer != nil {
					a.saveIntent(newest)
				}
				return
			}
		}
	}()
	return out
}

// replaceNewest replaces the value in a channel with a buffer of one.
func replaceNewest(out chan intent.Node, node intent.Node) {
	select {
	case <-out:
	default:
	}
	out <- node
}

// readConsistent reads this node's intent consistently. Such a read costs the store a round among its servers, so it is
// only for destructive steps; a watch may lag slightly. It may be called from any goroutine.
func (a *Agent) readConsistent(ctx context.Context) (intent.Node, error) {
	snapshot, err := a.Store.ReadNode(ctx, a.Tree, a.Node, store.Consistent)
	if err != nil {
		return intent.Node{}, err
	}
	node := intent.ReadNode(a.Tree, a.Node, snapshot.Pairs)
	node.Index = snapshot.Index
	return node, nil
}
