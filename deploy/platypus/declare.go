package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/intentfile"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/store/history"
)

// declaration is a set of edits that a verb computed and wants to write.
type declaration struct {
	name      string // of the verb
	snapshot  world.Snapshot
	edits     []world.Edit
	request   history.Request
	success   string // the success message
	hold      bool   // the verb has --hold
	confirmed bool   // no question: giving the verb is the confirmation
}

// holdFlag is the flag of verbs that undo something.
func holdFlag() cli.Flag {
	return &cli.DurationFlag{Name: "hold", Usage: "then hold the keys for so `LONG`, so that nobody puts the bad value back at once"}
}

// declareFlags are the flags of every verb that writes computed values.
func declareFlags(more ...cli.Flag) []cli.Flag {
	return append(more, messageFlag(), checkIndexFlag(), dryRunFlag(), forceFlag(), batchFlag(), yesFlag(), outputFlag())
}

// declare validates a declaration, prints it and writes it, byte for byte, in one transaction unless --batch allows
// several; a repeated run continues where an interrupted one ended. Joins are recorded even if nothing changes.
func (cmd *command) declare(ctx context.Context, w declaration) error {
	if err := cmd.checkIndex(w.snapshot); err != nil {
		return err
	}
	p, err := cmd.planChecked(w.snapshot, entriesOf(w.edits), "in what that would make of intent", "change either side first, or decide with --ours and --theirs where there is a choice", change.ExactChanges)
	if err != nil {
		return err
	}
	var commits []history.Commit
	if len(p.changes) > 0 || w.request.Kind == history.Join {
		if !cmd.json {
			p.print(cmd)
		}
		if cmd.flags.Bool("dry-run") {
			return cmd.finishPlanDryRun(p, w.name)
		}
		if !w.confirmed {
			if err := cmd.confirmChanges(p.changes); err != nil {
				return err
			}
		}
		if commits, err = cmd.commit(ctx, p.changes, w.request); err != nil {
			return err
		}
	}
	if len(commits) > 0 && w.hold {
		if err := cmd.holdChanges(ctx, p.changes, w.success); err != nil {
			return err
		}
	}
	if cmd.json {
		members := p.document(cmd)
		addCommits(members, commits)
		return cmd.printJSON(w.name, members)
	}
	if len(commits) == 0 {
		cmd.infof("unchanged: all of it stands as that would leave it, and nothing was written")
		return nil
	}
	cmd.reportWritten(w.success, commits)
	cmd.infof("next: platypus status --watch, or platypus show %d", commits[0].Seq)
	return nil
}

// finishPlanDryRun ends a dry run.
func (cmd *command) finishPlanDryRun(p plan, name string) error {
	if cmd.json {
		if err := cmd.printJSON(name, p.document(cmd)); err != nil {
			return err
		}
	}
	return exit(exitPending)
}

func entriesOf(edits []world.Edit) []intentfile.Entry {
	entries := make([]intentfile.Entry, 0, len(edits))
	for _, e := range edits {
		made := intentfile.NewEntry(e.Key, e.Value)
		made.Delete = e.Value == nil
		entries = append(entries, made)
	}
	return entries
}

// liveValues returns the declared values by key below intent/; no value is nil.
func liveValues(now world.Snapshot) map[string][]byte {
	values := make(map[string][]byte, len(now.Pairs))
	for _, pair := range now.Pairs {
		if key, ok := now.IntentKey(pair); ok {
			values[key] = append([]byte{}, pair.Value...)
		}
	}
	return values
}
