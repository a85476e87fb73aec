package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store"
)

// guard keeps vms from being released by mistake. A vm is released because its count says so, or because its key is
// gone for certain; that most of them are gone at once takes a person's word.
func guard(a *agent.Agent) *converge.Guard[Desired, Actual] {
	return &converge.Guard[Desired, Actual]{
		Owned:  owned,
		Wanted: wanted,
		Gone: func(ctx context.Context, vm string) (bool, error) {
			name, err := intent.ParseVMName(vm)
			if err != nil {
				return false, err
			}
			return a.Store.Gone(ctx, a.Tree.VM(name))
		},
		Blank:     func(ctx context.Context) (bool, error) { return a.Store.Blank(ctx, a.Tree.Machines()) },
		Confirmed: func(ctx context.Context, vms []string) (bool, error) { return confirmed(ctx, a, vms) },
		Hold:      hold,
	}
}

// owned are the vms that hold something.
func owned(a Actual) (names []string) {
	seen := make(map[intent.Name]bool, len(a.entries()))
	for _, m := range a.Fleet.Machines {
		for _, e := range m.Ledger.Entries {
			if vm := fleet.VMOf(e.VM); e.Phase == intent.PhasePlaced && !seen[vm] {
				seen[vm] = true
				names = append(names, string(vm))
			}
		}
	}
	return names
}

func wanted(d Desired) []string {
	names := make([]string, 0, len(d.VMs))
	for _, v := range d.VMs {
		names = append(names, string(v.Name))
	}
	return names
}

func hold(d Desired, vms map[string]string, everything *converge.Held) Desired {
	d.Held = maps.Clone(d.Held)
	for vm, why := range vms {
		if d.Held == nil {
			d.Held = map[intent.Name]string{}
		}
		d.Held[intent.Name(vm)] = why
	}
	if everything != nil {
		d.Frozen = everything.String()
	}
	return d
}

// confirmationLife is how long a person's go-ahead counts.
const confirmationLife = time.Hour

func confirmed(ctx context.Context, a *agent.Agent, vms []string) (bool, error) {
	pair, found, err := a.Store.Get(ctx, a.Tree.Confirm(a.Node, intent.Name(a.Name)), store.Consistent)
	if err != nil || !found {
		return false, err
	}
	var c intent.Confirmation
	if err := json.Unmarshal(pair.Value, &c); err != nil {
		return false, fmt.Errorf("read %s: %w", pair.Key, err)
	}
	return c.Covers(slices.Clone(vms), time.Now(), confirmationLife), nil
}
