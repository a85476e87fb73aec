package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/gitlog"
	"github.com/platypus-platform/platypus/store/history"
)

func historyVerb() verb {
	return verb{
		name: "history", usage: "look after the history itself", args: "ACTION [FILE]", min: 1, max: 2,
		text: `The actions:
  verify    read all of it and name every entry that cannot be believed; exit code 1 when there is one
  export    write it as git fast-import reads it, to FILE or standard output: what git keeps, nobody compacts
  import    read what git fast-export wrote, from FILE or standard input, into a tree that has no history
  compact   let go of old commits, as the recorder does by itself: --keep-commits and --keep-age, whichever is more
  repair    write the head anew when it was lost and entries are left.`,
		examples: []string{
			"platypus history export | git -C intent.git fast-import",
			"git -C intent.git fast-export --first-parent intent | platypus history import",
			"platypus history verify",
		},
		flags: []cli.Flag{
			&cli.IntFlag{Name: "keep-commits", Usage: "compact: keep at least so `MANY`", Value: history.DefaultKeep.Commits},
			&cli.DurationFlag{Name: "keep-age", Usage: "compact: keep all that are younger", Value: history.DefaultKeep.Age},
			&cli.StringFlag{Name: "branch", Usage: "export: the branch to make", Value: "intent"},
			dryRunFlag(), outputFlag(),
		},
		run: func(ctx context.Context, sh *shell) error {
			do, known := map[string]func(context.Context, *history.Log) error{
				"verify": sh.verify, "export": sh.export, "import": sh.importHistory, "compact": sh.compact, "repair": sh.repair,
			}[sh.args[0]]
			if !known {
				return usage("history knows verify, export, import, compact and repair, not %q", sh.args[0])
			}
			return do(ctx, sh.history())
		},
	}
}

func (sh *shell) verify(ctx context.Context, log *history.Log) error {
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
	if sh.json {
		err = sh.printJSON("verify", map[string]any{"head": head, "floor": floor, "faults": append([]history.Fault{}, faults...)})
	} else {
		for _, f := range faults {
			sh.print("%s %v", sh.style.red(fmt.Sprintf("entry %d", f.Seq)), f.Err)
		}
		if len(faults) == 0 {
			sh.say("all is well: commits %d to %d, hash %s", max(floor, min(1, head.Seq)), head.Seq, head.Hash)
		}
	}
	if err == nil && len(faults) > 0 {
		sh.say("%s cannot be believed; the others stay readable; next: compare with an export, git fast-export keeps every hash", plural(len(faults), "entry or part of one"))
		err = exit(exitError)
	}
	return err
}

func (sh *shell) export(ctx context.Context, log *history.Log) error {
	out, done := sh.out, func() error { return nil }
	if sh.dry() {
		out = io.Discard
	} else if len(sh.args) == 2 {
		f, err := os.Create(sh.args[1])
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		defer f.Close()
		out, done = f, f.Close
	} else if terminal(sh.out) {
		return usage("an export is for git, not for a terminal: platypus history export FILE, or pipe it into git fast-import")
	}
	n, err := gitlog.Export(ctx, log, out, sh.flags.String("branch"))
	if err == nil {
		err = done()
	}
	if err != nil {
		return err
	}
	sh.say("exported: %s, branch %s", plural(n, "commit"), sh.flags.String("branch"))
	return nil
}

func (sh *shell) importHistory(ctx context.Context, log *history.Log) error {
	in := sh.in
	if len(sh.args) == 2 && sh.args[1] != "-" {
		f, err := os.Open(sh.args[1])
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		defer f.Close()
		in = f
	}
	if sh.dry() {
		return sh.importable(ctx, log, in)
	}
	head, err := gitlog.Import(ctx, log, in)
	if err != nil {
		return err
	}
	if err := sh.catchUp(ctx, log); err != nil {
		return err
	}
	if sh.json {
		return sh.printJSON("import", map[string]any{"seq": head.Seq, "hash": head.Hash})
	}
	sh.say("imported: %d commits; what is declared was left as it is and recorded where it differs; next: platypus log, platypus restore /@%d", head.Seq, head.Seq)
	return nil
}

func (sh *shell) compact(ctx context.Context, log *history.Log) error {
	keep := history.Keep{Commits: sh.flags.Int("keep-commits"), Age: sh.flags.Duration("keep-age")}
	if keep.Commits < 1 || keep.Age < 0 {
		return usage("--keep-commits is at least 1, and --keep-age is not negative")
	}
	if sh.dry() {
		return sh.excess(ctx, log, keep)
	}
	c, err := log.Compact(ctx, keep)
	if err != nil {
		return err
	}
	if sh.json {
		return sh.printJSON("compact", map[string]any{"compaction": c})
	}
	if c.Floor == 0 {
		sh.say("nothing to let go of: all commits are kept")
	} else {
		sh.say("the history begins with commit %d of %s; %s deleted from the store", c.Floor, c.At.Local().Format(time.DateTime), plural(c.Deleted, "key"))
	}
	if c.Pin != "" {
		sh.say("more could go but for %s", c.Pin)
	}
	return nil
}

// importable reads what would be imported, and writes none of it.
func (sh *shell) importable(ctx context.Context, log *history.Log, in io.Reader) error {
	head, err := log.Head(ctx)
	if err == nil && head.Seq > 0 {
		err = fmt.Errorf("import: the history: %w", history.ErrExists)
	}
	n := 0
	for _, bad := range gitlog.Commits(in) {
		if err != nil || bad != nil {
			return errors.Join(err, bad)
		}
		n++
	}
	return sh.wouldChange("import", plural(n, "commit"), n)
}

// excess tells what compacting would let go of.
func (sh *shell) excess(ctx context.Context, log *history.Log, keep history.Keep) error {
	to, err := log.Excess(ctx, keep)
	if err != nil {
		return err
	}
	floor, _, err := log.Floor(ctx)
	if err != nil {
		return err
	}
	return sh.wouldChange("compact", plural(int(max(to, 1)-max(floor, 1)), "commit"), int(to))
}

// wouldChange ends the dry run of an action that takes many writes.
func (sh *shell) wouldChange(action, what string, n int) error {
	if sh.json {
		if err := sh.printJSON("dry-run", map[string]any{"action": action, "commits": what}); err != nil {
			return err
		}
	}
	if n == 0 {
		sh.say("%s: there is nothing to do", action)
		return nil
	}
	sh.say("would %s %s; nothing was written: --dry-run", action, what)
	return exit(exitPending)
}

func (sh *shell) repair(ctx context.Context, log *history.Log) error {
	head, err := log.Repair(ctx)
	if err != nil {
		return err
	}
	if sh.json {
		return sh.printJSON("repair", map[string]any{"head": head})
	}
	sh.say("the newest commit is %d; next: platypus history verify", head.Seq)
	return nil
}
