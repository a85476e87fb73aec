package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/intentfile"
	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/store/history"
)

// wish is what a verb that computed the values itself wants to declare.
type wish struct {
	name    string // of the verb
	now     world.Snapshot
	edits   []world.Edit
	request history.Request
	done    string // what has happened when all is written
	hold    bool   // whether --hold is a flag of the verb
	agreed  bool   // whether to give the verb was to agree: nothing is asked
}

// holdFlag is that of verbs which take something back.
func holdFlag() cli.Flag {
	return &cli.DurationFlag{Name: "hold", Usage: "then hold the keys for so `LONG`, so that nobody puts the bad value back at once"}
}

// wishFlags are those of every verb that declares what it computed.
func wishFlags(more ...cli.Flag) []cli.Flag {
	return append(more, messageFlag(), checkIndexFlag(), dryRunFlag(), forceFlag(), batchFlag(), yesFlag(), outputFlag())
}

// declare validates a wish, shows it and writes it, byte for byte, in one transaction unless --batch allows several: the same
// again goes on where those ended. Joins are written also when nothing changes.
func (sh *shell) declare(ctx context.Context, w wish) error {
	if err := sh.checkIndex(w.now); err != nil {
		return err
	}
	p, err := sh.planWith(w.now, entriesOf(w.edits), "in what that would make of intent", "change either side first, or decide with --ours and --theirs where there is a choice", change.ExactChanges)
	if err != nil {
		return err
	}
	var commits []history.Commit
	if len(p.changes) > 0 || w.request.Kind == history.Join {
		if !sh.json {
			p.show(sh)
		}
		if sh.flags.Bool("dry-run") {
			return sh.wouldWrite(p, w.name)
		}
		if !w.agreed {
			if err := sh.agreeTo(p.changes); err != nil {
				return err
			}
		}
		if commits, err = sh.commit(ctx, p.changes, w.request); err != nil {
			return err
		}
	}
	if len(commits) > 0 && w.hold {
		if err := sh.holdAll(ctx, p.changes, w.done); err != nil {
			return err
		}
	}
	if sh.json {
		members := p.document(sh)
		tell(members, commits)
		return sh.printJSON(w.name, members)
	}
	if len(commits) == 0 {
		sh.say("unchanged: all of it stands as that would leave it, and nothing was written")
		return nil
	}
	sh.wrote(w.done, commits)
	sh.say("next: platypus status --watch, or platypus show %d", commits[0].Seq)
	return nil
}

// wouldWrite ends a dry run.
func (sh *shell) wouldWrite(p plan, name string) error {
	if sh.json {
		if err := sh.printJSON(name, p.document(sh)); err != nil {
			return err
		}
	}
	return exit(exitPending)
}

func entriesOf(edits []world.Edit) []intentfile.Entry {
	entries := make([]intentfile.Entry, 0, len(edits))
	for _, e := range edits {
		made := intentfile.NewEntry(e.Key, e.Value)
		made.Delete = e.Value == nil
		entries = append(entries, made)
	}
	return entries
}

// live is what is declared now, by key below intent/; no value is nil.
func live(now world.Snapshot) map[string][]byte {
	values := make(map[string][]byte, len(now.Pairs))
	for _, pair := range now.Pairs {
		if key, ok := now.IntentKey(pair); ok {
			values[key] = append([]byte{}, pair.Value...)
		}
	}
	return values
}

func restoreVerb() verb {
	return verb{
		name: "restore", usage: "put a key or all keys below a prefix back to what they were", args: "KEY|PREFIX/@POINT", min: 1, max: 1,
		text: `Declares what stood at a point, byte for byte: values that changed get back, keys that went come back, keys that came
since go. All in one commit that becomes the newest; nothing of the history is rewritten.
On a terminal it asks first, unless --yes is given. Off a terminal only removals need --yes.
` + pointText,
		examples: []string{"platypus restore clusters/slug/production/config@42 -m back", `platypus restore "clusters/slug/@yesterday 15:00" --dry-run`},
		flags:    wishFlags(holdFlag()),
		run: func(ctx context.Context, sh *shell) error {
			prefix, seq, err := sh.keyAt(ctx, sh.args[0])
			if err != nil {
				return err
			}
			if strings.HasPrefix(sh.args[0], "/@") {
				prefix = "/"
			}
			if prefix == "" {
				return usage("restore takes a key or a prefix: platypus restore clusters/@%d; all of it is platypus restore /@%d", seq, seq)
			}
			return sh.restore(ctx, prefix, seq)
		},
	}
}

func (sh *shell) restore(ctx context.Context, prefix string, seq uint64) error {
	then, err := sh.at(ctx, seq)
	if err != nil {
		return err
	}
	if len(then.Faults) > 0 && !sh.flags.Bool("force") {
		return fmt.Errorf("commit %d cannot be restored whole: %w: look with platypus diff %d head; --force restores what can be believed", seq, history.ErrForged, seq)
	}
	now, err := world.Read(ctx, sh.store, sh.tree)
	if err != nil {
		return err
	}
	w := wish{name: "restore", now: now, hold: true, done: fmt.Sprintf("%s put back to commit %d,", prefix, seq),
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
	for key := range live(now) {
		if _, stood := then.Get(key); covers(prefix, key) && !stood {
			found = true
			w.edits = append(w.edits, world.Edit{Key: key})
		}
	}
	if !found {
		if err := sh.mustKnow(ctx, prefix); err != nil {
			return err
		}
		return fmt.Errorf("%s was not declared after commit %d, and is not now; next: platypus ls @%d", prefix, seq, seq)
	}
	sortEdits(w.edits)
	return sh.declare(ctx, w)
}
