package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// checkSeedPlacerToken checks whether the token suffices for a seed-placer on a node: it reads what the agent reads,
// and tests its writes without writing.
func (cmd *command) checkSeedPlacerToken(ctx context.Context, node intent.Name) finding {
	tree, remedy := cmd.tree, fmt.Sprintf("give the token the policy of platypus acl %s --node %s", seedPlacer, node)
	for _, prefix := range []intent.Prefix{tree.Seeds(), tree.Sites(), tree.Blobs(), tree.Hosts(), tree.Replicas(), tree.Holders()} {
		if _, _, err := cmd.store.List(ctx, prefix, store.Consistent); err != nil {
			return finding{"token", levelFail, fmt.Sprintf("%s cannot read %s: %v", seedPlacer, prefix, err), remedy}
		}
	}
	if _, _, err := cmd.store.Get(ctx, tree.Confirm(node, seedPlacer), store.Consistent); err != nil {
		return finding{"token", levelFail, fmt.Sprintf("%s cannot read confirmations: %v", seedPlacer, err), remedy}
	}
	digest := intent.Name(strings.Repeat("0", 64))
	for _, key := range []string{tree.Host(node), tree.Replica("doctor", node), tree.Holder(digest, node), tree.Status(seedPlacer, node), tree.Alive(node, seedPlacer)} {
		switch allowed, err := cmd.isAllowed(ctx, key); {
		case err != nil:
			return finding{"token", levelWarn, fmt.Sprintf("whether %s may write %s cannot be told: %v", seedPlacer, key, err), "it needs /v1/txn for that"}
		case !allowed:
			return finding{"token", levelFail, fmt.Sprintf("%s may not write %s", seedPlacer, key), remedy}
		}
	}
	for _, key := range []string{tree.Seed("doctor"), tree.Host(node + "-doctor"), tree.Status("doctor", node)} {
		if allowed, _ := cmd.isAllowed(ctx, key); allowed {
			return finding{"token", levelWarn, fmt.Sprintf("it may write %s, which %s never does", key, seedPlacer), remedy + " alone"}
		}
	}
	return finding{"token", levelOK, fmt.Sprintf("it is what %s on %s needs", seedPlacer, node), ""}
}
