package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/history"
)

func forkVerb() verb {
	return verb{
		name: "fork", usage: "make a tree of its own out of intent, to rehearse a change", args: "[NAME [POINT]]", minArgs: 0, maxArgs: 2,
		text: `Copies all that is declared, as of now or as of a point, below platypus/forks/NAME/: a tree like any other, with a history
of its own. Point agents of a staging host and these verbs at it with --root platypus/forks/NAME/; platypus join NAME
brings what changed there back. Without a name it lists the forks; with --delete it removes one with its history, which
it refuses while there are forks in it or work that was never joined, unless --force is given.
` + revisionText,
		examples: []string{`platypus fork staging -m "rehearse 1.2"`, "platypus fork audit golden", "platypus fork --delete staging --yes"},
		flags: []cli.Flag{messageFlag(), boolFlag("delete", "remove the fork", "d"),
			boolFlag("force", "with --delete: also with the forks in it and work that was never joined"), dryRunFlag(), yesFlag(), outputFlag()},
		run: fork,
	}
}

func fork(ctx context.Context, cmd *command) error {
	log := cmd.history()
	if len(cmd.args) == 0 {
		return cmd.listForks(ctx, log)
	}
	name, err := cmd.nameArg(0, "NAME")
	if err != nil {
		return err
	}
	if cmd.flags.Bool("delete") {
		return cmd.removeFork(ctx, log, name)
	}
	var seq uint64
	if len(cmd.args) == 2 {
		if seq, err = cmd.resolveRevision(ctx, cmd.args[1]); err != nil {
			return err
		}
		if seq == 0 {
			return usage("a fork begins with a commit, and 0 is before the first one")
		}
	} else if err := cmd.recordPlainWrites(ctx, log); err != nil {
		return err
	}
	author, err := cmd.author(ctx)
	if err != nil {
		return err
	}
	f, err := log.Fork(ctx, name, seq, history.Note{Author: author, Via: "cli", Message: cmd.flags.String("message")})
	if err != nil {
		return err
	}
	root := cmd.tree.Fork(name).Root()
	if cmd.json {
		return cmd.printJSON("fork", map[string]any{"fork": f, "root": root})
	}
	cmd.infof("forked: %s is commit %d of %s, below %s", name, f.From.Seq, f.From.Root, root)
	cmd.infof("next: platypus --root %s apply FILE, then platypus join %s; agents follow the fork with --root %s", root, name, root)
	return nil
}

// recordPlainWrites adds unrecorded plain writes to the history, so that the history equals the current values.
func (cmd *command) recordPlainWrites(ctx context.Context, log *history.Log) error {
	if cmd.isDryRun() {
		return nil
	}
	s, err := log.Survey(ctx)
	if err == nil {
		_, err = log.Observe(ctx, s)
	}
	return err
}

func (cmd *command) removeFork(ctx context.Context, log *history.Log, name intent.Name) error {
	loss, err := log.ForkLoss(ctx, name)
	if err != nil {
		return err
	}
	if loss.Any() && !cmd.flags.Bool("force") {
		next := fmt.Sprintf("platypus join %s brings its work back", name)
		if len(loss.Forks) > 0 {
			next = fmt.Sprintf("platypus --root %s fork lists the forks in it", cmd.tree.Fork(name).Root())
		}
		return fmt.Errorf("fork %s is not removed, for %s would be lost; next: %s, --force removes all of it", name, lossText(loss), next)
	}
	what := fmt.Sprintf("fork %s with all that is declared in it and its history", name)
	if loss.Any() {
		what += ", and with it " + lossText(loss)
	}
	if cmd.isDryRun() {
		if cmd.json {
			if err := cmd.printJSON("dry-run", map[string]any{"action": "fork --delete", "fork": name, "lost": loss}); err != nil {
				return err
			}
		}
		cmd.infof("would remove %s; nothing was written: --dry-run", what)
		return exit(exitPending)
	}
	if err := cmd.askConfirmation("remove " + what + "?"); err != nil {
		return err
	}
	if err := log.RemoveFork(ctx, name, loss.Head); errors.Is(err, history.ErrNoSuch) {
		return forkNotFound(name)
	} else if err != nil {
		return err
	}
	if cmd.json {
		return cmd.printJSON("fork", map[string]any{"deleted": name, "lost": loss})
	}
	cmd.infof("fork %s is gone", name)
	return nil
}

// forkNotFound is the error for an unknown fork.
func forkNotFound(name intent.Name) error {
	return fmt.Errorf("there is no fork %s: platypus fork lists them", name)
}

// lossText describes what would be lost with a fork.
func lossText(f history.ForkLoss) string {
	var parts []string
	if n := len(f.Forks); n > 0 {
		parts = append(parts, fmt.Sprintf("%s in it (%s)", plural(n, "fork"), firstNames(f.Forks)))
	}
	if f.Unjoined > 0 {
		parts = append(parts, plural(f.Unjoined, "commit")+" never joined")
	}
	if f.Plain > 0 {
		parts = append(parts, plural(f.Plain, "key")+" changed by plain writes and never joined")
	}
	return strings.Join(parts, " and ")
}

func (cmd *command) listForks(ctx context.Context, log *history.Log) error {
	forks, err := log.Forks(ctx)
	if err != nil {
		return err
	}
	if cmd.json {
		return cmd.printJSON("forks", map[string]any{"forks": append([]history.Forked{}, forks...)})
	}
	if len(forks) == 0 {
		cmd.infof("there is no fork of %s; next: platypus fork NAME", cmd.tree.Own())
		return nil
	}
	rows := [][]string{}
	for _, f := range forks {
		rows = append(rows, []string{string(f.Name), string(f.State), fmt.Sprint(f.From.Seq), cmd.localTime(f.At), printable(f.Author.Name), fmt.Sprint(len(f.Joins)), printable(f.Note)})
	}
	cmd.printTable([]string{"FORK", "STATE", "FROM", "SINCE", "BY", "JOINS", "WHY"}, rows)
	return nil
}

func ancestorsVerb() verb {
	return verb{
		name: "ancestors", usage: "show where a fork comes from and what was joined", args: "[NAME]", minArgs: 0, maxArgs: 1,
		text: `Lists the trees and commits that a fork was made from, the nearest first, and every join between it and the tree that it
comes from, in either direction. Without a name it is about the tree at --root.`,
		examples: []string{"platypus ancestors staging", "platypus ancestors --root platypus/forks/staging/ -o json"},
		flags:    []cli.Flag{outputFlag()},
		run: func(ctx context.Context, cmd *command) error {
			log := cmd.history()
			if len(cmd.args) == 1 {
				name, err := cmd.nameArg(0, "NAME")
				if err != nil {
					return err
				}
				log = history.Open(cmd.store, cmd.tree.Fork(name))
			}
			return cmd.ancestors(ctx, log)
		},
	}
}

func (cmd *command) ancestors(ctx context.Context, log *history.Log) error {
	refs, err := log.Ancestors(ctx)
	if err != nil {
		return err
	}
	f, is, err := log.Forked(ctx)
	if err != nil {
		return err
	}
	if len(cmd.args) == 1 && !is {
		return forkNotFound(intent.Name(cmd.args[0]))
	}
	if cmd.json {
		return cmd.printJSON("ancestors", map[string]any{"root": log.Tree().Root(), "ancestors": append([]history.Ref{}, refs...), "joins": append([]history.Joining{}, f.Joins...)})
	}
	if !is {
		cmd.infof("%s is no fork: it comes from nowhere else", log.Tree().Own())
		return nil
	}
	rows := [][]string{}
	for _, r := range refs {
		rows = append(rows, []string{"forked", r.Root, fmt.Sprint(r.Seq), "", ""})
	}
	for _, j := range f.Joins {
		rows = append(rows, []string{"joined", j.Source.Root, fmt.Sprint(j.Source.Seq), j.Target.Root, fmt.Sprint(j.Target.Seq)})
	}
	cmd.printTable([]string{"HOW", "FROM", "COMMIT", "INTO", "AS COMMIT"}, rows)
	return nil
}
