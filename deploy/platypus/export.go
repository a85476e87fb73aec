package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
)

func exportVerb() verb {
	return verb{
		name: "export", usage: "print what the store declares of an app, as an intent file", args: "[APP…]", minArgs: 0, maxArgs: -1,
		text: `Prints every key of the apps as one JSON object that plan and apply take: their nodes, the config and deploy_config of
their clusters, and the vms that bring them to machines. Without APP it prints all intent. After a rollout it brings the
file up to date with the store, so that the next apply of the file does not undo the rollout. What the allocator placed
is not intent and is left out.`,
		examples: []string{"platypus export slug > release.json", "platypus export slug --cluster production | platypus plan -"},
		flags:    []cli.Flag{&cli.StringFlag{Name: "cluster", Aliases: []string{"c"}, Usage: "only this `CLUSTER` of each app"}},
		run:      exportApps,
	}
}

func exportApps(ctx context.Context, cmd *command) error {
	w, err := world.ReadIntent(ctx, cmd.store, cmd.tree)
	if err != nil {
		return err
	}
	for i := range cmd.args {
		app, err := cmd.nameArg(i, "APP")
		if err != nil {
			return err
		}
		if !slices.Contains(w.Apps(), app) {
			return appNotDeclared(string(app), w.Apps())
		}
	}
	var file bytes.Buffer
	for _, pair := range exportPairs(w, cmd.args, cmd.flags.String("cluster")) {
		key, _ := w.IntentKey(pair)
		if !json.Valid(pair.Value) {
			return fmt.Errorf("%s is not JSON and cannot stand in a file: platypus cat %s prints it, platypus restore puts an earlier value back", key, key)
		}
		name, err := json.Marshal(key)
		if err != nil {
			return fmt.Errorf("write %s: %w", key, err)
		}
		fmt.Fprintf(&file, ",\n  %s: ", name)
		if err := json.Indent(&file, bytes.TrimSpace(pair.Value), "  ", "  "); err != nil {
			return fmt.Errorf("write %s: %w", key, err)
		}
	}
	if file.Len() == 0 {
		return fmt.Errorf("nothing is declared below %q: platypus init writes a first intent directory", cmd.tree.Intent())
	}
	cmd.printf("{\n%s\n}", file.Bytes()[2:])
	return nil
}

// exportPairs returns the pairs that belong to the apps, or all, sorted by key.
func exportPairs(w world.Snapshot, apps []string, cluster string) (pairs []intent.Pair) {
	wanted := func(app, of string) bool {
		return (len(apps) == 0 || slices.Contains(apps, app)) && (cluster == "" || of == "" || of == cluster)
	}
	for _, p := range w.Pairs {
		key, declared := w.IntentKey(p)
		part := strings.Split(key, "/")
		var of struct{ App, Cluster string } // an assignment names its cluster, a vm also its app
		_ = json.Unmarshal(p.Value, &of)
		switch {
		case !declared:
			continue
		case part[0] == "nodes" && len(part) == 3:
			declared = wanted(part[2], of.Cluster)
		case part[0] == "clusters" && len(part) == 4:
			declared = wanted(part[1], part[2])
		case part[0] == "vms" && of.App != "":
			declared = wanted(of.App, of.Cluster)
		default:
			declared = len(apps) == 0 && cluster == ""
		}
		if declared {
			pairs = append(pairs, p)
		}
	}
	slices.SortFunc(pairs, func(a, b intent.Pair) int { return strings.Compare(a.Key, b.Key) })
	return pairs
}
