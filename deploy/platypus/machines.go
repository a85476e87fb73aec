package main

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

func machinesVerb() verb {
	return verb{
		name: "machines", usage: "list the machines, and how much is free on each", maxArgs: 0,
		text: `One line for each machine: its state, what is free of its cores and memory once what is reserved and what vms hold
is taken off, how many vms it has, and when any of it last changed (UTC). A machine that holds more than it has is
over-committed, which is said; one whose declaration or ledger cannot be used is shown with the reason.`,
		examples: []string{"platypus machines --region SIN", "platypus machines --filter cordoned -o json"},
		flags: []cli.Flag{
			&cli.StringFlag{Name: "region", Usage: "only machines in this `REGION`"},
			&cli.StringFlag{Name: "filter", Usage: "only machines in this `STATE`: ready, cordoned, draining, dead, unreachable, gone, unusable or over"},
			&cli.StringFlag{Name: "sort", Usage: "name, region, state, cores, memory, vms or update", Value: "region"},
			outputFlag(),
		},
		run: machines,
	}
}

func machines(ctx context.Context, cmd *command) error {
	now, err := cmd.readInventory(ctx)
	if err != nil {
		return err
	}
	region := intent.Name(cmd.flags.String("region"))
	if region != "" && !slices.Contains(now.Codes(), region) {
		return regionNotFound(string(region), now.Codes())
	}
	filter := strings.ToLower(cmd.flags.String("filter"))
	rows := slices.DeleteFunc(slices.Clone(now.Fleet.Machines), func(m *fleet.Machine) bool {
		over := filter == "over" && m.Overcommitted()
		return region != "" && m.Region != region || filter != "" && !over && machineState(m) != filter
	})
	last := func(m *fleet.Machine) string { return string(m.Region) + "/" + string(m.Name()) }
	err = sortRows(rows, cmd.flags.String("sort"), map[string]func(a, b *fleet.Machine) int{
		"region": func(a, b *fleet.Machine) int { return cmp.Compare(last(a), last(b)) },
		"name":   func(a, b *fleet.Machine) int { return cmp.Compare(a.Name(), b.Name()) },
		"state":  func(a, b *fleet.Machine) int { return cmp.Compare(machineState(a), machineState(b)) },
		"cores":  func(a, b *fleet.Machine) int { return cmp.Compare(b.Free().Cores, a.Free().Cores) },
		"memory": func(a, b *fleet.Machine) int { return cmp.Compare(b.Free().Memory, a.Free().Memory) },
		"vms":    func(a, b *fleet.Machine) int { return cmp.Compare(len(b.Ledger.Entries), len(a.Ledger.Entries)) },
		"update": func(a, b *fleet.Machine) int { return now.updated[last(b)].Compare(now.updated[last(a)]) },
	})
	if err != nil {
		return err
	}
	if cmd.json {
		documents := make([]map[string]any, 0, len(rows))
		for _, m := range rows {
			documents = append(documents, now.machineJSON(m))
		}
		return cmd.printJSON("machines", map[string]any{"index": now.index, "machines": documents})
	}
	if len(rows) == 0 {
		cmd.infof("no machine is %s; next: platypus import machines FILE.csv", cmp.Or(filter, "declared"))
		return nil
	}
	cells := make([][]string, 0, len(rows))
	for _, m := range rows {
		why := m.Fault
		if m.Overcommitted() {
			why = "over-committed"
		}
		cells = append(cells, []string{string(m.Name()), string(m.Region), cmd.style.colourPhase(machineState(m)), ofCores(m.Free().Cores, m.Spec.Cores),
			ofMemory(m.Free().Memory, m.Spec.Memory), strconv.Itoa(len(m.Ledger.Entries)), m.Spec.Datacenter, m.Spec.Address, utcTime(now.updated[last(m)]), why})
	}
	cmd.printTable([]string{"MACHINE", "REGION", "STATE", "CORES FREE", "MEMORY FREE", "VMS", "DATACENTER", "ADDRESS", "LAST UPDATE", "REMARK"}, cells)
	return nil
}

func (n inventoryState) machineJSON(m *fleet.Machine) map[string]any {
	d := map[string]any{"name": m.Name(), "region": m.Region, "state": machineState(m), "address": m.Spec.Address, "datacenter": m.Spec.Datacenter,
		"labels": m.Spec.Labels, "total": shareJSON(m.Spec.Whole()), "reserved": shareJSON(m.Spec.Reserved), "free": shareJSON(m.Free()),
		"allocated": shareJSON(m.Ledger.Taken()), "vms": len(m.Ledger.Entries), "overcommitted": m.Overcommitted(), "updated_at": nil}
	if m.Fault != "" {
		d["fault"] = m.Fault
	}
	if at := n.updated[string(m.Region)+"/"+string(m.Name())]; !at.IsZero() {
		d["updated_at"] = at.UTC()
	}
	return d
}

// regionNotFound is the error for an unknown region; it lists the known ones.
func regionNotFound(code string, known []intent.Name) error {
	words := make([]string, 0, len(known))
	for _, k := range known {
		words = append(words, string(k))
	}
	return usage("region %q is not known: there are %s", code, strings.Join(words, " "))
}
