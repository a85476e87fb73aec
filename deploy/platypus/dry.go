package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/store"
)

// Every verb that writes has --dry-run. With it the store is open for reading alone: the verb does all that it does
// without, checks and refusals among it, up to its first write, which is shown in place of being made. So nothing can be
// written by mistake, and what is shown is what was about to be sent.

func dryRunFlag() cli.Flag {
	return boolFlag("dry-run", "only show what would be written; exit code 2 when something would")
}

func (sh *shell) dry() bool { return sh.flags.Bool("dry-run") }

// setAside takes note of the write at which one argument of several ended; the others go on.
func (sh *shell) setAside(err error) bool {
	refused := new(store.DryError)
	if !errors.As(err, &refused) {
		return false
	}
	sh.aside = append(sh.aside, refused.Changes...)
	return true
}

// dryEnd shows the writes at which a dry run ended.
func (sh *shell) dryEnd(err error) error {
	if !sh.setAside(err) && err != nil || sh.aside == nil {
		return err
	}
	writes := []map[string]any{}
	for _, c := range sh.aside {
		verb := map[store.Verb]string{store.Set: "set", store.CAS: "set", store.Remove: "delete", store.DeleteCAS: "delete"}[c.Verb]
		if verb == "" || sh.ledgerOfLog(c.Key) {
			continue
		}
		w := map[string]any{"verb": verb, "key": c.Key}
		line := fmt.Sprintf("would %s %s", verb, sh.style.bold(c.Key))
		if verb == "set" {
			w["value"] = string(c.Value)
			line += " " + tame(string(c.Value))
		}
		if writes = append(writes, w); !sh.json {
			sh.print("%s", line)
		}
	}
	if sh.json {
		if err := sh.printJSON("dry-run", map[string]any{"writes": writes}); err != nil {
			return err
		}
	}
	sh.say("nothing was written: --dry-run")
	return exit(exitPending)
}

// ledgerOfLog reports whether a key is the history's own: the entry that goes with every change, and what finds it again.
func (sh *shell) ledgerOfLog(key string) bool {
	rest, ok := sh.tree.History().Below(key)
	part, _, _ := strings.Cut(rest, "/")
	return ok && part != "tag" && part != "hold" && part != "forks" && part != "mirror"
}
