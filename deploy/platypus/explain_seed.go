package main

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/deploy/platypus/internal/world"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// explainSeed explains, for each node, why a seed is or is not there. found is false if the seed is not declared.
func explainSeed(ctx context.Context, cmd *command, name intent.Name) (found bool, err error) {
	pair, found, err := cmd.store.Get(ctx, cmd.tree.Seed(name), store.Default)
	if err != nil || !found {
		return false, err
	}
	seed, problems := intent.SeedOf("seeds/"+string(name), pair.Value)
	replicas, err := cmd.replicas(ctx, name)
	if err != nil {
		return true, err
	}
	w, err := world.Read(ctx, cmd.store, cmd.tree)
	if err != nil {
		return true, err
	}
	nodes := map[string]bool{}
	for node := range replicas {
		nodes[node] = true
	}
	for node := range w.PlacerStates(string(name)) {
		nodes[string(node)] = true
	}
	ready, rows := 0, []map[string]any{}
	var table [][]string
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		r, s := replicas[node], w.PlacerStates(string(name))[intent.Name(node)]
		if r.State == intent.ReplicaReady {
			ready++
		}
		rows = append(rows, map[string]any{"node": node, "replica": r, "state": s})
		table = append(table, []string{node, string(r.State), r.Address, cmd.style.colourPhase(s.Phase), whySeed(s)})
	}
	least, _ := seed.Replicas()
	if cmd.json {
		return true, cmd.printJSON("explain", map[string]any{"seed": name, "declared": json.RawMessage(pair.Value), "problems": problems, "ready": ready, "wanted": least, "nodes": rows})
	}
	cmd.printf("%s: %d ready, at least %d wanted", cmd.style.bold(string(name)), ready, least)
	for _, p := range problems {
		cmd.printf("  %s", p.Error())
	}
	if len(table) == 0 {
		cmd.printf("  no node runs a seed-placer")
	} else {
		cmd.printTable([]string{"NODE", "REPLICA", "ADDRESS", "PHASE", "WHY"}, table)
	}
	if ready < least || problems.Err() != nil {
		return true, exit(exitPending)
	}
	return true, nil
}

// whySeed describes what a node reports for a seed.
func whySeed(s intent.State) string {
	if s.Error != "" {
		return strings.TrimPrefix(s.Reason+": "+s.Error, ": ")
	}
	return s.Reason
}

// explainItem explains, for each node, the state of a site or a blob. found is false if it is not declared.
func explainItem(ctx context.Context, cmd *command, name intent.Name) (found bool, err error) {
	w, err := world.ReadAll(ctx, cmd.store, cmd.tree)
	if err != nil {
		return false, err
	}
	item, found := w.Item(string(name))
	if !found || item.Kind != world.KindSite && item.Kind != world.KindBlob {
		return false, nil
	}
	subject := string(name)
	if item.Kind == world.KindSite {
		subject = "site/" + subject
	}
	states := w.PlacerStates(subject)
	var table [][]string
	rows := []map[string]any{}
	for _, node := range slices.Sorted(maps.Keys(states)) {
		has, s := "no", states[node]
		if slices.Contains(item.Nodes, node) {
			has = "yes"
		}
		table = append(table, []string{string(node), has, cmd.style.colourPhase(s.Phase), whySeed(s)})
		rows = append(rows, map[string]any{"node": node, "has": has == "yes", "state": s})
	}
	if cmd.json {
		err = cmd.printJSON("explain", map[string]any{item.Kind: name, "item": item, "nodes": rows})
	} else {
		reason := ""
		if item.Reason != "" {
			reason = ": " + reasonOnly(item.Phase, item.Reason)
		}
		cmd.printf("%s %s: on %d of %s, %s%s", item.Kind, cmd.style.bold(string(name)), item.Ready, plural(item.Wanted, "node"), cmd.style.colourPhase(item.Phase), reason)
		if len(table) > 0 {
			cmd.printTable([]string{"NODE", "HAS IT", "PHASE", "WHY"}, table)
		}
	}
	if err == nil && !item.Converged() {
		err = exit(exitPending)
	}
	return true, err
}
