package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
	"github.com/platypus-platform/platypus/store/history"
)

func cordonVerb() verb {
	return stateVerb(verb{name: "cordon", usage: "let machines take nothing new", text: `What is on them stays. A machine is NAME or REGION/NAME.`,
		examples: []string{"platypus cordon m1", "platypus cordon SIN/m1 -m disk"}}, intent.MachineCordoned)
}

func uncordonVerb() verb {
	return stateVerb(verb{name: "uncordon", usage: "let machines take vms again", text: `Ends a cordon, a drain, and the word that a machine is dead.`,
		examples: []string{"platypus uncordon m1", "platypus uncordon SIN/m1 SIN/m2 -o json"}}, intent.MachineReady)
}

func stateVerb(v verb, state intent.MachineState) verb {
	v.args, v.minArgs, v.maxArgs, v.flags = "MACHINE…", 1, -1, []cli.Flag{messageFlag(), dryRunFlag(), outputFlag()}
	v.run = func(ctx context.Context, cmd *command) error {
		for i := range cmd.args {
			if _, err := cmd.setState(ctx, i, state, nil); err != nil && !cmd.recordDryWrites(err) {
				return err
			}
		}
		if len(cmd.dryWrites) > 0 {
			return nil
		}
		if cmd.json {
			return cmd.printJSON(v.name, map[string]any{"machines": cmd.args, "state": state})
		}
		return nil
	}
	return v
}

// setState changes the state of a machine and no other member.
func (cmd *command) setState(ctx context.Context, arg int, state intent.MachineState, drain *intent.Drain) (fleet.Spot, error) {
	p, err := cmd.machineArg(ctx, arg)
	if err != nil {
		return fleet.Spot{}, err
	}
	m := fleet.Read(cmd.tree, []intent.Pair{p}).Machines[0]
	if m.Fault != "" {
		return m.Spot, fmt.Errorf("%s cannot be used: %s", m.Spot, m.Fault)
	}
	members := map[string]any{"state": state, "drain": nil}
	if drain != nil {
		members["drain"] = drain
	}
	value, err := setMembers(p.Value, members)
	if err != nil {
		return m.Spot, err
	}
	was, now := m.Spec, intent.Machine{}
	if now, _ = intent.Decode[intent.Machine](p.Key, value); was.Is(state) && drain == nil && was.Drain == nil || same(was, now) {
		cmd.infof("%s is %s already", m.Spot, state)
		return m.Spot, nil
	}
	_, err = cmd.writeKey(ctx, p.Key, p.Value, p.ModifyIndex, value, fmt.Sprintf("%s is %s", m.Spot, state))
	if err != nil && !errors.Is(err, history.ErrUnchanged) {
		return m.Spot, err
	}
	cmd.infof("%s is %s", m.Spot, state)
	return m.Spot, nil
}

func same(a, b intent.Machine) bool {
	if (a.Drain == nil) != (b.Drain == nil) {
		return false
	}
	return a.State == b.State && (a.Drain == nil || a.Drain.Parallel == b.Drain.Parallel && a.Drain.Deadline.Equal(b.Drain.Deadline))
}

func drainVerb() verb {
	return verb{
		name: "drain", usage: "empty a machine", args: "MACHINE", minArgs: 1, maxArgs: 1,
		text: `Marks the machine as draining: it takes nothing new, and the allocators give what is on it other machines, a few at a time.
What finds no room stays, until the deadline: then all that is left goes at once. With --wait it tells what is left until
nothing is. The machine stays draining until platypus uncordon.`,
		examples: []string{"platypus drain m1 --wait", "platypus drain SIN/m1 --deadline 1h --parallel 5"},
		flags: []cli.Flag{&cli.DurationFlag{Name: "deadline", Usage: "after so long all that is left goes at once"},
			&cli.IntFlag{Name: "parallel", Usage: "vms on their way at once", Value: intent.DefaultDrainParallel},
			boolFlag("wait", "wait until the machine is empty"), &cli.DurationFlag{Name: "timeout", Usage: "how long to wait", Value: defaultTimeout},
			messageFlag(), dryRunFlag(), outputFlag()},
		run: drain,
	}
}

func drain(ctx context.Context, cmd *command) error {
	d := &intent.Drain{Parallel: cmd.flags.Int("parallel")}
	if d.Parallel < 1 || d.Parallel > 1000 || cmd.flags.Duration("deadline") < 0 {
		return usage("--parallel must be within 1 to 1000, and --deadline must not be negative")
	}
	if given := cmd.flags.Duration("deadline"); given > 0 {
		d.Deadline = time.Now().UTC().Add(given).Truncate(time.Second)
	}
	spot, err := cmd.setState(ctx, 0, intent.MachineDraining, d)
	if err != nil {
		return err
	}
	left, err := cmd.waitEmpty(ctx, spot)
	if err != nil {
		return err
	}
	if cmd.json {
		err = cmd.printJSON("drain", map[string]any{"machine": spot, "left": left})
	} else if len(left) > 0 {
		cmd.printVMs(left)
	}
	if err == nil && len(left) > 0 {
		cmd.infof("%s left on %s; next: platypus drain %s --wait", plural(len(left), "instance"), spot, spot)
		return exit(exitPending)
	}
	cmd.infof("%s is empty", spot)
	return err
}

// waitEmpty reports what a machine still holds; with --wait, until it holds nothing.
func (cmd *command) waitEmpty(ctx context.Context, spot fleet.Spot) ([]vmRow, error) {
	ctx, cancel := context.WithTimeout(ctx, cmd.flags.Duration("timeout"))
	defer cancel()
	reported := -1
	for {
		f, err := cmd.readFleet(context.WithoutCancel(ctx))
		if err != nil {
			return nil, err
		}
		left := []vmRow{}
		if m := f.Machine(spot); m != nil {
			for _, e := range m.Ledger.Entries {
				left = append(left, vmRow{Instance: e.VM, Region: spot.Region, Machine: spot.Machine, State: "draining",
					Reason: cmd.remainingReason(f, e), Cores: e.Cores, Memory: e.Memory, App: e.App})
				if e.Phase != intent.PhasePlaced {
					left[len(left)-1].State = string(e.Phase)
				}
			}
		}
		if len(left) == 0 || !cmd.flags.Bool("wait") || ctx.Err() != nil {
			return left, nil
		}
		if len(left) != reported {
			cmd.infof("%s  %s left on %s", time.Now().UTC().Format("15:04:05"), plural(len(left), "instance"), spot)
			reported = len(left)
		}
		pause(ctx, pollInterval)
	}
}

// remainingReason says why an instance is still on a machine that is to be empty.
func (cmd *command) remainingReason(f *fleet.Fleet, e intent.Entry) string {
	if e.Phase != intent.PhasePlaced {
		return "its share is free when the machine no longer runs it"
	}
	v, known := f.VM(fleet.VMOf(e.VM))
	if !known {
		return "to be released by an allocator"
	}
	room, want := fleet.NewRoom(f), fleet.WantOf(v)
	if _, ok := room.Choose(&want, 0); !ok {
		return "no room elsewhere: " + room.Refusals(&want).String()
	}
	return "to be moved by an allocator"
}
