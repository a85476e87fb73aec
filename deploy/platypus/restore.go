package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/store/history"
)

func restoreVerb() verb {
	return verb{
		name: "restore", usage: "put a key or all keys below a prefix back to what they were", args: "KEY|PREFIX/@POINT", minArgs: 1, maxArgs: 1,
		text: `Declares what stood at a point, byte for byte: values that changed get back, keys that went come back, keys that came
since go. All in one commit that becomes the newest; nothing of the history is rewritten.
On a terminal it asks first, unless --yes is given. Off a terminal only removals need --yes.
` + revisionText,
		examples: []string{"platypus restore clusters/slug/production/config@42 -m back", `platypus restore "clusters/slug/@yesterday 15:00" --dry-run`},
		flags:    declareFlags(holdFlag()),
		run: func(ctx context.Context, cmd *command) error {
			prefix, seq, err := cmd.parseKeyAt(ctx, cmd.args[0])
			if err != nil {
				return err
			}
			if strings.HasPrefix(cmd.args[0], "/@") {
				prefix = "/"
			}
			if prefix == "" {
				return usage("restore takes a key or a prefix: platypus restore clusters/@%d; all of it is platypus restore /@%d", seq, seq)
			}
			return cmd.restore(ctx, prefix, seq)
		},
	}
}

func (cmd *command) restore(ctx context.Context, prefix string, seq uint64) error {
	then, err := cmd.at(ctx, seq)
	if err != nil {
		return err
	}
	if len(then.Faults) > 0 && !cmd.flags.Bool("force") {
		return fmt.Errorf("commit %d cannot be restored whole: %w: look with platypus diff %d head; --force restores what can be believed", seq, history.ErrForged, seq)
	}
	now, err := world.Read(ctx, cmd.store, cmd.tree)
	if err != nil {
		return err
	}
	w := declaration{name: "restore", snapshot: now, hold: true, success: fmt.Sprintf("%s put back to commit %d,", prefix, seq),
		request: history.Request{Kind: history.Rollback, Note: history.Note{Message: fmt.Sprintf("restore %s@%d", prefix, seq)}}}
	if prefix == "/" {
		prefix = ""
	}
	found := false
	for v := range then.All("") {
		if covers(prefix, v.Key) {
			found = true
			w.edits = append(w.edits, world.Edit{Key: v.Key, Value: dataOf(then, v.Key)})
		}
	}
	for key := range liveValues(now) {
		if _, existed := then.Get(key); covers(prefix, key) && !existed {
			found = true
			w.edits = append(w.edits, world.Edit{Key: key})
		}
	}
	if !found {
		if err := cmd.checkKnown(ctx, prefix); err != nil {
			return err
		}
		return fmt.Errorf("%s was not declared after commit %d, and is not now; next: platypus ls @%d", prefix, seq, seq)
	}
	sortEdits(w.edits)
	return cmd.declare(ctx, w)
}
