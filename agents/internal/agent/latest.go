package agent

import (
	"context"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// latest reads this node's intent by consistent reads. They cost the store a round among its servers, so they are for
// the moment before something is taken away: what a watch delivered may be a little old. It may be called from any
// goroutine.
func (a *Agent) latest(ctx context.Context) (intent.Node, error) {
	snapshot, err := a.Store.ReadNode(ctx, a.Tree, a.Node, store.Consistent)
	if err != nil {
		return intent.Node{}, err
	}
	node := intent.ReadNode(a.Tree, a.Node, snapshot.Pairs)
	node.Index = snapshot.Index
	return node, nil
}
