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
		name: "apply", usage: "declare what files say", args: "FILE…", minArgs: 1, maxArgs: -1,
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

func yesFlag() cli.Flag {
	return boolFlag("yes", "do not ask", "y")
}

func apply(ctx context.Context, cmd *command) error {
	files, err := cmd.readFiles()
	if err != nil {
		return err
	}
	if err := checkStatuses(files.Entries); err != nil && !cmd.flags.Bool("force") {
		return err
	}
	snapshot, err := world.Read(ctx, cmd.store, cmd.tree)
	if err != nil {
		return err
	}
	p, err := cmd.planEntries(snapshot, files.Entries)
	if err != nil {
		return err
	}
	if err := cmd.checkIndex(p.snapshot); err != nil {
		return err
	}
	if !cmd.json {
		p.print(cmd)
	}
	if len(p.changes) == 0 {
		return cmd.reportApplied(p, nil)
	}
	p.risks = cmd.findRisks(ctx, p.changes)
	for _, r := range p.risks {
		cmd.infof("%s %s", cmd.style.yellow("warning:"), r)
	}
	if cmd.flags.Bool("dry-run") {
		if cmd.json {
			if err := cmd.printJSON("plan", p.document(cmd)); err != nil {
				return err
			}
		}
		return exit(exitPending)
	}
	if err := cmd.confirmChanges(p.changes, p.risks...); err != nil {
		return err
	}
	request := history.Request{Note: history.Note{Message: "apply " + strings.Join(cmd.args[:min(len(cmd.args), 3)], " ")}}
	commits, err := cmd.commit(ctx, p.changes, request)
	if err != nil {
		return err
	}
	return cmd.reportApplied(p, commits)
}

// confirmChanges asks on a terminal. Off a terminal, only removals and risks need --yes.
func (cmd *command) confirmChanges(changes []change.Change, risks ...string) error {
	removals := 0
	for _, c := range changes {
		if c.Verb == change.Delete {
			removals++
		}
	}
	switch {
	case removals > 0:
		return cmd.askConfirmation(fmt.Sprintf("write %s, %s among them?", plural(len(changes), "change"), plural(removals, "removal")))
	case len(risks) > 0 && !cmd.interactive() && !cmd.flags.Bool("yes"):
		return fmt.Errorf("%s: nobody is here to agree, and nothing was written: give --yes, or bring the file up to date with platypus export APP",
			risks[0])
	case cmd.interactive():
		return cmd.askConfirmation(fmt.Sprintf("write %s?", plural(len(changes), "change")))
	}
	return nil
}

// reportApplied prints what was done and the next step.
func (cmd *command) reportApplied(p plan, commits []history.Commit) error {
	if cmd.json {
		document := p.document(cmd)
		addCommits(document, commits)
		return cmd.printJSON("apply", document)
	}
	if len(p.changes) == 0 {
		return nil
	}
	cmd.reportWritten(plural(len(p.changes), "change"), commits)
	cmd.infof("next: platypus status --watch")
	return nil
}
