package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/store/history"
)

func applyVerb() verb {
	return verb{
		name: "apply", usage: "declare what files say", args: "FILE…", min: 1, max: -1,
		text: `Validates the files and writes what differs, in one transaction: all of it or nothing. A value that somebody else
changed since it was read is never overwritten; then nothing is written. Values that say the same already are left
alone. A null in a file removes its key. Up to 126 changes (a removal counts twice) fit into one transaction; more are
refused, unless --batch allows several, each all or nothing, assignments after the values that they need.
Where standard input and standard error are both a terminal it asks first, unless --yes is given. Elsewhere nobody
could answer: then it asks nothing, and needs --yes only for removals and for a config that stops an app or makes a version
active again that was replaced. A file that is older than the last rollout does that: platypus export APP brings it up to
date, and a config without "versions" leaves the versions in the store as they are. A status of a version that nobody knows, such as "activ", is refused without --force.
What is written is kept in the history of intent, with the author and the message: platypus log.`,
		examples: []string{
			`platypus apply -m "slug 1.2 to production" slug.json`,
			"platypus apply --check-index 1042 --yes intent/",
			"generate-intent | platypus apply --dry-run -",
		},
		flags: []cli.Flag{
			messageFlag(), checkIndexFlag(), dryRunFlag(), forceFlag(),
			batchFlag(), yesFlag(), outputFlag(),
		},
		run: apply,
	}
}

// yesFlag answers the question of a verb that asks.
func yesFlag() cli.Flag {
	return boolFlag("yes", "do not ask", "y")
}

func apply(ctx context.Context, sh *shell) error {
	files, err := sh.files()
	if err != nil {
		return err
	}
	if err := mistyped(files.Entries); err != nil && !sh.flags.Bool("force") {
		return err
	}
	now, err := world.Read(ctx, sh.store, sh.tree)
	if err != nil {
		return err
	}
	p, err := sh.planEntries(now, files.Entries)
	if err != nil {
		return err
	}
	if err := sh.checkIndex(p.now); err != nil {
		return err
	}
	if !sh.json {
		p.show(sh)
	}
	if len(p.changes) == 0 {
		return sh.applied(p, nil)
	}
	p.risks = sh.risks(ctx, p.changes)
	for _, r := range p.risks {
		sh.say("%s %s", sh.style.yellow("warning:"), r)
	}
	if sh.flags.Bool("dry-run") {
		if sh.json {
			if err := sh.printJSON("plan", p.document(sh)); err != nil {
				return err
			}
		}
		return exit(exitPending)
	}
	if err := sh.agreeTo(p.changes, p.risks...); err != nil {
		return err
	}
	request := history.Request{Note: history.Note{Message: "apply " + strings.Join(sh.args[:min(len(sh.args), 3)], " ")}}
	commits, err := sh.commit(ctx, p.changes, request)
	if err != nil {
		return err
	}
	return sh.applied(p, commits)
}

// agreeTo asks on a terminal; elsewhere it lets everything pass but removals and risks.
func (sh *shell) agreeTo(changes []change.Change, risks ...string) error {
	removals := 0
	for _, c := range changes {
		if c.Verb == change.Delete {
			removals++
		}
	}
	switch {
	case removals > 0:
		return sh.agree(fmt.Sprintf("write %s, %s among them?", plural(len(changes), "change"), plural(removals, "removal")))
	case len(risks) > 0 && !sh.interactive() && !sh.flags.Bool("yes"):
		return fmt.Errorf("%s: nobody is here to agree, and nothing was written: give --yes, or bring the file up to date with platypus export APP",
			risks[0])
	case sh.interactive():
		return sh.agree(fmt.Sprintf("write %s?", plural(len(changes), "change")))
	}
	return nil
}

// applied tells what was done and what to do next.
func (sh *shell) applied(p plan, commits []history.Commit) error {
	if sh.json {
		document := p.document(sh)
		tell(document, commits)
		return sh.printJSON("apply", document)
	}
	if len(p.changes) == 0 {
		return nil
	}
	sh.wrote(plural(len(p.changes), "change"), commits)
	sh.say("next: platypus status --watch")
	return nil
}
