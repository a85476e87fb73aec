package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/flagline"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/history"
	"github.com/platypus-platform/platypus/store/history/merge"
)

func joinVerb() verb {
	return verb{
		name: "join", usage: "bring what changed in a fork back", args: "NAME|ROOT/", minArgs: 1, maxArgs: 1,
		text: `Merges all that changed in a fork since both trees last had everything in common, member by member, lists item by item
where the items have names. What both changed, each in its own way, is a conflict: it is shown with both authors, nothing
is written, and the exit code is 1. --ours PATH keeps what is declared here at a path, --theirs PATH takes what the fork
has. A PATH is KEY, PREFIX/ or KEY#/json/pointer. What comes out must still validate, and is one commit; joining again
changes nothing. The other way around, to bring a fork up to date: --root platypus/forks/NAME/ join platypus/.
On a terminal it asks first, unless --yes is given. Off a terminal only removals need --yes.`,
		examples: []string{`platypus join staging -m "ship it"`, "platypus join staging --theirs clusters/slug/ --dry-run"},
		flags:    declareFlags(preferFlags()...),
		run: func(ctx context.Context, cmd *command) error {
			source, err := cmd.parseTree(ctx, cmd.args[0])
			if err != nil {
				return err
			}
			if err := cmd.checkFork(ctx, source); err != nil {
				return err
			}
			return cmd.join(ctx, history.Open(cmd.store, source))
		},
	}
}

// parseTree returns the tree that a person names: a fork of this one, or any by its root.
func (cmd *command) parseTree(ctx context.Context, text string) (intent.Tree, error) {
	if strings.Contains(text, "/") {
		tree, err := intent.ParseRoot(text)
		if err != nil {
			return tree, usageError{err}
		}
		return tree, nil
	}
	name, err := cmd.nameArg(0, "NAME")
	if err != nil {
		return intent.Tree{}, err
	}
	forks, err := cmd.history().Forks(ctx)
	if err != nil {
		return intent.Tree{}, err
	}
	known := make([]string, 0, len(forks))
	for _, f := range forks {
		known = append(known, string(f.Name))
	}
	if !slices.Contains(known, string(name)) {
		return intent.Tree{}, fmt.Errorf("there is no fork %s%s", name, cmp.Or(didYouMean(string(name), known), ": platypus fork lists them"))
	}
	return cmd.tree.Fork(name), nil
}

// checkFork refuses a source that is not a fork, and suggests the closest name.
func (cmd *command) checkFork(ctx context.Context, source intent.Tree) error {
	name, isBelow := cmd.tree.Forks().Below(string(source.Own()))
	name = strings.TrimSuffix(name, "/")
	if !isBelow || strings.Contains(name, "/") {
		return nil
	}
	forks, err := cmd.history().Forks(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, f := range forks {
		if string(f.Name) != name {
			names = append(names, string(f.Name))
			continue
		}
		if f.State != history.Ready {
			return fmt.Errorf("fork %s is not whole (%s): the same platypus fork, or fork --delete, goes on with it", name, f.State)
		}
		return nil
	}
	if near := flagline.Nearest(name, names); near != "" {
		return fmt.Errorf("there is no fork %s: did you mean %s?", name, near)
	}
	return forkNotFound(intent.Name(name))
}

func (cmd *command) join(ctx context.Context, source *history.Log) error {
	common, err := cmd.history().Common(ctx, source.Tree())
	if err != nil {
		return err
	}
	if err := cmd.recordPlainWrites(ctx, source); err != nil {
		return err
	}
	head, err := source.Head(ctx)
	if err != nil {
		return err
	}
	theirs, err := source.At(ctx, head.Seq)
	if err != nil {
		return err
	}
	bases, err := cmd.mergeBases(ctx, common)
	if err != nil {
		return err
	}
	now, err := world.Read(ctx, cmd.store, cmd.tree)
	if err != nil {
		return err
	}
	ours := liveValues(now)
	merged, conflicts := merge.Trees(bases, ours, treeOf(theirs), cmd.mergeRules())
	if len(conflicts) > 0 {
		return cmd.reportConflicts(ctx, "join", conflicts, conflictSides{ours: cmd.history(), theirs: source, oursSince: common[0].Ours, theirsSince: common[0].Theirs,
			sides: [2]string{"here", "in " + source.Tree().Root()}})
	}
	w := declaration{name: "join", snapshot: now, edits: treeEdits(ours, merged), success: fmt.Sprintf("%s joined as of its commit %d,", source.Tree().Root(), head.Seq)}
	w.request = history.Request{Kind: history.Join, Note: history.Note{Message: "join " + source.Tree().Root()},
		Joined: &history.Joined{Fork: cmd.forkBetween(source.Tree()), Source: history.Ref{Root: source.Tree().Root(), Seq: head.Seq}}}
	if len(w.edits) == 0 && slices.ContainsFunc(common, func(c history.Common) bool { return c.Theirs == head.Seq }) {
		w.request.Kind = history.Set // everything was joined before: there is nothing to record
	}
	return cmd.declare(ctx, w)
}

// forkBetween returns the one of the two trees that is a fork of the other.
func (cmd *command) forkBetween(other intent.Tree) intent.Tree {
	if _, ok := other.Forks().Below(string(cmd.tree.Own())); ok {
		return cmd.tree
	}
	return other
}

// mergeBases reads the common ancestor states of both trees, newest first.
func (cmd *command) mergeBases(ctx context.Context, common []history.Common) (bases []merge.Tree, err error) {
	for _, c := range common {
		tree, err := intent.ParseRoot(c.Base.Root)
		if err != nil {
			return nil, err
		}
		s, err := history.Open(cmd.store, tree).At(ctx, c.Base.Seq)
		if err != nil {
			return nil, fmt.Errorf("what both have in common, commit %d of %s: %w", c.Base.Seq, c.Base.Root, err)
		}
		bases = append(bases, treeOf(s))
	}
	return bases, nil
}

func treeOf(s *history.State) merge.Tree {
	tree := merge.Tree{}
	for v := range s.All("") {
		tree[v.Key] = v.Data
	}
	return tree
}

// treeEdits returns the edits that turn one tree into another.
func treeEdits(from, to merge.Tree) (edits []world.Edit) {
	for key, value := range to {
		if old, was := from[key]; !was || string(old) != string(value) {
			edits = append(edits, world.Edit{Key: key, Value: append([]byte{}, value...)})
		}
	}
	for key := range maps.Keys(from) {
		if _, stays := to[key]; !stays {
			edits = append(edits, world.Edit{Key: key})
		}
	}
	sortEdits(edits)
	return edits
}
