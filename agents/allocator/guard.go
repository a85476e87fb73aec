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

// guard prevents accidental releases. A VM is released only when its count was lowered or a consistent read confirms
// that its key was deleted; releasing most VMs at once needs an operator's confirmation.
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
		Hold:      markHeld,
	}
}

// owned returns the VMs that have placed entries.
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

func markHeld(d Desired, vms map[string]string, everything *converge.Held) Desired {
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

// confirmationTTL is how long an operator's confirmation is valid.
const confirmationTTL = time.Hour

func confirmed(ctx context.Context, a *agent.Agent, vms []string) (bool, error) {
	pair, found, err := a.Store.Get(ctx, a.Tree.Confirm(a.Node, intent.Name(a.Name)), store.Consistent)
	if err != nil || !found {
		return false, err
	}
	var c intent.Confirmation
	if err := json.Unmarshal(pair.Value, &c); err != nil {
		return false, fmt.Errorf("read %s: %w", pair.Key, err)
	}
	return c.Covers(slices.Clone(vms), time.Now(), confirmationTTL), nil
}
