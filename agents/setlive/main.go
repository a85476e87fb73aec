// Setlive keeps the active version of each app of its node running, under runit or systemd.
//
// It waits until a version is installed, stops the old one, points the link current to the new one and starts it. A
// new version has to prove itself by the app's health check; one that does not is given up, the version before it runs
// again, and it is not tried a second time until the app's intent changes. An app of which no version is active is
// stopped; one that is no longer declared for the node is removed. See README.md for what it owns.
package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/agents/setlive/catalog"
	"github.com/platypus-platform/platypus/agents/setlive/health"
	"github.com/platypus-platform/platypus/agents/setlive/peers"
	"github.com/platypus-platform/platypus/intent"
)

const manual = `Starts the active version of each app under runit or systemd, from BASEDIR/installs/APP_VERSION. A new version has to
pass its health check; if it does not, the previous version runs again.`

func main() { os.Exit(run(os.Args)) }

func run(args []string) int {
	return agent.Run(agent.Program[intent.Node, Actual, Step]{
		Name: "setlive", Usage: "run the active version of every app of this node", Text: manual, Flags: flags(),
		Examples: []string{"setlive --node web1 --dry-run", "setlive --node web1 --runit /etc/service"},
		Source:   agent.OfNode, Open: open,
	}, args)
}

func open(ctx context.Context, c *cli.Context, a *agent.Agent) (*converge.Loop[intent.Node, Actual, Step], error) {
	services, err := supervisor(c)
	if err != nil {
		return nil, err
	}
	h := &host{
		services: services, attempts: attempts(filepath.Join(a.StateDir, "attempts")), watch: health.NewWatch(),
		peers: peers.New(a.Store, a.Tree, a.Node), catalog: catalog.New(a.Store, a.Node),
		arrivals: newArrivals(), passive: a.DryRun, requireRunAs: c.Bool("require-run-as"), last: newMemory(),
	}
	if !a.DryRun {
		go h.catalog.Run(ctx)
		go h.arrivals.run(ctx)
	}
	return &converge.Loop[intent.Node, Actual, Step]{
		Plan:    func(node intent.Node, a Actual) []Step { return h.plan(ctx, node, a) },
		States:  func(node intent.Node, a Actual) map[string]converge.State { return h.states(ctx, node, a) },
		Observe: h.observe, Apply: h.apply, Wake: h.wake(ctx),
		Guard: agent.GuardApps(a, owned, nodeOf),
	}, nil
}
