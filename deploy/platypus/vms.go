package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

func vmsVerb() verb {
	return verb{
		name: "vms", usage: "list the vms, where each instance is, and why one is nowhere", args: "[NAME…]", minArgs: 0, maxArgs: -1,
		text:     "Lists every instance that is wished for, and every share that is still held by one that is not.",
		examples: []string{"platypus vms", "platypus vms web -o json"},
		flags:    append([]cli.Flag{outputFlag()}, boolFlag("pending", "only those that have no machine")),
		run:      vms,
	}
}

func vms(ctx context.Context, cmd *command) error {
	f, err := cmd.readFleet(ctx)
	if err != nil {
		return err
	}
	only := map[intent.Name]bool{}
	for i := range cmd.args {
		name, err := cmd.nameArg(i, "NAME")
		if err != nil {
			return err
		}
		if _, known := f.VM(name); !known {
			return vmNotDeclared(name, f)
		}
		only[name] = true
	}
	rows := []vmRow{}
	for _, r := range vmRows(f) {
		if vm := fleet.VMOf(r.Instance); len(only) > 0 && !only[vm] && !only[intent.Name(r.Instance)] || cmd.flags.Bool("pending") && r.State != string(intent.Pending) {
			continue
		}
		rows = append(rows, r)
	}
	if cmd.json {
		return cmd.printJSON("vms", map[string]any{"vms": rows})
	}
	if len(rows) == 0 {
		cmd.infof("there are no vms; next: platypus launch --vm-memory 8 --vm-cores 4 --vm-region SIN web")
		return nil
	}
	cmd.printVMs(rows)
	return nil
}

// vmRows returns all instances by name, then leftovers of removed ones.
func vmRows(f *fleet.Fleet) (rows []vmRow) {

	for _, v := range f.VMs {
		if v.Fault != "" {
			rows = append(rows, vmRow{Instance: string(v.Name), State: "invalid", Reason: v.Fault})
			continue
		}
		known, _ := placementRows(v.Name, v.Spec, f.Placements)
		said := map[string]vmRow{}
		for _, r := range known {
			said[r.Instance] = r
		}
		for n := range v.Spec.Count {
			i := intent.Instance{VM: v.Name, Number: n}
			r, ok := said[i.String()]
			if !ok {
				r = vmRow{Instance: i.String(), State: "unknown", Reason: "no allocator has said anything yet", Cores: v.Spec.Cores, Memory: v.Spec.Memory, App: v.Spec.App}
			}
			rows = append(rows, r)
		}
	}
	for _, m := range f.Machines {
		for _, e := range m.Ledger.Entries {
			_, wanted := f.VM(fleet.VMOf(e.VM))
			if e.Phase == intent.PhasePlaced && wanted {
				continue
			}
			state, why := string(e.Phase), "its share is free when its machine no longer runs it"
			if e.Phase == intent.PhasePlaced {
				state, why = "unwanted", "to be released by an allocator"
			}
			rows = append(rows, vmRow{Instance: e.VM, Region: m.Region, Machine: m.Name(), State: state, Reason: why, Cores: e.Cores, Memory: e.Memory, App: e.App})
		}
	}

	return rows
}
