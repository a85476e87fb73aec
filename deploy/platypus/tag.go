package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/store/history"
	"github.com/platypus-platform/platypus/store/history/point"
)

func tagVerb() verb {
	return verb{
		name: "tag", usage: "give a commit a name, so that it is kept and found", args: "[NAME [POINT]]", minArgs: 0, maxArgs: 2,
		text: `Names a commit, the newest one unless another is given. What is tagged is not compacted away. Without a name it lists
the tags; with --delete it takes the name away.
` + revisionText,
		examples: []string{`platypus tag golden -m "before the move"`, "platypus tag --delete golden"},
		flags:    []cli.Flag{messageFlag(), boolFlag("delete", "take the name away", "d"), dryRunFlag(), outputFlag()},
		run:      tag,
	}
}

func tag(ctx context.Context, cmd *command) error {
	log := cmd.history()
	if len(cmd.args) == 0 {
		return cmd.listTags(ctx, log)
	}
	name, err := point.TagName(cmd.args[0])
	if err != nil {
		return usageError{err}
	}
	if cmd.flags.Bool("delete") {
		if err := log.Untag(ctx, string(name)); err != nil {
			return err
		}
		cmd.infof("tag %s is gone; the commit stays until it is compacted", name)
		return nil
	}
	t := history.Tag{Name: string(name), Note: cmd.flags.String("message")}
	if len(cmd.args) == 2 {
		if t.Seq, err = cmd.resolveRevision(ctx, cmd.args[1]); err != nil {
			return err
		}
	}
	if t.Author, err = cmd.author(ctx); err != nil {
		return err
	}
	if t, err = log.Tag(ctx, t); err != nil {
		return err
	}
	if cmd.json {
		return cmd.printJSON("tag", map[string]any{"name": t.Name, "seq": t.Seq, "note": t.Note, "author": t.Author, "at": t.At})
	}
	cmd.infof("commit %d is %s now; next: platypus show %s", t.Seq, t.Name, t.Name)
	return nil
}

func (cmd *command) listTags(ctx context.Context, log *history.Log) error {
	tags, err := log.Tags(ctx)
	if err != nil {
		return err
	}
	rows, all := [][]string{}, []map[string]any{}
	for _, t := range tags {
		rows = append(rows, []string{t.Name, fmt.Sprint(t.Seq), cmd.localTime(t.At), printable(t.Author.Name), printable(t.Note)})
		all = append(all, map[string]any{"name": t.Name, "seq": t.Seq, "note": t.Note, "author": t.Author, "at": t.At})
	}
	if cmd.json {
		return cmd.printJSON("tags", map[string]any{"tags": all})
	}
	if len(rows) == 0 {
		cmd.infof("no commit has a name; next: platypus tag NAME [POINT]")
		return nil
	}
	cmd.printTable([]string{"TAG", "SEQ", "SINCE", "BY", "WHY"}, rows)
	return nil
}
