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
		name: "fork", usage: "make a tree of its own out of intent, to rehearse a change", args: "[NAME [POINT]]", min: 0, max: 2,
		text: `Copies all that is declared, as of now or as of a point, below platypus/forks/NAME/: a tree like any other, with a history
of its own. Point agents of a staging host and these verbs at it with --root platypus/forks/NAME/; platypus join NAME
brings what changed there back. Without a name it lists the forks; with --delete it removes one with its history, which
it refuses while there are forks in it or work that was never joined, unless --force is given.
` + pointText,
		examples: []string{`platypus fork staging -m "rehearse 1.2"`, "platypus fork audit golden", "platypus fork --delete staging --yes"},
		flags: []cli.Flag{messageFlag(), boolFlag("delete", "remove the fork", "d"),
			boolFlag("force", "with --delete: also with the forks in it and work that was never joined"), dryRunFlag(), yesFlag(), outputFlag()},
		run: fork,
	}
}

func fork(ctx context.Context, sh *shell) error {
	log := sh.history()
	if len(sh.args) == 0 {
		return sh.listForks(ctx, log)
	}
	name, err := sh.name(0, "NAME")
	if err != nil {
		return err
	}
	if sh.flags.Bool("delete") {
		return sh.removeFork(ctx, log, name)
	}
	var seq uint64
	if len(sh.args) == 2 {
		if seq, err = sh.seq(ctx, sh.args[1]); err != nil {
			return err
		}
		if seq == 0 {
			return usage("a fork begins with a commit, and 0 is before the first one")
		}
	} else if err := sh.catchUp(ctx, log); err != nil {
		return err
	}
	author, err := sh.author(ctx)
	if err != nil {
		return err
	}
	f, err := log.Fork(ctx, name, seq, history.Note{Author: author, Via: "cli", Message: sh.flags.String("message")})
	if err != nil {
		return err
	}
	root := sh.tree.Fork(name).Root()
	if sh.json {
		return sh.printJSON("fork", map[string]any{"fork": f, "root": root})
	}
	sh.say("forked: %s is commit %d of %s, below %s", name, f.From.Seq, f.From.Root, root)
	sh.say("next: platypus --root %s apply FILE, then platypus join %s; agents follow the fork with --root %s", root, name, root)
	return nil
}

// catchUp records the plain writes that nobody recorded yet, so that what is read from the history is what stands.
func (sh *shell) catchUp(ctx context.Context, log *history.Log) error {
	if sh.dry() {
		return nil
	}
	s, err := log.Survey(ctx)
	if err == nil {
		_, err = log.Observe(ctx, s)
	}
	return err
}

func (sh *shell) removeFork(ctx context.Context, log *history.Log, name intent.Name) error {
	loss, err := log.ForkLoss(ctx, name)
	if err != nil {
		return err
	}
	if loss.Any() && !sh.flags.Bool("force") {
		next := fmt.Sprintf("platypus join %s brings its work back", name)
		if len(loss.Forks) > 0 {
			next = fmt.Sprintf("platypus --root %s fork lists the forks in it", sh.tree.Fork(name).Root())
		}
		return fmt.Errorf("fork %s is not removed, for %s would be lost; next: %s, --force removes all of it", name, lost(loss), next)
	}
	what := fmt.Sprintf("fork %s with all that is declared in it and its history", name)
	if loss.Any() {
		what += ", and with it " + lost(loss)
	}
	if sh.dry() {
		if sh.json {
			if err := sh.printJSON("dry-run", map[string]any{"action": "fork --delete", "fork": name, "lost": loss}); err != nil {
				return err
			}
		}
		sh.say("would remove %s; nothing was written: --dry-run", what)
		return exit(exitPending)
	}
	if err := sh.agree("remove " + what + "?"); err != nil {
		return err
	}
	if err := log.RemoveFork(ctx, name, loss.Head); errors.Is(err, history.ErrNoSuch) {
		return noFork(name)
	} else if err != nil {
		return err
	}
	if sh.json {
		return sh.printJSON("fork", map[string]any{"deleted": name, "lost": loss})
	}
	sh.say("fork %s is gone", name)
	return nil
}

// noFork says that there is no fork of that name.
func noFork(name intent.Name) error {
	return fmt.Errorf("there is no fork %s: platypus fork lists them", name)
}

// lost names what would be lost with a fork.
func lost(f history.ForkLoss) string {
	var parts []string
	if n := len(f.Forks); n > 0 {
		parts = append(parts, fmt.Sprintf("%s in it (%s)", plural(n, "fork"), listed(f.Forks)))
	}
	if f.Unjoined > 0 {
		parts = append(parts, plural(f.Unjoined, "commit")+" never joined")
	}
	if f.Plain > 0 {
		parts = append(parts, plural(f.Plain, "key")+" changed by plain writes and never joined")
	}
	return strings.Join(parts, " and ")
}

func (sh *shell) listForks(ctx context.Context, log *history.Log) error {
	forks, err := log.Forks(ctx)
	if err != nil {
		return err
	}
	if sh.json {
		return sh.printJSON("forks", map[string]any{"forks": append([]history.Forked{}, forks...)})
	}
	if len(forks) == 0 {
		sh.say("there is no fork of %s; next: platypus fork NAME", sh.tree.Own())
		return nil
	}
	rows := [][]string{}
	for _, f := range forks {
		rows = append(rows, []string{string(f.Name), string(f.State), fmt.Sprint(f.From.Seq), sh.stamp(f.At), tame(f.Author.Name), fmt.Sprint(len(f.Joins)), tame(f.Note)})
	}
	sh.printTable([]string{"FORK", "STATE", "FROM", "SINCE", "BY", "JOINS", "WHY"}, rows)
	return nil
}

func ancestorsVerb() verb {
	return verb{
		name: "ancestors", usage: "show where a fork comes from and what was joined", args: "[NAME]", min: 0, max: 1,
		text: `Lists the trees and commits that a fork was made from, the nearest first, and every join between it and the tree that it
comes from, in either direction. Without a name it is about the tree at --root.`,
		examples: []string{"platypus ancestors staging", "platypus ancestors --root platypus/forks/staging/ -o json"},
		flags:    []cli.Flag{outputFlag()},
		run: func(ctx context.Context, sh *shell) error {
			log := sh.history()
			if len(sh.args) == 1 {
				name, err := sh.name(0, "NAME")
				if err != nil {
					return err
				}
				log = history.Open(sh.store, sh.tree.Fork(name))
			}
			return sh.ancestors(ctx, log)
		},
	}
}

func (sh *shell) ancestors(ctx context.Context, log *history.Log) error {
	refs, err := log.Ancestors(ctx)
	if err != nil {
		return err
	}
	f, is, err := log.Forked(ctx)
	if err != nil {
		return err
	}
	if len(sh.args) == 1 && !is {
		return noFork(intent.Name(sh.args[0]))
	}
	if sh.json {
		return sh.printJSON("ancestors", map[string]any{"root": log.Tree().Root(), "ancestors": append([]history.Ref{}, refs...), "joins": append([]history.Joining{}, f.Joins...)})
	}
	if !is {
		sh.say("%s is no fork: it comes from nowhere else", log.Tree().Own())
		return nil
	}
	rows := [][]string{}
	for _, r := range refs {
		rows = append(rows, []string{"forked", r.Root, fmt.Sprint(r.Seq), "", ""})
	}
	for _, j := range f.Joins {
		rows = append(rows, []string{"joined", j.Source.Root, fmt.Sprint(j.Source.Seq), j.Target.Root, fmt.Sprint(j.Target.Seq)})
	}
	sh.printTable([]string{"HOW", "FROM", "COMMIT", "INTO", "AS COMMIT"}, rows)
	return nil
}
