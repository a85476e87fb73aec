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

// explainSeed says, node by node, why a seed is or is not there. found is false when no such seed is declared.
func explainSeed(ctx context.Context, sh *shell, name intent.Name) (found bool, err error) {
	pair, found, err := sh.store.Get(ctx, sh.tree.Seed(name), store.Default)
	if err != nil || !found {
		return false, err
	}
	seed, problems := intent.SeedOf("seeds/"+string(name), pair.Value)
	replicas, err := sh.replicas(ctx, name)
	if err != nil {
		return true, err
	}
	w, err := world.Read(ctx, sh.store, sh.tree)
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
		table = append(table, []string{node, string(r.State), r.Address, sh.style.phase(s.Phase), whySeed(s)})
	}
	least, _ := seed.Replicas()
	if sh.json {
		return true, sh.printJSON("explain", map[string]any{"seed": name, "declared": json.RawMessage(pair.Value), "problems": problems, "ready": ready, "wanted": least, "nodes": rows})
	}
	sh.print("%s: %d ready, at least %d wanted", sh.style.bold(string(name)), ready, least)
	for _, p := range problems {
		sh.print("  %s", p.Error())
	}
	if len(table) == 0 {
		sh.print("  no node runs a seed-placer")
	} else {
		sh.printTable([]string{"NODE", "REPLICA", "ADDRESS", "PHASE", "WHY"}, table)
	}
	if ready < least || problems.Err() != nil {
		return true, exit(exitPending)
	}
	return true, nil
}

// whySeed is what a node says of its part in a seed.
func whySeed(s intent.State) string {
	if s.Error != "" {
		return strings.TrimPrefix(s.Reason+": "+s.Error, ": ")
	}
	return s.Reason
}

// explainItem says, node by node, how far a site or a blob is there. found is false when no such thing is declared.
func explainItem(ctx context.Context, sh *shell, name intent.Name) (found bool, err error) {
	w, err := world.ReadAll(ctx, sh.store, sh.tree)
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
		table = append(table, []string{string(node), has, sh.style.phase(s.Phase), whySeed(s)})
		rows = append(rows, map[string]any{"node": node, "has": has == "yes", "state": s})
	}
	if sh.json {
		err = sh.printJSON("explain", map[string]any{item.Kind: name, "item": item, "nodes": rows})
	} else {
		reason := ""
		if item.Reason != "" {
			reason = ": " + bare(item.Phase, item.Reason)
		}
		sh.print("%s %s: on %d of %s, %s%s", item.Kind, sh.style.bold(string(name)), item.Ready, plural(item.Wanted, "node"), sh.style.phase(item.Phase), reason)
		if len(table) > 0 {
			sh.printTable([]string{"NODE", "HAS IT", "PHASE", "WHY"}, table)
		}
	}
	if err == nil && !item.Converged() {
		err = exit(exitPending)
	}
	return true, err
}
