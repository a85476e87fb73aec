package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/store"
)

func applyVerb() verb {
	return verb{
		name: "apply", usage: "declare what files say", args: "FILE…", min: 1, max: -1,
		text: `Validates the files and writes what differs, in one transaction: all of it or nothing. A value that somebody else
changed since it was read is never overwritten; then nothing is written. Values that say the same already are left
alone. A null in a file removes its key. Up to 64 changes fit into one transaction; more are refused, unless --batch
allows several transactions, each all or nothing, assignments after the values that they need.
On a terminal it asks first. Off a terminal only removals need --yes.
The message is kept with the change once the history of intent is on; until then it is only printed.`,
		examples: []string{
			`platypus apply -m "slug 1.2 to production" slug.json`,
			"platypus apply --check-index 1042 --yes intent/",
			"generate-intent | platypus apply --dry-run -",
		},
		flags: []cli.Flag{
			&cli.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "why, for the history"},
			&cli.Uint64Flag{Name: "check-index", Usage: "refuse unless intent is as it was at the `INDEX` that plan printed"},
			boolFlag("dry-run", "only show what would be written; exit code 2 when something would"),
			boolFlag("batch", "more than 64 changes: write them in several transactions"),
			yesFlag(), outputFlag(),
		},
		run: apply,
	}
}

// yesFlag answers the question of a verb that asks.
func yesFlag() cli.Flag {
	return boolFlag("yes", "do not ask", "y")
}

func apply(ctx context.Context, sh *shell) error {
	p, err := sh.plan(ctx)
	if err != nil {
		return err
	}
	if wanted := sh.flags.Uint64("check-index"); sh.flags.IsSet("check-index") && wanted != p.now.Index {
		return fmt.Errorf("intent is at index %d, not at %d: something was declared in between and nothing was written; next: platypus plan FILE",
			p.now.Index, wanted)
	}
	if !sh.json {
		p.show(sh)
	}
	if len(p.changes) == 0 {
		return sh.applied(p, p.now.Index)
	}
	if sh.flags.Bool("dry-run") {
		if sh.json {
			if err := sh.printJSON("plan", p.document(sh)); err != nil {
				return err
			}
		}
		return exit(exitPending)
	}
	if err := sh.agreeTo(p.changes); err != nil {
		return err
	}
	index, err := sh.commit(ctx, change.Commands(p.now, p.changes))
	if err != nil {
		return err
	}
	return sh.applied(p, index)
}

// agreeTo asks on a terminal; elsewhere it lets everything pass but removals.
func (sh *shell) agreeTo(changes []change.Change) error {
	removals := 0
	for _, c := range changes {
		if c.Verb == change.Delete {
			removals++
		}
	}
	switch {
	case removals > 0:
		return sh.agree(fmt.Sprintf("write %s, %s among them?", plural(len(changes), "change"), plural(removals, "removal")))
	case terminal(sh.in):
		return sh.agree(fmt.Sprintf("write %s?", plural(len(changes), "change")))
	}
	return nil
}

// commit writes the commands, in as many transactions as it takes and is allowed.
func (sh *shell) commit(ctx context.Context, commands []store.Change) (index uint64, err error) {
	if len(commands) > store.MaxOps && !sh.flags.Bool("batch") {
		return 0, fmt.Errorf("%d changes are more than the %d that fit into one transaction, and nothing was written: "+
			"split the files, or give --batch to write them in several", len(commands), store.MaxOps)
	}
	for done := 0; done < len(commands); {
		next := min(done+store.MaxOps, len(commands))
		i, err := sh.store.Commit(ctx, commands[done:next])
		if err != nil && done > 0 {
			return 0, fmt.Errorf("%w; %d of %d changes were written before, the rest was not: apply again to finish", err, done, len(commands))
		}
		if err != nil {
			return 0, err
		}
		index, done = max(index, i), next
	}
	return index, nil
}

// applied tells what was done and what to do next.
func (sh *shell) applied(p plan, index uint64) error {
	message := sh.flags.String("message")
	if sh.json {
		document := p.document(sh)
		document["index"], document["message"] = index, message
		return sh.printJSON("apply", document)
	}
	if len(p.changes) == 0 {
		return nil
	}
	sh.say("written: %s at index %d", plural(len(p.changes), "change"), index)
	if message != "" {
		sh.say("message: %s (not stored: the history of intent is off)", message)
	}
	sh.say("next: platypus status --watch")
	return nil
}
