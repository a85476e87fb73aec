package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
	"github.com/platypus-platform/platypus/store/history"
)

// inventoryState is the fleet as the tables of regions and machines show it.
type inventoryState struct {
	*fleet.Fleet
	index   uint64
	updated map[string]time.Time // last known change of a region, or "region/machine"
}

// maxCommits is how many commits are searched for the last change of a row.
const maxCommits = 1000

func (cmd *command) readInventory(ctx context.Context) (inventoryState, error) {
	now := inventoryState{updated: map[string]time.Time{}}
	var pairs []intent.Pair
	for _, prefix := range fleet.Prefixes(cmd.tree) {
		found, index, err := cmd.store.List(ctx, prefix, store.Default)
		if err != nil {
			return now, err
		}
		if len(found) > 0 {
			now.index = max(now.index, index)
		}
		pairs = append(pairs, found...)
	}
	now.Fleet = fleet.Read(cmd.tree, pairs)
	if err := cmd.noteReports(ctx, now); err != nil {
		return now, err
	}
	cmd.noteHistory(ctx, now)
	return now, nil
}

func (n inventoryState) noteUpdated(key string, at time.Time) {
	if at.After(n.updated[key]) {
		n.updated[key] = at
	}
	if region, _, below := strings.Cut(key, "/"); below {
		n.noteUpdated(region, at)
	}
}

// noteReports notes when agents last reported a change of a machine, or the allocator one of a vm on it.
func (cmd *command) noteReports(ctx context.Context, n inventoryState) error {
	reports, _, err := cmd.store.List(ctx, cmd.tree.Statuses(), store.Default)
	if err != nil {
		return err
	}
	for _, p := range reports {
		var r intent.Report
		if json.Unmarshal(p.Value, &r) != nil {
			continue
		}
		m := n.Named(r.Node)
		for subject, s := range r.Subjects {
			if p, placed := n.Placements[subject]; placed && r.Agent == "allocator" && p.Machine != "" {
				n.noteUpdated(string(p.Region)+"/"+string(p.Machine), s.Since)
			}
			if m != nil {
				n.noteUpdated(string(m.Region)+"/"+string(m.Name()), s.Since)
			}
		}
	}
	return nil
}

// noteHistory notes the changes in the history. Without a history, or without read access, only the reports count.
func (cmd *command) noteHistory(ctx context.Context, n inventoryState) {
	seen := 0
	for c, err := range cmd.history().Commits(ctx, history.Query{}) {
		if seen++; err != nil || seen > maxCommits {
			return
		}
		for _, change := range c.Changes {
			kind, below, _ := strings.Cut(change.Key, "/")
			if kind == "regions" || kind == "machines" {
				n.noteUpdated(below, c.At)
			}
		}
	}
}

// machineState returns the state of a machine in one word.
func machineState(m *fleet.Machine) string {
	switch {
	case m.Fault != "":
		return "unusable"
	case m.Index == 0:
		return "gone"
	case m.Away && m.Spec.Is(intent.MachineReady):
		return "unreachable"
	}
	return string(cmp.Or(m.Spec.State, intent.MachineReady))
}

// utcTime formats a time as fly-cli did, in UTC; "" if unknown.
func utcTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// ofCores and ofMemory format free and total amounts.
func ofCores(free, all int) string {
	if all == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", max(0, free), all)
}

func ofMemory(free, all intent.Size) string {
	if all == 0 {
		return ""
	}
	return shortSize(max(0, free)) + "/" + shortSize(all)
}

// shortSize formats a size with at most four digits.
func shortSize(s intent.Size) string {
	value := float64(s)
	for _, unit := range []string{"B", "kB", "MB", "GB", "TB"} {
		if value < 999.95 || unit == "TB" {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + unit
		}
		value /= 1000
	}
	return s.String()
}

// sortRows sorts rows by the order that the flag names, or lists the orders.
func sortRows[T any](rows []T, by string, orders map[string]func(a, b T) int) error {
	order, known := orders[by]
	if !known {
		names := make([]string, 0, len(orders))
		for name := range orders {
			names = append(names, name)
		}
		slices.Sort(names)
		return usage("--sort %q is not one of %s", by, strings.Join(names, ", "))
	}
	slices.SortStableFunc(rows, order)
	return nil
}
