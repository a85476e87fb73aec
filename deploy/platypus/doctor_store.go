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

// skewAllowed is how far clocks may be apart: the Date of an answer is exact to a second only.
const skewAllowed = 5 * time.Second

// lookAtStore asks the store everything that can be known without writing to it, and returns the apps of the node, too.
func (sh *shell) lookAtStore(ctx context.Context, node intent.Name, as string) ([]finding, []intent.App) {
	started := time.Now()
	leader, err := sh.store.Leader(ctx)
	took := time.Since(started)
	if err != nil {
		return []finding{{"store", levelFail, fmt.Sprintf("%s does not answer: %v", sh.store.Address(), err),
			"set CONSUL_HTTP_ADDR or --http-addr, or start a store: platypus dev"}}, nil
	}
	found := []finding{{"store", levelOK, fmt.Sprintf("%s answers in %s, leader %s", sh.store.Address(), took.Round(100*time.Microsecond), leader), ""}}
	found = append(found, sh.clock(ctx))
	switch as {
	case "":
	case seedPlacer:
		return append(found, sh.mayPlace(ctx, node)), nil
	default:
		more, apps := sh.mayServe(ctx, node, as)
		return append(found, more...), apps
	}
	found = append(found, sh.mayRead(ctx))
	found = append(found, sh.mayWrite(ctx, node)...)
	w, err := world.Read(ctx, sh.store, sh.tree)
	if err != nil {
		return found, nil // mayRead has said so
	}
	if err := knownNode(w, node); err != nil {
		found = append(found, finding{"node", levelWarn, err.Error(),
			"give the name with --node, or declare " + string(w.Tree.Nodes()) + string(node) + "/APP"})
	}
	return append(found, agents(w, node)...), w.Node(node).Apps
}

func (sh *shell) clock(ctx context.Context) finding {
	there, took, err := sh.store.Clock(ctx)
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

// mayRead tries what every verb reads.
func (sh *shell) mayRead(ctx context.Context) finding {
	for _, prefix := range []intent.Prefix{sh.tree.Nodes(), sh.tree.Clusters(), sh.tree.Statuses(), sh.tree.Alives()} {
		if _, _, err := sh.store.List(ctx, prefix, store.Default); err != nil {
			return finding{"read", levelFail, err.Error(), "give the token the policy of platypus acl operator"}
		}
	}
	return finding{"read", levelOK, "intent, reports and signs of life", ""}
}

// allowed tries a transaction that cannot succeed: its first operation asks for what is never so. The store says
// whether the second was allowed, and writes nothing.
func (sh *shell) allowed(ctx context.Context, key string) (bool, error) {
	_, err := sh.store.Commit(ctx, []store.Change{
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

// mayWrite tells what a person's token may write.
func (sh *shell) mayWrite(ctx context.Context, node intent.Name) []finding {
	var may, not []string
	for _, try := range []struct{ what, key string }{
		{"nodes", sh.tree.Assignment(node, "doctor")},
		{"config", sh.tree.Config("doctor", "doctor")},
		{"deploy_config", sh.tree.DeployConfig("doctor", "doctor")},
		{"confirm", sh.tree.Confirm(node, "doctor")},
		{"history", sh.tree.History().Key("doctor")}, // without it no change of intent can be written
	} {
		allowed, err := sh.allowed(ctx, try.key)
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

// agents tells which agents of the node are alive.
func agents(w world.Snapshot, node intent.Name) []finding {
	found := make([]finding, 0, len(agentNames))
	for _, agent := range agentNames {
		who := world.AgentID{Agent: agent, Node: node}
		report, reported := w.Reports[who]
		switch {
		case w.Alive[who] && report.Held != nil:
			found = append(found, finding{agent, levelWarn, fmt.Sprintf("holds back the removal of %v", report.Held.Removes),
				"if that is meant: platypus confirm " + string(node)})
		case w.Alive[who]:
			found = append(found, finding{agent, levelOK, fmt.Sprintf("is alive on %s, version %s", node, or(report.Version, "unknown")), ""})
		case reported:
			found = append(found, finding{agent, levelWarn, fmt.Sprintf("reported from %s and is not alive", node), "start it there; its log says why it ended"})
		default:
			found = append(found, finding{agent, levelWarn, fmt.Sprintf("has never reported from %s", node),
				"start it there, or give the node's name with --node"})
		}
	}
	return found
}
