// Package agent is the runtime around an agent's loop: flags and signals, the lock, the watch, the report, the health
// and metrics pages. A program describes itself in a [Program]; everything that all agents have in common is here.
package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/urfave/cli/v2"

	"github.com/platypus-platform/platypus/agents/converge"
	"github.com/platypus-platform/platypus/agents/internal/host"
	"github.com/platypus-platform/platypus/intent"
	"github.com/platypus-platform/platypus/store"
)

// The exit codes of every agent.
const (
	ExitFailed = 1  // a pass failed (--once)
	ExitDrift  = 2  // drift remains (--dry-run) or the store is out of reach (--once)
	ExitUsage  = 64 // flags are wrong
	ExitLocked = 75 // another copy runs
)

// Version is the version that reports and metrics name. The build sets it.
var Version = "dev"

// Program is what makes one agent different from another. D is what it desires, A what it observes, S its step.
type Program[D, A any, S converge.Step] struct {
	Name  string // of the binary, of its status key and of its state directory
	Usage string // one line
	Text  string // the manual below it
	// Examples are command lines for --help; when empty, two that fit every agent.
	Examples []string
	Flags    []cli.Flag
	// Source delivers the desired state: [OfNode] for an agent whose subjects are the apps of its node.
	Source func(a *Agent) Source[D]
	// Open makes the loop from the flags. It may start goroutines that end with ctx. The runtime sets Report and Log.
	Open func(ctx context.Context, c *cli.Context, a *Agent) (*converge.Loop[D, A, S], error)
}

// Source reads a desired state from the store.
type Source[D any] struct {
	Name string                           // what is watched, for log lines
	Read func(context.Context) (D, error) // once, for --once and --dry-run
	// Watch delivers the state as it changes, newest only, until ctx ends; heard receives the result of each read.
	Watch func(ctx context.Context, heard func(intent.Prefix, error)) <-chan D
	Index func(D) uint64 // the store's index at which the state was read
}

// Agent holds what the runtime offers to a program.
type Agent struct {
	Name     string
	Node     intent.Name
	Tree     intent.Tree
	Store    *store.Store
	StateDir string // the agent's own; its content may be lost
	DryRun   bool
	Once     bool
	Log      *Log
	Meters   []prometheus.Collector // the program's own metrics, served beside those of every agent; set in Open

	warned     map[string]bool // warnings of intent that were logged
	identity   *identity       // the node and root that the host last served; nil without apps to guard
	removals   *removals       // what is held, and which confirmation was used; nil without a guard
	undeclared atomic.Value    // string: the message that nothing is declared for the node, "" once something is
	lock       string          // identifies the lock that this process holds; "" without one
}

// Main runs the program and ends the process.
func Main[D, A any, S converge.Step](p Program[D, A, S]) {
	os.Exit(Run(p, os.Args))
}

// Run runs the program with args, whose first is its name, and returns its exit code.
func Run[D, A any, S converge.Step](p Program[D, A, S], args []string) int {
	m := manual{name: p.Name, usage: p.Usage, text: p.Text, examples: p.Examples, exits: exitCodes}
	m.own, m.common = p.Flags, commonFlags(p.Name)
	if len(m.examples) == 0 {
		m.examples = []string{p.Name + " --node web1 --dry-run", p.Name + " --node web1 --listen 127.0.0.1:9100"}
	}
	return runApp(m, args, func(c *cli.Context) (int, error) { return run(c.Context, c, p) })
}

// runApp parses the command line and runs the action until it returns or a signal cancels it. It returns the exit code.
func runApp(m manual, args []string, action func(*cli.Context) (int, error)) int {
	app := &cli.App{Name: m.name, Usage: m.usage, Flags: slices.Concat(m.common, m.own), CustomAppHelpTemplate: m.String()}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	code := 0
	app.Version, app.HideHelpCommand = Version, true
	app.Action = func(c *cli.Context) (err error) {
		code, err = action(c)
		return err
	}
	app.OnUsageError = func(_ *cli.Context, err error, _ bool) error {
		return usageError{withNearFlag(err, app.Flags)}
	}
	app.ExitErrHandler = func(*cli.Context, error) {}
	err := app.RunContext(ctx, args)
	if err == nil {
		return code
	}
	printError(fmt.Sprintf("%s: %v", app.Name, err))
	var usage usageError
	var locked lockedError
	switch {
	case errors.As(err, &usage):
		printError(fmt.Sprintf("run %s --help for its flags", app.Name))
		return ExitUsage
	case errors.As(err, &locked):
		return ExitLocked
	case errors.Is(err, store.ErrUnreachable):
		return ExitDrift
	}
	return ExitFailed
}

// printError writes a line to standard error. It gives up after flushLimit, since a full pipe must not block the exit.
func printError(text string) {
	written := make(chan struct{})
	go func() {
		fmt.Fprintln(os.Stderr, text)
		close(written)
	}()
	select {
	case <-written:
	case <-time.After(flushLimit):
	}
}

// usageError is a mistake on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage returns an error that ends a program with exit code 64.
func Usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func run[D, A any, S converge.Step](ctx context.Context, c *cli.Context, p Program[D, A, S]) (int, error) {
	a, err := open(c, p.Name)
	if err != nil {
		return ExitUsage, err
	}
	defer a.Log.flush()
	if !a.DryRun {
		lock, err := lockDir(a.StateDir, p.Name)
		if err != nil {
			return ExitFailed, err
		}
		defer lock.Close()
		a.lock = lockID(lock)
		if err := host.RemoveAllLeftovers(filepath.Join(a.StateDir, "written.list")); err != nil {
			a.Log.Warn("", err.Error())
		}
	}
	loop, err := p.Open(ctx, c, a)
	if err != nil {
		return ExitFailed, err
	}
	loop.Log = a.Log
	if loop.Guard != nil {
		loop.Guard.Confirm = "platypus confirm " + string(a.Node)
	}
	if loop.Resync == 0 {
		loop.Resync = c.Duration("resync")
	}
	switch {
	case a.DryRun:
		return dryRun(ctx, p.Source(a), loop)
	case a.Once:
		return once(ctx, a, p.Source(a), loop)
	}
	return 0, runContinuously(ctx, c.String("listen"), a, p.Source(a), loop)
}

// dryRun prints the steps of one pass and writes nothing anywhere.
func dryRun[D, A any, S converge.Step](ctx context.Context, source Source[D], loop *converge.Loop[D, A, S]) (int, error) {
	desired, err := source.Read(ctx)
	if err != nil {
		return ExitDrift, err
	}
	steps, err := loop.DryRun(ctx, desired)
	if err != nil {
		return ExitFailed, err
	}
	for _, s := range steps {
		fmt.Printf("%s: %s\n", s.Subject(), s)
	}
	if len(steps) > 0 {
		return ExitDrift, nil
	}
	return 0, nil
}

// once converges on the current intent.
func once[D, A any, S converge.Step](ctx context.Context, a *Agent, source Source[D], loop *converge.Loop[D, A, S]) (int, error) {
	desired, err := source.Read(ctx)
	if err != nil {
		return ExitDrift, err
	}
	r := newReporter(a)
	recordIndex(r, source, loop)
	loop.Report = func(p converge.Pass) { r.process(p, r.index) }
	pass := loop.Once(ctx, desired)
	r.flushOnce(context.WithoutCancel(ctx))
	if pass.Failed() || hasProblem(pass) {
		return ExitFailed, nil
	}
	return 0, nil
}

// hasProblem reports whether something is left that neither time nor another agent fixes, such as invalid intent or a
// withdrawn release. A missing precondition does not count.
func hasProblem(pass converge.Pass) bool {
	for _, o := range pass.Outcomes {
		switch o.Phase {
		case converge.Converged, converge.Waiting, intent.PhaseIncomplete:
		default:
			return true
		}
	}
	return false
}
