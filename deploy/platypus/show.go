package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/store/history"
)

func showVerb() verb {
	return verb{
		name: "show", usage: "show one commit with all that it changed", args: "POINT", minArgs: 1, maxArgs: 1,
		text: `Prints who made a commit, when and why, and every key that it changed, member by member.
` + revisionText,
		examples: []string{"platypus show 42", "platypus show golden -o json"},
		flags:    []cli.Flag{outputFlag()},
		run: func(ctx context.Context, cmd *command) error {
			seq, err := cmd.resolveRevision(ctx, cmd.args[0])
			if err != nil {
				return err
			}
			c, err := cmd.history().Show(ctx, seq)
			if err != nil {
				return err
			}
			changes, err := cmd.changesOf(ctx, c)
			if err != nil {
				return err
			}
			if cmd.json {
				members := commitJSON(c)
				members["diff"] = changes
				return cmd.printJSON("show", members)
			}
			cmd.showCommit(c, changes)
			return nil
		},
	}
}

// changesOf returns the changes of a commit, compared with the state before it. Before the first retained commit, that
// state is unknown.
func (cmd *command) changesOf(ctx context.Context, c history.Commit) ([]change.Change, error) {
	before, err := cmd.history().At(ctx, c.Seq-1)
	if errors.Is(err, history.ErrCompacted) {
		cmd.infof("note: what stood before commit %d was compacted: it is shown as if nothing had", c.Seq)
		before, err = &history.State{}, nil
	}
	if err != nil {
		return nil, err
	}
	changes := []change.Change{}
	for _, x := range c.Changes {
		diff, _ := change.Between(x.Key, dataOf(before, x.Key), valueOf(x))
		changes = append(changes, diff)
	}
	return changes, nil
}

// dataOf returns a value of a state: nil if absent, and never nil otherwise.
func dataOf(s *history.State, key string) []byte {
	v, found := s.Get(key)
	if found && v.Data == nil {
		return []byte{}
	}
	return v.Data
}

func valueOf(x history.Change) []byte {
	if x.Op == history.Put && x.Value == nil {
		return []byte{}
	}
	return x.Value
}

func (cmd *command) showCommit(c history.Commit, changes []change.Change) {
	line := func(name, format string, args ...any) { cmd.printf("%-8s %s", name, fmt.Sprintf(format, args...)) }
	line("commit", "%s", cmd.style.yellow(fmt.Sprint(c.Seq)))
	line("author", "%s", cmd.authorText(c))
	line("time", "%s", cmd.localTime(c.At))
	line("kind", "%s", strings.TrimSuffix(string(c.Kind)+", via "+c.Note.Via, ", via "))
	line("index", "%d", c.Index)
	line("hash", "%s", cmd.style.dim(c.Hash.String()))
	if c.Note.Reverts > 0 {
		line("reverts", "%d", c.Note.Reverts)
	}
	for _, p := range c.Note.Parents {
		line("from", "commit %d of %s", p.Seq, p.Root)
	}
	if c.Note.Message != "" {
		cmd.printf("")
		for line := range strings.Lines(strings.TrimSpace(c.Note.Message)) {
			cmd.printf("    %s", printable(strings.TrimSuffix(line, "\n")))
		}
		cmd.printf("")
	}
	for i, x := range changes {
		cmd.printChange(x)
		if s := c.Changes[i].Seen; s != nil {
			again := ""
			if c.Changes[i].Recreated {
				again = "; it was deleted and created anew"
			}
			cmd.printf("    %s", cmd.style.dim(intervalText(*s)+again))
		}
	}
}

func diffVerb() verb {
	return verb{
		name: "diff", usage: "show what differs between two points", args: "POINT [POINT] [KEY|PREFIX/]", minArgs: 1, maxArgs: 3,
		text: `Compares the whole tree, one key or all below a prefix, member by member, as it stood at two points; with one point,
against the newest commit.
` + revisionText,
		examples: []string{"platypus diff 1 3", `platypus diff "yesterday 15:00" head clusters/slug/`},
		flags:    []cli.Flag{outputFlag()},
		run:      diff,
	}
}

func diff(ctx context.Context, cmd *command) error {
	texts, only := slices.Clone(cmd.args), ""
	if last := texts[len(texts)-1]; len(texts) > 1 && strings.Contains(last, "/") {
		only, texts = cmd.intentKeyArg(last), texts[:len(texts)-1]
	}
	switch len(texts) {
	case 1:
		texts = append(texts, "head")
	case 3:
		known, err := cmd.everDeclaredKeys(ctx)
		if err != nil {
			return err
		}
		meant := intendedKey(texts[2], known)
		if meant == "" {
			meant = "clusters/slug/"
		}
		return usage("diff takes two points and a key, and %q is no key: platypus diff %s %s %s", texts[2], texts[0], texts[1], meant)
	}
	var states [2]*history.State
	for i, text := range texts {
		seq, err := cmd.resolveRevision(ctx, text)
		if err != nil {
			return err
		}
		if states[i], err = cmd.at(ctx, seq); err != nil {
			return err
		}
	}
	changes := between(states[0], states[1], only)
	if len(changes) == 0 && only != "" {
		if err := cmd.checkKnown(ctx, only); err != nil {
			return err
		}
	}
	if cmd.json {
		return cmd.printJSON("diff", map[string]any{"from": states[0].Seq, "to": states[1].Seq, "changes": changes})
	}
	if len(changes) == 0 {
		cmd.infof("nothing differs between commit %d and commit %d", states[0].Seq, states[1].Seq)
	}
	for _, c := range changes {
		cmd.printChange(c)
	}
	return nil
}

// at reads a state and warns of entries that failed verification.
func (cmd *command) at(ctx context.Context, seq uint64) (*history.State, error) {
	s, err := cmd.history().At(ctx, seq)
	if err != nil {
		return nil, err
	}
	for _, f := range s.Faults {
		cmd.infof("%s %v; what it changed is missing here", cmd.style.red("warning:"), f.Err)
	}
	return s, nil
}

// covers reports whether a key matches a key, a prefix that ends in "/", or the empty filter.
func covers(only, key string) bool {
	return only == "" || only == key || strings.HasSuffix(only, "/") && strings.HasPrefix(key, only)
}

// between returns the differences between two states, by key.
func between(a, b *history.State, only string) []change.Change {
	keys := []string{}
	for _, s := range []*history.State{a, b} {
		for v := range s.All("") {
			if covers(only, v.Key) {
				keys = append(keys, v.Key)
			}
		}
	}
	slices.Sort(keys)
	changes := []change.Change{}
	for _, key := range slices.Compact(keys) {
		if c, is := change.Between(key, dataOf(a, key), dataOf(b, key)); is {
			changes = append(changes, c)
		}
	}
	return changes
}
