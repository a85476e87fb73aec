package main

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

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
	reports, err := sh.seedReports(ctx)
	if err != nil {
		return true, err
	}
	nodes := map[string]bool{}
	for node := range replicas {
		nodes[node] = true
	}
	for node := range reports {
		nodes[node] = true
	}
	ready, rows := 0, []map[string]any{}
	var table [][]string
	for _, node := range slices.Sorted(maps.Keys(nodes)) {
		r, s := replicas[node], reports[node].Subjects[string(name)]
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
		return s.Reason + ": " + s.Error
	}
	return s.Reason
}

// seedReports are the reports of every node's seed-placer.
func (sh *shell) seedReports(ctx context.Context) (map[string]intent.Report, error) {
	prefix := sh.tree.Statuses().Join("seed-placer")
	pairs, _, err := sh.store.List(ctx, prefix, store.Default)
	if err != nil {
		return nil, err
	}
	all := map[string]intent.Report{}
	for _, pair := range pairs {
		node, _ := prefix.Below(pair.Key)
		var r intent.Report
		if json.Unmarshal(pair.Value, &r) == nil {
			all[node] = r
		}
	}
	return all, nil
}
