package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

func explainVerb() verb {
	return verb{
		name: "explain", usage: "say of each machine why it takes a vm, a seed, a site or a blob, or why not", args: "NAME", minArgs: 1, maxArgs: 1,
		text: `Of a vm: asks every machine the very question that the allocator asks: would this instance fit, if it were not where it is? Where
several fit, the score says how good each is, from 0 to 100. VM is a vm or one instance of it, such as web.2.
Of a seed, a site or a blob: shows for each node how far it is there, what is being waited for, and what went wrong, and
which nodes have lost their seed-placer. Exit code 2 when fewer are ready than are wanted. A vm of the same name comes first.`,
		examples: []string{"platypus explain web", "platypus explain web.2 --machine m1 -o json"},
		flags:    []cli.Flag{&cli.StringFlag{Name: "machine", Usage: "only this machine"}, boolFlag("all", "machines of other regions too"), outputFlag()},
		run:      explain,
	}
}

// machineVerdict is the result for one machine.
type machineVerdict struct {
	fleet.Spot
	Verdict string  `json:"verdict"` // fits, or the class of the reason
	Detail  string  `json:"detail"`
	Score   float64 `json:"score,omitempty"` // 0 to 100
	Here    bool    `json:"here"`            // the instance is there now
	Chosen  bool    `json:"chosen"`          // it would be placed there now
}

func explain(ctx context.Context, cmd *command) error {
	f, err := cmd.readFleet(ctx)
	if err != nil {
		return err
	}
	if name, err := intent.ParseName(cmd.args[0]); err == nil {
		if _, known := f.VM(name); !known {
			if found, err := explainSeed(ctx, cmd, name); found || err != nil {
				return err
			}
			if found, err := explainItem(ctx, cmd, name); found || err != nil {
				return err
			}
		}
	}
	i, v, err := cmd.instanceArg(f)
	if err != nil {
		return err
	}
	said := f.Placements[i.String()]
	verdicts := cmd.verdicts(f, i, v)
	if cmd.json {
		return cmd.printJSON("explain", map[string]any{"instance": i.String(), "placement": said.Placement, "machines": verdicts})
	}
	switch said.State {
	case intent.Placed:
		cmd.infof("%s is on %s/%s", i, said.Region, said.Machine)
	case intent.Pending:
		cmd.infof("%s is pending: %s", i, said.Reason)
	default:
		cmd.infof("no allocator has said anything of %s yet", i)
	}
	var cells [][]string
	for _, r := range verdicts {
		mark, score := "", ""
		switch {
		case r.Here:
			mark = "is here"
		case r.Chosen:
			mark = "would go here"
		}
		if r.Verdict == "fits" {
			score = fmt.Sprintf("%.1f", r.Score)
		}
		cells = append(cells, []string{r.Spot.String(), r.Verdict, score, r.Detail, mark})
	}
	cmd.printTable([]string{"MACHINE", "VERDICT", "SCORE", "WHY", "VM"}, cells)
	return nil
}

// instanceArg reads a vm or one of its instances; for a vm, the first instance without a placement, or else the first.
func (cmd *command) instanceArg(f *fleet.Fleet) (intent.Instance, fleet.VM, error) {
	if i, err := intent.ParseInstance(cmd.args[0]); err == nil {
		if v, known := f.VM(i.VM); known && v.Fault == "" {
			return i, v, nil
		}
	}
	name, err := intent.ParseVMName(cmd.args[0])
	if err != nil {
		return intent.Instance{}, fleet.VM{}, usage("VM: %w", err)
	}
	v, known := f.VM(name)
	switch {
	case !known:
		return intent.Instance{}, v, vmNotDeclared(name, f)
	case v.Fault != "":
		return intent.Instance{}, v, fmt.Errorf("%s cannot be used: %s", name, v.Fault)
	}
	for n := range v.Spec.Count {
		if i := (intent.Instance{VM: name, Number: n}); f.Placements[i.String()].State != intent.Placed {
			return i, v, nil
		}
	}
	return intent.Instance{VM: name}, v, nil
}

func (cmd *command) verdicts(f *fleet.Fleet, i intent.Instance, v fleet.VM) []machineVerdict {
	room, want := fleet.NewRoom(f), fleet.WantOf(v)
	here := fleet.Spot{}
	for _, h := range f.Entries()[i.String()] {
		if h.Phase == intent.PhasePlaced {
			here = h.Spot
			room.Give(h.Spot, h.Entry)
		}
	}
	chosen, _ := room.Choose(&want, fleet.Seed(i, f.Placements[i.String()].Attempt+1))
	verdicts := []machineVerdict{}
	for _, m := range f.Machines {
		inside := slices.Contains(v.Spec.Region, m.Region) || slices.Contains(v.Spec.Region, intent.AnyRegion)
		if only := cmd.flags.String("machine"); only != "" && only != string(m.Name()) && only != m.Spot.String() ||
			only == "" && !inside && !cmd.flags.Bool("all") {
			continue
		}
		h := room.Host(m.Spot)
		r := h.Fits(&want)
		d := machineVerdict{Spot: m.Spot, Verdict: r.String(), Detail: h.Explain(&want, r), Here: m.Spot == here, Chosen: m.Spot == chosen.Spot}
		if r == fleet.Fits {
			d.Score = float64(fleet.Score(f.Regions[m.Region].Policy, m.Spec.Usable(), h.Left, want.Share)) * 100 / fleet.Best
			d.Detail = fmt.Sprintf("%d cores and %s free", h.Left.Cores, h.Left.Memory.Short())
		}
		if !inside {
			d.Verdict, d.Detail = "region", fmt.Sprintf("it is wanted in %s", joinNames(v.Spec.Region))
		}
		verdicts = append(verdicts, d)
	}
	return verdicts
}
