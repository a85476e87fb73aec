package agent

import (
	"context"
	"fmt"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// Latest reads this node's intent by consistent reads. They cost the store a round among its servers, so they are for
// the moment before something is taken away: what a watch delivered may be a little old. It may be called from any
// goroutine.
func (a *Agent) Latest(ctx context.Context) (intent.Node, error) {
	snapshot, err := a.Store.ReadNode(ctx, a.Tree, a.Node, store.Consistent)
	if err != nil {
		return intent.Node{}, err
	}
	node := intent.ReadNode(a.Tree, a.Node, snapshot.Pairs)
	node.Index = snapshot.Index
	return node, nil
}

// Doubt says in words that something is not taken away, and why: err, or, without one, that the store now says
// something else.
func Doubt(what string, err error) string {
	if err != nil {
		return fmt.Sprintf("held: %s is not confirmed: %v", what, err)
	}
	return fmt.Sprintf("held: %s is not what the store says by now", what)
}
