// Command seed-placer runs seeds (WebAssembly modules) on as many nodes as declared, and serves sites and blobs.
//
// Every node runs one. All of them read the same intent and the same list of live nodes, and compute the same
// placement without coordination. Each claims its share in the store under a session, fetches and compiles the
// module, and announces that it is ready. Calls of other seeds are forwarded to nodes that have them ready. Seeds run
// in worker processes, never in the agent: a worker has no access to the store and no secret in its environment.
package main

import (
	"context"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/agents/seed-placer/worker"
)

const manual = `Keeps seeds ready on this node, calls those of other nodes, and serves sites and blobs, all at --serve.
Modules and files come from the blobs of any node that holds them, and are never used before their digest is right.`

func main() {
	if len(os.Args) > 1 && os.Args[1] == worker.Subcommand {
		os.Exit(worker.Main())
	}
	if len(os.Args) > 1 && os.Args[1] == worker.CompileSubcommand {
		os.Exit(worker.CompileMain())
	}
	agent.Main(agent.Program[Desired, Actual, Step]{
		Name: "seed-placer", Usage: "keep seeds ready, and serve sites and blobs", Text: manual,
		Source: source, Open: open, Flags: flags(),
		Examples: []string{"seed-placer --node web1 --serve 127.0.0.1:8080", "seed-placer --node web1 --memory 2GiB --region SIN"},
	})
}

func open(ctx context.Context, c *cli.Context, a *agent.Agent) (*converge.Loop[Desired, Actual, Step], error) {
	p, err := newPlacer(ctx, c, a)
	if err != nil {
		return nil, err
	}
	return &converge.Loop[Desired, Actual, Step]{
		Observe: p.observe, Plan: p.plan, Apply: p.apply, States: p.states, Wake: p.wakeups, Parallel: 8,
		Guard: p.guard(),
	}, nil
}
