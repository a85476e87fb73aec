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
		name: "doctor", usage: "look for what would keep Platypus from working here", max: 0,
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
	levelSkip = "skip" // it cannot be known from here
)

// finding is one thing that was looked at.
type finding struct {
	What  string `json:"what"`
	Level string `json:"level"`
	Found string `json:"found"`
	Fix   string `json:"fix,omitempty"`
}

func doctor(ctx context.Context, sh *shell) error {
	node := sh.flags.String("node")
	if node == "" {
		node, _ = os.Hostname()
	}
	name, err := intent.ParseName(node)
	if err != nil {
		return usage("--node: %w", err)
	}
	as := sh.flags.String("as")
	known := append(slices.Clone(agentNames), seedPlacer)
	if as != "" && !slices.Contains(known, as) {
		return usage("--as %q is not one of %s", as, strings.Join(known, ", "))
	}
	found, apps := sh.lookAtStore(ctx, name, as)
	found = append(found, lookAtHost(ctx, sh.flags.String("state-dir"), apps)...)
	failed := false
	for _, f := range found {
		failed = failed || f.Level == levelFail
	}
	if sh.json {
		if err := sh.printJSON("doctor", map[string]any{"node": node, "healthy": !failed, "findings": found}); err != nil {
			return err
		}
	} else {
		sh.showFindings(found)
	}
	if failed {
		return exit(exitError)
	}
	return nil
}

func (sh *shell) showFindings(found []finding) {
	rows := make([][]string, 0, len(found))
	for _, f := range found {
		text := f.Found
		if f.Fix != "" {
			text += "; " + f.Fix
		}
		rows = append(rows, []string{sh.style.phase(f.Level), f.What, text})
	}
	sh.printTable([]string{"LEVEL", "WHAT", "FOUND"}, rows)
}

// stateHome is where agents keep their state unless told otherwise, each in a directory of its name.
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

// agentNames are the agents that bring apps live.
var agentNames = []string{world.Preparer, world.PortAuthority, world.Setlive}
