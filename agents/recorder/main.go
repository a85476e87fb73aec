// Program recorder keeps the history of intent complete: whatever was written past the programs that record what they
// write, by a plain `consul kv put` or by curl, it finds and records as observed.
//
// It owns nothing on the host and writes below history/ alone. Any number of recorders may run beside each other, on
// any hosts, without a lock: who comes second finds the work done. While none runs, writes are not lost: the next one
// records what stands then, and only what was overwritten in between is gone.
package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/store/history"
)

const manual = `Compares all intent with its history and records what the history was not told of, with the time and the index
between which it happened: at least one write, by whom is not known. Takes over a tree that has no history yet, tells
when a snapshot of the store was restored, and lets go of what is older than --keep-age and --keep-commits say.`

func main() {
	r := &recorder{}
	agent.Main(agent.Program[Desired, Actual, converge.Step]{
		Name: "recorder", Usage: "record what was declared by plain writes", Text: manual, Source: r.source, Open: r.open,
		Examples: []string{"recorder --once", "recorder --keep-age 720h --keep-commits 1000"},
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "keep-commits", Usage: "keep at least so many commits", Value: history.DefaultKeep.Commits, EnvVars: agent.Env("keep-commits")},
			&cli.DurationFlag{Name: "keep-age", Usage: "keep at least the commits of this time", Value: history.DefaultKeep.Age, EnvVars: agent.Env("keep-age")},
			&cli.BoolFlag{Name: "keep-all", Usage: "never let go of anything", EnvVars: agent.Env("keep-all")},
			&cli.DurationFlag{Name: "pace", Usage: "record at most one commit in this time", Value: 50 * time.Millisecond, EnvVars: agent.Env("pace")},
		},
	})
}

func (r *recorder) open(_ context.Context, c *cli.Context, a *agent.Agent) (*converge.Loop[Desired, Actual, converge.Step], error) {
	r.agent, r.log = a, history.Open(a.Store, a.Tree)
	r.keep = Keep{Commits: c.Int("keep-commits"), Age: c.Duration("keep-age"), All: c.Bool("keep-all")}
	r.pace = c.Duration("pace")
	if r.keep.Commits < 1 || r.keep.Age < 0 || r.pace < 0 {
		return nil, agent.Usage("--keep-commits, --keep-age and --pace must not be negative, and one commit is always kept")
	}
	return &converge.Loop[Desired, Actual, converge.Step]{Observe: r.observe, Plan: plan, Apply: r.apply, States: states}, nil
}
