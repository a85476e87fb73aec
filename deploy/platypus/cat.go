package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/change"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store/history"
	"github.com/platypus-platform/platypus/store/history/blame"
)

func catVerb() verb {
	return verb{
		name: "cat", usage: "print a value as it was", args: "KEY[@POINT]", minArgs: 1, maxArgs: 1,
		text: `Prints the very bytes that stood at a key. The key may be given below intent/ or in full.
` + revisionText,
		examples: []string{"platypus cat clusters/slug/production/config@1", `platypus cat "nodes/web1/slug@yesterday 15:00" -o json`},
		flags:    []cli.Flag{outputFlag()},
		run: func(ctx context.Context, cmd *command) error {
			key, seq, err := cmd.parseKeyAt(ctx, cmd.args[0])
			if err != nil {
				return err
			}
			v, found, err := cmd.history().Get(ctx, key, seq)
			switch {
			case errors.Is(err, history.ErrForged) && found:
				cmd.infof("%s %v; it may have been changed by then", cmd.style.red("warning:"), err)
			case err != nil:
				return err
			case !found:
				return cmd.noValueError(ctx, key, seq)
			}
			if cmd.json {
				return cmd.printJSON("cat", map[string]any{"key": key, "at": seq, "seq": v.Seq, "index": v.Index, "sha": v.SHA, "value": change.JSON(v.Data)})
			}
			_, err = cmd.out.Write(v.Data)
			if err == nil && isTerminal(cmd.out) && !strings.HasSuffix(string(v.Data), "\n") {
				cmd.printf("")
			}
			return err
		},
	}
}

func lsVerb() verb {
	return verb{
		name: "ls", usage: "list the keys there were", args: "[PREFIX/][@POINT]", minArgs: 0, maxArgs: 1,
		text: `Lists what was declared below a prefix, or all of it, with the commit that each value comes from.
` + revisionText,
		examples: []string{"platypus ls clusters/slug/@golden", `platypus ls "@2h ago"`},
		flags:    []cli.Flag{outputFlag()},
		run:      list,
	}
}

func list(ctx context.Context, cmd *command) error {
	prefix, seq, err := cmd.parseKeyAt(ctx, strings.Join(cmd.args, ""))
	if err != nil {
		return err
	}
	s, err := cmd.at(ctx, seq)
	if err != nil {
		return err
	}
	rows, keys := [][]string{}, []map[string]any{}
	for v := range s.All(intent.Prefix("")) {
		if covers(prefix, v.Key) {
			rows = append(rows, []string{printable(v.Key), fmt.Sprint(v.Seq), fmt.Sprint(len(v.Data)), fmt.Sprint(v.Index)})
			keys = append(keys, map[string]any{"key": v.Key, "seq": v.Seq, "index": v.Index, "size": len(v.Data), "sha": v.SHA})
		}
	}
	if len(rows) == 0 && prefix != "" {
		if err := cmd.checkKnown(ctx, prefix); err != nil {
			return err
		}
	}
	if cmd.json {
		return cmd.printJSON("ls", map[string]any{"at": seq, "keys": keys})
	}
	if len(rows) == 0 {
		cmd.infof("nothing was declared below %q after commit %d", prefix, seq)
		return nil
	}
	cmd.printTable([]string{"KEY", "SEQ", "BYTES", "INDEX"}, rows)
	return nil
}

func blameVerb() verb {
	return verb{
		name: "blame", usage: "show which commit each part of a value comes from", args: "KEY[@POINT]", minArgs: 1, maxArgs: 1,
		text: `Prints every member of a value with the commit since which it says what it says: who to ask.
` + revisionText,
		examples: []string{"platypus blame clusters/slug/production/deploy_config", "platypus blame -o json clusters/slug/production/config@42"},
		flags:    []cli.Flag{outputFlag()},
		run:      showBlame,
	}
}

func showBlame(ctx context.Context, cmd *command) error {
	key, seq, err := cmd.parseKeyAt(ctx, cmd.args[0])
	if err != nil {
		return err
	}
	versions, err := cmd.versions(ctx, key, seq)
	if err != nil {
		return err
	}
	lines := blame.Value(versions)
	if len(lines) == 0 {
		return cmd.noValueError(ctx, key, seq)
	}
	rows, members := [][]string{}, []map[string]any{}
	for _, l := range lines {
		rows = append(rows, []string{fmt.Sprint(l.Commit.Seq), cmd.localTime(l.Commit.At), cmd.authorText(l.Commit), printable(l.Pointer), change.Short(change.JSON(l.Value))})
		members = append(members, map[string]any{"pointer": l.Pointer, "value": change.JSON(l.Value), "seq": l.Commit.Seq, "at": l.Commit.At, "author": l.Commit.Note.Author})
	}
	if cmd.json {
		return cmd.printJSON("blame", map[string]any{"key": key, "at": seq, "members": members})
	}
	cmd.printTable([]string{"SEQ", "TIME", "AUTHOR", "MEMBER", "VALUE"}, rows)
	return nil
}

// versions returns the values that a key had up to a commit, oldest first, beginning with the value at the start of the
// retained history.
func (cmd *command) versions(ctx context.Context, key string, seq uint64) ([]blame.Version[history.Commit], error) {
	if seq == 0 {
		return nil, nil
	}
	var versions []blame.Version[history.Commit]
	for c, err := range cmd.history().Commits(ctx, history.Query{Key: key, To: seq, Oldest: true, Values: true}) {
		if err != nil {
			return nil, err
		}
		if c.Fault != nil {
			cmd.infof("%s %v; what it changed is missing here", cmd.style.red("warning:"), c.Fault)
		}
		for _, x := range c.Changes {
			if x.Key == key {
				versions = append(versions, blame.Version[history.Commit]{Commit: c, Value: valueOf(x)})
			}
		}
	}
	begins := seq
	if len(versions) > 0 {
		begins = versions[0].Commit.Seq - 1
	}
	s, err := cmd.history().At(ctx, begins)
	if errors.Is(err, history.ErrCompacted) && len(versions) > 0 {
		return versions, nil
	}
	if err != nil {
		return nil, err
	}
	if v, found := s.Get(key); found {
		first := blame.Version[history.Commit]{Commit: history.Commit{Seq: v.Seq}, Value: dataOf(s, key)}
		versions = append([]blame.Version[history.Commit]{first}, versions...)
	}
	return versions, nil
}
