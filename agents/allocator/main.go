// Command allocator gives every vm that people wish for a share of a machine: it fits cores and memory into what the
// machines of the wanted regions have free, keeps instances apart where that is asked for, and brings the app of a vm to
// the node it is on.
//
// What a machine holds stands in one key, its ledger, which is written whole and only in place of what was read. So any
// number of allocators may run at once, without a leader: whoever comes second is refused and looks again. What does
// not fit anywhere is pending, with the reason, until there is room.
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

// program is the agent's name, in the store too.
const program = "allocator"

func main() {
	var h *hands
	agent.Main(agent.Program[Desired, Actual, fleet.Step]{
		Name: program, Usage: "give every vm a share of a machine",
		Text:     "Any number of allocators may run at once; give each its own --node and --state-dir.",
		Examples: []string{"allocator --node a1 --dry-run", "allocator --node a1 --loss-after 10m"},
		Flags:    flags(),
		Source:   func(*agent.Agent) agent.Source[Desired] { return h.source() },
		Open: func(ctx context.Context, c *cli.Context, a *agent.Agent) (*converge.Loop[Desired, Actual, fleet.Step], error) {
			o, err := readOptions(c)
			if err != nil {
				return nil, err
			}
			h = newHands(a, o)
			a.Meters = h.meters.all()
			go h.serve(ctx)
			return &converge.Loop[Desired, Actual, fleet.Step]{
				Observe: h.observe, Plan: h.plan, Apply: h.apply, States: h.states, Guard: guard(a), Wake: h.wake,
			}, nil
		},
	})
}

// plan is what is to be done by this allocator.
func (h *hands) plan(d Desired, a Actual) []fleet.Step {
	steps := h.book.current(d, plan(d, a))
	return h.turn.mine(steps, h.book.peers(h.self), time.Now(), func(s fleet.Step) intent.Name {
		if v, _ := d.vm(s.Instance.VM); len(v.Spec.Region) > 0 {
			return v.Spec.Region[0]
		}
		return s.From.Region
	})
}
