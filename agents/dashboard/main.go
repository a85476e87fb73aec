// Program dashboard shows the fleet on one page: regions and machines with what is allocated, reserved and free, vms
// that wait for a machine and why, apps and seeds on every node, and what changed last. The page follows the store by
// itself.
//
// It is an onlooker: it brings nothing about, owns nothing on its host and writes nothing to the store. Everything that
// it shows was written by others and counts as hostile until it is escaped and bounded.
package main

import (
	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/agents/internal/agent"
)

const manual = `Serves one page at --listen, on this machine alone unless told otherwise. The page is whole without scripts; with them
it follows the store by one stream. Whoever may open the page sees all that is declared: put a proxy that asks for a
password before it when others shall reach it.
It reads intent/regions, intent/machines, intent/vms, ledger, placement, status, alive and history, and writes nothing.`

func main() {
	agent.Viewer{
		Name: "dashboard", Usage: "show regions, machines, vms and apps on one live page", Text: manual,
		Listen: "127.0.0.1:4000", Examples: []string{"dashboard", "dashboard --listen unix:/run/platypus/dashboard.sock"},
		Open: func(c *cli.Context, a *agent.Agent) (agent.View, error) {
			return newDashboard(a, c.String("listen")), nil
		},
	}.Main()
}
