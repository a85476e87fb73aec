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

// inventoryNow is the fleet as the tables of regions and machines show it.
type inventoryNow struct {
	*fleet.Fleet
	index   uint64
	updated map[string]time.Time // when a region, or "region/machine", last changed as far as anybody noted
}

// maxCommits is how far back the history is searched for the last change of what the tables show.
const maxCommits = 1000

func (sh *shell) inventory(ctx context.Context) (inventoryNow, error) {
	now := inventoryNow{updated: map[string]time.Time{}}
	var pairs []intent.Pair
	for _, prefix := range fleet.Prefixes(sh.tree) {
		found, index, err := sh.store.List(ctx, prefix, store.Default)
		if err != nil {
			return now, err
		}
		if len(found) > 0 {
			now.index = max(now.index, index)
		}
		pairs = append(pairs, found...)
	}
	now.Fleet = fleet.Read(sh.tree, pairs)
	if err := sh.reported(ctx, now); err != nil {
		return now, err
	}
	sh.recorded(ctx, now)
	return now, nil
}

func (n inventoryNow) note(key string, at time.Time) {
	if at.After(n.updated[key]) {
		n.updated[key] = at
	}
	if region, _, below := strings.Cut(key, "/"); below {
		n.note(region, at)
	}
}

// reported notes when agents last said something new of a machine, or the allocator of a vm on one.
func (sh *shell) reported(ctx context.Context, n inventoryNow) error {
	reports, _, err := sh.store.List(ctx, sh.tree.Statuses(), store.Default)
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
				n.note(string(p.Region)+"/"+string(p.Machine), s.Since)
			}
			if m != nil {
				n.note(string(m.Region)+"/"+string(m.Name()), s.Since)
			}
		}
	}
	return nil
}

// recorded notes what the history tells. Without one, or without leave to read it, the reports are all there is.
func (sh *shell) recorded(ctx context.Context, n inventoryNow) {
	seen := 0
	for c, err := range sh.history().Commits(ctx, history.Query{}) {
		if seen++; err != nil || seen > maxCommits {
			return
		}
		for _, change := range c.Changes {
			kind, below, _ := strings.Cut(change.Key, "/")
			if kind == "regions" || kind == "machines" {
				n.note(below, c.At)
			}
		}
	}
}

// standing is the state of a machine in one word.
func standing(m *fleet.Machine) string {
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

// stamp is a time as fly-cli wrote it, in UTC; nothing when nobody knows.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// ofCores and ofMemory are what is left of what there is.
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
	return sizeFor(max(0, free)) + "/" + sizeFor(all)
}

// sizeFor is a size for a person: at most four digits.
func sizeFor(s intent.Size) string {
	value := float64(s)
	for _, unit := range []string{"B", "kB", "MB", "GB", "TB"} {
		if value < 999.95 || unit == "TB" {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + unit
		}
		value /= 1000
	}
	return s.String()
}

// sorted puts rows into the order that the flag names, or says which orders there are.
func sorted[T any](rows []T, by string, orders map[string]func(a, b T) int) error {
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
