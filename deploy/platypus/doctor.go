package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
)

func doctorVerb() verb {
	return verb{
		name: "doctor", usage: "look for what would keep Platypus from working here", maxArgs: 0,
		text: `Checks the store (does it answer, what may the token do, do the clocks agree) and this host (space and inodes,
who holds the locks of agents, second copies of them, firewall, supervisor, ports that somebody else listens on).
--as checks the token on behalf of an agent that runs on a node: may it read and write what that agent needs, and no more. Each line that is
not ok says what to do; root sees more than others. Nothing is changed, neither here nor in the store.
Exit code 1 when something fails; warnings do not count.`,
		examples: []string{"platypus doctor", "sudo platypus doctor --node web1 -o json",
			"platypus doctor --as preparer --token-file /etc/platypus/preparer.token"},
		flags: []cli.Flag{
			&cli.StringFlag{Name: "as", Usage: "check the token on behalf of this `AGENT`"},
			&cli.StringFlag{Name: "node", Usage: "name of this `NODE` in the store (default: the host's name)", EnvVars: []string{"PLATYPUS_NODE"}},
			&cli.StringFlag{Name: "state-dir", Usage: "directory below which agents keep their state", Value: stateHome()},
			outputFlag(),
		},
		run: doctor,
	}
}

// The levels of a finding.
const (
	levelOK   = "ok"
	levelWarn = "warn"
	levelFail = "fail"
	levelSkip = "skip" // it cannot be checked from here
)

// finding is the result of one check.
type finding struct {
	What  string `json:"what"`
	Level string `json:"level"`
	Found string `json:"found"`
	Fix   string `json:"fix,omitempty"`
}

func doctor(ctx context.Context, cmd *command) error {
	node := cmd.flags.String("node")
	if node == "" {
		node, _ = os.Hostname()
	}
	name, err := intent.ParseName(node)
	if err != nil {
		return usage("--node: %w", err)
	}
	as := cmd.flags.String("as")
	known := append(slices.Clone(agentNames), seedPlacer)
	if as != "" && !slices.Contains(known, as) {
		return usage("--as %q is not one of %s", as, strings.Join(known, ", "))
	}
	found, apps := cmd.checkStore(ctx, name, as)
	found = append(found, checkHost(ctx, cmd.flags.String("state-dir"), apps)...)
	failed := false
	for _, f := range found {
		failed = failed || f.Level == levelFail
	}
	if cmd.json {
		if err := cmd.printJSON("doctor", map[string]any{"node": node, "healthy": !failed, "findings": found}); err != nil {
			return err
		}
	} else {
		cmd.showFindings(found)
	}
	if failed {
		return exit(exitError)
	}
	return nil
}

func (cmd *command) showFindings(found []finding) {
	rows := make([][]string, 0, len(found))
	for _, f := range found {
		text := f.Found
		if f.Fix != "" {
			text += "; " + f.Fix
		}
		rows = append(rows, []string{cmd.style.colourPhase(f.Level), f.What, text})
	}
	cmd.printTable([]string{"LEVEL", "WHAT", "FOUND"}, rows)
}

// stateHome returns the default directory of agent state, with one subdirectory for each agent.
func stateHome() string {
	if os.Geteuid() == 0 {
		return "/var/lib/platypus"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "platypus")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = os.TempDir()
	}
	return filepath.Join(home, ".local/state/platypus")
}

// agentNames are the agents that deploy apps.
var agentNames = []string{world.Preparer, world.PortAuthority, world.Setlive}
