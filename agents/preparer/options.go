package main

import (
	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/agents/preparer/unpack"
	"github.com/platypus-platform/platypus/intent"
)

// flags are the agent's own.
func flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "repo", Usage: "where artifacts are: file:///DIR, http://… or https://…", EnvVars: agent.Env("repo")},
		&cli.IntFlag{Name: "keep", Usage: "spare installs to keep where deploy_config is silent", Value: intent.DefaultKeep, EnvVars: agent.Env("keep")},
		&cli.StringFlag{Name: "keys", Usage: "file with the minisign public keys that may vouch, one a line", EnvVars: agent.Env("keys")},
		&cli.Int64Flag{Name: "max-size", Usage: "largest artifact in bytes", Value: 4 << 30, EnvVars: agent.Env("max-size")},
		&cli.Int64Flag{Name: "max-unpacked", Usage: "largest content of an artifact in bytes", Value: 4 << 30, EnvVars: agent.Env("max-unpacked")},
	}
}

// options are what the flags say.
type options struct {
	repo     string
	keep     int
	keys     keys
	maxBytes int64 // of one artifact
	limits   unpack.Limits
}

func readOptions(c *cli.Context) (o options, err error) {
	o = options{repo: c.String("repo"), keep: c.Int("keep"), maxBytes: c.Int64("max-size")}
	o.limits.Bytes = c.Int64("max-unpacked")
	if o.repo == "" {
		return o, agent.Usage("--repo (or PLATYPUS_REPO) must say where artifacts are, such as file:///srv/artifacts")
	}
	if o.keep < 0 || o.maxBytes <= 0 || o.limits.Bytes <= 0 {
		return o, agent.Usage("--keep, --max-size and --max-unpacked must not be negative")
	}
	if o.keys, err = readKeys(c.String("keys")); err != nil {
		return o, agent.Usage("--keys: %w", err)
	}
	return o, nil
}
