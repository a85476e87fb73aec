package main

import (
	"context"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/acl"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
)

func aclVerb() verb {
	return verb{
		name: "acl", usage: "print the Consul policy that an agent or a person needs", args: "WHO [APP/CLUSTER]", minArgs: 1, maxArgs: 2,
		text: `WHO is ` + strings.Join(acl.Names(), ", ") + `.
The policy of an agent is for one node, given by --node; that of a developer is for one cluster of one app; that of an
operator is for everything, and so is that of the dashboard, which only reads. It allows what is needed and nothing beyond.`,
		examples: []string{
			"platypus acl preparer --node web1 | consul acl policy create -name preparer-web1 -rules -",
			"platypus acl developer slug/production",
		},
		flags: []cli.Flag{&cli.StringFlag{Name: "node", Usage: "name of the agent's `NODE`"}},
		run: func(_ context.Context, cmd *command) error {
			who, subject := cmd.args[0], cmd.flags.String("node")
			if len(cmd.args) == 2 && subject != "" {
				return usage("give either --node or %q: a policy has one subject", cmd.args[1])
			}
			if len(cmd.args) == 2 {
				subject = cmd.args[1]
			}
			policy, err := acl.Policy(who, subject, cmd.flags.String("root"))
			switch near := flagline.Nearest(who, acl.Names()); {
			case err != nil && near != "" && near != who:
				return usage("%w: did you mean %s?", err, near)
			case err != nil && subject == "":
				return usage("%w: agents need --node NODE, a developer needs APP/CLUSTER", err)
			case err != nil:
				return usage("%w", err)
			}
			cmd.printf("%s", strings.TrimSuffix(policy, "\n"))
			return nil
		},
	}
}
