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
		name: "confirm", usage: "let the agents of a node go on with removals that they hold back", args: "NODE", minArgs: 1, maxArgs: 1,
		text: `An agent that would have to remove most of what it has at once does nothing and reports what it holds back: too
often that is a mistake in the store. This shows it and, when you agree, allows exactly these removals for an hour.`,
		examples: []string{"platypus confirm web1", "platypus confirm web1 --yes"},
		flags:    []cli.Flag{dryRunFlag(), yesFlag(), outputFlag()},
		run:      confirm,
	}
}

func confirm(ctx context.Context, cmd *command) error {
	node, err := cmd.nameArg(0, "NODE")
	if err != nil {
		return err
	}
	w, err := world.Read(ctx, cmd.store, cmd.tree)
	if err != nil {
		return err
	}
	held := heldReports(w, node)
	if len(held) == 0 {
		if err := checkNode(w, node); err != nil {
			return err
		}
		cmd.infof("no agent on %s holds anything back; platypus status --node %s shows how it is", node, node)
		if cmd.json {
			return cmd.printJSON("confirm", map[string]any{"node": node, "confirmed": map[string]any{}})
		}
		return nil
	}
	confirmed := map[string]any{}
	for _, r := range held {
		cmd.infof("%s on %s would remove %s (of %d that it has)", r.Agent, node, strings.Join(r.Held.Removes, ", "), r.Held.Owned)
	}
	if err := cmd.askConfirmation(fmt.Sprintf("remove that from %s?", node)); err != nil {
		return err
	}
	for _, r := range held {
		goAhead := intent.Confirmation{Removes: r.Held.Removes, At: time.Now().UTC().Truncate(time.Second), By: os.Getenv("USER")}
		value, err := json.Marshal(goAhead)
		if err == nil {
			err = cmd.store.Put(ctx, cmd.tree.Confirm(node, intent.Name(r.Agent)), value)
		}
		if err != nil {
			return err
		}
		confirmed[r.Agent] = goAhead
		cmd.infof("confirmed for %s, for one hour", r.Agent)
	}
	if cmd.json {
		return cmd.printJSON("confirm", map[string]any{"node": node, "confirmed": confirmed})
	}
	cmd.infof("next: platypus status --node %s --watch", node)
	return nil
}

// heldReports returns the reports of a node that hold removals, by agent.
func heldReports(w world.Snapshot, node intent.Name) (held []intent.Report) {
	for who, r := range w.Reports {
		if who.Node == node && r.Held != nil {
			r.Agent = who.Agent
			held = append(held, r)
		}
	}
	slices.SortFunc(held, func(a, b intent.Report) int { return strings.Compare(a.Agent, b.Agent) })
	return held
}
