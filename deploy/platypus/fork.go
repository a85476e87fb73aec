package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/history"
)

func forkVerb() verb {
	return verb{
		name: "fork", usage: "make a tree of its own out of intent, to rehearse a change", args: "[NAME [POINT]]", min: 0, max: 2,
		text: `Copies all that is declared, as of now or as of a point, below platypus/forks/NAME/: a tree like any other, with a history
of its own. Point agents of a staging host and these verbs at it with --root platypus/forks/NAME/; platypus join NAME
brings what changed there back. Without a name it lists the forks; with --delete it removes one with its history.
` + pointText,
		examples: []string{`platypus fork staging -m "rehearse 1.2"`, "platypus fork audit golden", "platypus fork --delete staging --yes"},
		flags:    []cli.Flag{messageFlag(), boolFlag("delete", "remove the fork", "d"), dryRunFlag(), yesFlag(), outputFlag()},
		run:      fork,
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
	if err := sh.agree(fmt.Sprintf("remove fork %s with all that is declared in it and its history?", name)); err != nil {
		return err
	}
	if err := log.RemoveFork(ctx, name); err != nil {
		return err
	}
	sh.say("fork %s is gone", name)
	return nil
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
		return fmt.Errorf("fork %s: %w", sh.args[0], history.ErrNoSuch)
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
