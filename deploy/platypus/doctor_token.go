package main

import (
	"context"
	"fmt"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// checkAgentToken checks whether the token suffices for an agent on a node: it reads what the agent reads, and tests
// its writes without writing. It returns the apps of the node that it could read.
func (cmd *command) checkAgentToken(ctx context.Context, node intent.Name, agent string) ([]finding, []intent.App) {
	remedy := fmt.Sprintf("give the token the policy of platypus acl %s --node %s", agent, node)
	snapshot, err := cmd.store.ReadNode(ctx, cmd.tree, node, store.Consistent)
	if err != nil {
		return []finding{{"token", levelFail, fmt.Sprintf("%s cannot read the intent of %s: %v", agent, node, err), remedy}}, nil
	}
	apps := intent.ReadNode(cmd.tree, node, snapshot.Pairs).Apps
	name := intent.Name(agent)
	needs := []string{cmd.tree.Status(name, node), cmd.tree.Alive(node, name)}
	if agent == world.Setlive {
		for _, app := range apps {
			if app.Config.MinNodes > 0 {
				needs = append(needs, cmd.tree.Lock(app.Name, app.Cluster, "switch"))
			}
		}
	}
	if _, _, err := cmd.store.Get(ctx, cmd.tree.Confirm(node, name), store.Consistent); err != nil {
		return []finding{{"token", levelFail, fmt.Sprintf("%s cannot read confirmations: %v", agent, err), remedy}}, apps
	}
	for _, key := range needs {
		switch allowed, err := cmd.isAllowed(ctx, key); {
		case err != nil:
			return []finding{{"token", levelWarn, fmt.Sprintf("whether %s may write %s cannot be told: %v", agent, key, err), "it needs /v1/txn for that"}}, apps
		case !allowed:
			return []finding{{"token", levelFail, fmt.Sprintf("%s may not write %s", agent, key), remedy}}, apps
		}
	}
	for _, key := range []string{cmd.tree.Assignment(node, "doctor"), cmd.tree.DeployConfig("doctor", "doctor"), cmd.tree.Status("doctor", node)} {
		if allowed, _ := cmd.isAllowed(ctx, key); allowed {
			return []finding{{"token", levelWarn, fmt.Sprintf("it may write %s, which %s never does", key, agent), remedy + " alone"}}, apps
		}
	}
	return []finding{{"token", levelOK, fmt.Sprintf("it is what %s on %s needs", agent, node), ""}}, apps
}
