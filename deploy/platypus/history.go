package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/store/history"
)

func historyVerb() verb {
	return verb{
		name: "history", usage: "look after the history itself", args: "ACTION [FILE]", minArgs: 1, maxArgs: 2,
		text: `The actions:
  verify    read all of it and name every entry that cannot be believed; exit code 1 when there is one
  mirror    bring what is new into the git repository REPO, which is made when it does not exist. From then on no
            commit is compacted that it does not have. Run it every night. Without REPO it lists the mirrors;
            with --delete NAME it forgets one, so that compaction does not wait for it
  export    write it as git fast-import reads it, to FILE or standard output: all that is kept or, with --onto REPO,
            what comes after the newest commit that REPO has
  import    read what git fast-export wrote, from FILE or standard input, into a tree that has no history; files that
            are no intent are left out
  compact   let go of old commits, as the recorder does by itself: --keep-commits and --keep-age, whichever is more
  repair    write the head again when it was lost and entries are left; end an import that was interrupted.`,
		examples: []string{
			"platypus history mirror intent.git",
			"platypus history export --onto intent.git | git -C intent.git fast-import --quiet",
			"git -C intent.git fast-export --first-parent intent | platypus history import",
			"platypus history verify",
		},
		flags: []cli.Flag{
			&cli.IntFlag{Name: "keep-commits", Usage: "compact: keep at least so `MANY`", Value: history.DefaultKeep.Commits},
			&cli.DurationFlag{Name: "keep-age", Usage: "compact: keep all that are younger", Value: history.DefaultKeep.Age},
			&cli.StringFlag{Name: "branch", Usage: "export, mirror: the branch", Value: "intent"},
			&cli.StringFlag{Name: "onto", Usage: "export: continue from what the branch of the git repository `REPO` has"},
			&cli.StringFlag{Name: "name", Usage: "mirror: its `NAME` in the store; by default that of this host and of REPO"},
			boolFlag("delete", "mirror: forget the one of this name", "d"),
			boolFlag("strict", "import: refuse files that are no intent, instead of leaving them out"),
			dryRunFlag(), yesFlag(), outputFlag(),
		},
		run: func(ctx context.Context, cmd *command) error {
			do, known := map[string]func(context.Context, *history.Log) error{
				"verify": cmd.verify, "export": cmd.export, "mirror": cmd.updateMirror, "import": cmd.importHistory, "compact": cmd.compact, "repair": cmd.repair,
			}[cmd.args[0]]
			if !known {
				return usage("history knows verify, mirror, export, import, compact and repair, not %q", cmd.args[0])
			}
			return do(ctx, cmd.history())
		},
	}
}

func (cmd *command) verify(ctx context.Context, log *history.Log) error {
	head, err := log.Head(ctx)
	if err != nil {
		return err
	}
	floor, _, err := log.Floor(ctx)
	if err != nil {
		return err
	}
	faults, err := log.Verify(ctx)
	if err != nil {
		return err
	}
	if err := cmd.checkUnfinishedImport(ctx, log); err != nil {
		return err
	}
	if cmd.json {
		err = cmd.printJSON("verify", map[string]any{"head": head, "floor": floor, "faults": append([]history.Fault{}, faults...)})
	} else {
		for _, f := range faults {
			what := fmt.Sprintf("entry %d", f.Seq)
			if f.Seq == 0 {
				what = "head"
			}
			cmd.printf("%s %v", cmd.style.red(what), f.Err)
		}
		if len(faults) == 0 {
			cmd.infof("all is well: commits %d to %d, hash %s", max(floor, min(1, head.Seq)), head.Seq, head.Hash)
		}
	}
	if err == nil && len(faults) > 0 && errors.Is(faults[0].Err, history.ErrNoHead) {
		cmd.infof("%s", historyNextStep(faults[0].Err))
		err = exit(exitError)
	}
	if err == nil && len(faults) > 0 {
		cmd.infof("%s cannot be believed; the others stay readable; next: compare with an export, git fast-export keeps every hash", plural(len(faults), "entry or part of one"))
		err = exit(exitError)
	}
	return err
}

// checkUnfinishedImport returns an error while an import blocks writes.
func (cmd *command) checkUnfinishedImport(ctx context.Context, log *history.Log) error {
	unfinished, err := log.ImportUnfinished(ctx)
	if err != nil || !unfinished {
		return err
	}
	return errors.New("an import was begun and is not finished, and nobody else can write; next: run it again, or platypus history repair")
}

func (cmd *command) compact(ctx context.Context, log *history.Log) error {
	keep := history.Keep{Commits: cmd.flags.Int("keep-commits"), Age: cmd.flags.Duration("keep-age")}
	if keep.Commits < 1 || keep.Age < 0 {
		return usage("--keep-commits is at least 1, and --keep-age is not negative")
	}
	if cmd.isDryRun() {
		return cmd.compactPlan(ctx, log, keep)
	}
	c, err := log.Compact(ctx, keep)
	if err != nil {
		return err
	}
	if cmd.json {
		return cmd.printJSON("compact", map[string]any{"compaction": c})
	}
	if c.Floor == 0 {
		cmd.infof("nothing to let go of: all commits are kept")
	} else {
		cmd.infof("the history begins with commit %d of %s; %s deleted from the store", c.Floor, c.At.Local().Format(time.DateTime), plural(c.Deleted, "key"))
	}
	if c.Pin != "" {
		cmd.infof("more could go but for %s", c.Pin)
	}
	return nil
}

// compactPlan prints what compacting would delete.
func (cmd *command) compactPlan(ctx context.Context, log *history.Log, keep history.Keep) error {
	to, pin, err := log.Excess(ctx, keep)
	if err != nil {
		return err
	}
	floor, _, err := log.Floor(ctx)
	if err != nil {
		return err
	}
	if pin != "" {
		cmd.infof("more could go but for %s", pin)
	}
	return cmd.finishActionDryRun("compact", plural(int(max(to, 1)-max(floor, 1)), "commit"), int(to))
}

// finishActionDryRun ends the dry run of an action with many writes.
func (cmd *command) finishActionDryRun(action, what string, n int) error {
	if cmd.json {
		if err := cmd.printJSON("dry-run", map[string]any{"action": action, "commits": what}); err != nil {
			return err
		}
	}
	if n == 0 {
		cmd.infof("%s: there is nothing to do", action)
		return nil
	}
	cmd.infof("would %s %s; nothing was written: --dry-run", action, what)
	return exit(exitPending)
}

func (cmd *command) repair(ctx context.Context, log *history.Log) error {
	unfinished, err := log.ImportUnfinished(ctx)
	if err != nil {
		return err
	}
	if unfinished {
		if err := cmd.askConfirmation("an import was begun and is not finished: remove what it wrote? It must not be running."); err != nil {
			return err
		}
		if _, err := log.EndImport(ctx); err != nil {
			return err
		}
		cmd.infof("the import is undone: this tree has no history and can be written; next: run the import again, or platypus apply FILE")
		return nil
	}
	head, err := log.Repair(ctx)
	if err != nil {
		return err
	}
	if cmd.json {
		return cmd.printJSON("repair", map[string]any{"head": head})
	}
	cmd.infof("the newest commit is %d; next: platypus history verify", head.Seq)
	return nil
}
