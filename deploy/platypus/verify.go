package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent/fleet"
)

func verifyVerb() verb {
	return verb{
		name: "verify", usage: "audit what the allocators have done", args: " ", min: 0, max: 0,
		text: `Reads everything and holds each invariant against it: no machine holds more than it has, no instance has two places, no
machine two instances of an app, every wish has a place or a reason, every placement and every app that was brought stands in a ledger.
What does not add up is told with what to do about it, and the exit code is 1. What is only on its way is looked at twice.`,
		examples: []string{"platypus verify", "platypus verify -o json"},
		flags:    []cli.Flag{outputFlag()},
		run:      verify,
	}
}

// secondLook is how long after the first look a finding must still be there: the prefixes are not read at one moment.
const secondLook = 700 * time.Millisecond

func verify(ctx context.Context, sh *shell) error {
	f, err := sh.readFleet(ctx)
	if err != nil {
		return err
	}
	findings := fleet.Audit(sh.tree, f)
	if len(findings) > 0 {
		pause(ctx, secondLook)
		if f, err = sh.readFleet(ctx); err != nil {
			return err
		}
		findings = both(findings, fleet.Audit(sh.tree, f))
	}
	entries := 0
	for _, m := range f.Machines {
		entries += len(m.Ledger.Entries)
	}
	if sh.json {
		err = sh.printJSON("verify", map[string]any{"machines": len(f.Machines), "entries": entries, "findings": findings})
	} else {
		for _, found := range findings {
			sh.print("%s  %s: %s\n    mend: %s", sh.style.red(found.Rule), found.Subject, found.What, found.Mend)
		}
	}
	sh.say("%s, %s in ledgers: %s", plural(len(f.Machines), "machine"), plural(entries, "share"), verdictOf(findings))
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

// both are the findings of the second look that were there at the first.
func both(first, second []fleet.Finding) []fleet.Finding {
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
