package agent_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/agent"
	"github.com/platypus-platform/platypus/intent"
)

// toy is an agent whose host is a directory: each app of the node is a file in it that holds the active version.
var toy = agent.Program[intent.Node, map[string]string, toyStep]{
	Name: "toy", Usage: "keep a directory",
	Flags: []cli.Flag{
		&cli.StringFlag{Name: "dir", Required: true},
		&cli.StringFlag{Name: "broken", Usage: "app whose steps fail"},
		&cli.DurationFlag{Name: "slow", Usage: "how long a step takes"},
	},
	Source: agent.OfNode,
	Open: func(_ context.Context, c *cli.Context, a *agent.Agent) (*converge.Loop[intent.Node, map[string]string, toyStep], error) {
		d := toyDir{c.String("dir"), c.String("broken"), c.Duration("slow")}
		return &converge.Loop[intent.Node, map[string]string, toyStep]{
			Observe: d.observe, Plan: toyPlan, Apply: d.apply, States: toyStates,
			Guard: agent.GuardApps(a, func(have map[string]string) []string { return slices.Collect(maps.Keys(have)) }, nil),
		}, nil
	},
}

type toyStep struct{ app, version string }

func (s toyStep) Subject() string { return s.app }

func (s toyStep) Destroys() bool { return s.version == "" }

func (s toyStep) String() string {
	if s.version == "" {
		return "remove: not wanted"
	}
	return "write " + s.version
}

type toyDir struct {
	path, broken string
	slow         time.Duration
}

func (d toyDir) observe(context.Context) (map[string]string, error) {
	entries, err := os.ReadDir(d.path)
	have := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(d.path, e.Name()))
		if err != nil {
			return nil, err
		}
		have[e.Name()] = string(data)
	}
	return have, err
}

func (d toyDir) apply(_ context.Context, s toyStep) error {
	time.Sleep(d.slow)
	path := filepath.Join(d.path, s.app)
	switch {
	case s.app == d.broken:
		return errors.New("no space left on device")
	case s.version == "":
		return os.Remove(path)
	}
	return os.WriteFile(path, []byte(s.version), 0o644)
}

func toyPlan(want intent.Node, have map[string]string) (steps []toyStep) {
	for _, app := range want.Apps {
		if v, ok := app.Config.Active(); ok && app.Sound() && have[string(app.Name)] != string(v) {
			steps = append(steps, toyStep{string(app.Name), string(v)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if _, wanted := want.App(intent.Name(name)); !wanted {
			steps = append(steps, toyStep{name, ""})
		}
	}
	return steps
}

func toyStates(want intent.Node, have map[string]string) map[string]converge.State {
	states := map[string]converge.State{}
	for _, app := range want.Apps {
		v, _ := app.Config.Active()
		s := converge.State{Want: string(v), Have: have[string(app.Name)], Phase: converge.Converged}
		if !app.Sound() {
			s.Phase, s.Reason = app.Phase, app.Reason
		}
		states[string(app.Name)] = s
	}
	return states
}

func toyMain() { agent.Main(toy) }

// kvMain is put KEY VALUE, rm KEY or get KEY on the store of the environment, with keys below the root.
func kvMain() {
	if err := kv(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
