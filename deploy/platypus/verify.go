package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent/fleet"
)

func verifyVerb() verb {
	return verb{
		name: "verify", usage: "audit what the allocators have done", args: " ", minArgs: 0, maxArgs: 0,
		text: `Reads everything and holds each invariant against it: no machine holds more than it has, no instance has two places, no
machine two instances of an app, every wish has a place or a reason, every placement and every app that was brought stands in a ledger.
What does not add up is told with what to do about it, and the exit code is 1. What is only on its way is looked at twice.`,
		examples: []string{"platypus verify", "platypus verify -o json"},
		flags:    []cli.Flag{outputFlag()},
		run:      verify,
	}
}

// recheckDelay is the time between two reads; only findings of both count, because prefixes are not read atomically.
const recheckDelay = 700 * time.Millisecond

func verify(ctx context.Context, cmd *command) error {
	f, err := cmd.readFleet(ctx)
	if err != nil {
		return err
	}
	findings := fleet.Audit(cmd.tree, f)
	if len(findings) > 0 {
		pause(ctx, recheckDelay)
		if f, err = cmd.readFleet(ctx); err != nil {
			return err
		}
		findings = inBoth(findings, fleet.Audit(cmd.tree, f))
	}
	entries := 0
	for _, m := range f.Machines {
		entries += len(m.Ledger.Entries)
	}
	if cmd.json {
		err = cmd.printJSON("verify", map[string]any{"machines": len(f.Machines), "entries": entries, "findings": findings})
	} else {
		for _, found := range findings {
			cmd.printf("%s  %s: %s\n    mend: %s", cmd.style.red(found.Rule), found.Subject, found.What, found.Mend)
		}
	}
	cmd.infof("%s, %s in ledgers: %s", plural(len(f.Machines), "machine"), plural(entries, "share"), verdictOf(findings))
	if err == nil && len(findings) > 0 {
		return exit(exitError)
	}
	return err
}

func verdictOf(findings []fleet.Finding) string {
	if len(findings) == 0 {
		return "everything adds up"
	}
	return plural(len(findings), "finding")
}

// inBoth returns the findings of the second read that the first had, too.
func inBoth(first, second []fleet.Finding) []fleet.Finding {
	seen := map[[2]string]bool{}
	for _, f := range first {
		seen[[2]string{f.Rule, f.Subject}] = true
	}
	stay := []fleet.Finding{}
	for _, f := range second {
		if seen[[2]string{f.Rule, f.Subject}] {
			stay = append(stay, f)
		}
	}
	return stay
}
