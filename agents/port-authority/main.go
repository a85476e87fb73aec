// Program port-authority opens the ports of a node's apps in the host's firewall and closes them when intent no longer
// asks for them.
//
// It owns the chain PLATYPUS-INPUT in table filter of IPv4 and of IPv6 and one rule that leads INPUT to it. The rules
// in the chain are ACCEPTs that name their app in a comment, and one that does nothing but name the node. Everything
// else in the firewall stays as it is: no policy, no rule and no chain of anybody else's is ever changed, and nothing
// is ever dropped.
package main

import (
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/intent"
)

const manual = `Opens "ports" of each app's deploy_config in chain PLATYPUS-INPUT, for everybody unless "source" says otherwise.
With --config-dir it writes the files of 2014 instead; add --chain for both.`

func main() {
	agent.Main(agent.Program[intent.Node, Actual, converge.Step]{
		Name: "port-authority", Usage: "open the ports of this node's apps", Text: manual, Source: agent.OfNode, Open: open,
		Examples: []string{"port-authority --node web1 --dry-run", "port-authority --node web1 --iptables iptables-nft"},
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "iptables", Usage: "iptables, iptables-nft, iptables-legacy, or a path to one", Value: "iptables", EnvVars: agent.Env("iptables")},
			&cli.StringFlag{Name: "config-dir", Usage: "write <app>.yml here, as in 2014", EnvVars: agent.Env("config-dir")},
			&cli.StringFlag{Name: "cmd", Usage: "run CMD rebuild when files in --config-dir changed", EnvVars: agent.Env("cmd")},
			&cli.DurationFlag{Name: "cmd-timeout", Usage: "kill it after this long", Value: 30 * time.Second, EnvVars: agent.Env("cmd-timeout")},
			&cli.BoolFlag{Name: "chain", Usage: "keep the chain even with --config-dir", EnvVars: agent.Env("chain")},
		},
	})
}
