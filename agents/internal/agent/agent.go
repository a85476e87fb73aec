// Package agent is the shell around an agent's loop: flags and signals, the lock, the watch, the report, the page of
// health and metrics. A program says what it is in a [Program]; everything that all of them do alike is here.
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
	// Examples are command lines for --help; two that fit every agent when there are none.
	Examples []string
	Flags    []cli.Flag
	// Source is where the desired state comes from: [OfNode] for an agent whose subjects are the apps of its node.
	Source func(a *Agent) Source[D]
	// Open makes the loop out of the flags. It may start goroutines that end with ctx. The shell fills in Report and Log.
	Open func(ctx context.Context, c *cli.Context, a *Agent) (*converge.Loop[D, A, S], error)
}

// Source reads a desired state from the store.
type Source[D any] struct {
	Name string                           // what is watched, for people
	Read func(context.Context) (D, error) // once, for --once and --dry-run
	// Watch delivers the state as it changes, newest only, until ctx ends; heard is told how each read went.
	Watch func(ctx context.Context, heard func(intent.Prefix, error)) <-chan D
	Index func(D) uint64 // the store's index at which the state was read
}

// Agent is what the shell offers to a program.
type Agent struct {
	Name     string
	Node     intent.Name
	Tree     intent.Tree
	Store    *store.Store
	StateDir string // the agent's own; what lies there may be lost
	DryRun   bool
	Once     bool
	Log      *Log
	Meters   []prometheus.Collector // of the program's own, shown beside those that every agent has; set in Open

	shell shell
}

// shell is what the shell keeps of an agent for itself.
type shell struct {
	warned     map[string]bool // warnings of intent that were logged
	identity   *identity       // whose the host was; nil without apps to guard
	removals   *removals       // what is held, and which confirmation was used; nil without a guard
	undeclared atomic.Value    // string: that nothing is declared for the node, "" once something is
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

// runApp runs the action with what was given on the command line, until it ends by itself or a signal ends it.
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

// printError writes a line to standard error, which nobody may read: the end does not wait for that.
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

// usageError is a mistake of the caller's.
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
		a.shell.lock = lockID(lock)
		if err := host.SweepAll(filepath.Join(a.StateDir, "written.list")); err != nil {
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
	return 0, forever(ctx, c.String("listen"), a, p.Source(a), loop)
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

// once converges on the intent of this moment.
func once[D, A any, S converge.Step](ctx context.Context, a *Agent, source Source[D], loop *converge.Loop[D, A, S]) (int, error) {
	desired, err := source.Read(ctx)
	if err != nil {
		return ExitDrift, err
	}
	r := newReporting(a)
	reportOf(r, source, loop)
	loop.Report = func(p converge.Pass) { r.pass(p, r.index) }
	pass := loop.Once(ctx, desired)
	r.flushOnce(context.WithoutCancel(ctx))
	if pass.Failed() || wrong(pass) {
		return ExitFailed, nil
	}
	return 0, nil
}

// wrong reports whether something is left that neither time nor another agent mends, such as invalid intent or a
// release that was taken back. A precondition that is absent is not wrong.
func wrong(pass converge.Pass) bool {
	for _, o := range pass.Outcomes {
		switch o.Phase {
		case converge.Converged, converge.Waiting, intent.PhaseIncomplete:
		default:
			return true
		}
	}
	return false
}
