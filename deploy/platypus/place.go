package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

func placeVerb() verb {
	return verb{
		name: "place", usage: "say where vms would be placed, and how many there is room for", args: "[NAME]", minArgs: 0, maxArgs: 1,
		text: `Answers from what is held now, by the same rules as the allocator, and writes nothing: launch does. The exit code is 2
when there is no room for all of them.`,
		examples: []string{"platypus place --vm-memory 8 --vm-cores 4 --vm-region SIN --count 80", "platypus place --dry-run --vm-memory 256 --vm-cores 1 --vm-region any --count 1000 -o json"},
		flags:    append(vmFlags(), boolFlag("dry-run", "what it does anyway"), outputFlag()),
		run:      place,
	}
}

// machineCount is the number of instances on one machine.
type machineCount struct {
	fleet.Spot
	Count int `json:"count"`
}

func place(ctx context.Context, cmd *command) error {
	spec, err := cmd.vmFromFlags()
	if err != nil {
		return err
	}
	for _, code := range spec.Region {
		if err := cmd.checkRegion(ctx, code); err != nil {
			return err
		}
	}
	name := intent.Name("place")
	if len(cmd.args) > 0 {
		if name, err = cmd.vmName(); err != nil {
			return err
		}
	}
	f, err := cmd.readFleet(ctx)
	if err != nil {
		return err
	}
	v := fleet.VM{Name: name, Spec: spec, Index: 1}
	room, want := fleet.NewRoom(f), fleet.WantOf(v)
	counts, placed := map[fleet.Spot]int{}, 0
	for n := range spec.Count {
		i := intent.Instance{VM: name, Number: n}
		c, ok := room.Choose(&want, fleet.Seed(i, 1))
		if !ok {
			break
		}
		room.Take(c.Spot, intent.Entry{VM: i.String(), Cores: spec.Cores, Memory: spec.Memory, App: spec.App})
		counts[c.Spot]++
		placed++
	}
	machineCounts := []machineCount{}
	for s, n := range counts {
		machineCounts = append(machineCounts, machineCount{s, n})
	}
	slices.SortFunc(machineCounts, func(a, b machineCount) int { return a.Spot.Compare(b.Spot) })
	refused := map[string]int{}
	if placed < spec.Count {
		r := room.Refusals(&want)
		refused = r.Map()
		cmd.infof("room for %d of %d in %s: %s", placed, spec.Count, joinNames(spec.Region), r)
	}
	if cmd.json {
		err = cmd.printJSON("place", map[string]any{"placed": placed, "wanted": spec.Count, "machines": machineCounts, "refused": refused})
	} else {
		var cells [][]string
		for _, s := range machineCounts {
			cells = append(cells, []string{string(s.Region), string(s.Machine), fmt.Sprint(s.Count)})
		}
		cmd.printTable([]string{"REGION", "MACHINE", "COUNT"}, cells)
	}
	if err == nil && placed < spec.Count {
		return exit(exitPending)
	}
	return err
}

func joinNames(names []intent.Name) string {
	texts := []string{}
	for _, n := range names {
		texts = append(texts, string(n))
	}
	return strings.Join(texts, " ")
}
