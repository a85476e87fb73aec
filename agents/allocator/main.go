// Command allocator places VMs on machines: it fits cores and memory into the free capacity of the requested regions,
// spreads instances where that is requested, and assigns a VM's app to the node it is placed on.
//
// Each machine has one ledger key, which is always written whole with compare-and-set. So any number of allocators
// can run at once without a leader: the second writer is rejected and plans again. An instance that fits nowhere is
// pending, with the reason, until there is capacity.
package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/intent/fleet"
)

// program is the agent's name, also in store keys.
const program = "allocator"

func main() {
	var al *allocator
	agent.Main(agent.Program[Desired, Actual, fleet.Step]{
		Name: program, Usage: "give every vm a share of a machine",
		Text:     "Any number of allocators may run at once; give each its own --node and --state-dir.",
		Examples: []string{"allocator --node a1 --dry-run", "allocator --node a1 --loss-after 10m"},
		Flags:    flags(),
		Source:   func(*agent.Agent) agent.Source[Desired] { return al.source() },
		Open: func(ctx context.Context, c *cli.Context, a *agent.Agent) (*converge.Loop[Desired, Actual, fleet.Step], error) {
			o, err := readOptions(c)
			if err != nil {
				return nil, err
			}
			al = newAllocator(a, o)
			a.Meters = al.metrics.all()
			go al.commitLoop(ctx)
			return &converge.Loop[Desired, Actual, fleet.Step]{
				Observe: al.observe, Plan: al.plan, Apply: al.apply, States: al.states, Guard: guard(a), Wake: al.wakeups,
			}, nil
		},
	})
}

// plan returns the steps that this allocator must take now.
func (al *allocator) plan(d Desired, a Actual) []fleet.Step {
	steps := al.cache.dropStale(d, plan(d, a))
	return al.share.owned(steps, al.cache.peers(al.self), time.Now(), func(s fleet.Step) intent.Name {
		if v, _ := d.vm(s.Instance.VM); len(v.Spec.Region) > 0 {
			return v.Spec.Region[0]
		}
		return s.From.Region
	})
}
