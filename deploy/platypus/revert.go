package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/store/history"
	"github.com/platypus-platform/platypus/store/history/merge"
)

func revertVerb() verb {
	return verb{
		name: "revert", usage: "take back what one commit changed", args: "POINT", minArgs: 1, maxArgs: 1,
		text: `Declares the reverse of one commit, all keys of it at once, as a new commit. What later commits changed elsewhere stays;
where they changed the very members that the commit did, that is a conflict: it is shown, nothing is written, and the
exit code is 1. --ours PATH keeps what is declared now at a path, --theirs PATH takes what was before the commit. A PATH
is KEY, PREFIX/ or KEY#/json/pointer.
On a terminal it asks first, unless --yes is given. Off a terminal only removals need --yes.
` + revisionText,
		examples: []string{"platypus revert 3 -m back --hold 2h", "platypus revert 3 --theirs clusters/slug/production/config#/versions"},
		flags:    declareFlags(append(preferFlags(), holdFlag())...),
		run: func(ctx context.Context, cmd *command) error {
			seq, err := cmd.resolveRevision(ctx, cmd.args[0])
			if err != nil {
				return err
			}
			return cmd.revert(ctx, seq)
		},
	}
}

// preferFlags are the flags of every verb that merges.
func preferFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "ours", Usage: "at this `PATH` keep what is declared here"},
		&cli.StringSliceFlag{Name: "theirs", Usage: "at this `PATH` take the other side"},
		boolFlag("strict", "two changes of one key are a conflict, whichever members they touch"),
	}
}

// mergeRules returns the merge rules that the flags select.
func (cmd *command) mergeRules() merge.Rules {
	paths := func(flag string) (all []string) {
		for _, path := range cmd.flags.StringSlice(flag) {
			all = append(all, cmd.intentKeyArg(path))
		}
		return all
	}
	return merge.Rules{Strict: cmd.flags.Bool("strict"), Lists: merge.Intent, Sound: merge.OneActive, Prefer: merge.Resolution(paths("ours"), paths("theirs"))}
}

func (cmd *command) revert(ctx context.Context, seq uint64) error {
	log := cmd.history()
	c, err := log.Show(ctx, seq)
	if err != nil {
		return err
	}
	before, err := log.At(ctx, seq-1)
	if err != nil {
		return fmt.Errorf("revert %d: what stood before it: %w", seq, err)
	}
	now, err := world.Read(ctx, cmd.store, cmd.tree)
	if err != nil {
		return err
	}
	standing, rules := liveValues(now), cmd.mergeRules()
	w := declaration{name: "revert", snapshot: now, hold: true, success: fmt.Sprintf("commit %d taken back,", seq),
		request: history.Request{Kind: history.Rollback, Note: history.Note{Reverts: seq, Message: fmt.Sprintf("revert %d: %s", seq, c.Note.Message)}}}
	var conflicts []merge.Conflict
	for _, x := range c.Changes {
		value, found := merge.Value(x.Key, [][]byte{valueOf(x)}, standing[x.Key], dataOf(before, x.Key), rules)
		conflicts = append(conflicts, found...)
		w.edits = append(w.edits, world.Edit{Key: x.Key, Value: value})
	}
	if len(conflicts) > 0 {
		return cmd.reportConflicts(ctx, "revert", conflicts, conflictSides{ours: cmd.history(), oursSince: seq, sides: [2]string{"now", "before"}})
	}
	sortEdits(w.edits)
	return cmd.declare(ctx, w)
}

func sortEdits(edits []world.Edit) {
	slices.SortFunc(edits, func(a, b world.Edit) int { return strings.Compare(a.Key, b.Key) })
}

// conflictSides describes the sides of a conflict.
type conflictSides struct {
	ours, theirs *history.Log // nil: the authors are unknown
	oursSince    uint64       // the commit of ours that both sides have in common
	theirsSince  uint64
	sides        [2]string // the names of the sides
}

// reportConflicts prints conflicts with their authors, and ends the run.
func (cmd *command) reportConflicts(ctx context.Context, verb string, conflicts []merge.Conflict, q conflictSides) error {
	if cmd.json {
		all := []map[string]any{}
		for _, c := range conflicts {
			all = append(all, map[string]any{"key": c.Key, "pointer": c.Pointer, "base": change.JSON(c.Base), "ours": change.JSON(c.Ours), "theirs": change.JSON(c.Theirs),
				"ours_by": commitsJSON(cmd.commitsTouching(ctx, q.ours, c.Key, q.oursSince)), "theirs_by": commitsJSON(cmd.commitsTouching(ctx, q.theirs, c.Key, q.theirsSince))})
		}
		if err := cmd.printJSON(verb, map[string]any{"conflicts": all}); err != nil {
			return err
		}
	}
	for _, c := range conflicts {
		if cmd.json {
			break
		}
		cmd.printf("%s %s%s", cmd.style.red("conflict"), cmd.style.bold(printable(c.Key)), pointerSuffix(c.Pointer))
		cmd.printf("    base    %s", orAbsent(c.Base))
		cmd.printf("    ours    %s%s", orAbsent(c.Ours), cmd.commitsText(cmd.commitsTouching(ctx, q.ours, c.Key, q.oursSince)))
		cmd.printf("    theirs  %s%s", orAbsent(c.Theirs), cmd.commitsText(cmd.commitsTouching(ctx, q.theirs, c.Key, q.theirsSince)))
	}
	first := conflicts[0].Key + pointerSuffix(conflicts[0].Pointer)
	return fmt.Errorf("%s, and nothing was written: ours is %s, theirs is %s; next: decide each, such as --ours '%s' or --theirs '%s'",
		plural(len(conflicts), "conflict"), q.sides[0], q.sides[1], first, first)
}

func pointerSuffix(pointer string) string {
	if pointer == "" {
		return ""
	}
	return "#" + pointer
}

func orAbsent(raw []byte) string {
	if raw == nil {
		return "(absent)"
	}
	return change.Short(change.JSON(raw)) // text that is not JSON is quoted
}

// commitsTouching returns the commits after a given one that changed a key, newest first.
func (cmd *command) commitsTouching(ctx context.Context, log *history.Log, key string, after uint64) (commits []history.Commit) {
	if log == nil {
		return nil
	}
	for c, err := range log.Commits(ctx, history.Query{Key: key, From: after + 1}) {
		if err != nil {
			cmd.infof("note: who changed %s is not known: %v", key, err)
			break
		}
		if c.Fault == nil {
			commits = append(commits, c)
		}
	}
	return commits
}

func (cmd *command) commitsText(commits []history.Commit) string {
	if len(commits) == 0 {
		return ""
	}
	return cmd.style.dim(fmt.Sprintf("  (%s, commit %d)", cmd.authorText(commits[0]), commits[0].Seq))
}

func commitsJSON(commits []history.Commit) []map[string]any {
	all := []map[string]any{}
	for _, c := range commits {
		all = append(all, commitJSON(c))
	}
	return all
}
