package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/store"
)

// Every verb that writes has --dry-run. It opens the store read-only: the verb runs all its checks up to the first
// write, which is printed instead of made. So nothing can be written by mistake, and the output is what would have been
// sent.

func dryRunFlag() cli.Flag {
	return boolFlag("dry-run", "only show what would be written; exit code 2 when something would")
}

func (cmd *command) isDryRun() bool { return cmd.flags.Bool("dry-run") }

// recordDryWrites records the write at which one of several arguments ended; the others continue.
func (cmd *command) recordDryWrites(err error) bool {
	refused := new(store.DryError)
	if !errors.As(err, &refused) {
		return false
	}
	cmd.dryWrites = append(cmd.dryWrites, refused.Changes...)
	return true
}

// finishDryRun prints the writes at which a dry run ended.
func (cmd *command) finishDryRun(err error) error {
	if !cmd.recordDryWrites(err) && err != nil || cmd.dryWrites == nil {
		return err
	}
	writes := []map[string]any{}
	for _, c := range cmd.dryWrites {
		verb := map[store.Verb]string{store.Set: "set", store.CAS: "set", store.Remove: "delete", store.DeleteCAS: "delete"}[c.Verb]
		if verb == "" || cmd.isHistoryRecord(c.Key) {
			continue
		}
		w := map[string]any{"verb": verb, "key": c.Key}
		line := fmt.Sprintf("would %s %s", verb, cmd.style.bold(c.Key))
		if verb == "set" {
			w["value"] = string(c.Value)
			line += " " + printable(string(c.Value))
		}
		if writes = append(writes, w); !cmd.json {
			cmd.printf("%s", line)
		}
	}
	if cmd.json {
		if err := cmd.printJSON("dry-run", map[string]any{"writes": writes}); err != nil {
			return err
		}
	}
	cmd.infof("nothing was written: --dry-run")
	return exit(exitPending)
}

// isHistoryRecord reports whether a key belongs to the history itself: the log entry of a change, or an index.
func (cmd *command) isHistoryRecord(key string) bool {
	rest, ok := cmd.tree.History().Below(key)
	part, _, _ := strings.Cut(rest, "/")
	return ok && part != "tag" && part != "hold" && part != "forks" && part != "mirror"
}
