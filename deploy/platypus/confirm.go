package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
)

func confirmVerb() verb {
	return verb{
		name: "confirm", usage: "let the agents of a node go on with removals that they hold back", args: "NODE", min: 1, max: 1,
		text: `An agent that would have to remove most of what it has at once does nothing and reports what it holds back: too
often that is a mistake in the store. This shows it and, when you agree, allows exactly these removals for an hour.`,
		examples: []string{"platypus confirm web1", "platypus confirm web1 --yes"},
		flags:    []cli.Flag{dryRunFlag(), yesFlag(), outputFlag()},
		run:      confirm,
	}
}

func confirm(ctx context.Context, sh *shell) error {
	node, err := sh.name(0, "NODE")
	if err != nil {
		return err
	}
	w, err := world.Read(ctx, sh.store, sh.tree)
	if err != nil {
		return err
	}
	held := heldOn(w, node)
	if len(held) == 0 {
		if err := knownNode(w, node); err != nil {
			return err
		}
		sh.say("no agent on %s holds anything back; platypus status --node %s shows how it is", node, node)
		if sh.json {
			return sh.printJSON("confirm", map[string]any{"node": node, "confirmed": map[string]any{}})
		}
		return nil
	}
	confirmed := map[string]any{}
	for _, r := range held {
		sh.say("%s on %s would remove %s (of %d that it has)", r.Agent, node, strings.Join(r.Held.Removes, ", "), r.Held.Owned)
	}
	if err := sh.agree(fmt.Sprintf("remove that from %s?", node)); err != nil {
		return err
	}
	for _, r := range held {
		goAhead := intent.Confirmation{Removes: r.Held.Removes, At: time.Now().UTC().Truncate(time.Second), By: os.Getenv("USER")}
		value, err := json.Marshal(goAhead)
		if err == nil {
			err = sh.store.Put(ctx, sh.tree.Confirm(node, intent.Name(r.Agent)), value)
		}
		if err != nil {
			return err
		}
		confirmed[r.Agent] = goAhead
		sh.say("confirmed for %s, for one hour", r.Agent)
	}
	if sh.json {
		return sh.printJSON("confirm", map[string]any{"node": node, "confirmed": confirmed})
	}
	sh.say("next: platypus status --node %s --watch", node)
	return nil
}

// heldOn returns the reports of a node that hold something back, by agent.
func heldOn(w world.Snapshot, node intent.Name) (held []intent.Report) {
	for who, r := range w.Reports {
		if who.Node == node && r.Held != nil {
			r.Agent = who.Agent
			held = append(held, r)
		}
	}
	slices.SortFunc(held, func(a, b intent.Report) int { return strings.Compare(a.Agent, b.Agent) })
	return held
}
