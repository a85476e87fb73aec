package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// skewAllowed is the allowed clock difference: the Date header has a resolution of one second.
const skewAllowed = 5 * time.Second

// checkStore runs all checks of the store that need no write, and returns the apps of the node.
func (cmd *command) checkStore(ctx context.Context, node intent.Name, as string) ([]finding, []intent.App) {
	started := time.Now()
	leader, err := cmd.store.Leader(ctx)
	took := time.Since(started)
	if err != nil {
		return []finding{{"store", levelFail, fmt.Sprintf("%s does not answer: %v", cmd.store.Address(), err),
			"set CONSUL_HTTP_ADDR or --http-addr, or start a store: platypus dev"}}, nil
	}
	found := []finding{{"store", levelOK, fmt.Sprintf("%s answers in %s, leader %s", cmd.store.Address(), took.Round(100*time.Microsecond), leader), ""}}
	found = append(found, cmd.checkClock(ctx))
	switch as {
	case "":
	case seedPlacer:
		return append(found, cmd.checkSeedPlacerToken(ctx, node)), nil
	default:
		more, apps := cmd.checkAgentToken(ctx, node, as)
		return append(found, more...), apps
	}
	found = append(found, cmd.checkReadAccess(ctx))
	found = append(found, cmd.checkWriteAccess(ctx, node)...)
	w, err := world.Read(ctx, cmd.store, cmd.tree)
	if err != nil {
		return found, nil // checkReadAccess has reported it
	}
	if err := checkNode(w, node); err != nil {
		found = append(found, finding{"node", levelWarn, err.Error(),
			"give the name with --node, or declare " + string(w.Tree.Nodes()) + string(node) + "/APP"})
	}
	return append(found, checkAgents(w, node)...), w.Node(node).Apps
}

func (cmd *command) checkClock(ctx context.Context) finding {
	there, took, err := cmd.store.Clock(ctx)
	if err != nil {
		return finding{"clock", levelWarn, err.Error(), "compare the clocks by hand: date -u"}
	}
	skew := time.Since(there).Round(time.Second)
	if skew.Abs() > skewAllowed+took {
		return finding{"clock", levelWarn, fmt.Sprintf("this host is %s ahead of the store", skew),
			"set both by NTP: confirmations and sessions count on it"}
	}
	return finding{"clock", levelOK, "agrees with the store's to a few seconds", ""}
}

// checkReadAccess tries what every verb reads.
func (cmd *command) checkReadAccess(ctx context.Context) finding {
	for _, prefix := range []intent.Prefix{cmd.tree.Nodes(), cmd.tree.Clusters(), cmd.tree.Statuses(), cmd.tree.Alives()} {
		if _, _, err := cmd.store.List(ctx, prefix, store.Default); err != nil {
			return finding{"read", levelFail, err.Error(), "give the token the policy of platypus acl operator"}
		}
	}
	return finding{"read", levelOK, "intent, reports and signs of life", ""}
}

// isAllowed tries a transaction that cannot succeed, because its first operation checks a condition that is never true.
// The store reports whether the second operation is allowed, and writes nothing.
func (cmd *command) isAllowed(ctx context.Context, key string) (bool, error) {
	_, err := cmd.store.Commit(ctx, []store.Change{
		{Verb: store.CheckIndex, Key: key, Index: 1},
		{Verb: store.Set, Key: key, Value: []byte("{}")},
	})
	switch {
	case errors.Is(err, store.ErrConflict):
		return true, nil
	case errors.Is(err, store.ErrDenied):
		return false, nil
	case err == nil:
		err = errors.New("written, although the store was asked not to")
	}
	return false, err
}

// checkWriteAccess reports what the token of a person may write.
func (cmd *command) checkWriteAccess(ctx context.Context, node intent.Name) []finding {
	var may, not []string
	for _, try := range []struct{ what, key string }{
		{"nodes", cmd.tree.Assignment(node, "doctor")},
		{"config", cmd.tree.Config("doctor", "doctor")},
		{"deploy_config", cmd.tree.DeployConfig("doctor", "doctor")},
		{"confirm", cmd.tree.Confirm(node, "doctor")},
		{"history", cmd.tree.History().Key("doctor")}, // no change of intent can be written without it
	} {
		allowed, err := cmd.isAllowed(ctx, try.key)
		switch {
		case err != nil:
			return []finding{{"write", levelWarn, fmt.Sprintf("transactions are answered with: %v", err), "apply needs /v1/txn"}}
		case allowed:
			may = append(may, try.what)
		default:
			not = append(not, try.what)
		}
	}
	if len(not) > 0 {
		return []finding{{"write", levelWarn, fmt.Sprintf("this token may write %v and may not write %v", may, not),
			"fine for an agent or a developer; otherwise: platypus acl operator"}}
	}
	return []finding{{"write", levelOK, fmt.Sprintf("this token may write %v", may), ""}}
}

// checkAgents reports which agents of the node are alive.
func checkAgents(w world.Snapshot, node intent.Name) []finding {
	found := make([]finding, 0, len(agentNames))
	for _, agent := range agentNames {
		who := world.AgentID{Agent: agent, Node: node}
		report, reported := w.Reports[who]
		switch {
		case w.Alive[who] && report.Held != nil:
			found = append(found, finding{agent, levelWarn, fmt.Sprintf("holds back the removal of %v", report.Held.Removes),
				"if that is meant: platypus confirm " + string(node)})
		case w.Alive[who]:
			found = append(found, finding{agent, levelOK, fmt.Sprintf("is alive on %s, version %s", node, orElse(report.Version, "unknown")), ""})
		case reported:
			found = append(found, finding{agent, levelWarn, fmt.Sprintf("reported from %s and is not alive", node), "start it there; its log says why it ended"})
		default:
			found = append(found, finding{agent, levelWarn, fmt.Sprintf("has never reported from %s", node),
				"start it there, or give the node's name with --node"})
		}
	}
	return found
}
