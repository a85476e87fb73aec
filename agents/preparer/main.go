// Command preparer brings every version that intent names for this node's apps to
// <basedir>/installs/<app>_<version>/: fetched from a repository, verified, extracted, and complete from the moment it
// has its name. It keeps the installs in use and a few spare ones, and removes the rest.
//
// An artifact is <repo>/<app>/<app>_<version>.tar.gz (or .tar.zst). What vouches for it is the sha256 that intent
// gives, the file <artifact>.sha256 beside it, or the minisign signature <artifact>.minisig, as deploy_config's
// "require" wants; with "require" unset, http and https artifacts need a digest.
package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/intent"
)

func main() {
	agent.Main(agent.Program[intent.Node, Actual, Step]{
		Name: "preparer", Usage: "install every version that intent names for this node",
		Source: agent.OfNode, Open: open,
		Text: "Fetches REPO/APP/APP_VERSION.tar.gz, verifies it and unpacks it to BASEDIR/installs/APP_VERSION/.",
		Examples: []string{"preparer --node web1 --repo https://artifacts.example.com --dry-run",
			"preparer --node web1 --repo file:///srv/artifacts --once"},
		Flags: flags(),
	})
}

func open(ctx context.Context, c *cli.Context, a *agent.Agent) (*converge.Loop[intent.Node, Actual, Step], error) {
	o, err := readOptions(c)
	if err != nil {
		return nil, err
	}
	known, err := openRegistry(a.StateDir, a.DryRun)
	if err != nil {
		return nil, err
	}
	h := newPreparer(o, known, openRejections(a.StateDir, a.DryRun))
	h.node = a.Node
	return &converge.Loop[intent.Node, Actual, Step]{
		Observe: h.observe,
		Plan:    func(node intent.Node, actual Actual) []Step { return plan(node, h.withDeclaredDirs(node, actual)) },
		Apply:   h.apply,
		States: func(node intent.Node, actual Actual) map[string]converge.State {
			return states(node, h.withDeclaredDirs(node, actual))
		},
		Guard: agent.GuardApps(a, owned, nodeOf),
		Wake:  h.progress.ticks(ctx), Parallel: 4,
	}, nil
}
