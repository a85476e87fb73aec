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
		name: "revert", usage: "take back what one commit changed", args: "POINT", min: 1, max: 1,
		text: `Declares the reverse of one commit, all keys of it at once, as a new commit. What later commits changed elsewhere stays;
where they changed the very members that the commit did, that is a conflict: it is shown, nothing is written, and the
exit code is 1. --ours PATH keeps what is declared now at a path, --theirs PATH takes what was before the commit. A PATH
is KEY, PREFIX/ or KEY#/json/pointer.
On a terminal it asks first, unless --yes is given. Off a terminal only removals need --yes.
` + pointText,
		examples: []string{"platypus revert 3 -m back --hold 2h", "platypus revert 3 --theirs clusters/slug/production/config#/versions"},
		flags:    wishFlags(append(preferFlags(), holdFlag())...),
		run: func(ctx context.Context, sh *shell) error {
			seq, err := sh.seq(ctx, sh.args[0])
			if err != nil {
				return err
			}
			return sh.revert(ctx, seq)
		},
	}
}

// preferFlags are those of every verb that merges.
func preferFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "ours", Usage: "at this `PATH` keep what is declared here"},
		&cli.StringSliceFlag{Name: "theirs", Usage: "at this `PATH` take the other side"},
		boolFlag("strict", "two changes of one key are a conflict, whichever members they touch"),
	}
}

// rules are how this person wants things merged.
func (sh *shell) rules() merge.Rules {
	paths := func(flag string) (all []string) {
		for _, path := range sh.flags.StringSlice(flag) {
			all = append(all, sh.key(path))
		}
		return all
	}
	return merge.Rules{Strict: sh.flags.Bool("strict"), Lists: merge.Intent, Sound: merge.OneActive, Prefer: merge.Resolution(paths("ours"), paths("theirs"))}
}

func (sh *shell) revert(ctx context.Context, seq uint64) error {
	log := sh.history()
	c, err := log.Show(ctx, seq)
	if err != nil {
		return err
	}
	before, err := log.At(ctx, seq-1)
	if err != nil {
		return fmt.Errorf("revert %d: what stood before it: %w", seq, err)
	}
	now, err := world.Read(ctx, sh.store, sh.tree)
	if err != nil {
		return err
	}
	standing, rules := live(now), sh.rules()
	w := wish{name: "revert", now: now, hold: true, done: fmt.Sprintf("commit %d taken back,", seq),
		request: history.Request{Kind: history.Rollback, Note: history.Note{Reverts: seq, Message: fmt.Sprintf("revert %d: %s", seq, c.Note.Message)}}}
	var conflicts []merge.Conflict
	for _, x := range c.Changes {
		value, found := merge.Value(x.Key, [][]byte{valueOf(x)}, standing[x.Key], dataOf(before, x.Key), rules)
		conflicts = append(conflicts, found...)
		w.edits = append(w.edits, world.Edit{Key: x.Key, Value: value})
	}
	if len(conflicts) > 0 {
		return sh.conflicts(ctx, "revert", conflicts, quarrel{ours: sh.history(), since: seq, sides: [2]string{"now", "before"}})
	}
	sortEdits(w.edits)
	return sh.declare(ctx, w)
}

func sortEdits(edits []world.Edit) {
	slices.SortFunc(edits, func(a, b world.Edit) int { return strings.Compare(a.Key, b.Key) })
}

// quarrel is what to say of the sides of a conflict.
type quarrel struct {
	ours, theirs *history.Log // nil: there is nobody to name
	since        uint64       // the commit of ours that both sides began with
	theirsSince  uint64
	sides        [2]string // what the sides are called
}

// conflicts shows conflicts with whoever made them, and ends the run.
func (sh *shell) conflicts(ctx context.Context, verb string, conflicts []merge.Conflict, q quarrel) error {
	if sh.json {
		all := []map[string]any{}
		for _, c := range conflicts {
			all = append(all, map[string]any{"key": c.Key, "pointer": c.Pointer, "base": change.JSON(c.Base), "ours": change.JSON(c.Ours), "theirs": change.JSON(c.Theirs),
				"ours_by": documents(sh.touching(ctx, q.ours, c.Key, q.since)), "theirs_by": documents(sh.touching(ctx, q.theirs, c.Key, q.theirsSince))})
		}
		if err := sh.printJSON(verb, map[string]any{"conflicts": all}); err != nil {
			return err
		}
	}
	for _, c := range conflicts {
		if sh.json {
			break
		}
		sh.print("%s %s%s", sh.style.red("conflict"), sh.style.bold(tame(c.Key)), pointed(c.Pointer))
		sh.print("    base    %s", orAbsent(c.Base))
		sh.print("    ours    %s%s", orAbsent(c.Ours), sh.by(sh.touching(ctx, q.ours, c.Key, q.since)))
		sh.print("    theirs  %s%s", orAbsent(c.Theirs), sh.by(sh.touching(ctx, q.theirs, c.Key, q.theirsSince)))
	}
	first := conflicts[0].Key + pointed(conflicts[0].Pointer)
	return fmt.Errorf("%s, and nothing was written: ours is %s, theirs is %s; next: decide each, such as --ours '%s' or --theirs '%s'",
		plural(len(conflicts), "conflict"), q.sides[0], q.sides[1], first, first)
}

func pointed(pointer string) string {
	if pointer == "" {
		return ""
	}
	return "#" + pointer
}

func orAbsent(raw []byte) string {
	if raw == nil {
		return "(absent)"
	}
	return change.Short(change.JSON(raw)) // what is not JSON is quoted
}

// touching are the commits that changed a key after one, newest first.
func (sh *shell) touching(ctx context.Context, log *history.Log, key string, after uint64) (commits []history.Commit) {
	if log == nil {
		return nil
	}
	for c, err := range log.Commits(ctx, history.Query{Key: key, From: after + 1}) {
		if err != nil {
			sh.say("note: who changed %s is not known: %v", key, err)
			break
		}
		if c.Fault == nil {
			commits = append(commits, c)
		}
	}
	return commits
}

func (sh *shell) by(commits []history.Commit) string {
	if len(commits) == 0 {
		return ""
	}
	return sh.style.dim(fmt.Sprintf("  (%s, commit %d)", sh.who(commits[0]), commits[0].Seq))
}

func documents(commits []history.Commit) []map[string]any {
	all := []map[string]any{}
	for _, c := range commits {
		all = append(all, document(c))
	}
	return all
}
