package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

// vmFlags are the flags of a vm declaration.
func vmFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "vm-memory", Usage: "memory of each: a bare number is in GB, or with a unit, as 512MB or 8GiB"},
		&cli.StringFlag{Name: "vm-cores", Usage: "cores of each"},
		&cli.StringFlag{Name: "vm-region", Usage: "where it may be, best first: SIN, or SIN,NRT,any"},
		&cli.IntFlag{Name: "count", Usage: "how many instances", Value: 1},
		&cli.StringFlag{Name: "app", Usage: "app that it brings to its machine"},
		&cli.StringFlag{Name: "cluster", Usage: "cluster of that app"},
		&cli.StringFlag{Name: "spread", Usage: "how instances are kept apart: none, machine or datacenter"},
		&cli.StringSliceFlag{Name: "label", Usage: "NAME=VALUE that a machine must carry"},
	}
}

// vmFromFlags builds a vm from the flags. Errors name the flag.
func (cmd *command) vmFromFlags() (intent.VM, error) {
	v := intent.VM{Count: cmd.flags.Int("count"), Spread: intent.Spread(cmd.flags.String("spread"))}
	for _, name := range []string{"vm-region", "vm-memory", "vm-cores"} {
		if cmd.flags.String(name) == "" {
			return v, usage("--%s is missing: platypus launch --vm-memory 8 --vm-cores 4 --vm-region SIN web", name)
		}
	}
	size, err := intent.ParseGB(cmd.flags.String("vm-memory"))
	if err != nil {
		return v, usage("--vm-memory: %w", err)
	}
	v.Memory = size
	if _, err := fmt.Sscanf(cmd.flags.String("vm-cores")+"\n", "%d\n", &v.Cores); err != nil || v.Cores < 1 || v.Cores > intent.MaxCores {
		return v, usage("--vm-cores %q is not a whole number within 1 to %d", cmd.flags.String("vm-cores"), intent.MaxCores)
	}
	for _, code := range strings.Split(cmd.flags.String("vm-region"), ",") {
		name, err := intent.ParseName(strings.TrimSpace(code))
		if err != nil {
			return v, usage("--vm-region: %w", err)
		}
		v.Region = append(v.Region, name)
	}
	for flag, into := range map[string]*intent.Name{"app": &v.App, "cluster": &v.Cluster} {
		if given := cmd.flags.String(flag); given != "" {
			if *into, err = intent.ParseName(given); err != nil {
				return v, usage("--%s: %w", flag, err)
			}
		}
	}
	for _, pair := range cmd.flags.StringSlice("label") {
		name, text, ok := strings.Cut(pair, "=")
		label, err := intent.ParseName(name)
		if !ok || err != nil {
			return v, usage("--label %q is not NAME=VALUE", pair)
		}
		if v.Constraints == nil {
			v.Constraints = map[intent.Name]string{}
		}
		v.Constraints[label] = text
	}
	data, err := json.Marshal(v)
	if err != nil {
		return v, err
	}
	if err := intent.Check("vms/vm", data).Err(); err != nil {
		return v, usage("%s", strings.TrimPrefix(err.Error(), "vms/vm:1:1: "))
	}
	return v, nil
}

// vmName returns the name in the arguments, or a generated pronounceable one.
func (cmd *command) vmName() (intent.Name, error) {
	if len(cmd.args) == 0 {
		return intent.Name(fmt.Sprintf("%s-%s-%04d", adjectives[rand.N(len(adjectives))], animals[rand.N(len(animals))], rand.N(10000))), nil
	}
	name, err := intent.ParseVMName(cmd.args[0])
	if err != nil {
		return "", usage("NAME: %w", err)
	}
	return name, nil
}

var (
	adjectives = strings.Fields("able bold brave brisk calm clear clever eager early fair fast fine firm fresh gentle glad grand keen kind light lively loyal mellow mild neat nimble noble plain proud quick quiet rapid ready sharp silent smart soft solid steady still sunny swift tidy true warm wise young")
	animals    = strings.Fields("badger bear beaver bison crane crow deer dove duck eagle elk falcon finch fox frog gecko goose hare hawk hedgehog heron ibis jay koala lark lemur lion lynx marten mole moose mouse newt otter owl panda platypus puffin quail raven robin seal shrew stork swan tapir tern toad trout viper wombat wren")
)

// placementRows returns the instances of a vm by their placement records: their machine, or pending.
func placementRows(name intent.Name, v intent.VM, said map[string]fleet.Placed) (rows []vmRow, open int) {
	for n := range v.Count {
		i := intent.Instance{VM: name, Number: n}
		p, ok := said[i.String()]
		if !ok || p.Fault != "" {
			open++
			continue
		}
		rows = append(rows, vmRow{Instance: i.String(), Region: p.Region, Machine: p.Machine, State: string(p.State), Reason: p.Reason, Refused: p.Refused,
			Cores: v.Cores, Memory: v.Memory, App: v.App})
	}
	return rows, open
}

// vmRow is one instance.
type vmRow struct {
	Instance string         `json:"instance"`
	Region   intent.Name    `json:"region,omitempty"`
	Machine  intent.Name    `json:"machine,omitempty"`
	State    string         `json:"state"` // placed, pending, leaving, lost, invalid or unknown
	Reason   string         `json:"reason,omitempty"`
	Refused  map[string]int `json:"refused,omitempty"`
	Cores    int            `json:"cores"`
	Memory   intent.Size    `json:"memory"`
	App      intent.Name    `json:"app,omitempty"`
}

func (cmd *command) printVMs(rows []vmRow) {
	var cells [][]string
	for _, r := range rows {
		cells = append(cells, []string{r.Instance, cmd.style.colourPhase(r.State), string(r.Region), string(r.Machine), fmt.Sprint(r.Cores), r.Memory.String(),
			string(r.App), r.Reason})
	}
	cmd.printTable([]string{"VM", "STATE", "REGION", "MACHINE", "CORES", "MEMORY", "APP", "REASON"}, cells)
}
